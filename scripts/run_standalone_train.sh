#!/usr/bin/env bash
# Train on one Ascend NPU as the MindSpore originals' launcher of this name.
# Usage: bash scripts/run_standalone_train.sh DATA_PATH TRAIN_OUTPUT_PATH [EVAL_DATASET_PATH]
#        ... DATA_PATH TRAIN_OUTPUT_PATH CHECKPOINT_PATH [BEGIN_EPOCH] [EVAL_DATASET_PATH]             (HRNetW48_cls)
#        ... DEVICE_ID DATA_PATH TRAIN_OUTPUT_PATH CHECKPOINT_PATH [BEGIN_EPOCH] EVAL_CALLBACK         (HRNetW48_seg)
#        ... PRETRAINED_PATH DATA_PATH [DEVICE_ID]                                                     (MaskRCNN_resnet50)
#        --key value ... after these overrides keys of the configuration; DEVICE=cpu before the command tries it on the CPU;
#        scripts/_originals.sh has more.
set -euo pipefail
# shellcheck source=scripts/_originals.sh
source "$(dirname "${BASH_SOURCE[0]}")/_originals.sh"
original_train standalone ascend "$@"
