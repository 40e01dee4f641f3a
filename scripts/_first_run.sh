# shellcheck shell=bash
# What the first run on a GPU and on an Ascend share. Source it, after _launch.sh.

# first_run_script DEVICE NOUN ARGUMENT...: all that first_gpu_run.sh and first_ascend_run.sh do. They give the functions
# count_devices and describe_devices, for a machine that has the device.
first_run_script() {
    local device="$1" noun="$2" chosen out whole=yes
    shift 2
    [[ $# -le 1 && "${1:-}" != -* ]] || usage "[OUT_DIR]"
    [ "${1-given}" ] || fail "OUT_DIR is empty"
    out="${1:-outputs/first_${device}_run}"
    chosen="${DEVICE:-$device}"
    [ "$chosen" = "$device" ] || [ "$chosen" = cpu ] || fail "DEVICE must be $device or cpu, not '$chosen'"
    find_python
    if [ "$chosen" = cpu ]; then
        use_jemalloc
        first_run cpu "${DEVICE_COUNT:-1}" "no $noun, a trial" "$out"
        return
    fi
    PYTHON="$PYTHON" bash "$(repo_root)/scripts/check_$device.sh" || whole=""
    # shellcheck disable=SC2034 # need_device's
    WITHOUT_DEVICE="everything before the driver was looked at, nothing was run; DEVICE=cpu tries the rest without one"
    prepare_device "$device"
    [ -n "$whole" ] || exit 1 # it was said why
    first_run "$device" "${DEVICE_COUNT:-$(count_devices)}" "$(describe_devices)" "$out"
}

# first_run DEVICE COUNT MACHINE OUT_DIR: one training step of every demo on the device beside the CPU's, half
# precision, two ranks where COUNT (devices) allows; a table to paste in OUT_DIR/summary.md. MACHINE: the device in
# words, for its heading. DEVICE cpu tries it without one. ONLY=PATTERN[,PATTERN] in the environment runs those with such
# a title. Needs PYTHON. Its exit status is 1 where something failed or differs.
first_run() {
    local out more=()
    out="$(absolute "$4")" || exit
    { mkdir -p -- "$out" && [ -w "$out" ]; } 2>/dev/null || fail "$out is no folder that can be written"
    cd "$(repo_root)" || exit
    PYTHON="$PYTHON" bash scripts/build_custom.sh || fail "the custom operators could not be built"
    if [ "$1" = gpu ] && [ ! -f src/ops/bin/custom_ops_gpu.so ]; then
        echo "no operators of ours for GPUs (no nvcc): the runs there take MindSpore's own, portable: 1"
        more=(--portable)
    fi
    exec "$PYTHON" -m scripts.first_run --device "$(target "$1")" --count "$2" --machine "$3" --out "$out" --only "${ONLY:-}" \
        ${more[@]+"${more[@]}"}
}
