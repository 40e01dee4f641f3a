# shellcheck shell=bash
# What the first run on a GPU and on an Ascend share. Source it, after _launch.sh.

# first_run_script DEVICE NOUN ARGUMENT...: all that first_gpu_run.sh and first_ascend_run.sh do. They give the functions
# count_devices and describe_devices, for a machine that has the device.
first_run_script() {
    local device="$1" noun="$2" chosen out said status=0
    shift 2
    [[ $# -le 1 && "${1:-}" != -* ]] || usage "[OUT_DIR]"
    [ "${1-given}" ] || fail "OUT_DIR is empty"
    out="${1:-outputs/first_${device}_run}"
    chosen="${DEVICE:-$device}"
    [ "$chosen" = "$device" ] || [ "$chosen" = cpu ] || fail "DEVICE must be $device or cpu, not '$chosen'"
    [[ "${DEVICE_COUNT:-1}" =~ ^[1-9][0-9]{0,3}$ ]] || fail "DEVICE_COUNT must be a number from 1 to 9999, not '$DEVICE_COUNT'"
    find_python
    if [ "$chosen" = cpu ]; then
        use_jemalloc
        first_run cpu "${DEVICE_COUNT:-1}" "no $noun, a trial" "$out"
        return
    fi
    # Its errors wait: what is missing is said in one line, with the device.
    { said="$(PYTHON="$PYTHON" bash "$(repo_root)/scripts/check_$device.sh" 2>&1 >&3)" || status=$?; } 3>&1
    # shellcheck disable=SC2034 # need_device's
    WITHOUT_DEVICE="nothing was run; DEVICE=cpu tries the rest without one"
    [ "$status" -eq 0 ] || WITHOUT_DEVICE="besides: ${said##*error: }; $WITHOUT_DEVICE"
    [ "$status" -eq 2 ] || need_device "$device"
    [ -z "$said" ] || printf '%s\n' "$said" >&2
    [ "$status" -eq 0 ] || exit "$status"
    prepare_device "$device"
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
    local name
    for name in NVCC CXX; do
        [ -z "${!name:-}" ] || [ -n "$(type -P -- "${!name}")" ] || fail "there is no $name at ${!name}"
        [[ "${!name:-}" != */* ]] || export "$name=$(realpath -ms -- "${!name}")"
    done
    cd "$(repo_root)" || exit
    PYTHON="$PYTHON" bash scripts/build_custom.sh || fail "the custom operators could not be built"
    if [ "$1" = gpu ] && [ -f src/ops/bin/custom_ops_gpu.so ]; then
        # As it has been built now: an nvcc need not know the card.
        PYTHON="$PYTHON" bash scripts/check_gpu.sh >/dev/null || exit 1
    elif [ "$1" = gpu ]; then
        echo "no operators of ours for GPUs (no nvcc): the runs there take MindSpore's own, portable: 1"
        more=(--portable)
    fi
    exec "$PYTHON" -m scripts.first_run --device "$(target "$1")" --count "$2" --machine "$3" --out "$out" --only "${ONLY:-}" \
        ${more[@]+"${more[@]}"}
}
