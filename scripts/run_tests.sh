#!/usr/bin/env bash
# Everything that must hold before a change lands: lint, shell lint, the whole test suite. Makes its own environment.
# Usage: bash scripts/run_tests.sh [PYTEST_ARGUMENTS...]      VENV=DIR uses (or makes) another environment.
set -euo pipefail
# shellcheck source=scripts/_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/_common.sh"
cd "$(repo_root)"
prepare_environment requirements-dev.txt

"$PYTHON" -m ruff check --no-cache .
"$VENV/bin/shellcheck" -x scripts/*.sh deploy/*/*.sh .ci/run
# Compilation, which is most of the time, uses one core: two workers, each with whole files (their fixtures are costly).
"$PYTHON" -m pytest -n 2 --dist loadfile "$@"
