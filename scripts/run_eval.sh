#!/usr/bin/env bash
# Evaluate a checkpoint as the MindSpore originals' launcher of this name: on an Ascend NPU, pointrend on a GPU.
# Usage: bash scripts/run_eval.sh DATA_PATH CHECKPOINT_PATH                                            (HRNetW48_cls)
#        ... DEVICE_ID DATA_PATH CHECKPOINT_PATH                                                       (HRNetW48_seg)
#        ... DEVICE_ID DATA_PATH MINDRECORD_PATH CHECKPOINT_PATH [NOT_MASK]                            (pointrend)
#        ... ANN_FILE CHECKPOINT_PATH DATA_PATH                                                        (MaskRCNN_resnet50)
#        --key value ... after these overrides keys of the configuration; DEVICE=cpu before the command tries it on the CPU;
#        scripts/_originals.sh has more.
set -euo pipefail
# shellcheck source=scripts/_originals.sh
source "$(dirname "${BASH_SOURCE[0]}")/_originals.sh"
original_evaluate eval "$@"
