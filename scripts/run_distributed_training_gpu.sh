#!/usr/bin/env bash
# Train on several GPUs under the experiment name "distributed" (run_distribute_train_gpu.sh without BRIEF).
# Usage: bash scripts/run_distributed_training_gpu.sh CONFIG_PATH DEVICE_NUM TRAIN_DATA VAL_DATA TRAIN_OUT [PRETRAINED_PATH]
#        --key value ... after these overrides keys of the configuration.
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
split_arguments "$@"
set -- "${POSITIONAL[@]}"
[ "$#" -ge 5 ] && [ "$#" -le 6 ] \
    || usage "CONFIG_PATH DEVICE_NUM TRAIN_DATA VAL_DATA TRAIN_OUT [PRETRAINED_PATH] $MORE_USAGE"
distribute_train gpu "${@:1:5}" distributed "${@:6}" "${EXTRA[@]}"
