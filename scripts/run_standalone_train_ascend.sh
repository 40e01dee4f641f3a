#!/usr/bin/env bash
# Train on one Ascend NPU.
# Usage: bash scripts/run_standalone_train_ascend.sh CONFIG_PATH TRAIN_DATA VAL_DATA TRAIN_OUT BRIEF [PRETRAINED_PATH]
#        --key value ... after these overrides keys of the configuration.
#        DEVICE_ID=N in the environment chooses the device.
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
standalone_train ascend "$@"
