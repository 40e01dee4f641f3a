#!/usr/bin/env bash
# Everything that must hold before a change lands: lint, shell lint, the test suite. Makes its own environment.
# Usage: bash scripts/run_tests.sh [--all] [PYTEST_ARGUMENTS...]      VENV=DIR uses (or makes) another environment.
# Tests marked slow run with --all only, which continuous integration gives.
set -euo pipefail
# shellcheck source=scripts/_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/_common.sh"
cd "$(repo_root)"
selections=("not slow")
if [ "${1:-}" = --all ]; then
    selections+=(slow)
    shift
fi
prepare_environment requirements-dev.txt

"$PYTHON" -m ruff check --no-cache .
"$VENV/bin/shellcheck" -x scripts/*.sh deploy/*/*.sh deploy/*/*/*.sh .ci/*
# Compilation, which is most of the time, uses one core: two workers, each with whole files (their fixtures are costly), in
# the order of tests/conftest.py. The slow ones have processes of their own: a worker that had run some of both has died. One
# that dies ends the run, since pytest-xdist waits for ever for the files that it had.
status=5 # pytest's own for "no tests", which is one for all selections
for selection in "${selections[@]}"; do
    code=0
    "$PYTHON" -m pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart=0 --durations=10 -m "$selection" "$@" || code=$?
    if [ "$code" -ne 5 ] && { [ "$status" -eq 5 ] || [ "$status" -eq 0 ]; }; then
        status=$code
    fi
done
exit "$status"
