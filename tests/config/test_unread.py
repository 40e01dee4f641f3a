"""Keys of the command line that a command does not read: each is said, and nothing else is."""

from pathlib import Path

import pytest

from src.config import leaves, load_config, parse_cli
from src.config.schema import nested_kind
from src.config.unread import COMMANDS, CONDITIONS, DETECTORS, MODELARTS, SEGMENTERS, TASKS, tell_unread

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = {
    "detection": "mask_rcnn_r50_fpn_1x_coco.yaml", "classification": "hrnet_w48_cls.yaml",
    "segmentation": "hrnet_w48_seg_cityscapes.yaml",
}  # fmt: skip
PROGRAMS = ("train.py", "eval.py", "infer.py", "export.py", "convert_weights.py", "check", "summary", "mindrecord")
# What commands that do not train read of what matters to training alone.
READ_BESIDE = {"seed", "divider", "begin_epoch"}
COST = {  # of a training step, which summary calculates
    "batch_size", "opt_type", "ema_decay", "accumulate_step", "backbone.norm_eval", "backbone.norm_cfg.requires_grad",
    "backbone.frozen_stages", "train_cfg.rcnn.sampler.num", "train_cfg.rcnn.sampler.pos_fraction",
}  # fmt: skip
EXAMPLES = [
    ("train.py", "pred_input pred_output prediction_path file_name file_format backend fold_batchnorm infer_score_thr"),
    ("train.py", "pt_path ckpt_path source verify mindrecord_shards output_path load_path"),
    ("eval.py", "lr epoch_size batch_size pre_trained backbone.pretrained train_outputs brief resume train_url"),
    ("eval.py", "train_dataset flip_ratio file_name rpn.loss_cls.loss_weight train_cfg.rcnn.sampler.num"),
    ("infer.py", "prediction_path report_dir analysis eval_every log_every python_multiprocessing"),
    ("export.py", "test_batch_size backend fold_batchnorm compile_cache pred_output num_parallel_workers"),
    ("convert_weights.py", "checkpoint_path train_dataset batch_size flip_ratio run_eval enable_modelarts data_path"),
    ("check", "brief resume save_every end_epoch max_steps report_dir enable_modelarts"),
    ("summary", "checkpoint_path pre_trained val_dataset lr enable_modelarts"),
    ("mindrecord", "lr checkpoint_path batch_size test_batch_size backbone.depth rpn.feat_channels device_target"),
    ("serve", "pred_input pred_output recursive infer_format draw font lr train_outputs report_dir file_name"),
    ("preprocess.py", "lr checkpoint_path backbone.type train_dataset eval_every"),
]


def keys(cfg) -> dict[str, object]:
    """Every key of a configuration that can be typed, and its value."""
    return {leaf.name: leaf for leaf in leaves(cfg) if not nested_kind(leaf.item.type)}


def unread(said, command: str, names, path: str = FILES["detection"], typed=()) -> list[str]:
    """Those of the names that are said to have no effect."""
    cfg = load_config(str(CONFIGS / path), [*typed])
    object.__setattr__(cfg, "typed", frozenset(names))
    before = len(said())
    tell_unread(cfg, command)
    (line,) = said()[before:] or [""]
    told = line.partition(": ")[2]
    return [name for part in told.split("; ") if part for name in part.partition(" (")[0].split(", ")]


@pytest.mark.parametrize(("command", "names"), EXAMPLES)
def test_a_key_that_the_command_does_not_read_is_said(said, command, names):
    assert sorted(unread(said, command, names.split())) == sorted(names.split())


@pytest.mark.parametrize("path", FILES.values())
@pytest.mark.parametrize(
    "command", ["eval.py", "infer.py", "export.py", "convert_weights.py", "summary", "mindrecord", "serve"]
)
def test_a_command_that_does_not_train_says_every_key_of_the_training_and_no_key_of_the_network(said, command, path):
    found = keys(load_config(str(CONFIGS / path)))
    training = {name for name, leaf in found.items() if leaf.matters == "training"} - READ_BESIDE
    weights = {name for name, leaf in found.items() if leaf.matters == "weights" and name.startswith("backbone.")}
    told = set(unread(said, command, found, path))
    read = {"convert_weights.py": {"finetune"}, "summary": training & COST}.get(command, set())
    if path != FILES["detection"]:
        read = {name for name in read if not name.startswith("train_cfg.")}
    assert training - told == read
    assert len(weights) >= 4 and (weights <= told if command == "mindrecord" else not weights & told)


