"""Configuration files and options of the MindSpore originals: each key is translated, accepted or answered."""

import functools
import json
from pathlib import Path

import pytest
import yaml

from src.config import differences, load_config, own_words, parse_cli
from src.config.original_tables import WITHOUT_EFFECT, original_of
from src.config.original_tables.literal import literal, plain
from src.config.original_tables.translate import ORIGINALS
from src.config.originals import account
from src.errors import UserError
from tests.config.refused import refusal
from tests.end_to_end.commands import ROOT, run
from tests.odd_values import is_one_line

DATA = ROOT / "tests" / "data_files"
OPTIONS = json.loads((DATA / "mindspore_options.json").read_text())
END = "the schedule's end, which end_epoch 0 names too"
ASCEND = "the original's file is for Ascend; the YAML's device is chosen by launchers"
# By its file: whose it is, the YAML of this project for that model, and every key that has another value, with the
# value that it gets and why.
FILES = {
    "original_pointrend.yaml": (
        "pointrend", "pointrend_r50_fpn_mindspore.yaml",
        {},
    ),
    "original_mask_rcnn.yaml": (
        "MaskRCNN_resnet50", "mask_rcnn_r50_fpn_mindspore.yaml",
        {
            "test_batch_size": (2, "scores do not depend on it; one image at a time takes less memory"),
            "device_target": ("Ascend", ASCEND),
        },
    ),
    "original_hrnet_cls.yaml": (
        "HRNetW48_cls", "hrnet_w48_cls_mindspore.yaml",
        {"end_epoch": (120, END), "device_target": ("Ascend", ASCEND)},
    ),
    "original_hrnet_seg.yaml": (
        "HRNetW48_seg", "hrnet_w48_seg_cityscapes_mindspore.yaml",
        {"end_epoch": (600, END), "run_eval": (False, "the original evaluates where --eval asks for it")},
    ),
}  # fmt: skip
READY = {
    "classification": "hrnet_w48_cls.yaml", "segmentation": "hrnet_w48_seg_cityscapes.yaml",
    "detection": "pointrend_r50_fpn_mindspore.yaml", "detection of MaskRCNN": "mask_rcnn_r50_fpn_mindspore.yaml",
}  # fmt: skip
# By the beginning of an entry of OPTIONS: the configuration that a command line of it is for.
OWNERS = {
    "HRNetW48_cls": READY["classification"], "HRNetW48_seg": READY["segmentation"], "pointrend": READY["detection"],
    "MaskRCNN": READY["detection of MaskRCNN"],
}  # fmt: skip
TYPED = [
    (owner, entry, option["option"].removeprefix("--"), option)
    for owner in OWNERS
    for entry, options in OPTIONS.items()
    if entry.startswith(owner) and "no options" not in entry
    for option in options
    if option["option"] != "--config_path" and "lst_maker" not in entry
]
SAMPLES = {"int": "1", "float": "0.5", "ast.literal_eval": "True", "str": "some"}


@pytest.fixture(autouse=True)
def _read_once(monkeypatch):
    """The ready configurations are read once."""
    read = functools.cache(own_words.read_file)
    monkeypatch.setattr(own_words, "read_file", lambda path, check=None: read(path))


def config(name: str) -> str:
    return str(ROOT / "configs" / name)


# ------------------------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_an_original_is_told_by_its_keys_and_none_of_them_is_unknown(name):
    values = yaml.safe_load((DATA / name).read_text())
    assert original_of(values).name == FILES[name][0]
    *_, counts = account(str(DATA / name))
    assert counts.startswith(f"{len(values)} keys: ") and counts.endswith(" 0 own, 0 unknown")


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_an_original_loads_to_this_projects_own_yaml_for_its_model_but_for_what_is_listed(name):
    _, ready, listed = FILES[name]
    found = differences(load_config(config(ready)), load_config(str(DATA / name)))
    assert {one.name: one.now for one in found} == {key: value for key, (value, _) in listed.items()}
    assert all(reason for _, reason in listed.values())


def test_segmentations_data_set_chooses_the_ready_configuration(tmp_path):
    text = (DATA / "original_hrnet_seg.yaml").read_text().replace("dataset: cityscapes", "dataset: lip")
    (tmp_path / "lip.yaml").write_text(text)
    found = differences(load_config(config("hrnet_w48_seg_lip_mindspore.yaml")), load_config(tmp_path / "lip.yaml"))
    assert {one.name for one in found} == {"end_epoch", "run_eval"}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_an_original_is_said_to_be_one_in_one_line(name, said):
    load_config(str(DATA / name))
    (line,) = [line for line in said() if "is a configuration of" in line]
    assert f"configs/{FILES[name][1]}" in line and "python -m src.config.originals" in line


