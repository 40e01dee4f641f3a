#!/usr/bin/env bash
# Compile an AIR file that export.py wrote for the Ascend 310, the AIPP step in front of it, by CANN's ATC.
# Usage: bash deploy/mindx/convert.sh AIR_MODEL_PATH AIPP_CONFIG_PATH OM_MODEL_NAME
#        Writes OM_MODEL_NAME.om; hrnetw48seg.pipeline looks for deploy/mindx/model/hrnetw48seg.om.
#        SOC_VERSION in the environment names another chip (default Ascend310).
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/_launch.sh"

[ "$#" -eq 3 ] || usage "AIR_MODEL_PATH AIPP_CONFIG_PATH OM_MODEL_NAME"
air="$(existing file "$1")"
aipp="$(existing file "$2")"
om="$(absolute "${3%.om}")"
[ ! -e "$om.om" ] || fail "$om.om is there already: nothing is written over"
command -v atc >/dev/null || fail "atc not found: source set_env.sh of the CANN toolkit"
mkdir -p "$(dirname "$om")" || fail "cannot make the folder $(dirname "$om")"

# Framework 1 is MindSpore's AIR; its shapes are fixed, so none is given.
atc --framework=1 \
    --model="$air" \
    --output="$om" \
    --input_format=NCHW \
    --soc_version="${SOC_VERSION:-Ascend310}" \
    --insert_op_conf="$aipp" \
    --log=error
