# shellcheck shell=bash
# Shell functions that the scripts share. Source it; it changes nothing by itself.

REPO_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)" # now: the name may be relative, and the folder changes

# Root of the repository, whatever the working directory.
repo_root() {
    echo "$REPO_ROOT"
}

# Print an error and leave, with FAIL_STATUS where it is set.
fail() {
    echo "error: $*" >&2
    exit "${FAIL_STATUS:-1}"
}

# is_supported PYTHON: whether it runs and is one of the Pythons that this project supports.
is_supported() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null
}

# need_supported PYTHON: leave with one line unless it is one.
need_supported() {
    local found
    is_supported "$1" && return
    found="$("$1" --version 2>&1)" || found="no python3"
    fail "$found found; Python 3.10, 3.11 or 3.12 is needed (MindSpore 2.8.0 has wheels for 3.9 to 3.12)"
}

# choose_python: sets PYTHON where nobody named it: that of VENV, of .venv here, else python3.
choose_python() {
    if [ -z "${PYTHON:-}" ]; then
        PYTHON="${VENV:-$(repo_root)/.venv}/bin/python"
        [ -x "$PYTHON" ] || PYTHON=python3
    fi
    [ -n "$(type -P -- "$PYTHON")" ] || fail "there is no Python at $PYTHON"
}

# find_base_python: print the Python that makes environments.
find_base_python() {
    local name
    for name in python3.11 python3.12 python3.10; do
        ! is_supported "$name" || break # a name on PATH may be a stand-in of pyenv's that does not run
        name=python3
    done
    need_supported "$name"
    echo "$name"
}

# prepare_environment REQUIREMENTS...: a virtual environment with the requirements and the custom operators built.
# VENV names the environment to use or make; the default is .venv in the repository. Sets PYTHON.
prepare_environment() {
    local root python requirement wanted stamp
    root="$(repo_root)"
    VENV="${VENV:-$root/.venv}"
    PYTHON="$VENV/bin/python"
    if [ -x "$PYTHON" ]; then
        need_supported "$PYTHON"
    else
        python="$(find_base_python)" || exit
        echo "making a virtual environment in $VENV"
        "$python" -m venv "$VENV" || fail "could not make a virtual environment in $VENV (on Debian: python3-venv)"
    fi
    for requirement in "$@"; do
        wanted="$(cat "$root/requirements.txt" "$root/$requirement" | cksum | cut -d' ' -f1)"
        stamp="$VENV/.installed-$(basename "$requirement")-$wanted"
        if [ ! -f "$stamp" ]; then
            echo "installing $requirement"
            "$PYTHON" -m pip install -qq --disable-pip-version-check -r "$root/$requirement" \
                || fail "could not install $requirement into $VENV"
            touch "$stamp"
        fi
    done
    PYTHON="$PYTHON" bash "$root/scripts/build_custom.sh" || fail "the custom operators could not be built"
    export GLOG_v="${GLOG_v:-3}"
    use_jemalloc
}

# use_jemalloc: memory by the jemalloc that MindSpore's wheel brings, with which graphs compile a quarter faster, for
# what is started from here on. Needs PYTHON. ALLOCATOR=system leaves the machine's; so does an LD_PRELOAD of one's own.
use_jemalloc() {
    local library
    case "${ALLOCATOR:-jemalloc}" in
        jemalloc) ;;
        system) return 0 ;;
        *) fail "ALLOCATOR must be jemalloc or system, not '$ALLOCATOR'" ;;
    esac
    [ -z "${LD_PRELOAD:-}" ] || return 0
    for library in "${PYTHON%/*}"/../lib/python3*/site-packages/mindspore/lib/libjemalloc.so.2; do
        [ ! -f "$library" ] || break
    done
    # A library that cannot be loaded makes the loader complain in every process.
    [ -f "$library" ] && [ -z "$(LD_PRELOAD="$library" /bin/true 2>&1)" ] || return 0
    echo "memory by MindSpore's jemalloc; ALLOCATOR=system leaves it out" >&2
    export LD_PRELOAD="$library"
}
