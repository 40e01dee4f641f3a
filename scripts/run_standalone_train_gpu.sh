#!/usr/bin/env bash
# Train on one GPU.
# Usage: bash scripts/run_standalone_train_gpu.sh CONFIG_PATH TRAIN_DATA VAL_DATA TRAIN_OUT BRIEF [PRETRAINED_PATH]
#        --key value ... after these overrides keys of the configuration.
#        DEVICE_ID=N in the environment chooses the device.
#        ... CONFIG_PATH                                                             everything else as it says
#        ... DATA_PATH TRAIN_OUTPUT_PATH                                                               (HRNetW48_cls)
#        ... DEVICE_ID DATA_PATH MINDRECORD_PATH [PRETRAINED_PATH] [NOT_MASK]                          (pointrend)
#        DEVICE=cpu before these tries them on the CPU; scripts/_originals.sh has more.
set -euo pipefail
# shellcheck source=scripts/_originals.sh
source "$(dirname "${BASH_SOURCE[0]}")/_originals.sh"
launch standalone gpu "$@"