@pytest.mark.parametrize(("task", "path"), FILES.items())
def test_keys_of_another_task_are_said_in_every_command_that_reads_such_keys(said, task, path):
    own = {"detection": "rpn.feat_channels", "classification": "cls_head.final_channels"}
    own |= {"segmentation": "seg_head.final_conv_kernel"}
    told = unread(said, "train.py", own.values(), path)
    assert sorted(told) == sorted(name for other, name in own.items() if other != task)


def test_keys_of_another_detector_are_said(said):
    names = ("point_head.num_fcs", "test_cfg.rcnn.subdivision_steps", "mask_head.num_convs")
    assert unread(said, "train.py", names) == ["point_head.num_fcs", "test_cfg.rcnn.subdivision_steps"]
    assert unread(said, "train.py", names, "pointrend_r50_fpn_1x_coco.yaml") == ["mask_head.num_convs"]


def test_keys_of_masks_are_said_under_a_detector_without(said):
    own = ("bbox_head.num_shared_fcs", "test_cfg.rcnn.score_thr", "detector")
    of_masks = ("mask_head.in_channels", "mask_roi.finest_scale", "test_cfg.rcnn.mask_thr_binary")
    assert sorted(unread(said, "train.py", [*own, *of_masks], typed=["--detector", "faster_rcnn"])) == sorted(of_masks)
    assert unread(said, "train.py", [*own, *of_masks]) == []


def test_a_cascade_says_what_its_own_section_says_instead(said):
    lists = ("cascade.pos_iou_thr", "cascade.target_stds")
    instead = ("train_cfg.rcnn.assigner.pos_iou_thr", "bbox_head.bbox_coder.target_stds")
    shared = ("bbox_head.bbox_coder.target_means", "train_cfg.rcnn.assigner.ignore_iof_thr", "mask_head.num_convs")
    typed = ["--detector", "cascade_mask_rcnn"]
    assert sorted(unread(said, "train.py", [*lists, *instead, *shared], typed=typed)) == sorted(instead)
    assert sorted(unread(said, "train.py", [*lists, *instead, *shared])) == sorted(lists)
    settings = ("cascade.mean_of", "cascade.mask_heads")
    assert unread(said, "train.py", settings, typed=typed) == []
    assert unread(said, "train.py", settings, typed=["--detector", "cascade_rcnn"]) == ["cascade.mask_heads"]


def test_keys_of_another_segmenter_are_said(said):
    names = ("seg_head.final_conv_kernel", "seg_head.ocr.dropout", "seg_head.bilinear")
    assert unread(said, "train.py", names, FILES["segmentation"]) == ["seg_head.ocr.dropout"]
    assert unread(said, "train.py", names, "hrnet_w48_ocr_cityscapes.yaml") == ["seg_head.final_conv_kernel"]


@pytest.mark.parametrize(
    ("key", "switch"),
    [
        ("ohem_threshold", "--ohem=1"), ("mlflow_uri", "--mlflow=1"), ("rand_augment_magnitude", "--rand_augment=2"),
        ("lr_power", "--lr_type=poly"), ("base_batch_size", "--scale_lr=1"), ("min_lr", "--lr_type=cosine"),
        ("opt_eps", "--opt_type=adam"), ("sync_batchnorm", "--run_distribute=1"),
        ("font", "--sample_pictures=8"),
    ],
)  # fmt: skip
def test_a_key_that_counts_with_another_one_alone_is_said_without_it(said, key, switch):
    path = FILES["segmentation" if "ohem" in key else "classification" if "rand" in key else "detection"]
    reads = {}
    for typed in ((), (switch,)):
        cfg = load_config(str(CONFIGS / path), [*typed, "--lr_type=multistep", "--opt_type=sgd", *typed])
        object.__setattr__(cfg, "typed", frozenset([key]))
        before = len(said())
        tell_unread(cfg, "train.py")
        reads[typed] = said()[before:]
    assert not reads[switch,] and key in reads[()][0] and "alone" in reads[()][0]


SOFT, GAUSSIAN = "--test_cfg.rcnn.nms=soft", "--test_cfg.rcnn.soft_nms.method=gaussian"


