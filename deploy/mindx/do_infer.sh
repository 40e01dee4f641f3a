#!/usr/bin/env bash
# Cityscapes through MindX SDK on an Ascend 310: a colour picture of every image, and mIoU.
# Usage: bash deploy/mindx/do_infer.sh DATA_PATH DATA_LST_PATH [--KEY VALUE ...]
#        The keys are main.py's: those of the configuration, --pipeline FILE.
#        CONFIG_PATH in the environment names another configuration than configs/hrnet_w48_seg_cityscapes.yaml.
#        Pictures and infer.log go to a new folder in outputs/mindx; OUTPUT_PATH names another one.
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/_launch.sh"

[ "$#" -ge 2 ] || usage "DATA_PATH DATA_LST_PATH [--KEY VALUE ...]"
data="$(existing folder "$1")"
list="$(existing file "$2")"
shift 2
[ "$(dirname "$list")" = "$data" ] || fail "$list names files relative to its own folder: put it into $data"
config="$(existing file "${CONFIG_PATH:-$(repo_root)/configs/hrnet_w48_seg_cityscapes.yaml}")"
out="$(absolute "${OUTPUT_PATH:-$(repo_root)/outputs/mindx/$(date +%y%m%d_%H%M%S)_$$}")"
mkdir -p "$out" || fail "cannot make the folder $out"
main="$(repo_root)/deploy/mindx/main.py"
# MindX SDK's own Python: MindSpore is not needed here.
"${PYTHON:-python3}" "$main" --config_path "$config" --val_dataset "$list" --result_path "$out/pictures" "$@" 2>&1 \
    | tee "$out/infer.log"
echo "pictures and infer.log are in $out"
