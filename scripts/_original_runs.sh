# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is read by _launch.sh and _supervise.sh
# What the launchers under the originals' names run: train.py, eval.py and what comes before. Source it by _originals.sh.

# A family's ready configuration, which has its original's values.
READY_CLS=configs/hrnet_w48_cls_mindspore.yaml
READY_SEG_CITYSCAPES=configs/hrnet_w48_seg_cityscapes_mindspore.yaml
READY_SEG_LIP=configs/hrnet_w48_seg_lip_mindspore.yaml
READY_POINTREND=configs/pointrend_r50_fpn_mindspore.yaml
READY_MASKRCNN=configs/mask_rcnn_r50_fpn_mindspore.yaml
TRY_HERE="DEVICE=cpu before the command tries it on the CPU"

# original_train standalone|distribute DEVICE ARGUMENT... [--key value ...]: as the original's launcher of that name.
original_train() {
    local how="$1" device
    split_arguments "${@:3}"
    choose_form "$1_$2" "${POSITIONAL[@]}"
    device="$(original_device "$2")"
    LOG="" RANK_LOG="" WEIGHTS="${GIVEN[CHECKPOINT_PATH]:-${GIVEN[PRETRAINED_PATH]:-}}"
    [ -z "$WEIGHTS" ] || WEIGHTS="$(existing file "$WEIGHTS")"
    DATA="$(existing folder "${GIVEN[DATA_PATH]}")"
    ready_configuration
    "train_$ORIGINAL" "$how" "$2" "$device"
    ARGUMENTS+=(--device_target "$(target "$device")")
    LOGS="$OUT"
    prepare_device "$device"
    export_places "$how" "$device"
    mkdir -p "$OUT" || fail "cannot make the folder $OUT"
    [ -z "$LOG" ] || log_to "$LOG"
    note_places "$how" "$2"
    cd "$(repo_root)" || exit
    [ "$ORIGINAL" != pointrend ] || make_records train
    [ -z "$WEIGHTS" ] || take_weights train "$OUT/converted"
    if [ "$how" = distribute ]; then
        train_on_ranks "$device" "$DEVICE_NUM"
    fi
    [ "$device" = cpu ] || ARGUMENTS+=(--device_id "${DEVICE_ID:-0}")
    allow_restarts "$OUT/.started"
    run_to_end "${ARGUMENTS[@]}" "${EXTRA[@]}"
    tell_killed "$LOG"
    while start_again /dev/null; do # what is printed goes to LOG
        run_to_end "${ARGUMENTS[@]}" "${EXTRA[@]}" "${AGAIN[@]}"
        tell_killed "$LOG"
    done
    exit "$JOB_STATUS"
}

# original_evaluate LAUNCHER ARGUMENT... [--key value ...]: evaluation as the original's launcher of that name.
original_evaluate() {
    local device=ascend
    split_arguments "${@:2}"
    choose_form "$1" "${POSITIONAL[@]}"
    case "$1 $ORIGINAL" in eval_gpu* | *pointrend) device=gpu ;; esac
    device="$(original_device "$device")"
    OUT="$(original_place)"
    WEIGHTS="$(existing file "${GIVEN[CHECKPOINT_PATH]}")"
    DATA="$(existing folder "${GIVEN[DATA_PATH]}")"
    ready_configuration
    ARGUMENTS=(eval.py --config_path "$CONFIG" --val_dataset "$DATA")
    case "$1 $ORIGINAL" in
        eval_gpu*) LOG="$OUT/eval.log" ;;
        *cls) LOG="$OUT/eval_log" ;;
        *seg) LOG="$OUT/eval/log" ;;
        *pointrend)
            LOG="$OUT/eval_log/eval.log"
            use_records
            ;;
        *maskrcnn)
            LOG="$OUT/eval/log_eval.txt"
            take_labels
            ;;
    esac
    ARGUMENTS+=(--device_target "$(target "$device")")
    prepare_device "$device"
    export_places standalone "$device"
    log_to "$LOG"
    cd "$(repo_root)" || exit
    [ "$ORIGINAL" != pointrend ] || make_records validation
    take_weights evaluate "$(dirname "$LOG")/converted"
    [ "$device" = cpu ] || ARGUMENTS+=(--device_id "${DEVICE_ID:-0}")
    exec "$PYTHON" "${ARGUMENTS[@]}" "${EXTRA[@]}"
}

