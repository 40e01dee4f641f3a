# shellcheck shell=bash
# Launchers under the names, and with the argument orders, of the MindSpore originals HRNetW48_cls (cls), HRNetW48_seg
# (seg), pointrend and MaskRCNN_resnet50 (maskrcnn): which of them is meant. Source it.
#
# FAMILY names the original where arguments and data do not tell. DEVICE=cpu (gpu, ascend) takes another device than the
# original's, DEVICE_NUM another number of them than 8, CONFIG_PATH (or --config_path) another configuration than the
# original's ready one. OUTPUT_PATH is the folder at which the originals' relative names start: otherwise the working
# folder, and from within scripts/ the repository.
# shellcheck source=scripts/_launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
# shellcheck source=scripts/_original_runs.sh
source "$(dirname "${BASH_SOURCE[0]}")/_original_runs.sh"

# launch standalone|distribute|eval gpu ARGUMENT...: this project's launcher where the first argument is a configuration,
# otherwise the originals' of the same name.
launch() {
    local kind="$1" device="$2"
    shift 2
    if is_of_original "$@" && [ "$kind" = eval ]; then
        original_evaluate "eval_$device" "$@"
    elif is_of_original "$@"; then
        original_train "$kind" "$device" "$@"
    fi
    usage_of "${kind}_$device"
    split_arguments "$@"
    case "$kind ${#POSITIONAL[@]}" in # the ways of an original that leaves the data to the configuration
        "standalone 1" | "eval 2")
            device="$(original_device "$device")"
            WITHOUT_DEVICE="$TRY_HERE"
            ;;
    esac
    case "$kind" in
        distribute) distribute_train "$device" "$@" ;;
        eval) evaluate "$device" "$@" ;;
        standalone) standalone_train "$device" "$@" ;;
    esac
}

# forms LAUNCHER: what the originals' launchers of this kind take, a line a way: whose it is, then a word an argument. A
# question mark is behind what may be left out.
forms() {
    local more="DATA_PATH TRAIN_OUTPUT_PATH CHECKPOINT_PATH"
    case "$1" in
        standalone_ascend)
            echo "cls DATA_PATH TRAIN_OUTPUT_PATH EVAL_DATASET_PATH?"
            echo "cls $more BEGIN_EPOCH? EVAL_DATASET_PATH?"
            echo "seg DEVICE_ID $more EVAL_CALLBACK"
            echo "seg DEVICE_ID $more BEGIN_EPOCH EVAL_CALLBACK"
            echo "maskrcnn PRETRAINED_PATH DATA_PATH DEVICE_ID?"
            ;;
        distribute_ascend)
            echo "cls RANK_TABLE_FILE DATA_PATH TRAIN_OUTPUT_PATH EVAL_DATASET_PATH?"
            echo "cls RANK_TABLE_FILE $more BEGIN_EPOCH? EVAL_DATASET_PATH?"
            echo "seg RANK_TABLE_FILE $more EVAL_CALLBACK"
            echo "seg RANK_TABLE_FILE $more BEGIN_EPOCH EVAL_CALLBACK"
            echo "maskrcnn RANK_TABLE_FILE PRETRAINED_PATH DATA_PATH"
            ;;
        standalone_gpu)
            echo "cls DATA_PATH TRAIN_OUTPUT_PATH"
            echo "pointrend DEVICE_ID DATA_PATH MINDRECORD_PATH PRETRAINED_PATH? NOT_MASK?"
            ;;
        distribute_gpu)
            echo "cls DATA_PATH TRAIN_OUTPUT_PATH"
            echo "pointrend DATA_PATH MINDRECORD_PATH PRETRAINED_PATH? NOT_MASK?"
            echo "maskrcnn PRETRAINED_PATH DATA_PATH"
            ;;
        eval)
            echo "cls DATA_PATH CHECKPOINT_PATH"
            echo "seg DEVICE_ID DATA_PATH CHECKPOINT_PATH"
            echo "pointrend DEVICE_ID DATA_PATH MINDRECORD_PATH CHECKPOINT_PATH NOT_MASK?"
            echo "maskrcnn ANN_FILE CHECKPOINT_PATH DATA_PATH"
            ;;
        eval_gpu) echo "cls DATA_PATH CHECKPOINT_PATH" ;;
        infer_310) echo "seg MINDIR_PATH DATA_PATH DEVICE_ID" ;;
    esac
}

# is_of_original ARGUMENT...: whether the first one is nothing that a launcher of this project begins with, which is a
# configuration.
is_of_original() {
    [ "$#" -gt 0 ] || return 1
    case "$1" in *.yaml | *.yml | --*) return 1 ;; esac
    [ -n "${FAMILY:-}" ] || [ -d "$1" ] || [[ "$1" =~ ^[0-9]+$|\.(json|ckpt|pth)$ ]]
}

# usage_of LAUNCHER: sets OTHER_USAGE to what `usage` is to say of the originals' ways.
usage_of() {
    local family words
    OTHER_USAGE=()
    while read -r family words; do
        OTHER_USAGE+=("$(shown "$words") $MORE_USAGE   # $family")
    done < <(forms "$1")
}

# shown WORDS: "A B?" -> "A [B]"
shown() {
    sed -E 's/([A-Z_0-9]+)\?/[\1]/g' <<<"$1"
}

