#!/usr/bin/env bash
# Makes the virtual environment: setup_env.sh VENV PYTHON [arguments for pip]
#
# PYTHON may be empty: then the first suitable one on the PATH is taken. fairseq compiles parts of
# itself against the torch that is installed, so torch comes first and fairseq is built without
# isolation. Interrupted, it goes on where it stopped when run again.
set -euo pipefail
export PIP_DISABLE_PIP_VERSION_CHECK=1

venv=$1
pythons=(python3.11 python3.12 python3.13 python3)
[ -z "$2" ] || pythons=("$2")
shift 2

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Recent enough, able to make an environment, and with the headers to compile against?
suitable() {
    "$1" -c 'import ensurepip, os, sys, sysconfig, venv
header = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit(sys.version_info < (3, 11) or not os.path.exists(header))' 2>/dev/null
}

# Modules are compiled to bytecode when they are first imported; most never are. The bytecode is kept,
# or every program would start seconds later.
unset PYTHONDONTWRITEBYTECODE
install() {
    "$venv/bin/python" -m pip install --no-compile --constraint constraints.txt "$@"
}

# Three of fairseq's extensions belong to models that are not used here. They include all headers of
# torch, and compiling them would take most of the time, so the list of them comes to nothing.
install_fairseq() {
    local source=$venv/fairseq-source
    rm -rf "$source" && mkdir "$source"
    "$venv/bin/python" -m pip download --quiet --constraint constraints.txt --no-deps \
        --no-build-isolation --no-binary fairseq-fixed --dest "$source" "$@" fairseq-fixed
    tar -xzf "$source"/*.tar.gz --strip-components 1 -C "$source"
    sed -i.original 's/extensions\.extend(/list(/' "$source/setup.py"
    install --quiet "$@" --no-build-isolation "$source"
    rm -rf "$source"
}

command -v c++ >/dev/null || command -v g++ >/dev/null ||
    fail "no C++ compiler; install one (Debian: apt install g++, macOS: xcode-select --install)"
for python in "${pythons[@]}"; do
    suitable "$python" && break
    python=
done
[ -n "$python" ] ||
    fail "no Python 3.11 or later with venv and headers (tried: ${pythons[*]}); install one" \
        "(Debian: apt install python3.11-venv python3.11-dev) or name it: make PYTHON=..."

# An environment without pip is what an interruption leaves.
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    say "Making the virtual environment in $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi

# The build tools come after torch, because torch brings its own choice of setuptools.
say "Installing torch (the largest download)"
install "$@" torch numpy
say "Installing fairseq (compiled here once)"
install --quiet "$@" cython setuptools wheel
install_fairseq "$@"
say "Installing everything else"
install --quiet "$@" --no-build-isolation --editable '.[dev]'
problem=$("$venv/bin/python" -c 'import faiss, fairseq_plugins, sentencepiece' 2>&1) ||
    fail "the installation does not work (${problem##*$'\n'}); remove $venv and try again"
say "Installed"