# original_infer_310 MINDIR_PATH DATA_PATH DEVICE_ID [--key value ...]: images to binary inputs, the exported file over
# them on an Ascend 310 (DEVICE=cpu: by Python, here), mIoU; folders and logs by the original's names.
original_infer_310() {
    local device mindir keys name run=("deploy/ascend310/build/ascend310_infer" --mindir_path)
    split_arguments "$@"
    choose_form infer_310 "${POSITIONAL[@]}"
    device="$(original_device ascend)"
    [ "$device" != gpu ] || fail "DEVICE must be ascend or cpu here, not gpu"
    mindir="$(existing file "${GIVEN[MINDIR_PATH]}")"
    DATA="$(existing folder "${GIVEN[DATA_PATH]}")"
    OUT="$(original_place)"
    ready_configuration
    for name in preprocess_Result result_Files time_Result; do
        [ ! -e "$OUT/$name" ] || fail "$OUT/$name is there already, and nothing is deleted: remove it, or name another" \
            "folder by OUTPUT_PATH"
    done
    prepare_device "$device"
    mkdir -p "$OUT" || fail "cannot make the folder $OUT"
    cd "$(repo_root)" || exit
    keys=(--config_path "$CONFIG" --val_dataset "$DATA" "${EXTRA[@]}")
    if [ "$device" = cpu ]; then
        run=("$PYTHON" deploy/infer_files.py --model)
    elif [ ! -x "${run[0]}" ]; then
        bash deploy/ascend310/build.sh
    fi
    run+=("$mindir" --preprocess_path "$OUT/preprocess_Result" --result_path "$OUT/result_Files")
    [ "$device" = cpu ] || run+=(--device_id "${GIVEN[DEVICE_ID]}")
    "$PYTHON" deploy/preprocess.py "${keys[@]}" --result_path "$OUT/preprocess_Result" 2>&1 \
        | tee -a "$OUT/preprocess.log"
    "${run[@]}" 2>&1 | tee -a "$OUT/infer.log"
    mkdir "$OUT/time_Result"
    tail -n 1 "$OUT/infer.log" >"$OUT/time_Result/time.txt"
    "$PYTHON" deploy/postprocess.py "${keys[@]}" --preprocess_path "$OUT/preprocess_Result" \
        --result_path "$OUT/result_Files" 2>&1 | tee -a "$OUT/acc.log"
    echo "preprocess.log, infer.log and acc.log are in $OUT"
}

# original_device DEVICE: the device, unless the variable DEVICE names another one.
original_device() {
    local named="${DEVICE:-$1}"
    case "${named,,}" in
        cpu | gpu | ascend) echo "${named,,}" ;;
        *) fail "DEVICE must be cpu, gpu or ascend, not '$named'" ;;
    esac
}

# original_place: the folder at which the originals' relative names start.
original_place() {
    local here
    here="$(absolute "${OUTPUT_PATH:-$PWD}")" || exit
    if [ -z "${OUTPUT_PATH:-}" ] && [ "$here" -ef "$(repo_root)/scripts" ]; then
        here="$(repo_root)"
    fi
    echo "$here"
}

# ready_configuration: sets CONFIG: what EXTRA names, from which it is taken, or CONFIG_PATH, or the original's own.
ready_configuration() {
    local rest=() named="${CONFIG_PATH:-}"
    WITHOUT_DEVICE="$TRY_HERE"
    case "$ORIGINAL" in
        cls) CONFIG="$READY_CLS" ;;
        pointrend) CONFIG="$READY_POINTREND" ;;
        maskrcnn) CONFIG="$READY_MASKRCNN" ;;
        seg)
            CONFIG="$READY_SEG_CITYSCAPES"
            [ ! -d "$DATA/TrainVal_images" ] || CONFIG="$READY_SEG_LIP"
            ;;
    esac
    set -- "${EXTRA[@]}"
    while [ "$#" -gt 0 ]; do
        case "$1" in
            --config_path)
                [ "$#" -gt 1 ] || fail "--config_path needs a value"
                named="$2"
                shift
                ;;
            --config_path=*) named="${1#*=}" ;;
            *) rest+=("$1") ;;
        esac
        shift
    done
    EXTRA=("${rest[@]}")
    CONFIG="$(existing file "${named:-$(repo_root)/$CONFIG}")"
}

