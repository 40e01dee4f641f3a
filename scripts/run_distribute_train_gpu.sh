#!/usr/bin/env bash
# Train on several GPUs.
# Usage: bash scripts/run_distribute_train_gpu.sh CONFIG_PATH DEVICE_NUM TRAIN_DATA VAL_DATA TRAIN_OUT BRIEF [PRETRAINED_PATH]
#        --key value ... after these overrides keys of the configuration.
#        HOSTFILE=FILE spreads over several machines; LAUNCHER=msrun uses MindSpore's own launcher.
#        ... DATA_PATH TRAIN_OUTPUT_PATH                                                               (HRNetW48_cls)
#        ... DATA_PATH MINDRECORD_PATH [PRETRAINED_PATH] [NOT_MASK]                                    (pointrend)
#        ... PRETRAINED_PATH DATA_PATH                                                                 (MaskRCNN_resnet50)
#        DEVICE=cpu before these tries them on the CPU; scripts/_originals.sh has more.
set -euo pipefail
# shellcheck source=scripts/_originals.sh
source "$(dirname "${BASH_SOURCE[0]}")/_originals.sh"
launch distribute gpu "$@"