def test_what_a_file_asks_for_otherwise_than_its_original_shipped_it_is_a_line_of_its_own(tmp_path, said):
    text = (DATA / "original_pointrend.yaml").read_text().replace("use_sigmoid_cls: True", "use_sigmoid_cls: False")
    (tmp_path / "c.yaml").write_text(text.replace("save_checkpoint: True", "save_checkpoint: False"))
    load_config(str(tmp_path / "c.yaml"))
    lines = [line.partition(": ")[2] for line in said() if "is a configuration of" not in line]
    assert [line.partition(":")[0] for line in lines] == ["use_sigmoid_cls False", "save_checkpoint False"]


def test_values_of_an_originals_file_reach_their_keys(tmp_path):
    changes = {
        "rpn_nms_thr: 0.7": "rpn_nms_thr: 0.6", "num_expected_pos: 128": "num_expected_pos: 64",
        "coco_root: \"\"": "coco_root: /coco", "val_data_type: val2017": "val_data_type: test2017",
        "resnet_block: [3, 4, 6, 3]": "resnet_block: [3, 4, 23, 3]", "not_mask: False": "not_mask: True",
    }  # fmt: skip
    text = (DATA / "original_pointrend.yaml").read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "c.yaml").write_text(text)
    cfg = load_config(str(tmp_path / "c.yaml"), ["--rpn_nms_thr", "0.65", "--train_data_type", "train2014"])
    assert cfg.test_cfg.rpn.iou_threshold == 0.65 and cfg.train_cfg.rpn.sampler.pos_fraction == 0.25
    assert (cfg.train_dataset, cfg.val_dataset) == ("/coco/train2014", "/coco/test2017")
    assert cfg.backbone.depth == 101 and cfg.mask_head.background_class is False
    assert {"test_cfg.rpn.iou_threshold", "train_dataset"} <= cfg.typed


def test_places_of_a_classifiers_file_are_those_of_its_comments_and_weights_are_what_each_command_means(tmp_path):
    text = (DATA / "original_hrnet_cls.yaml").read_text()
    for name in ("data_path", "eval_data_path", "checkpoint_path", "train_path"):
        text = text.replace(f"\n{name}: None", f"\n{name}: /my/{name}")
    (tmp_path / "c.yaml").write_text(text)
    trained, scored = (parse_cli("d", ["--config_path", str(tmp_path / "c.yaml")], command=name) for name in COMMANDS)
    assert (trained.train_dataset, trained.val_dataset) == ("/my/data_path", "/my/eval_data_path")
    assert trained.pre_trained == scored.checkpoint_path == "/my/checkpoint_path" and not trained.checkpoint_path
    assert trained.train_outputs == "/my/train_path" and not scored.pre_trained


COMMANDS = ("train.py", "eval.py")


