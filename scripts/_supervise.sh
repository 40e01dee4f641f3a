# shellcheck shell=bash
# Running a job so that signals to the script reach it, once and in the form that it understands. Source it.

# supervise COMMAND...: run it and set JOB_STATUS to its exit status. SIGINT, SIGTERM and SIGHUP to this script go on to
# it by SIGNAL_TO_JOB once; a second one ends it the hard way. The command has a process group of its own: otherwise
# Ctrl-C would reach it besides, and mpirun kills its ranks then before they have written a checkpoint.
supervise() {
    local signalled
    set -m
    "$@" &
    JOB=$!
    set +m
    SIGNALS=0
    trap 'pass_on INT' INT
    trap 'pass_on TERM' TERM HUP
    while :; do
        signalled="$SIGNALS"
        JOB_STATUS=0
        # shellcheck disable=SC2034 # the caller reads it
        wait "$JOB" || JOB_STATUS=$?
        [ "$signalled" != "$SIGNALS" ] || break # otherwise a signal has cut the wait short
    done
    trap - INT TERM HUP
}

# pass_on SIGNAL: what the traps of supervise do.
pass_on() {
    SIGNALS=$((SIGNALS + 1))
    if [ "$SIGNALS" -eq 1 ]; then
        "${SIGNAL_TO_JOB[@]}" "$1"
    else
        send TERM
    fi
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
    local pid children=()
    read -ra children 2>/dev/null <"/proc/$JOB/task/$JOB/children" || true
    for pid in "${children[@]}"; do
        if grep -qz '^MS_ROLE=MS_WORKER$' "/proc/$pid/environ" && grep -qz 'train\.py$' "/proc/$pid/cmdline"; then
            kill -USR1 "$pid" 2>/dev/null || true
        fi
    done
}
