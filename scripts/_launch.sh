# shellcheck shell=bash
# What the launchers share: arguments, devices, logs. Source it.
#
# PYTHON, or VENV, names the Python to use; otherwise .venv of the repository, otherwise python3.
# shellcheck source=scripts/_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/_common.sh"

# usage ARGUMENTS: print how the calling script is used, and leave.
usage() {
    echo "usage: bash $(realpath -s --relative-to "$(repo_root)" -- "$0")${1:+ $1}" >&2
    exit 1
}

# absolute PATH: the path from the root directory; it need not exist.
absolute() {
    [ -n "$1" ] || fail "a path among the arguments is empty"
    realpath -m -- "$1"
}

# existing KIND PATH: the absolute path of an existing file or folder (KIND is "file" or "folder").
existing() {
    local path
    path="$(absolute "$2")" || exit
    if [ "$1" = file ]; then
        [ -f "$path" ] || fail "$path is no file"
    else
        [ -d "$path" ] || fail "$path is no folder"
    fi
    echo "$path"
}

# find_python: sets PYTHON.
find_python() {
    local root
    root="$(repo_root)"
    if [ -z "${PYTHON:-}" ]; then
        PYTHON="${VENV:-$root/.venv}/bin/python"
        [ -x "$PYTHON" ] || PYTHON="$(command -v python3)" || fail "no python3 found"
        "$PYTHON" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("mindspore") is None)' \
            || fail "$PYTHON has no MindSpore: name another Python by PYTHON or VENV, or install requirements.txt"
    fi
    # Links stay as they are: a virtual environment's python is a link, and its target knows no environment.
    case "$PYTHON" in */*) PYTHON="$(realpath -ms -- "$PYTHON")" ;; esac
    export GLOG_v="${GLOG_v:-3}"
}

# has_ascend: whether the machine has an Ascend NPU.
has_ascend() {
    compgen -G "/dev/davinci[0-9]*" >/dev/null
}

# need_device DEVICE: leave with one line where the machine has no such device.
need_device() {
    local script other
    script="$(basename "$0")"
    other="scripts/${script/_$1/_cpu}"
    local same="'bash $other' takes the same arguments"
    if [ "$script" = run_distributed_training_gpu.sh ]; then
        same="'bash scripts/run_distribute_train_cpu.sh' takes the same arguments and BRIEF after TRAIN_OUT"
    fi
    case "$1" in
        gpu)
            { command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; } \
                || fail "no GPU found on this machine (nvidia-smi -L); $same"
            ;;
        ascend)
            has_ascend || fail "no Ascend NPU found on this machine (/dev/davinci*); $same"
            ;;
    esac
}

# target DEVICE: the value of device_target.
target() {
    case "$1" in
        gpu) echo GPU ;;
        ascend) echo Ascend ;;
        *) echo CPU ;;
    esac
}

TRAIN_USAGE="TRAIN_DATA VAL_DATA TRAIN_OUT BRIEF [PRETRAINED_PATH]"

# train_arguments DEVICE CONFIG TRAIN VAL OUT BRIEF [PRETRAINED]: sets ARGUMENTS and OUT, after checking the paths.
train_arguments() {
    local config train val pretrained=""
    config="$(existing file "$2")"
    train="$(existing folder "$3")"
    val="$(existing folder "$4")"
    OUT="$(absolute "$5")"
    [ -z "${7:-}" ] || pretrained="$(existing file "$7")"
    ARGUMENTS=(train.py --config_path "$config" --train_dataset "$train" --val_dataset "$val" --train_outputs "$OUT"
        --brief "$6" --device_target "$(target "$1")")
    [ -z "$pretrained" ] || ARGUMENTS+=(--pre_trained "$pretrained")
    LOGS="$OUT/launch_logs/$(date +%y%m%d_%H%M%S)_$$"
}

# standalone_train DEVICE CONFIG_PATH TRAIN_DATA VAL_DATA TRAIN_OUT BRIEF [PRETRAINED_PATH]
standalone_train() {
    [ "$#" -ge 6 ] && [ "$#" -le 7 ] || usage "CONFIG_PATH $TRAIN_USAGE"
    train_arguments "$@"
    need_device "$1"
    find_python
    [ "$1" = cpu ] || ARGUMENTS+=(--device_id "${DEVICE_ID:-0}")
    mkdir -p "$LOGS" || fail "cannot make the folder $LOGS"
    cd "$(repo_root)" || exit
    # -i: Ctrl-C reaches tee too, and the job still has to say that it wrote its checkpoint.
    "$PYTHON" "${ARGUMENTS[@]}" 2>&1 | tee -i "$LOGS/standalone.log"
}

# distribute_train DEVICE CONFIG_PATH DEVICE_NUM TRAIN_DATA VAL_DATA TRAIN_OUT BRIEF [PRETRAINED_PATH]
#
# By OpenMPI, over the machines of HOSTFILE where it is set; LAUNCHER=msrun starts MindSpore's own launcher instead.
# One log a rank under TRAIN_OUT/launch_logs.
distribute_train() {
    [ "$#" -ge 7 ] && [ "$#" -le 8 ] || usage "CONFIG_PATH DEVICE_NUM $TRAIN_USAGE"
    local device="$1" config="$2" count="$3"
    shift 3
    [[ "$count" =~ ^[1-9][0-9]*$ ]] || fail "DEVICE_NUM must be a number from 1 on, not '$count'"
    train_arguments "$device" "$config" "$@"
    need_device "$device"
    find_python
    ARGUMENTS+=(--run_distribute 1 --device_num "$count")
    if [ -n "${RANK_TABLE_FILE:-}" ]; then
        RANK_TABLE_FILE="$(existing file "$RANK_TABLE_FILE")"
        export RANK_TABLE_FILE
    fi
    case "${LAUNCHER:-mpirun}" in
        mpirun) mpirun_command "$device" "$count" ;;
        msrun) msrun_command "$count" ;;
        *) fail "LAUNCHER must be mpirun or msrun, not '$LAUNCHER'" ;;
    esac
    mkdir -p "$LOGS" || fail "cannot make the folder $LOGS"
    cd "$(repo_root)" || exit
    "${COMMAND[@]}" "${ARGUMENTS[@]}"
}

# mpirun_command DEVICE DEVICE_NUM: sets COMMAND.
mpirun_command() {
    local hosts name
    command -v mpirun >/dev/null || fail "mpirun not found: install Open MPI (on Debian: apt-get install openmpi-bin)"
    # MPICH's mpirun has other options, and its ranks would not find each other.
    [[ "$(mpirun --version 2>&1)" =~ "Open MPI"|OpenRTE ]] || fail "$(command -v mpirun) is not Open MPI's"
    COMMAND=(mpirun -n "$2" --output-filename "$LOGS")
    if [ -n "${HOSTFILE:-}" ]; then
        hosts="$(existing file "$HOSTFILE")"
        COMMAND+=(--hostfile "$hosts")
        # Open MPI gives the other machines only the variables that it is told.
        for name in GLOG_v RANK_TABLE_FILE; do
            [ -z "${!name:-}" ] || COMMAND+=(-x "$name")
        done
    fi
    [ "$(id -u)" -ne 0 ] || COMMAND+=(--allow-run-as-root)
    [ "$1" != cpu ] || COMMAND+=(--oversubscribe)
    COMMAND+=("$PYTHON")
}

# msrun_command DEVICE_NUM: sets COMMAND.
msrun_command() {
    [ -z "${HOSTFILE:-}" ] || fail "HOSTFILE is for mpirun; LAUNCHER=msrun starts on this machine alone"
    # msrun starts the first "python" on PATH, whatever Python runs msrun itself.
    case "$PYTHON" in */*) export PATH="${PYTHON%/*}:$PATH" ;; esac
    command -v msrun >/dev/null || fail "msrun not found; it comes with MindSpore: put its environment's bin on PATH"
    COMMAND=(msrun "--worker_num=$1" "--local_worker_num=$1" "--master_port=${MASTER_PORT:-8118}" "--log_dir=$LOGS"
        --join=True)
}

