#!/usr/bin/env bash
# An original's other name for run_standalone_train_gpu.sh.
# Usage: bash scripts/run_standalone_training_gpu.sh CONFIG_PATH [TRAIN_DATA VAL_DATA TRAIN_OUT BRIEF [PRETRAINED_PATH]]
#        --key value ... after these overrides keys of the configuration.
#        DEVICE_ID=N in the environment chooses the device; DEVICE=cpu before the command tries it on the CPU.
set -euo pipefail
# shellcheck source=scripts/_originals.sh
source "$(dirname "${BASH_SOURCE[0]}")/_originals.sh"
launch standalone gpu "$@"
