# shellcheck shell=bash
# Why a job of several ranks has ended, in one line, where its ranks have not said so themselves. Source it.

LONGEST_BLOCK=20 # lines between two dashed ones that may be mpirun's

# shorten_mpirun SAID: mpirun's errors and those of its ranks, from the standard input to the standard error. What mpirun
# says of a rank that has failed, in a dozen lines between dashes, becomes one line, or none where the rank has said why.
# The file SAID is made once something was said.
shorten_mpirun() {
    local line block=() inside=""
    trap "" INT TERM HUP USR1
    while IFS= read -r line || [ -n "$line" ]; do
        if [[ "$line" =~ ^-{50,}$ ]]; then
            if [ -n "$inside" ]; then
                block+=("$line")
                tell_block "$1"
                inside="" block=()
            else
                inside=yes block=("$line")
            fi
        elif [ -n "$inside" ] && [ "${#block[@]}" -lt "$LONGEST_BLOCK" ]; then
            block+=("$line")
        else
            [ -z "$inside" ] || printf '%s\n' "${block[@]}" >&2
            inside="" block=()
            printf '%s\n' "$line" >&2
            case "$line" in error:* | Traceback*) : >"$1" ;; esac
        fi
    done
    [ -z "$inside" ] || printf '%s\n' "${block[@]}" >&2
}

# tell_block SAID: print shorten_mpirun's block, or what it comes down to.
tell_block() {
    local words="${block[*]}"
    if [[ "$words" =~ process\ rank\ ([0-9]+)\ .*exited\ on\ signal\ ([0-9]+) ]]; then
        [ ! -e "$1" ] || return 0
        echo "error: rank ${BASH_REMATCH[1]} was killed by signal ${BASH_REMATCH[2]}; its log is in $LOGS" >&2
    elif [[ "$words" =~ non-zero\ (status|exit\ code) ]]; then
        return 0
    else
        printf '%s\n' "${block[@]}" >&2
    fi
    : >"$1"
}

# tell_msrun: after a job of msrun's that has failed, set JOB_STATUS to the first worker's instead of its own, and print
# the worker's error. Worker 0's output was shown already. Exit status 0 where something was said.
tell_msrun() {
    local code log first
    code="$(sed -n 's/.*exit with exception. Error code: \(-\{0,1\}[0-9]*\)\..*/\1/p' "$LOGS/msrun.log" | head -n 1)"
    if [ -z "$code" ]; then # it is msrun itself that has failed
        first="$(grep -v '^[[:space:]]*$' "$LOGS/msrun.log" | tail -n 1)" || return 1
        echo "error: msrun: $first" >&2
        return 0
    fi
    # shellcheck disable=SC2034 # supervise's
    JOB_STATUS="$code"
    # shellcheck disable=SC2034
    [ "$code" -ge 0 ] || JOB_STATUS=$((128 - code))
    ! grep -q '^error: \|^Traceback' "$LOGS/worker_0.log" 2>/dev/null || return 0
    for log in "$LOGS"/worker_*.log; do
        if first="$(grep -m 1 '^error: ' "$log" 2>/dev/null)"; then
            echo "$first" >&2
            return 0
        fi
    done
    [ "$code" -lt 0 ] || return 1
    echo "error: a rank was killed by signal $((-code)); its log is in $LOGS" >&2
}
