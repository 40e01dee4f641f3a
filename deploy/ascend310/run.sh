#!/usr/bin/env bash
# mIoU of an exported MINDIR file on an Ascend 310: inputs as binary files, the network, the score.
# Usage: bash deploy/ascend310/run.sh MINDIR_PATH CONFIG_PATH DATA_PATH [DEVICE_ID] [--KEY VALUE ...]
#        The keys are those of the configuration; DEVICE_ID is 0 by default.
#        Inputs, results, infer.log and acc.log go to a new folder in outputs/ascend310; OUTPUT_PATH names another one.
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/_launch.sh"

[ "$#" -ge 3 ] || usage "MINDIR_PATH CONFIG_PATH DATA_PATH [DEVICE_ID] [--KEY VALUE ...]"
mindir="$(existing file "$1")"
config="$(existing file "$2")"
data="$(absolute "$3")"
[ -e "$data" ] || fail "$data is no folder and no list"
shift 3
device=0
if [ "$#" -gt 0 ] && [[ "$1" != --* ]]; then
    device="$1"
    shift
fi
[[ "$device" =~ ^[0-9]+$ ]] || fail "DEVICE_ID must be a number from 0 on, not '$device'"
has_ascend || fail "no Ascend NPU found on this machine (/dev/davinci*); deploy/infer_files.py runs the file on the CPU"
find_python
out="$(absolute "${OUTPUT_PATH:-$(repo_root)/outputs/ascend310/$(date +%y%m%d_%H%M%S)_$$}")"
program="$(repo_root)/deploy/ascend310/build/ascend310_infer"
[ -x "$program" ] || bash "$(repo_root)/deploy/ascend310/build.sh"
mkdir -p "$out" || fail "cannot make the folder $out"
cd "$(repo_root)" || exit
# CONFIG_PATH comes first: keys that are given override it.
keys=(--config_path "$config" --val_dataset "$data" "$@")

"$PYTHON" deploy/preprocess.py "${keys[@]}" --result_path "$out/preprocess_result"
"$program" --mindir_path "$mindir" --preprocess_path "$out/preprocess_result" --result_path "$out/result_files" \
    --device_id "$device" 2>&1 | tee "$out/infer.log"
"$PYTHON" deploy/postprocess.py "${keys[@]}" --preprocess_path "$out/preprocess_result" \
    --result_path "$out/result_files" 2>&1 | tee "$out/acc.log"
echo "infer.log and acc.log are in $out"
