#!/usr/bin/env bash
# The first run on a machine with an Ascend: is everything there, does one training step of every demo give the losses
# and gradients that the CPU gives, half precision, two ranks where there are two NPUs. Ends with a table to paste.
# Not run on an Ascend yet.
# Usage: bash scripts/first_ascend_run.sh [OUT_DIR]
#        DEVICE=cpu in the environment tries it without an NPU, the operators that an Ascend gets beside ours.
#        ONLY=PATTERN[,PATTERN] runs those with such a title; DEVICE_COUNT=N says how many NPUs there are.
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
# shellcheck source=scripts/_first_run.sh
source "$(dirname "${BASH_SOURCE[0]}")/_first_run.sh"

count_devices() {
    compgen -G "/dev/davinci[0-9]*" | grep -c .
}

describe_devices() {
    local chips
    chips="$(npu-smi info 2>/dev/null | grep -oE '\b(910|310)[A-Za-z0-9_]*' | sort | uniq -c | tr -s ' \n' ' ')" || chips=""
    echo "${chips:-chips unknown (npu-smi)} $(uname -m)"
}

first_run_script ascend NPU "$@"
