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
[[ $# -le 1 && "${1:-}" != -* ]] || usage "[OUT_DIR]"
device="${DEVICE:-gpu}"
case "$device" in gpu | cpu) ;; *) fail "DEVICE must be gpu or cpu, not '$device'" ;; esac
find_python

if [ "$device" = cpu ]; then
    use_jemalloc
    first_run cpu "${DEVICE_COUNT:-1}" "no GPU, a trial" "${1:-outputs/first_gpu_run}"
    exit
fi
whole=yes
PYTHON="$PYTHON" bash "$(repo_root)/scripts/check_gpu.sh" || whole=""
# shellcheck disable=SC2034 # need_device's
WITHOUT_DEVICE="everything before the driver was looked at, nothing was run; DEVICE=cpu tries the rest without one"
prepare_device gpu
[ -n "$whole" ] || exit 1 # it was said why

cards="$(nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader)"
first_run gpu "${DEVICE_COUNT:-$(grep -c . <<<"$cards")}" "$(sort <<<"$cards" | uniq -c | tr -s ' \n' ' ')" "${1:-}"
