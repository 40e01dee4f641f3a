#!/usr/bin/env bash
# Evaluate a checkpoint, or saved predictions, on one CPU.
# Usage: bash scripts/run_eval_cpu.sh CONFIG_PATH VAL_DATA CHECKPOINT_PATH [PREDICTION_PATH]
#        --key value ... after these overrides keys of the configuration.
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
evaluate cpu "$@"
