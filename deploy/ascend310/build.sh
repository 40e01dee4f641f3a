#!/usr/bin/env bash
# Build deploy/ascend310/build/ascend310_infer. LITE_HOME in the environment names the unpacked MindSpore Lite package.
# Usage: bash deploy/ascend310/build.sh
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/_launch.sh"
[ "$#" -eq 0 ] || usage ""
[ -n "${LITE_HOME:-}" ] || fail "LITE_HOME is not set: it names the unpacked MindSpore Lite package for Ascend"
[ -f "$LITE_HOME/runtime/include/api/model.h" ] || fail "LITE_HOME ($LITE_HOME) is no MindSpore Lite package"
command -v cmake >/dev/null || fail "cmake not found"
source_folder="$(repo_root)/deploy/ascend310"
LITE_HOME="$(absolute "$LITE_HOME")"
# The package may be another one than that of the last build.
cmake -S "$source_folder" -B "$source_folder/build" -DLITE_HOME="$LITE_HOME"
cmake --build "$source_folder/build"
