#!/usr/bin/env bash
# The first run on a machine with a GPU: is everything there, does one training step of every demo give the losses and
# gradients that the CPU gives, half precision, two ranks where there are two cards. Ends with a table to paste.
# Not run on a GPU yet.
# Usage: bash scripts/first_gpu_run.sh [OUT_DIR]
#        DEVICE=cpu in the environment tries it without a GPU, MindSpore's own operators beside ours.
#        ONLY=PATTERN[,PATTERN] runs those with such a title; DEVICE_COUNT=N says how many cards there are.
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
# shellcheck source=scripts/_first_run.sh
source "$(dirname "${BASH_SOURCE[0]}")/_first_run.sh"

CARDS="name,driver_version,compute_cap"

count_devices() {
    nvidia-smi -L | grep -c .
}

describe_devices() {
    nvidia-smi --query-gpu="$CARDS" --format=csv,noheader | sort | uniq -c | tr -s ' \n' ' '
}

first_run_script gpu GPU "$@"
