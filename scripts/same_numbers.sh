#!/usr/bin/env bash
# Does the working tree give the same numbers as an old commit, bit for bit, on this machine? Configurations, parameter
# names, training batches, losses, evaluations, exported files and commands; a line a section, exit status 1 for "no".
# Usage: bash scripts/same_numbers.sh OLD_COMMIT [--only config,names,batches,losses,evaluation,export,commands]
#            [--demos mask_rcnn_hrnet,...] [--without hash,checkpoint] [--fresh] [--jobs 2]
# VENV=DIR uses another environment as it is. The old commit's numbers are kept in SAME_NUMBERS_CACHE (default
# outputs/same_numbers); --fresh works them out again. The working tree is copied first: it may be edited meanwhile.
set -euo pipefail
# shellcheck source=scripts/_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/_common.sh"
[ $# -ge 1 ] || fail "usage: bash scripts/same_numbers.sh OLD_COMMIT [--only SECTIONS] [--demos DEMOS] [--without hash]"
cache="${SAME_NUMBERS_CACHE:-$(repo_root)/outputs/same_numbers}"
mkdir -p "$cache" 2>/dev/null || fail "cannot make the folder $cache"
cache="$(cd "$cache" && pwd)"
cd "$(repo_root)"
commit="$(git rev-parse --verify --quiet "$1^{commit}")" || fail "$1 is no commit of this repository"
shift
if [ -x "${VENV:-}/bin/python" ]; then
    PYTHON="$VENV/bin/python"
    bash scripts/build_custom.sh >/dev/null || fail "the custom operators could not be built"
else
    prepare_environment requirements-dev.txt
fi
export GLOG_v="${GLOG_v:-3}"

work="$(mktemp -d)"
clean_up() {
    git worktree remove --force "$work/old" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
git worktree add --quiet --detach "$work/old" "$commit" || fail "no worktree of $commit could be made"
mkdir "$work/new" "$work/results"
git ls-files -z --cached --others --exclude-standard \
    | while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done \
    | tar --null --files-from=- -cf - | tar -xf - -C "$work/new"
for tree in old new; do
    cp -r src/ops/bin "$work/$tree/src/ops/"
done
if ! git diff --quiet "$commit" -- src/ops scripts/build_custom.sh; then
    rm -r "$work/old/src/ops/bin"
    bash "$work/old/scripts/build_custom.sh" >/dev/null || fail "the old commit's custom operators could not be built"
fi
"$PYTHON" "$work/new/scripts/same_numbers/compare.py" --old "$work/old" --new "$work/new" --work "$work/results" \
    --cache "$cache" --commit "$commit" "$@"