# Each train_FAMILY standalone|distribute DEVICE DEVICE_OF_NOW sets ARGUMENTS, OUT, and LOG or RANK_LOG.
train_cls() {
    local gpu=(0.005 0.00005 0.00001)
    OUT="$(absolute "${GIVEN[TRAIN_OUTPUT_PATH]}")"
    start_arguments
    evaluate_on "${GIVEN[EVAL_DATASET_PATH]:-}"
    case "$1_$2" in
        standalone_gpu) LOG="$OUT/standalone_train.log" ;;
        distribute_gpu)
            gpu=(0.04 0.0004 0.00004)
            LOG="$OUT/distribute_train.log"
            ;;
        standalone_*) LOG="$OUT/log" ;;
        *) RANK_LOG="$OUT/train_parallel@RANK@/log" ;;
    esac
    if [ "$2" = gpu ]; then
        ARGUMENTS+=(--batch_size 64 --lr "${gpu[0]}" --lr_init "${gpu[1]}" --min_lr "${gpu[2]}")
    fi
}

train_seg() {
    local truth="${GIVEN[EVAL_CALLBACK],,}" data=""
    OUT="$(absolute "${GIVEN[TRAIN_OUTPUT_PATH]}")"
    start_arguments
    case "$truth" in true | 1) data="$DATA" ;; esac
    evaluate_on "$data"
    if [ "$1" = standalone ]; then
        LOG="$OUT/train/log"
    else
        RANK_LOG="$OUT/train_parallel@RANK@/log"
    fi
}

train_pointrend() {
    OUT="$(original_place)/log"
    LOG="$OUT/train.log"
    if [ "$1" = distribute ]; then
        OUT="$(original_place)/log_dist"
        LOG="$OUT/train_dist.log"
        RANK_LOG="$OUT/log_output/rank.@RANK@/stdout"
    fi
    start_arguments
    ARGUMENTS+=(--train_data_type mindrecord)
    use_records
    evaluate_on ""
}

train_maskrcnn() {
    OUT="$(original_place)/train"
    start_arguments
    evaluate_on ""
    LOG="$OUT/log.txt"
    if [ "$1" = distribute ]; then
        LOG=""
        RANK_LOG="$OUT/train_parallel@RANK@/log"
    fi
}

# start_arguments: sets ARGUMENTS to what all trainings have.
start_arguments() {
    ARGUMENTS=(train.py --config_path "$CONFIG" --train_dataset "$DATA" --train_outputs "$OUT")
    [ -z "${GIVEN[BEGIN_EPOCH]:-}" ] || ARGUMENTS+=(--begin_epoch "$((10#${GIVEN[BEGIN_EPOCH]}))")
}

# evaluate_on DATA: evaluations during the training, where the folder is named.
evaluate_on() {
    local data
    if [ -n "$1" ]; then
        data="$(existing folder "$1")"
        ARGUMENTS+=(--val_dataset "$data" --run_eval 1)
    else
        ARGUMENTS+=(--run_eval 0)
    fi
}

# use_records: adds to ARGUMENTS that the data come from MINDRECORD, and says what NOT_MASK is good for.
use_records() {
    MINDRECORD="$(absolute "${GIVEN[MINDRECORD_PATH]}")"
    ARGUMENTS+=(--val_data_type mindrecord --mindrecord_dir "$MINDRECORD")
    [ -z "${GIVEN[NOT_MASK]:-}" ] \
        || echo "NOT_MASK ${GIVEN[NOT_MASK]} has no effect: there is one version, which needs no such choice; a checkpoint" \
            "of the original that was trained with it is taken with --not_mask True behind the arguments" >&2
}

