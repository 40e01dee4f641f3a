# shellcheck shell=bash
# Running a job so that signals to the script reach it, once and in the form that it understands, and so that it does not
# outlive the script. Source it.

GRACE=60 # seconds that a job has to stop in good order where the script was killed

# supervise COMMAND...: run it and set JOB_STATUS to its exit status. SIGINT, SIGTERM and SIGHUP to this script go on to
# it by SIGNAL_TO_JOB once; a second one ends it the hard way. The command has a process group of its own: otherwise
# Ctrl-C would reach it besides, and mpirun kills its ranks then before they have written a checkpoint. Where this script
# is killed, a watcher in a group of its own stops the job. BESIDE_JOB, where it is set, is a command that runs meanwhile
# with the job's number; CHECK_ON_JOB one that the watcher calls with it every second; JOB_ERRORS the descriptor of the
# job's errors. WATCHER_STATUS is SAID where the watcher has said why the job ended.
supervise() {
    local signalled lifeline beside=""
    SIGNALS=0
    JOB=""
    EARLY_SIGNAL="" # that came before the job had its number
    trap 'pass_on INT' INT
    trap 'pass_on TERM' TERM HUP
    set -m
    coproc WATCHER { watch_over; }
    exec {lifeline}>&"${WATCHER[1]}"
    local watcher="$WATCHER_PID"
    # The job itself tells the watcher its number: this script may be killed before it could.
    (echo "$BASHPID" >&"$lifeline" && exec {lifeline}>&- && exec "$@" 2>&"${JOB_ERRORS:-2}") &
    JOB=$!
    [ -z "$EARLY_SIGNAL" ] || "${SIGNAL_TO_JOB[@]}" "$EARLY_SIGNAL"
    if [ -n "${BESIDE_JOB:-}" ]; then
        "$BESIDE_JOB" "$JOB" {lifeline}>&- &
        beside=$!
    fi
    set +m
    while :; do
        signalled="$SIGNALS"
        JOB_STATUS=0
        # shellcheck disable=SC2034 # the caller reads it
        wait "$JOB" 2>/dev/null || JOB_STATUS=$? # what the shell would say of a killed job, the caller says
        [ "$signalled" != "$SIGNALS" ] || break # otherwise a signal has cut the wait short
    done
    # shellcheck disable=SC2034 # the caller reads it
    LATE_SIGNALS=0 # that came when the job had ended already
    trap 'LATE_SIGNALS=$((LATE_SIGNALS + 1))' INT TERM HUP
    end_leftovers
    trap "" INT TERM HUP
    [ -z "$beside" ] || wait "$beside" 2>/dev/null || true
    WATCHER_STATUS=0
    (echo "done" >&"$lifeline") 2>/dev/null || true # the watcher may have gone
    exec {lifeline}>&-
    # shellcheck disable=SC2034 # the caller reads it
    wait "$watcher" 2>/dev/null || WATCHER_STATUS=$?
    trap - INT TERM HUP
}

# end_leftovers: what the job has left in its group. Three seconds are for who still writes its last words into a log: on
# a busy machine the tee of a rank may only start when the rank has ended.
end_leftovers() {
    local tries=60
    while [ "$tries" -gt 0 ] && kill -0 -- "-$JOB" 2>/dev/null; do
        sleep 0.05 || true # which Ctrl-C ends too
        tries=$((tries - 1))
    done
    kill -KILL -- "-$JOB" 2>/dev/null || true
}

# pass_on SIGNAL: what the traps of supervise do.
pass_on() {
    SIGNALS=$((SIGNALS + 1))
    if [ -z "$JOB" ]; then
        EARLY_SIGNAL="$1"
    elif [ "$SIGNALS" -eq 1 ]; then
        "${SIGNAL_TO_JOB[@]}" "$1"
    else
        send TERM
    fi
}

SAID=3

# watch_over: what supervise's watcher does. It reads the job's number, then whether the script has come to its end; a
# script that was killed closes the pipe without that.
watch_over() {
    local said=0
    trap "" INT TERM HUP USR1
    read -r JOB || exit 0
    while :; do
        if read -r -t 1; then
            exit "$said"
        elif [ "$?" -le 128 ]; then
            break
        fi
        [ -z "${CHECK_ON_JOB:-}" ] || "$CHECK_ON_JOB" "$JOB" || said="$SAID"
    done
    echo "error: the launcher was killed; its job is stopped" >&2
    "${SIGNAL_TO_JOB[@]}" TERM
    has_ended "$GRACE" || send TERM
    has_ended 2 || true
    kill -KILL -- "-$JOB" 2>/dev/null || true
}

# has_ended SECONDS: whether the job ends within them.
has_ended() {
    local end=$((SECONDS + $1))
    while is_alive "$JOB"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

# is_alive PID: whether the process is there, and not only its exit status.
is_alive() {
    local line
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    [[ "${line##*)}" != " "[ZX]* ]]
}

# Ways to ask JOB to stop, each for one kind of job.
send() {
    kill "-$1" "$JOB" 2>/dev/null || true
}

# mpirun hands SIGUSR1 on to all ranks, on every machine.
send_usr1() {
    send USR1
}

# msrun would end without its workers, which are its children in sessions of their own.
send_workers_of_msrun() {
    local pid
    for pid in $(children_of_msrun MS_WORKER); do
        if grep -qz 'train\.py$' "/proc/$pid/cmdline"; then
            kill -USR1 "$pid" 2>/dev/null || true
        fi
    done
}

# children_of_msrun ROLE: the processes of this role that JOB has started.
children_of_msrun() {
    local pid children=()
    { read -ra children <"/proc/$JOB/task/$JOB/children"; } 2>/dev/null || true
    for pid in "${children[@]}"; do
        if grep -qz "^MS_ROLE=$1\$" "/proc/$pid/environ" 2>/dev/null; then
            echo "$pid"
        fi
    done
}

# What check_on_msrun knows of its job: the number of the scheduler, and those of the workers.
SCHEDULER=""
WORKERS=""

# check_on_msrun: the workers notice the end of MindSpore's scheduler after half a minute. End them at once, and say so.
# (The scheduler ends with the workers.)
check_on_msrun() {
    local pid line alive=""
    SCHEDULER="${SCHEDULER:-$(children_of_msrun MS_SCHED)}"
    WORKERS="${WORKERS:-$(children_of_msrun MS_WORKER)}"
    for pid in $WORKERS; do
        ! is_alive "$pid" || alive+=" $pid"
    done
    [ -n "$SCHEDULER" ] || return 0
    ! is_alive "$SCHEDULER" && [ -n "$alive" ] || return 0
    if { read -r line <"/proc/$SCHEDULER/stat"; } 2>/dev/null && [ "${line##* }" != 0 ] \
        && is_alive "$JOB"; then # it ends with msrun, too
        echo "error: MindSpore's scheduler was killed; its log is in $LOGS" >&2
        for pid in $alive; do
            kill -KILL "$pid" 2>/dev/null || true
        done
        return 1
    fi
}