@pytest.mark.parametrize(
    ("key", "switches", "is_read"),
    [
        ("test_cfg.rcnn.soft_nms.min_score", [], False), ("test_cfg.rcnn.soft_nms.min_score", [SOFT], True),
        ("test_cfg.rcnn.soft_nms.method", [], False), ("test_cfg.rcnn.soft_nms.method", [SOFT], True),
        ("test_cfg.rcnn.soft_nms.sigma", [SOFT], False), ("test_cfg.rcnn.soft_nms.sigma", [SOFT, GAUSSIAN], True),
        ("test_cfg.rcnn.iou_threshold", [SOFT, GAUSSIAN], False), ("test_cfg.rcnn.iou_threshold", [SOFT], True),
        ("test_cfg.rcnn.iou_threshold", [GAUSSIAN], True),
        ("rpn.loss_bbox.beta", ["--rpn.loss_bbox.type=l1"], False), ("rpn.loss_bbox.beta", [], True),
        ("bbox_head.loss_bbox.beta", ["--bbox_head.loss_bbox.type=giou"], False),
    ],
)  # fmt: skip
def test_keys_of_a_kind_of_nms_or_of_box_loss_are_said_under_another_kind(said, key, switches, is_read):
    cfg = load_config(str(CONFIGS / FILES["detection"]), switches)
    object.__setattr__(cfg, "typed", frozenset([key]))
    tell_unread(cfg, "train.py")
    assert bool(said()) is not is_read and all(key in line for line in said())


@pytest.mark.parametrize("command", PROGRAMS)
def test_every_command_reads_the_keys_without_which_it_does_nothing(said, command):
    needed = {
        "train.py": "train_dataset val_dataset lr", "eval.py": "val_dataset checkpoint_path test_batch_size",
        "infer.py": "pred_input pred_output checkpoint_path infer_score_thr", "export.py": "checkpoint_path file_name",
        "convert_weights.py": "pt_path ckpt_path finetune to_rgb", "check": "train_dataset checkpoint_path lr",
        "summary": "num_classes img_width", "mindrecord": "mindrecord_dir train_dataset mindrecord_shards",
    }  # fmt: skip
    assert unread(said, command, needed[command].split()) == []


def test_what_a_file_says_is_never_said_to_have_no_effect(said, write):
    path = write(f"_base_: {CONFIGS / FILES['detection']}\npred_input: x\nlr: 1\n", classes="")
    parse_cli("d", ["--config_path", path, "--val_dataset", "v"], command="eval.py")
    assert not said()


def test_converting_on_the_cpu_is_what_typing_it_asks_for(said):
    assert unread(said, "convert_weights.py", ["device_target", "mode"]) == ["device_target", "mode"]
    typed = ["--config_path", str(CONFIGS / FILES["detection"]), "--device_target", "CPU"]
    cfg = parse_cli("d", typed, command="summary")
    assert cfg.device_target == "CPU" and len(said()) == 1


def test_every_name_in_the_tables_is_a_key_and_every_key_that_never_matters_has_readers():
    found = {name for path in FILES.values() for name in keys(load_config(str(CONFIGS / path)))}
    sections = {name.rsplit(".", depth)[0] for name in found for depth in range(1, name.count(".") + 1)}
    assert {*COMMANDS, *CONDITIONS, *MODELARTS} <= found and {*TASKS, *DETECTORS, *SEGMENTERS} <= found | sections
    leaf_of = {leaf.name: leaf for leaf in leaves(load_config(str(CONFIGS / FILES["detection"])))}
    never = {name for name, leaf in leaf_of.items() if leaf.matters == "never"}
    assert never - {*COMMANDS, *MODELARTS, "enable_modelarts"} == set()


@pytest.mark.parametrize(("task", "reading"), [("detection", ("eval.py", "infer.py")),
                                               ("segmentation", ("train.py", "eval.py", "infer.py"))])  # fmt: skip
def test_views_are_of_a_detectors_evaluation_and_not_of_its_training(said, task, reading):
    for command in ("train.py", "eval.py", "infer.py"):
        wanted = [] if command in reading else ["eval_flip", "eval_scales"]
        assert sorted(unread(said, command, ["eval_flip", "eval_scales"], FILES[task])) == wanted


def test_the_page_reads_what_makes_predictions(said):
    names = ["checkpoint_path", "infer_score_thr", "device_target", "backend", "eval_flip", "tile", "max_image_pixels",
             "test_batch_size", "compile_cache", "fold_batchnorm", "test_cfg.rcnn.score_thr"]  # fmt: skip
    typed = ["--eval_flip", "1", "--tile", "1024"]
    assert unread(said, "serve", names, typed=typed) == unread(said, "infer.py", names, typed=typed)
