#!/usr/bin/env bash
# Is what MindSpore needs for an Ascend NPU on this machine: its plug-in, CANN of a version that it knows, the driver?
# Needs no NPU: the driver is reported by itself. Exit status 0 if all the rest is found, 1 if not, 2 for
# wrong input.
# Usage: bash scripts/check_ascend.sh        PYTHON or VENV names the environment; CANN's set_env.sh is sourced before.
set -euo pipefail
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
[ "$#" -eq 0 ] || usage ""
find_python
# shellcheck disable=SC2034 # fail's: from here on no input is wrong
FAIL_STATUS=1

# Libraries of the driver, not of CANN.
DRIVER='libascend_hal|libdrvdsmi_host|libdcmi'
missing=()
driver=()

# note NAME WORDS...: one line.
note() {
    printf '  %-28s %s\n' "$1" "${*:2}"
}

mindspore="$("$PYTHON" -c 'import importlib.util as u; print(u.find_spec("mindspore").submodule_search_locations[0])' 2>/dev/null)" \
    || fail "$PYTHON has no MindSpore"
plugin="$mindspore/lib/plugin/libmindspore_ascend.so.2"
[ -f "$plugin" ] || fail "$plugin does not exist: this MindSpore has no plug-in for Ascend"
echo "MindSpore for $(uname -m), ${plugin##*/} needs:"
while read -r name; do
    if [[ "$name" =~ ^($DRIVER) ]]; then
        driver+=("$name")
    else
        missing+=("$name")
        note "$name" MISSING
    fi
done < <(ldd "$plugin" | sed -n 's/^\s*\([^ ]*\) => not found.*/\1/p' | sort -u)
[ "${#missing[@]}" -gt 0 ] || note "CANN's libraries" "all found"

known="$("$PYTHON" - "$mindspore/run_check/_check_version.py" <<'END'
import re, sys
ascend = open(sys.argv[1], encoding="utf-8").read().partition("class AscendEnvChecker")[2]
print(" ".join(re.findall(r'"([\d.]+)"', re.search(r"self\.version = \[(.*?)\]", ascend)[1])))
END
)"
echo "CANN (MindSpore knows: $known):"
home="${ASCEND_HOME_PATH:-}"
if [ -z "$home" ]; then
    for place in /usr/local/Ascend/ascend-toolkit /usr/local/Ascend/cann "$HOME/Ascend/ascend-toolkit"; do
        [ ! -f "$place/set_env.sh" ] || note "not in the environment" "source $place/set_env.sh"
    done
    note ASCEND_HOME_PATH "not set"
    missing+=(ASCEND_HOME_PATH)
else
    version="$(sed -n 's/^Version=//p' "$home/compiler/version.info" 2>/dev/null | head -n 1)" || version=""
    note "$home" "${version:-of an unknown version}"
    [[ -z "$version" || " $known " == *" $(cut -d. -f1,2 <<<"$version") "* ]] \
        || note "version $version" "MindSpore does not know it"
    for module in te hccl; do
        "$PYTHON" -c "import $module" 2>/dev/null && continue
        note "Python's $module" "MISSING: pip install $home/lib64/$module-*.whl"
        missing+=("$module")
    done
fi

if [ "${#driver[@]}" -gt 0 ] || ! has_ascend; then
    echo "driver: not here (libraries missing: ${driver[*]:-none}; NPUs: $(has_ascend && echo some || echo none))"
else
    echo "driver: $(sed -n 's/^Version=//p' /usr/local/Ascend/driver/version.info 2>/dev/null | head -n 1)"
    ! command -v npu-smi >/dev/null || npu-smi info || true
fi
[ "${#missing[@]}" -eq 0 ] \
    || fail "CANN is not whole, ${#missing[@]} missing: install its toolkit and kernels, then source set_env.sh"
echo "all but the driver is found"
