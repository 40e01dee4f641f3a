# shellcheck shell=bash
# The environment in which MindSpore finds the CUDA 11 libraries of requirements-gpu.txt. The GPU launchers set it by
# themselves; before a run by hand: source scripts/gpu_env.sh (for the first python on PATH, or the one in PYTHON).

# gpu_environment PYTHON: put the CUDA libraries that pip has installed beside this Python, if there are any, on
# LD_LIBRARY_PATH. One folder of links to all of them; in it MindSpore also finds the name by which it tells the version
# of CUDA, libcudart.so.X.Y.Z, which the package lacks (without it: "Cannot find cuda libs", and plug-ins for "0.0").
gpu_environment() {
    local packages links library
    packages="$("$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nvidia"
    [ -e "$packages/cuda_runtime/lib/libcudart.so.11.0" ] || return 0
    links="$("$1" -c 'import sys; print(sys.prefix)')/lib/cuda11/lib"
    if ! mkdir -p "$links" 2>/dev/null || ! [ -w "$links" ]; then
        links="${TMPDIR:-/tmp}/cuda11_$(id -u)/lib" # somebody else's environment
        mkdir -p "$links"
    fi
    for library in "$packages"/*/lib/lib*.so.*; do
        [ "$links/${library##*/}" -ef "$library" ] || ln -sfn "$library" "$links/${library##*/}"
    done
    ln -sfn libcudart.so.11.0 "$links/libcudart.so.11.6.55"
    case ":${LD_LIBRARY_PATH:-}:" in
        *":$links:"*) ;;
        *) export LD_LIBRARY_PATH="$links${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" ;;
    esac
}

gpu_environment "${PYTHON:-python}"