# choose_form LAUNCHER ARGUMENT...: sets ORIGINAL to whose launcher is meant and GIVEN to the arguments by their words, by
# what kinds of things the arguments are and what the data are. Leaves with one line where none fits, or several do.
choose_form() {
    local launcher="$1" family words families=() lines=() other="" marks
    shift
    case "${FAMILY:-}" in
        "" | cls | seg | pointrend | maskrcnn) ;;
        *) fail "FAMILY must be cls, seg, pointrend or maskrcnn, not '$FAMILY'" ;;
    esac
    while read -r family words; do
        if [ "${FAMILY:-$family}" != "$family" ] || ! fits "$family" "$words" "$@"; then
            continue
        fi
        name_arguments "$words" "$@"
        marks="$(families_of "${GIVEN[DATA_PATH]}")"
        if [ -z "${FAMILY:-}" ] && [ -n "$marks" ] && [[ " $marks " != *" $family "* ]]; then
            other="${GIVEN[DATA_PATH]} holds data of ${marks// / or }, the arguments are those of $family"
            other+=" (FAMILY=$family says that they are meant so)"
        elif [[ " ${families[*]} " != *" $family "* ]]; then
            families+=("$family")
            lines+=("$words")
        fi
    done < <(forms "$launcher")
    if [ "${#families[@]}" -eq 0 ]; then
        [ -z "$other" ] || fail "$other"
        leave_with_usage "$launcher" "$@"
    elif [ "${#families[@]}" -gt 1 ]; then
        fail "two originals take such arguments, and the data do not tell which is meant: set FAMILY=${families[0]}" \
            "($(shown "${lines[0]}")) or FAMILY=${families[1]} ($(shown "${lines[1]}"))"
    fi
    ORIGINAL="${families[0]}"
    name_arguments "${lines[0]}" "$@"
}

# leave_with_usage LAUNCHER ARGUMENT...: the usage lines of the originals whose first argument is of this kind, or all.
leave_with_usage() {
    local family words first lines=()
    usage_of "$1"
    while read -r family words; do
        first="${words%% *}"
        [ "$#" -lt 2 ] || [ "${FAMILY:-$family}" != "$family" ] || ! fits_word "$family" "$first" "$2" \
            || lines+=("$(shown "$words") $MORE_USAGE   # $family")
    done < <(forms "$1")
    [ "${#lines[@]}" -eq 0 ] || OTHER_USAGE=("${lines[@]}")
    usage
}

declare -A GIVEN

# name_arguments WORDS ARGUMENT...: sets GIVEN.
name_arguments() {
    local words word
    read -ra words <<<"$1"
    shift
    GIVEN=()
    for word in "${words[@]}"; do
        [ "$#" -gt 0 ] || return 0
        GIVEN["${word%\?}"]="$1"
        shift
    done
}

# fits FAMILY WORDS ARGUMENT...: whether there are so many arguments, of such kinds.
fits() {
    local family="$1" words word
    read -ra words <<<"$2"
    shift 2
    for word in "${words[@]}"; do
        if [ "$#" -eq 0 ]; then
            [[ "$word" == *\? ]] || return 1
        else
            fits_word "$family" "${word%\?}" "$1" || return 1
            shift
        fi
    done
    [ "$#" -eq 0 ]
}

# fits_word FAMILY WORD ARGUMENT: whether the argument is of the word's kind; a path need not be there, which is said by
# those who open it.
fits_word() {
    local file="\.(json|ya?ml|ckpt|pth|pt|pkl|pdparams|mindir|onnx)$" truth="^(true|false|0|1)$" number="^[0-9]+$"
    case "$1 $2" in
        *\ DEVICE_ID | *\ BEGIN_EPOCH) [[ "$3" =~ $number ]] ;;
        *\ EVAL_CALLBACK | *\ NOT_MASK) [[ "${3,,}" =~ $truth ]] ;;
        *\ RANK_TABLE_FILE | *\ ANN_FILE) [[ "$3" == *.json ]] ;;
        maskrcnn\ PRETRAINED_PATH) [ -f "$3" ] || [[ "$3" =~ $file ]] ;;
        *\ CHECKPOINT_PATH | *\ PRETRAINED_PATH) ! [ -d "$3" ] && ! [[ "${3,,}" =~ $number|$truth ]] ;;
        *\ DATA_PATH | *\ EVAL_DATASET_PATH)
            [ -d "$3" ] || { [ -n "$3" ] && ! [ -f "$3" ] && ! [[ "${3,,}" =~ $file|$number|$truth ]]; }
            ;;
        *) [ -n "$3" ] ;;
    esac
}

# families_of DATA: whose data a folder holds, as words; none where nothing tells.
families_of() {
    local folder found=()
    if [ -f "$1/train.lst" ] || [ -f "$1/val.lst" ]; then
        found+=(seg)
    fi
    if [ -d "$1/annotations" ]; then
        found+=(pointrend maskrcnn)
    fi
    for folder in "$1"/*/; do
        # COCO's folders of images are no classes.
        [[ "$folder" =~ /(annotations|(train|val|test|unlabeled)20[0-9]+)/$ ]] && continue
        if [ -n "$(find -L "$folder" -maxdepth 1 -type f -iregex '.*\.\(jpe?g\|png\|bmp\|webp\)' -print -quit \
            2>/dev/null)" ]; then
            found+=(cls)
            break
        fi
    done
    echo "${found[*]}"
}
