# shellcheck shell=bash
# A container with this machine's Ascend devices. Source it.
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"

DRIVER="${DRIVER:-/usr/local/Ascend/driver}"

# start_container IMAGE FOLDER...: a shell in it, the folders and the driver at the paths that they have here.
start_container() {
    local image="$1" folder device run=(docker run -it --rm --ipc=host)
    shift
    [ -n "$image" ] || fail "the name of the image is empty"
    for folder in "$@"; do
        folder="$(existing folder "$folder")"
        [[ "$folder" != *:* ]] || fail "$folder has a colon in its name, which docker takes for the end of a path"
        run+=(-v "$folder:$folder")
    done
    has_ascend || fail "no Ascend NPU found on this machine (/dev/davinci*)"
    command -v docker >/dev/null || fail "docker not found"
    for device in /dev/davinci[0-9]* /dev/davinci_manager /dev/devmm_svm /dev/hisi_hdc; do
        [ ! -e "$device" ] || run+=("--device=$device")
    done
    exec "${run[@]}" -v "$DRIVER:$DRIVER:ro" "$image" /bin/bash
}