def test_a_wrong_value_names_the_file_and_the_key_as_the_user_wrote_it(tmp_path):
    for old, new, said in (
        ("rpn_nms_thr: 0.7", "rpn_nms_thr: 3", "rpn_nms_thr (test_cfg.rpn.iou_threshold) is 3.0; it must be"),
        ("base_lr: 0.02", "base_lr: fast", "base_lr (lr) must be a number, not 'fast'"),
        ("resnet_block: [3, 4, 6, 3]", "resnet_block: [1, 2]", "resnet_block (backbone.depth) must be a whole number"),
        ("num_gts: 128", "num_gts: 128\nnum_gtts: 1", "unknown key num_gtts; did you mean num_gts?"),
        ("num_gts: 128", "num_gts: 1/0", "num_gts must be a whole number, not '1/0'"),
    ):
        text = (DATA / "original_pointrend.yaml").read_text()
        assert old in text
        (tmp_path / "c.yaml").write_text(text.replace(old, new))
        assert f"c.yaml: {said}" in refusal(str(tmp_path / "c.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_no_value_of_no_key_is_more_than_one_line(tmp_path, name, monkeypatch):
    values = yaml.safe_load((DATA / name).read_text())
    odd = (None, "text", [], ["(1", "2)"], {"a": [{}]}, -1, 10**30, float("nan"), True)
    refused = 0
    for key in values:
        for value in odd:
            try:
                own_words.in_own_words(values | {key: value}, [], "c.yaml")
            except UserError as error:
                assert is_one_line(str(error))
                refused += 1
    assert refused == 0  # a wrong value is refused by the key that it is for


# --------------------------------------------------------------------------------------------------- a command line


@pytest.mark.parametrize(("owner", "name", "option"), [(one, name, option) for one, _, name, option in TYPED])
def test_an_option_of_an_originals_script_is_known_beside_this_projects_configuration(owner, name, option):
    value = option.get("default")
    given = isinstance(value, int | float) or (isinstance(value, str) and value.strip("'\"") not in ("", "None"))
    text = str(value).strip("'") if given else SAMPLES[option.get("type", "str")]
    typed = [f"--{name}"] if option.get("action") else [f"--{name}", text]
    try:
        load_config(config(OWNERS[owner]), typed)
    except UserError as error:
        assert "unknown key" not in str(error) and not given


def test_every_option_of_the_originals_scripts_was_tried():
    assert {owner for owner, *_ in TYPED} == set(OWNERS) and len(TYPED) > 300
    assert len({name for _, _, name, _ in TYPED}) > 150


@pytest.mark.parametrize(
    ("task", "typed", "expected"),
    [
        ("detection", ["--rpn_loss_reg_weight", "2"], {"rpn.loss_bbox.loss_weight": 2}),
        ("detection", ["--warmup_ratio", "1/3.0"], {"warmup_ratio": 1 / 3}),
        ("detection", ["--not_mask=True"], {"mask_head.background_class": False}),
        ("detection", ["--num_expected_pos_stage2", "64"], {"train_cfg.rcnn.sampler.pos_fraction": 0.125}),
        ("detection", ["--coco_root", "/c", "--mindrecord_dir", "/m"],
         {"train_dataset": "/c/train2017", "val_dataset": "/c/val2017", "train_data_type": "coco"}),
        ("detection", ["--ann_file", "/c/annotations/instances_mini.json"], {"val_dataset": "/c/mini"}),
        ("detection", ["--ckpt_file", "a.ckpt"], {"checkpoint_path": "a.ckpt"}),
        ("detection", ["--base_lr", "0.1", "--lr", "0.2"], {"lr": 0.2}),
        ("detection", ["--lr", "0.2", "--base_lr", "0.1"], {"lr": 0.1}),
        ("detection", ["--coco_classes", "('background', 'a')", "--num_classes", "2"],
         {"coco_classes": ["background", "a"]}),
        ("detection of MaskRCNN", ["--roi_layer", "dict(type='RoIAlign', out_size=5, mask_out_size=9, sample_num=3)"],
         {"roi.roi_layer.out_size": 5, "mask_roi.roi_layer.out_size": 9, "mask_roi.roi_layer.sampling_ratio": 3}),
        ("detection of MaskRCNN", ["--mask_shape", "(14, 14)"], {"train_cfg.rcnn.mask_size": 14}),
        ("classification", ["--use_label_smooth", "False"], {"label_smoothing": 0}),
        ("classification", ["--label_smooth_factor", "0.2"], {"label_smoothing": 0.2}),
        ("classification", ["--sink_mode", "--batchsize", "7", "--lr_end", "1e-6"], {"batch_size": 7, "min_lr": 1e-6}),
        ("classification", ["--batchsize", "7", "--sink_mode"], {"batch_size": 7}),
        ("classification", ["--train_path", "/o", "--eval_interval", "3"], {"train_outputs": "/o", "eval_every": 3}),
        ("classification", ["--width", "256", "--height", "288"], {"img_width": 256, "img_height": 288}),
        ("segmentation", ["--eval", "True", "--eval_start", "4", "--interval", "2"],
         {"run_eval": True, "eval_start": 4, "eval_every": 2}),
        ("segmentation", ["--task", "seg"], {"task": "segmentation"}),
        ("segmentation", ["--checkpoint_file", "a.ckpt", "--pth_path", "b.pth"],
         {"checkpoint_path": "a.ckpt", "pt_path": "b.pth"}),
    ],
)  # fmt: skip
def test_an_option_reaches_its_key_and_is_typed(task, typed, expected):
    cfg = load_config(config(READY[task]), typed)
    for dotted, value in expected.items():
        found = functools.reduce(getattr, dotted.split("."), cfg)
        assert found == pytest.approx(value) if isinstance(value, float) else found == value
    assert set(expected) <= cfg.typed


def test_a_switch_of_the_smoothing_that_is_none_is_refused():
    message = refusal(config(READY["classification"]), "--use_label_smooth", "yes please")
    assert "use_label_smooth" in message and "'yes please'" in message


@pytest.mark.parametrize(
    ("task", "typed", "said_of"),
    [
        ("detection", "--dataset=coco", "COCO's layout"), ("detection", "--do_eval=True", "eval.py evaluates"),
        ("detection", "--train_data_type=val2017", "coco_root"), ("detection", "--save_checkpoint=False", "always"),
        ("detection", "--dataset_sink_mode_flag=True", "fed from Python"), ("classification", "--sink_mode", "Python"),
        ("classification", "--dataset=imagenet", "folders of classes"), ("segmentation", "--data_lst=x", "val.lst"),
        ("detection", "--rpn_nms_across_levels=True", "within each level"),
        ("detection", "--sgd_momentum=0.5", "momentum is the optimizer's"),
    ],
)  # fmt: skip
def test_an_option_without_a_place_here_is_one_line_that_says_what_stands_there(said, task, typed, said_of):
    cfg = load_config(config(READY[task]), [typed])
    (line,) = said()
    assert line.startswith(f"command line: {typed.partition('=')[0]} ") and said_of in line
    assert not differences(load_config(config(READY[task])), cfg)


def test_keys_of_an_original_in_a_configuration_of_this_project_are_translated(write):
    text = f"_base_: {config(READY['detection'])}\nrpn_nms_thr: 0.6\n"
    stage = "'STAGE2': backbone.extra is a key of backbone.type hrnet, not of resnet"
    assert stage in refusal(write(f"{text}STAGE2: {{NUM_MODULES: 2}}\n", classes=""))
    cfg = load_config(write(text, classes=""))
    assert cfg.test_cfg.rpn.iou_threshold == 0.6
    assert not differences(load_config(config(READY["detection"]), ["--test_cfg.rpn.iou_threshold", "0.6"]), cfg)


def test_a_word_that_this_project_has_too_means_here_what_it_did():
    """expand_ratio is twice as much in the originals, their lr is nobody's, their epoch_size the same."""
    cfg = load_config(config(READY["detection"]), ["--expand_ratio", "0.5", "--lr", "0.3", "--epoch_size", "5"])
    assert (cfg.expand_ratio, cfg.lr, cfg.epoch_size) == (0.5, 0.3, 5)


@pytest.mark.parametrize("text", ["task: classification\nbatchsize: 2\nlr_end: 0.1\nwd: 0\neps: 0.1", "batchsize: 2"])
def test_a_file_of_this_project_with_the_words_of_before_is_not_an_originals(write, text):
    path = write(text, classes="")
    assert original_of(yaml.safe_load(Path(path).read_text())) is None
    assert load_config(path).batch_size == 2


def test_a_key_that_is_nearly_an_originals_is_told_its_name():
    message = refusal(config(READY["detection"]), "--rpn_loss_reg_wieght", "1")
    assert "unknown key rpn_loss_reg_wieght; did you mean rpn_loss_reg_weight?" in message


# ------------------------------------------------------------------------------------------------------- the account


def test_the_command_prints_what_became_of_each_key():
    printed = run("-m", "src.config.originals", DATA / "original_pointrend.yaml").splitlines()
    assert "pointrend of MindSpore's models" in printed[0]
    assert "  rpn_loss_reg_weight 1: mapped: rpn.loss_bbox.loss_weight 1" in printed
    assert "  do_eval False: answered: train.py trains, eval.py evaluates" in printed
    assert len(printed) == 2 + len(yaml.safe_load((DATA / "original_pointrend.yaml").read_text()))


@pytest.mark.parametrize("name", ["seed_hrnet.yaml", "seed_spinenet.yaml"])
def test_the_two_originals_that_this_project_grew_from_have_no_unknown_key(name):
    lines = list(account(str(DATA / name)))
    assert lines[-1].endswith(" 0 unknown") and f"  rank_id 0: answered: {WITHOUT_EFFECT['rank_id']}" in lines


def test_the_command_names_an_unknown_key_and_says_what_is_wrong_with_a_file(write):
    printed = run("-m", "src.config.originals", write("colour: red\n"), status=2)
    assert "  colour 'red': unknown\n" in printed and "1 unknown" in printed and "error: " in printed
    assert "does not exist" in run("-m", "src.config.originals", "gone.yaml", status=2)
    assert "usage: " in run("-m", "src.config.originals", status=2)


# ------------------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1/3.0", 1 / 3), ("(28, 28)", [28, 28]), ("-1", -1), ("[(1, 2), (3,)]", [[1, 2], [3]]), ("'a'", "a"),
        ("dict(a=1, b=dict(c='x'))", {"a": 1, "b": {"c": "x"}}), ("{'a': None}", {"a": None}), ("True", True),
    ],
)  # fmt: skip
def test_texts_of_python_are_read(text, value):
    assert literal(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch x')", "open('x')", "dict(**{'a': 1})", "[x for x in (1,)]", "1/0", "10**10**10",
        "'a' * 10**9", "(" * 3000 + ")" * 3000, "1" * 30_000, "a", "f'{1}'", "lambda: 1", "-'a'", "1 +", "dict(1)",
        "\0", "{**{}}", "{[1]: 2}", "b'x'",
    ],
)  # fmt: skip
def test_nothing_else_is_read_and_nothing_is_run(text):
    with pytest.raises(ValueError):
        literal(text)
    assert plain(text) == text


def test_every_table_names_keys_of_this_project_or_says_what_stands_there_until_they_are_there():
    entries = [(original.name, key, entry) for original in ORIGINALS for key, entry in original.table.items()]
    assert len(entries) > 250
    for name, key, entry in entries:
        assert sum(map(bool, (entry.to, entry.together, not entry.to and not entry.together and entry.says))) == 1, name
        assert entry.says or entry.to or entry.together, key