# make_records train|validation: MindRecord of DATA in MINDRECORD, where it is not there yet or not whole.
make_records() {
    local done=("$MINDRECORD/$1"/shard-*-of-*.mindrecord.done) of
    of="${done[0]##*-of-}"
    if [ -e "${done[0]}" ] && [ "${#done[@]}" -eq "${of%%.*}" ]; then
        echo "$MINDRECORD holds a $1 set already: it is taken as it is, whatever $DATA holds now" >&2
        return
    fi
    local folders=("--train_dataset" "$DATA" --val_dataset=)
    [ "$1" = train ] || folders=(--train_dataset= "--val_dataset" "$DATA")
    echo "$MINDRECORD holds no $1 set: it is made of $DATA" >&2
    run_to_end -m src.data.mindrecord --config_path "$CONFIG" "${folders[@]}" --mindrecord_dir "$MINDRECORD" "${EXTRA[@]}"
    [ "$JOB_STATUS" -eq 0 ] || exit "$JOB_STATUS"
}

# take_weights train|evaluate FOLDER: adds WEIGHTS to ARGUMENTS by the key that takes them; an original's are converted
# into the folder first.
take_weights() {
    local answer words=()
    answer="$(mktemp)"
    run_to_end -m src.commands.adopt --config_path "$CONFIG" --weights "$WEIGHTS" --purpose "$1" --folder "$2" \
        --answer "$answer" "${EXTRA[@]}" >&2
    mapfile -t words <"$answer"
    rm -f "$answer"
    [ "$JOB_STATUS" -eq 0 ] || exit "$JOB_STATUS"
    if [ "${#words[@]}" -eq 0 ]; then # they are taken as they are
        words=(--pre_trained "$WEIGHTS")
        [ "$1" = train ] || words=(--checkpoint_path "$WEIGHTS")
    fi
    ARGUMENTS+=("${words[@]}")
}

# run_to_end ARGUMENT...: PYTHON with these, in the repository; sets JOB_STATUS. A signal to this script reaches it.
run_to_end() {
    SIGNAL_TO_JOB=(send)
    supervise "$PYTHON" "$@"
    [ "$SIGNALS" -eq 0 ] || [ "$JOB_STATUS" -ne 0 ] || JOB_STATUS=143
}

# take_labels: adds ANN_FILE to ARGUMENTS where it is not the file from which the labels of DATA are read anyway.
take_labels() {
    local labels="$DATA/annotations/instances_val2017.json" named
    named="$(existing file "${GIVEN[ANN_FILE]}")"
    [ "$named" -ef "$labels" ] || ARGUMENTS+=(--val_annotations "$named" --val_images "$DATA/val2017")
}

# note_places standalone|distribute DEVICE: env.log, where the original's launcher writes one: not the whole environment,
# which may hold secrets.
note_places() {
    local file="$OUT/env.log"
    case "$ORIGINAL $1 $2" in
        pointrend* | *gpu | "cls standalone"*) return 0 ;;
        seg\ standalone*) file="$OUT/train/env.log" ;;
    esac
    env | grep -E '^(DEVICE|RANK|SERVER|CUDA_VISIBLE|OMP|GLOG|MS|HCCL)[A-Z_a-z]*=' >>"$file" || true
}

# export_places standalone|distribute DEVICE: the variables that the originals' launchers export.
export_places() {
    export RANK_SIZE
    if [ "$1" = distribute ]; then
        export DEVICE_NUM="${DEVICE_NUM:-8}" SERVER_ID=0
        [[ "$DEVICE_NUM" =~ ^[1-9][0-9]*$ ]] || fail "DEVICE_NUM must be a number from 1 on, not '$DEVICE_NUM'"
        if [ -n "${GIVEN[RANK_TABLE_FILE]:-}" ]; then
            RANK_TABLE_FILE="$(existing file "${GIVEN[RANK_TABLE_FILE]}")"
            export RANK_TABLE_FILE
        fi
        RANK_SIZE="$DEVICE_NUM"
        return
    fi
    export DEVICE_NUM=1 RANK_ID=0
    RANK_SIZE=1
    [ -z "${GIVEN[DEVICE_ID]:-}" ] || GIVEN[DEVICE_ID]="$((10#${GIVEN[DEVICE_ID]}))"
    if [ "$ORIGINAL" = pointrend ]; then # the one device that is visible has the number 0
        export CUDA_VISIBLE_DEVICES="${GIVEN[DEVICE_ID]}" DEVICE_ID=0
    elif [ -n "${GIVEN[DEVICE_ID]:-}" ]; then
        export DEVICE_ID="${GIVEN[DEVICE_ID]}"
    fi
}
