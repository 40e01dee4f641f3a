#!/usr/bin/env bash
# Evaluate a checkpoint, or saved predictions, on one GPU.
# Usage: bash scripts/run_eval_gpu.sh CONFIG_PATH VAL_DATA CHECKPOINT_PATH [PREDICTION_PATH]
#        --key value ... after these overrides keys of the configuration.
#        DEVICE_ID=N in the environment chooses the device.
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
evaluate gpu "$@"
