#!/usr/bin/env bash
# Build the custom operators: src/ops/bin/custom_ops_cpu.so, dnnl_ops_cpu.so where oneDNN is installed beside Python, and
# custom_ops_gpu.so where nvcc is found.
# Usage: bash scripts/build_custom.sh      SKIP_CUDA=1 leaves the GPU library out; CXX and NVCC name other compilers;
#                                          PYTHON or VENV names the Python (default: .venv here, else python3).
set -euo pipefail
# shellcheck source=scripts/_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/_common.sh"
cd "$(repo_root)/src/ops"
mkdir -p bin

# build LIBRARY COMMAND... : runs COMMAND with "-o TEMPORARY" unless LIBRARY is newer than every source.
build() {
    local library="$1" temporary
    shift
    if [ -f "$library" ] && [ -z "$(find . -maxdepth 1 \( -name '*.h' -o -name '*.cc' -o -name '*.cu' \) -newer "$library")" ]; then
        echo "$library is up to date"
        return
    fi
    temporary="$(mktemp "$library.XXXXXX")"
    if ! "$@" -o "$temporary"; then
        rm -f "$temporary"
        fail "building src/ops/$library failed"
    fi
    chmod 755 "$temporary"
    mv "$temporary" "$library" # at once: another process never loads half a library
    echo "built src/ops/$library"
}

CXX="${CXX:-g++}"
command -v "$CXX" >/dev/null || fail "$CXX not found: install a C++17 compiler (on Debian: apt-get install g++)"
build bin/custom_ops_cpu.so "$CXX" -std=c++17 -O3 -fopenmp-simd -ffp-contract=off -fPIC -shared -pthread \
    -Wall -Wextra roi_align.cc mask_crop.cc point_sample.cc nms.cc soft_nms.cc iou_assign.cc sample.cc all_finite.cc version.cc

PYTHON="${PYTHON:-${VENV:-$(repo_root)/.venv}/bin/python}"
command -v "$PYTHON" >/dev/null || PYTHON=python3
onednn="$("$PYTHON" - <<'END' 2>/dev/null || true
from importlib.metadata import files
for package, name in (("onednn-devel-cpu-gomp", "oneapi/dnnl/dnnl.hpp"), ("onednn-cpu-gomp", "libdnnl.so.3")):
    print(next(path.locate().resolve() for path in files(package) if path.as_posix().endswith("/" + name)))
END
)"
header="${onednn%%$'\n'*}"
if [ -f "$header" ]; then
    build bin/dnnl_ops_cpu.so "$CXX" -std=c++17 -O3 -fPIC -shared -fopenmp -Wall -Wextra -Wl,-z,now \
        -isystem "${header%/oneapi/*}" conv_gradient.cc batch_norm.cc resize.cc version.cc "${onednn##*$'\n'}"
else
    echo "no oneDNN library: onednn-devel-cpu-gomp is not installed beside $PYTHON"
fi

NVCC="${NVCC:-nvcc}"
if [ -n "${SKIP_CUDA:-}" ] || ! command -v "$NVCC" >/dev/null; then
    echo "no GPU library: nvcc not found (or SKIP_CUDA is set)"
    exit 0
fi
codes=()
newest=0
for arch in $("$NVCC" --list-gpu-arch | sed 's/compute_//' | sort -n); do
    codes+=(-gencode "arch=compute_$arch,code=sm_$arch")
    newest="$arch"
done
codes+=(-gencode "arch=compute_$newest,code=compute_$newest")
build bin/custom_ops_gpu.so "$NVCC" -std=c++17 -O3 --threads 0 -cudart static -Xcompiler -fPIC -shared \
    "${codes[@]}" roi_align.cu
