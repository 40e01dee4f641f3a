# shellcheck shell=bash
# shellcheck disable=SC2034 # the callers read AGAIN
# Starting a training job again that has died, MAX_RESTARTS times at most (0), from its newest checkpoint. Source it by
# _launch.sh.

RESTARTS=0 # so far
AGAIN=()   # what is added to the command's words when it is started again

# allow_restarts STAMP: check MAX_RESTARTS, and make the file whose time tells this job's run from earlier ones.
allow_restarts() {
    STAMP="$1"
    MAX_RESTARTS="${MAX_RESTARTS:-0}"
    [[ "$MAX_RESTARTS" =~ ^[0-9]{1,4}$ ]] || fail "MAX_RESTARTS must be a number from 0 to 9999, not '$MAX_RESTARTS'"
    MAX_RESTARTS=$((10#$MAX_RESTARTS))
    [ "$MAX_RESTARTS" -eq 0 ] || { mkdir -p "$(dirname "$STAMP")" && : >"$STAMP"; } || fail "cannot write $STAMP"
}

# has_died: whether the job has ended by itself, in disorder. Not so: wrong input (2), which would be wrong again; a stop
# that somebody asked for, of this script or of the ranks themselves (130, 143: SIGINT, SIGTERM).
has_died() {
    [ $((SIGNALS + LATE_SIGNALS)) -eq 0 ] || return 1
    case "$JOB_STATUS" in 0 | 2 | 130 | 143) return 1 ;; esac
}

# start_again LOG: whether the job is to be started again; then it is said, at the end of LOG too, and AGAIN is set.
start_again() {
    local place how="from its newest checkpoint"
    has_died && [ "$RESTARTS" -lt "$MAX_RESTARTS" ] || return 1
    # The arguments of train.py, without its name
    place="$("$PYTHON" scripts/started_run.py "$STAMP" "${ARGUMENTS[@]:1}" "${EXTRA[@]}")" || return 1
    AGAIN=()
    if [ -n "$place" ]; then
        AGAIN=(--resume "$place")
    else
        how="anew, since there is nothing of it yet"
    fi
    RESTARTS=$((RESTARTS + 1))
    echo "the job has died with status $JOB_STATUS: restart $RESTARTS of $MAX_RESTARTS, $how" | tee -a "$1" >&2
}
