#!/usr/bin/env bash
# Train on eight Ascend NPUs as the MindSpore originals' launcher of this name.
# Usage: bash scripts/run_distribute_train.sh RANK_TABLE_FILE DATA_PATH TRAIN_OUTPUT_PATH [EVAL_DATASET_PATH]
#        ... RANK_TABLE_FILE DATA_PATH TRAIN_OUTPUT_PATH CHECKPOINT_PATH [BEGIN_EPOCH] [EVAL_DATASET_PATH] (HRNetW48_cls)
#        ... RANK_TABLE_FILE DATA_PATH TRAIN_OUTPUT_PATH CHECKPOINT_PATH [BEGIN_EPOCH] EVAL_CALLBACK   (HRNetW48_seg)
#        ... RANK_TABLE_FILE PRETRAINED_PATH DATA_PATH                                                 (MaskRCNN_resnet50)
#        --key value ... after these overrides keys of the configuration; DEVICE=cpu before the command tries it on the CPU;
#        scripts/_originals.sh has more.
set -euo pipefail
# shellcheck source=scripts/_originals.sh
source "$(dirname "${BASH_SOURCE[0]}")/_originals.sh"
original_train distribute ascend "$@"
