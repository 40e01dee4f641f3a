#!/usr/bin/env bash
# What mpirun starts for each rank: the command, with a log of its own: LOGS/rank_N.log, or where LOGS holds @RANK@ the
# file of that name with the rank's number in its place, to whose end it writes. The terminal gets rank 0's output and
# every rank's errors. Usage: bash scripts/_rank.sh LOGS COMMAND [ARGUMENT...]
set -euo pipefail
logs="$1"
rank="${OMPI_COMM_WORLD_RANK:-0}"
shift
export MS_VISION_ZOO_LAUNCHER="$PPID" # without which the rank does not go on
log="${logs//@RANK@/$rank}"
if [ "$log" = "$logs" ]; then
    mkdir -p "$logs"
    log="$logs/rank_$rank.log"
    : >"$log"
fi
mkdir -p "$(dirname "$log")"
# The last words after a signal still have to be written.
keep_up() { trap "" INT TERM HUP USR1 && exec "$@"; }
exec 2> >(keep_up tee -a "$log" >&2)
if [ "$rank" = 0 ]; then
    exec > >(keep_up tee -a "$log")
else
    exec >>"$log"
fi
exec "$@"
