#!/usr/bin/env bash
# The CUDA kernels on this machine's GPU: builds them with the nvcc that is here, compares each with PyTorch and
# torchvision in one process (MindSpore is not needed), first small inputs under compute-sanitizer where it is here, then
# the sizes of real networks with times. Ends with a table to paste into docs/devices.md. Not run on a GPU yet.
# Usage: bash scripts/check_kernels.sh [OUT_DIR]
#        NVCC names another nvcc; PYTHON or VENV the Python that has torch and torchvision for CUDA; SANITIZER another
#        compute-sanitizer, SANITIZER=none leaves it out. Exit status 1 where a kernel differs, 2 where something is missing.
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
[[ $# -le 1 && "${1:-}" != -* ]] || usage "[OUT_DIR]"
# shellcheck disable=SC2034 # need_device's
WITHOUT_DEVICE="tests/ops/cuda_on_cpu and tests/scripts/test_check_kernels.py hold the kernels without one"

# find_program NAME WORD: print the program that WORD, PATH or CUDA's usual folder has, from the root directory.
find_program() {
    local found
    found="$(type -P -- "${2:-$1}")" \
        || { [ -z "$2" ] && found="${CUDA_HOME:-/usr/local/cuda}/bin/$1" && [ -x "$found" ]; } || return
    realpath -ms -- "$found"
}

nvcc="$(find_program nvcc "${NVCC:-}")" || fail "nvcc not found${NVCC:+: $NVCC}; it comes with CUDA's toolkit; NVCC names one"
need_device gpu
choose_python
sanitizer=""
if [ "${SANITIZER:-}" != none ]; then
    sanitizer="$(find_program compute-sanitizer "${SANITIZER:-}")" || [ -z "${SANITIZER:-}" ] \
        || fail "compute-sanitizer not found: $SANITIZER"
fi
case "$PYTHON" in */*) PYTHON="$(realpath -ms -- "$PYTHON")" ;; esac
out="$(absolute "${1:-outputs/check_kernels}")" || exit
cd "$(repo_root)" || exit

echo "$("$nvcc" --version | grep -i release || echo "an unknown nvcc"): $nvcc"
"$PYTHON" -m scripts.kernels --build "$out" --nvcc "$nvcc"
library="$out/custom_ops_gpu.so"
status=0
if [ "${SANITIZER:-}" = none ]; then
    echo "compute-sanitizer: left out"
elif [ -n "$sanitizer" ]; then
    for tool in memcheck racecheck; do
        echo "compute-sanitizer, $tool:"
        # PyTorch's own allocator would hide what is written beside a tensor.
        PYTORCH_NO_CUDA_MEMORY_CACHING=1 "$sanitizer" --tool "$tool" --error-exitcode 9 --print-limit 10 \
            "$PYTHON" -m scripts.kernels --library "$library" --small --no_times >"$out/$tool.log" 2>&1 || status=1
        tail -n 3 "$out/$tool.log"
    done
    [ "$status" -eq 0 ] || echo "compute-sanitizer or a comparison under it has failed: $out/*.log" >&2
else
    echo "compute-sanitizer: not found, left out"
fi
"$PYTHON" -m scripts.kernels --library "$library" --out "$out/kernels.md" || status=$?
exit "$status"
