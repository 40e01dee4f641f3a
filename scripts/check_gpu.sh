#!/usr/bin/env bash
# Does every library that MindSpore's GPU plug-in loads resolve on this machine? Needs no GPU: the driver's library is
# reported by itself. Exit status 0 if all the others are found.
# Usage: bash scripts/check_gpu.sh        PYTHON or VENV names the environment.
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
# shellcheck disable=SC2034 # no input is wrong
FAIL_STATUS=1
[ "$#" -eq 0 ] || usage ""
find_python
# shellcheck source=scripts/gpu_env.sh
source "$(dirname "${BASH_SOURCE[0]}")/gpu_env.sh"

DRIVER=libcuda.so.1
# cuDNN loads its own parts by name, out of sight of ldd.
CUDNN_PARTS=(cudnn_ops_infer cudnn_ops_train cudnn_cnn_infer cudnn_cnn_train cudnn_adv_infer cudnn_adv_train)
missing=()
driver=""

# report NAME FOUND: one line; FOUND is a path, or "not found".
report() {
    if [ "$2" != "not found" ]; then
        printf '  %-28s %s\n' "$1" "$2"
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

plugin="$("$PYTHON" -c 'import importlib.util as u; print(u.find_spec("mindspore").submodule_search_locations[0])')"
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
if [ -n "$driver" ]; then
    echo "driver: $DRIVER is not here; it comes with the NVIDIA driver, not with pip"
elif command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader | sed 's/^/GPU: /' || true
fi
[ "${#missing[@]}" -eq 0 ] || fail "${#missing[@]} libraries are missing: pip install -r requirements-gpu.txt"
echo "all libraries but the driver's are found"
