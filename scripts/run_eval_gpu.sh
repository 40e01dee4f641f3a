#!/usr/bin/env bash
# Evaluate a checkpoint, or saved predictions, on one GPU.
# Usage: bash scripts/run_eval_gpu.sh CONFIG_PATH VAL_DATA CHECKPOINT_PATH [PREDICTION_PATH]
#        --key value ... after these overrides keys of the configuration.
#        DEVICE_ID=N in the environment chooses the device.
#        ... CONFIG_PATH CHECKPOINT_PATH                                           VAL_DATA as the configuration has it
#        ... DATA_PATH CHECKPOINT_PATH                                                                 (HRNetW48_cls)
#        DEVICE=cpu before these tries them on the CPU; scripts/_originals.sh has more.
set -euo pipefail
# shellcheck source=scripts/_originals.sh
source "$(dirname "${BASH_SOURCE[0]}")/_originals.sh"
launch eval gpu "$@"
