#!/usr/bin/env bash
# The README's pictures anew, into docs/images: an overlay, a run's curve, a report, the page. Needs a demo that has
# run, Gradio and chromium.
# Usage: bash scripts/make_pictures.sh [DEMO_OUT_DIR]      VENV=DIR uses another environment.
set -euo pipefail
# shellcheck source=scripts/_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/_common.sh"
cd "$(repo_root)"
demo="${1:-outputs/demo}"
checkpoint="$(find "$demo" -path '*best_ckpt*' -name '*.ckpt' 2>/dev/null | sort | tail -n 1)"
[ -n "$checkpoint" ] || fail "no run of scripts/run_demo.sh in $demo"
command -v chromium >/dev/null || fail "no chromium here, which photographs the pages (Debian: apt-get install chromium)"
run="$(dirname "$(dirname "$checkpoint")")"
if [ -x "${VENV:-}/bin/python" ]; then
    PYTHON="$VENV/bin/python"
    use_jemalloc
else
    prepare_environment requirements-dev.txt
fi
export GLOG_v="${GLOG_v:-3}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# Drawn images of the kind that the demo learned, three times as large, so that there is something to see.
"$PYTHON" -m src.data.synthetic coco "$work/data" --images 1 --val-images 32 --size 384 --seed 7
"$PYTHON" infer.py --checkpoint_path "$checkpoint" --pred_input "$work/data/validation/data" --pred_output "$work/found.json"
"$PYTHON" draw_predictions.py --pred_file "$work/found.json" --out_dir "$work/drawn" --score_thr 0.8 --colours class
"$PYTHON" -m scripts.pictures overlay docs/images/overlay.jpg "$work"/drawn/*

"$PYTHON" -m scripts.pictures small docs/images/curve.png "$run/losses.png"

# photograph FILE URL WIDTH HEIGHT
photograph() {
    env -u LD_PRELOAD chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --screenshot="$1" \
        --window-size="$3,$4" "$2" 2>/dev/null
}
"$PYTHON" eval.py --checkpoint_path "$checkpoint" --val_dataset "$demo/data/validation" --prediction_path "$work/evaluated.json" \
    --report_dir "$work/report"
photograph "$work/report.png" "file://$work/report/index.html" 820 5000
"$PYTHON" -m scripts.pictures report docs/images/report.png "$work/report.png" 6 7

cp "$work/data/validation/data/000000000013.jpg" "$work/photo.jpg"
"$PYTHON" -m scripts.pictures page docs/images/page.png "$run" "$work/photo.jpg" 0.6

du -cb docs/images/*
