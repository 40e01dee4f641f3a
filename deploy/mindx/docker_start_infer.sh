#!/usr/bin/env bash
# Start a container of a MindX image for inference, in which the data have the path that they have here.
# Usage: bash deploy/mindx/docker_start_infer.sh IMAGE DATA_DIR
set -euo pipefail
# shellcheck source=scripts/_docker.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/_docker.sh"
[ "$#" -eq 2 ] || usage "IMAGE DATA_DIR"
start_container "$@"
