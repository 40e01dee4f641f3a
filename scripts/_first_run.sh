# shellcheck shell=bash
# What the first run on a GPU and on an Ascend share. Source it, after _launch.sh.

# first_run DEVICE COUNT MACHINE [OUT_DIR]: one training step of every demo on the device beside the CPU's, half
# precision, two ranks where COUNT (devices) allows; a table to paste in OUT_DIR/summary.md. MACHINE: the device in
# words, for its heading. DEVICE cpu tries it without one. ONLY=PATTERN[,PATTERN] in the environment runs those with such
# a title. Needs PYTHON. Its exit status is 1 where something failed or differs.
first_run() {
    local out more=()
    out="$(absolute "${4:-outputs/first_$1_run}")" || exit
    cd "$(repo_root)" || exit
    PYTHON="$PYTHON" bash scripts/build_custom.sh || fail "the custom operators could not be built"
    if [ "$1" = gpu ] && [ ! -f src/ops/bin/custom_ops_gpu.so ]; then
        echo "no operators of ours for GPUs (no nvcc): the runs there take MindSpore's own, portable: 1"
        more=(--portable)
    fi
    "$PYTHON" -m scripts.first_run --device "$(target "$1")" --count "$2" --machine "$3" --out "$out" --only "${ONLY:-}" \
        ${more[@]+"${more[@]}"}
}
