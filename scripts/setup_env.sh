#!/usr/bin/env bash
# Makes the virtual environment: setup_env.sh PYTHON VENV [arguments for pip]
#
# fairseq compiles parts of itself against the torch that is installed, so torch comes first and
# fairseq is built without isolation. Interrupted, it goes on where it stopped when run again.
set -euo pipefail

python=$1
venv=$2
shift 2

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

command -v "$python" >/dev/null || fail "$python is not installed; install Python 3.11 or later"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is older than 3.11; name a newer one: make PYTHON=python3.11 ..."
command -v c++ >/dev/null || command -v g++ >/dev/null ||
    fail "no C++ compiler; install one (Debian: apt install g++, macOS: xcode-select --install)"
"$python" -c 'import sysconfig, os, sys
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
    fail "the headers of Python are missing; install them (Debian: apt install python3-dev)"

if [ ! -x "$venv/bin/python" ]; then
    say "Making the virtual environment in $venv"
    "$python" -m venv "$venv" ||
        fail "cannot make a virtual environment (Debian: apt install python3-venv)"
fi
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check
    --constraint constraints.txt "$@")

# The build tools come after torch, because torch brings its own choice of setuptools.
say "Installing torch (a few hundred MB, once)"
"${pip[@]}" torch numpy
"${pip[@]}" cython setuptools wheel
say "Installing fairseq (compiled here once: 2 to 4 minutes)"
"${pip[@]}" --no-build-isolation fairseq-fixed
say "Installing everything else"
"${pip[@]}" --no-build-isolation --editable '.[dev]'
"$venv/bin/python" -c 'import faiss, fairseq, fairseq_plugins, sentencepiece, torch' 2>/dev/null ||
    fail "the installation does not work; remove $venv and run the same command again"
say "Installed"
