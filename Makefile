# All commands for users and developers. `make` lists them.

# The Python that creates the environment. If empty, the first suitable one on the PATH.
PYTHON ?=
VENV ?= .venv
# Additional arguments for pip. On Linux, PyPI's torch includes CUDA. For the smaller one without it:
#   make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_ARGS ?=

BIN := $(VENV)/bin
READY := $(VENV)/.ready
# All tests of a file run in one process, so that their shared fixtures are made once.
ON_ALL_CORES := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-data check bench gpu multi30k general omniglot rare-symbols algorithms format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9_-]+:.*## / {printf "%-13s %s\n", $$1, $$2}' Makefile

setup: $(READY) ## create the virtual environment (all other targets do this as well)

demo: $(READY) ## train a small translator with a memory and teach it new words (minutes)
	"$(BIN)/python" scripts/demo.py

test: $(READY) ## run all tests except those on real corpora, on all cores
	"$(BIN)/python" -m pytest $(ON_ALL_CORES) -m "not data"

test-data: $(READY) ## run the tests on the real corpora in the folder that RARE_DATA names
	"$(BIN)/python" -m pytest $(ON_ALL_CORES) -m data

check: $(READY) ## check style, types and architecture, and run the unit tests
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/mypy"
	"$(BIN)/lint-imports"
	"$(BIN)/python" -m pytest $(ON_ALL_CORES) tests/unit

bench: $(READY) ## measure the speed of the memory, training and translation against rivals
	"$(BIN)/python" scripts/benchmark.py memory
	"$(BIN)/python" scripts/benchmark.py train
	"$(BIN)/python" scripts/benchmark.py decode
	"$(BIN)/python" scripts/benchmark.py omniglot
	"$(BIN)/python" scripts/benchmark.py neural-gpu

gpu: $(READY) ## measure the memory and the models on an NVIDIA GPU (minutes)
	"$(BIN)/python" scripts/benchmark.py gpu $(ARGS)

multi30k: $(READY) ## reproduce the Multi30k results (hours); resumes after an interruption
	"$(BIN)/python" scripts/reproduce.py multi30k $(ARGS)

general: $(READY) ## train and measure a general translator (many hours); resumes after an interruption
	"$(BIN)/python" scripts/reproduce.py general $(ARGS)

omniglot: $(READY) ## reproduce the Omniglot results (hours); resumes after an interruption
	"$(BIN)/python" scripts/reproduce.py omniglot $(ARGS)

rare-symbols: $(READY) ## reproduce the results on rare symbols (an hour); resumes after an interruption
	"$(BIN)/python" scripts/reproduce.py rare-symbols $(ARGS)

algorithms: $(READY) ## reproduce the results on algorithms (hours); resumes after an interruption
	"$(BIN)/python" scripts/reproduce.py algorithms $(ARGS)

format: $(READY) ## format the code
	"$(BIN)/ruff" format .
	"$(BIN)/ruff" check --fix .

clean: ## remove generated files, except the virtual environment
	rm -rf demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The environment is created once, and again when the pinned versions change.
$(READY): pyproject.toml constraints.txt scripts/setup_env.sh
	@bash scripts/setup_env.sh "$(VENV)" "$(PYTHON)" $(PIP_ARGS)
	@touch "$@"
