#!/usr/bin/env bash
# Build the custom operators: src/ops/bin/custom_ops_cpu.so, dnnl_ops_cpu.so where oneDNN is installed beside Python, and
# custom_ops_gpu.so where nvcc is found. What they are made from stands in src/ops/build.py.
# Usage: bash scripts/build_custom.sh      SKIP_CUDA=1 leaves the GPU library out; CXX and NVCC name other compilers;
#                                          PYTHON or VENV names the Python (default: .venv here, else python3).
set -euo pipefail
# shellcheck source=scripts/_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/_common.sh"

[ "$#" -eq 0 ] || { echo "usage: [SKIP_CUDA=1] [CXX=...] [NVCC=...] bash scripts/build_custom.sh" >&2 && exit 2; }
# shellcheck disable=SC2034 # fail's
FAIL_STATUS=2
choose_python
without=()
[ -z "${SKIP_CUDA:-}" ] || without=(--skip_cuda)
exec "$PYTHON" "$(repo_root)/src/ops/build.py" --cxx "${CXX:-g++}" --nvcc "${NVCC:-nvcc}" ${without[@]+"${without[@]}"}
