#!/usr/bin/env bash
# mIoU of an exported file on an Ascend 310 as HRNetW48_seg's launcher of this name; ascend_310_infer.sh is its other name.
# Usage: bash scripts/ascend310_inference.sh MINDIR_PATH DATA_PATH DEVICE_ID
#        --key value ... after these overrides keys of the configuration; DEVICE=cpu before the command tries it on the CPU;
#        scripts/_originals.sh has more.
set -euo pipefail
# shellcheck source=scripts/_originals.sh
source "$(dirname "${BASH_SOURCE[0]}")/_originals.sh"
original_infer_310 "$@"
