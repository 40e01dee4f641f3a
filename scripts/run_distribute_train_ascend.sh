#!/usr/bin/env bash
# Train on several Ascend NPUs.
# Usage: bash scripts/run_distribute_train_ascend.sh CONFIG_PATH DEVICE_NUM TRAIN_DATA VAL_DATA TRAIN_OUT BRIEF [PRETRAINED_PATH]
#        --key value ... after these overrides keys of the configuration.
#        HOSTFILE=FILE spreads over several machines; LAUNCHER=msrun uses MindSpore's own launcher.
#        RANK_TABLE_FILE is passed on to MindSpore where it is set.
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
distribute_train ascend "$@"
