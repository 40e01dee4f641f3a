#!/usr/bin/env bash
# Build deploy/mindx/mxbase/build/hrnetw48seg. MX_SDK_HOME in the environment names the installed MindX SDK.
# Usage: bash deploy/mindx/mxbase/build.sh      CXX11_ABI=1 for an SDK that was built with the new ABI of strings
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/_launch.sh"
[ "$#" -eq 0 ] || usage ""
[ -n "${MX_SDK_HOME:-}" ] || fail "MX_SDK_HOME is not set: it names the installed MindX SDK; source its set_env.sh"
[ -d "$MX_SDK_HOME/include/MxBase" ] || fail "MX_SDK_HOME ($MX_SDK_HOME) is no MindX SDK: include/MxBase is missing"
command -v cmake >/dev/null || fail "cmake not found"
folder="$(repo_root)/deploy/mindx/mxbase"
MX_SDK_HOME="$(absolute "$MX_SDK_HOME")"
# The SDK may be another one than that of the last build.
cmake -S "$folder" -B "$folder/build" -DMX_SDK_HOME="$MX_SDK_HOME" -DCXX11_ABI="${CXX11_ABI:-0}"
cmake --build "$folder/build"
