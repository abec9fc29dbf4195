# Everything a user or developer does, one word each. `make` lists them.

# The Python to make the environment with; empty: the first suitable one on the PATH.
PYTHON ?=
VENV ?= .venv
# More arguments for pip. On Linux PyPI's torch comes with CUDA; for the smaller one without:
#   make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_ARGS ?=

BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A file of tests stays on one core, so that what its tests share is made once.
ON_ALL_CORES := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-data check bench gpu multi30k general omniglot rare-symbols algorithms format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9_-]+:.*## / {printf "%-13s %s\n", $$1, $$2}' Makefile

setup: $(READY) ## only make the virtual environment (every other target does, too)

demo: $(READY) ## train a small translator that remembers, and teach it new words (minutes)
	"$(BIN)/python" scripts/demo.py

test: $(READY) ## run all tests that need no real corpora, on all cores
	"$(BIN)/python" -m pytest $(ON_ALL_CORES) -m "not data"

test-data: $(READY) ## run the tests on the real corpora in the folder that RARE_DATA names
	"$(BIN)/python" -m pytest $(ON_ALL_CORES) -m data

check: $(READY) ## style, types, architecture and unit tests
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/mypy"
	"$(BIN)/lint-imports"
	"$(BIN)/python" -m pytest $(ON_ALL_CORES) tests/unit

bench: $(READY) ## measure the speed of training, memory and translation against rivals
	"$(BIN)/python" scripts/benchmark.py memory
	"$(BIN)/python" scripts/benchmark.py train
	"$(BIN)/python" scripts/benchmark.py decode
	"$(BIN)/python" scripts/benchmark.py omniglot
	"$(BIN)/python" scripts/benchmark.py neural-gpu

gpu: $(READY) ## measure memory and models on an NVIDIA GPU (minutes)
	"$(BIN)/python" scripts/benchmark.py gpu $(ARGS)

multi30k: $(READY) ## reproduce the Multi30k results (hours); goes on where it stopped
	"$(BIN)/python" scripts/reproduce.py multi30k $(ARGS)

general: $(READY) ## train a general translator and measure it (many hours); goes on where it stopped
	"$(BIN)/python" scripts/reproduce.py general $(ARGS)

omniglot: $(READY) ## reproduce the Omniglot results (hours); goes on where it stopped
	"$(BIN)/python" scripts/reproduce.py omniglot $(ARGS)

rare-symbols: $(READY) ## reproduce the results on rare symbols (an hour); goes on where it stopped
	"$(BIN)/python" scripts/reproduce.py rare-symbols $(ARGS)

algorithms: $(READY) ## reproduce the results on algorithms (hours); goes on where it stopped
	"$(BIN)/python" scripts/reproduce.py algorithms $(ARGS)

format: $(READY) ## put the code into shape
	"$(BIN)/ruff" format .
	"$(BIN)/ruff" check --fix .

clean: ## remove what the programs made, but not the virtual environment
	rm -rf demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The environment is made once, and again when the pinned versions change.
$(READY): pyproject.toml constraints.txt scripts/setup_env.sh
	@bash scripts/setup_env.sh "$(VENV)" "$(PYTHON)" $(PIP_ARGS)
	@touch "$@"
