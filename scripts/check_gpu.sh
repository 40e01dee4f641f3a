#!/usr/bin/env bash
# Does every library that MindSpore's GPU plug-in loads resolve on this machine, and which GPUs do they have code for?
# Needs no GPU: the driver's library is reported by itself. Exit status 0 if all the others are found and each has code
# for the card (nvidia-smi's, or CARD), 1 if not, 2 for wrong input.
# Usage: bash scripts/check_gpu.sh        PYTHON or VENV names the environment; CARD=9.0 asks for a card of that compute
#                                         capability, whatever is here.
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
[ "$#" -eq 0 ] || usage ""
[[ ! -v CARD || "$CARD" =~ ^[1-9][0-9]?\.[0-9]$ ]] || fail "CARD is a compute capability, written like 8.6, not '$CARD'"
find_python
# shellcheck disable=SC2034 # fail's: from here on no input is wrong
FAIL_STATUS=1
# shellcheck source=scripts/gpu_env.sh
source "$(dirname "${BASH_SOURCE[0]}")/gpu_env.sh"

DRIVER=libcuda.so.1
# cuDNN loads its own parts by name, out of sight of ldd.
CUDNN_PARTS=(cudnn_ops_infer cudnn_ops_train cudnn_cnn_infer cudnn_cnn_train cudnn_adv_infer cudnn_adv_train)
missing=()
driver=""
holders=() # libraries with device code

# report NAME FOUND: one line; FOUND is a path, or "not found".
report() {
    if [ "$2" != "not found" ]; then
        printf '  %-28s %s\n' "$1" "$2"
        [[ ! "$1" =~ ^lib(cublas|cusolver\.|cusparse|cufft|curand|nccl) ]] || holders+=("$2")
        [[ "$1" != libcudnn.* ]] || cudnn="${2%/*}"
    elif [ "$1" = "$DRIVER" ]; then
        driver="not found"
    else
        printf '  %-28s MISSING\n' "$1"
        missing+=("$1")
    fi
}

# check FILE: every library that it needs outside of the system's own.
check() {
    local name path
    [ -f "$1" ] || fail "$1 does not exist: this MindSpore has no plug-in for CUDA 11.6"
    echo "${1##*/} needs:"
    while read -r name path; do
        report "$name" "$path"
    done < <(ldd "$1" | sed -n 's/^\s*\(lib\(cu\|nv\|nccl\)[^ ]*\) => \(not found\|[^ ]*\).*/\1 \3/p' | sort -u)
}

plugin="$("$PYTHON" -c 'import importlib.util as u; print(u.find_spec("mindspore").submodule_search_locations[0])' 2>/dev/null)" \
    || fail "$PYTHON has no MindSpore"
plugin="$plugin/lib/plugin"
check "$plugin/libmindspore_gpu.so.11.6"
check "$plugin/gpu/libcuda_ops.so.11"
check "$plugin/gpu11.6/libnvidia_collective.so"
echo "cuDNN loads:"
for part in "${CUDNN_PARTS[@]}"; do
    path="$("$PYTHON" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1]); print("loads")' "lib$part.so.8" 2>/dev/null)" \
        || path="not found"
    report "lib$part.so.8" "$path"
done
runtime="$(ldd "$plugin/libmindspore_gpu.so.11.6" | sed -n 's/.*=> \(.*\)\/libcudart.so.11.0 .*/\1/p')"
version="$(compgen -G "${runtime:-/nowhere}/libcudart.so.*.*.*" | head -n 1 || true)"
[ -n "$version" ] || version="unknown: no libcudart.so.X.Y.Z beside the runtime"
echo "CUDA as MindSpore sees it: ${version##*/libcudart.so.}"
echo "LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}"
cards="${CARD:-}"
if [ -n "$driver" ]; then
    echo "driver: $DRIVER is not here; it comes with the NVIDIA driver, not with pip"
elif command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader | sed 's/^/GPU: /' || true
fi
if [ -z "$cards" ] && command -v nvidia-smi >/dev/null; then
    cards="$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sort -u)" || cards=""
fi

# requirements_for CARD: the file whose libraries have code for it.
requirements_for() {
    case "$1" in
        [0-5].*) fail "compute capability $1: MindSpore's kernels begin with 6.0" ;;
        [6-8].*) echo requirements-gpu.txt ;;
        [0-9]*.[0-9]) echo requirements-gpu-hopper.txt ;;
        *) fail "a compute capability is written like 8.6, not '$1'" ;;
    esac
}

# device_code [CARD]: what every library holds, and how it runs on the card.
device_code() {
    (cd "$(repo_root)" && "$PYTHON" -m scripts.gpu.fat_binaries "${holders[@]}" ${1:+--card "$1"})
}

for name in ops_infer cnn_infer ops_train cnn_train; do
    file="${cudnn:-/nowhere}/libcudnn_$name.so.8"
    [ ! -f "$file" ] || holders+=("$file")
done
holders=("$plugin/gpu/libcuda_ops.so.11" "${holders[@]}")
ours="$(repo_root)/src/ops/bin/custom_ops_gpu.so"
[ ! -f "$ours" ] || holders+=("$ours")
mapfile -t holders < <(printf '%s\n' "${holders[@]}" | awk '!seen[$0]++')
file=requirements-gpu.txt
trouble=""
ours_lacks=""
if [ -z "$cards" ]; then
    echo "device code, without a card to ask for (CARD=9.0 asks for one):"
    device_code
    echo "requirements-gpu.txt is for compute capabilities 6.0 to 8.9, requirements-gpu-hopper.txt for 9.0 and later"
fi
for card in $cards; do
    file="$(requirements_for "$card")"
    echo "device code, and how it runs on compute capability $card:"
    listed="$(device_code "$card")" || [ "$?" -eq 1 ] || trouble="a library cannot be read"
    echo "$listed"
    ! grep -v "^ *${ours##*/} " <<<"$listed" | grep -q ': none$' \
        || trouble="a library has no code for compute capability $card"
    ! grep -q "^ *${ours##*/} .*: none$" <<<"$listed" || ours_lacks="$card"
    if grep -qE '^ *libcu(blas|dnn).*: PTX$' <<<"$listed"; then
        case "$card" in
            9.*) trouble="cuBLAS or cuDNN has no machine code for compute capability $card" ;;
            *) echo "the driver compiles cuBLAS and cuDNN for it at first use: CUDA 11 has no machine code for it" ;;
        esac
    fi
    echo "a card of compute capability $card needs $file"
done
[ "${#missing[@]}" -eq 0 ] || fail "${#missing[@]} libraries are missing: pip install -r $file"
[ -z "$trouble" ] || fail "$trouble: pip install -r $file"
[ -z "$ours_lacks" ] || fail "src/ops/bin/${ours##*/} has no code for compute capability $ours_lacks; CUDA 13's nvcc knows none" \
    "below 7.5: remove it, then NVCC=OLDER_NVCC bash scripts/build_custom.sh (or go on without it: SKIP_CUDA=1)"
echo "all libraries but the driver's are found"
