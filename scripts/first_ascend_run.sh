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
[[ $# -le 1 && "${1:-}" != -* ]] || usage "[OUT_DIR]"
device="${DEVICE:-ascend}"
case "$device" in ascend | cpu) ;; *) fail "DEVICE must be ascend or cpu, not '$device'" ;; esac
find_python

if [ "$device" = cpu ]; then
    use_jemalloc
    first_run cpu "${DEVICE_COUNT:-1}" "no NPU, a trial" "${1:-outputs/first_ascend_run}"
    exit
fi
whole=yes
PYTHON="$PYTHON" bash "$(repo_root)/scripts/check_ascend.sh" || whole=""
# shellcheck disable=SC2034 # need_device's
WITHOUT_DEVICE="everything before the driver was looked at, nothing was run; DEVICE=cpu tries the rest without one"
need_device ascend
[ -n "$whole" ] || exit 1 # it was said why

npus=(/dev/davinci[0-9]*)
chips="$(npu-smi info 2>/dev/null | grep -oE '\b(910|310)[A-Za-z0-9_]*' | sort | uniq -c | tr -s ' \n' ' ')" || chips=""
first_run ascend "${DEVICE_COUNT:-${#npus[@]}}" "${chips:-chips unknown (npu-smi)} $(uname -m)" "${1:-}"