# evaluate DEVICE CONFIG_PATH VAL_DATA CHECKPOINT_PATH [PREDICTION_PATH]
evaluate() {
    [ "$#" -ge 4 ] && [ "$#" -le 5 ] || usage "CONFIG_PATH VAL_DATA CHECKPOINT_PATH [PREDICTION_PATH]"
    local config val checkpoint
    config="$(existing file "$2")"
    val="$(existing folder "$3")"
    checkpoint="$(existing file "$4")"
    ARGUMENTS=(eval.py --config_path "$config" --val_dataset "$val" --checkpoint_path "$checkpoint"
        --device_target "$(target "$1")")
    [ -z "${5:-}" ] || ARGUMENTS+=(--prediction_path "$(absolute "$5")")
    run_alone "$1"
}

# infer DEVICE CONFIG_PATH CHECKPOINT_PATH PRED_INPUT PRED_OUTPUT
infer() {
    [ "$#" -eq 5 ] || usage "CONFIG_PATH CHECKPOINT_PATH PRED_INPUT PRED_OUTPUT"
    local config checkpoint
    config="$(existing file "$2")"
    checkpoint="$(existing file "$3")"
    [ -e "$4" ] || fail "$(absolute "$4") is no image and no folder"
    ARGUMENTS=(infer.py --config_path "$config" --checkpoint_path "$checkpoint" --pred_input "$(absolute "$4")"
        --pred_output "$(absolute "$5")" --device_target "$(target "$1")")
    run_alone "$1"
}

# run_alone DEVICE: ARGUMENTS on one device, output to the terminal.
run_alone() {
    need_device "$1"
    find_python
    [ "$1" = cpu ] || ARGUMENTS+=(--device_id "${DEVICE_ID:-0}")
    cd "$(repo_root)" || exit
    "$PYTHON" "${ARGUMENTS[@]}"
}
