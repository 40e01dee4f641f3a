#!/usr/bin/env bash
# Run a checkpoint on an image or a folder of images on one GPU.
# Usage: bash scripts/run_infer_gpu.sh CONFIG_PATH CHECKPOINT_PATH PRED_INPUT PRED_OUTPUT
#        --key value ... after these overrides keys of the configuration.
#        DEVICE_ID=N in the environment chooses the device.
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
infer gpu "$@"
