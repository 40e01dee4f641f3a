#!/usr/bin/env bash
# The whole project in one command on one CPU: sets up, draws a data set, trains a small Mask R-CNN from scratch,
# evaluates it on held-out images, runs it on them and draws what it found.
# Usage: bash scripts/run_demo.sh [OUT_DIR]      VENV=DIR uses (or makes) another environment.
set -euo pipefail
started=$SECONDS
# shellcheck source=scripts/_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/_common.sh"
[[ $# -le 1 && "${1:-}" != -* ]] || fail "usage: bash scripts/run_demo.sh [OUT_DIR]"
mkdir -p "${1:-outputs/demo}" 2>/dev/null || fail "cannot make the folder ${1:-outputs/demo}"
out="$(cd "${1:-outputs/demo}" && pwd)"
cd "$(repo_root)"
prepare_environment requirements.txt

config=configs/demo/mask_rcnn_hrnet_shapes.yaml
data="$out/data"
work="$out/$(date +%H%M%S)"
if [ ! -f "$data/validation/labels.json" ]; then
    "$PYTHON" -m src.data.synthetic coco "$data" --images 500 --val-images 100 --size 128 --seed 1
fi
"$PYTHON" train.py --config_path "$config" --train_dataset "$data/train" --val_dataset "$data/validation" \
    --train_outputs "$work" --brief demo
checkpoint="$(find "$work" -path '*best_ckpt*' -name '*.ckpt' | sort | tail -n 1)"
[ -n "$checkpoint" ] || fail "training left no checkpoint under $work"
"$PYTHON" eval.py --config_path "$config" --checkpoint_path "$checkpoint" --val_dataset "$data/validation" \
    --prediction_path "$work/predictions.json" | tee "$work/eval.log"
mkdir -p "$work/images"
find "$data/validation/data" -name '*.jpg' | sort | head -n 8 | xargs -I{} cp {} "$work/images/"
"$PYTHON" infer.py --config_path "$config" --checkpoint_path "$checkpoint" --pred_input "$work/images" \
    --pred_output "$work/inference.json"
"$PYTHON" draw_predictions.py --pred_file "$work/inference.json" --out_dir "$work/overlays" >"$work/draw.log"

grep '^bbox_mAP:' "$work/eval.log" | tail -n 1
grep '^segm_mAP:' "$work/eval.log" | tail -n 1
echo "seconds_total: $((SECONDS - started))"
find "$work/overlays" -type f | sort
