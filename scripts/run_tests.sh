#!/usr/bin/env bash
# Everything that must hold before a change lands: lint, shell lint, the test suite. Makes its own environment.
# Usage: bash scripts/run_tests.sh [--all] [PYTEST_ARGUMENTS...]      VENV=DIR uses (or makes) another environment.
# Tests marked slow run with --all only, which continuous integration gives.
set -euo pipefail
# shellcheck source=scripts/_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/_common.sh"
cd "$(repo_root)"
selection=(-m "not slow")
if [ "${1:-}" = --all ]; then
    selection=()
    shift
fi
prepare_environment requirements-dev.txt

"$PYTHON" -m ruff check --no-cache .
"$VENV/bin/shellcheck" -x scripts/*.sh deploy/*/*.sh deploy/*/*/*.sh .ci/*
# Compilation, which is most of the time, uses one core: two workers, each with whole files (their fixtures are costly), in
# the order of tests/conftest.py. A worker that dies ends the run: pytest-xdist would wait for ever for the files that it had.
"$PYTHON" -m pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart=0 --durations=10 "${selection[@]}" "$@"
