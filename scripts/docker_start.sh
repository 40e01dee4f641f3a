#!/usr/bin/env bash
# Start a container of a MindX image in which data and a model's folder have the paths that they have here.
# Usage: bash scripts/docker_start.sh IMAGE DATA_DIR MODEL_DIR
set -euo pipefail
# shellcheck source=scripts/_docker.sh
source "$(dirname "${BASH_SOURCE[0]}")/_docker.sh"
[ "$#" -eq 3 ] || usage "IMAGE DATA_DIR MODEL_DIR"
start_container "$@"
