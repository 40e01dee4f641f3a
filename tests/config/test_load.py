"""Configuration: what loads, what overrides do, and what is refused with which words. Nothing here needs MindSpore."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from src.config import load_config, parse_cli, save_config
from src.errors import UserError
from tests.config.refused import refusal

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.yaml") if path.parent.name != "_base_")


# ------------------------------------------------------------------------------------------------- files that load


def test_the_published_hrnet_file_loads_unchanged(data_files):
    cfg = load_config(str(data_files / "seed_hrnet.yaml"))
    assert cfg.backbone.extra.stage4.num_channels == [32, 64, 128, 256]
    assert cfg.train_cfg.rcnn.sampler.num == 512
    assert cfg.mask_roi.roi_layer.out_size == 14
    assert (cfg.num_classes, len(cfg.coco_classes)) == (81, 81)
    assert cfg.train_data_type == "auto"  # a value of later, which the file's list of values does not know


def test_the_published_spinenet_file_loads_unchanged_and_its_sample_num_is_the_sampling_ratio(data_files):
    cfg = load_config(str(data_files / "seed_spinenet.yaml"))
    assert (cfg.backbone.type, cfg.backbone.arch) == ("spinenet", "49")
    assert (cfg.roi.roi_layer.sampling_ratio, cfg.mask_roi.roi_layer.sampling_ratio) == (2, 2)
    assert cfg.mask_head.norm_cfg.eps == 0.001


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_of_the_repository_loads_and_survives_saving(path, tmp_path):
    cfg = load_config(str(path))
    save_config(cfg, str(tmp_path / "saved.yaml"))
    assert load_config(str(tmp_path / "saved.yaml")) == cfg


def test_the_published_values_are_kept_by_the_configurations_of_the_repository(data_files):
    published = load_config(str(data_files / "seed_hrnet.yaml"))
    for name in ("default_config", "mask_rcnn_hrnetv2p_w32_1x_coco"):
        ours = load_config(str(ROOT / "configs" / f"{name}.yaml"))
        for section in ("rpn", "bbox_head", "mask_head", "train_cfg", "test_cfg"):
            assert getattr(ours, section) == getattr(published, section), section
        assert ours.backbone.extra == published.backbone.extra
        assert ours.neck.fpn == published.neck.fpn
        assert (ours.lr, ours.lr_steps, ours.img_width) == (published.lr, published.lr_steps, published.img_width)
        assert (ours.batch_size, ours.epoch_size, ours.loss_scale) == (2, 12, 256.0)


def test_the_stages_of_a_network_stand_in_one_file():
    blocks = {}
    for path in sorted((ROOT / "configs").rglob("*.yaml")):
        extra = next(yaml.safe_load_all(path.read_text(encoding="utf-8"))).get("backbone", {}).get("extra")
        blocks.setdefault(str(extra), []).append(path.name)
    assert len(blocks.pop("None")) > 25 and len(blocks) == 12
    assert not [names for names in blocks.values() if len(names) > 1]


# ------------------------------------------------------------------------------------------------------------ values


def test_flags_may_be_0_1_true_or_false_and_are_stored_as_booleans(write):
    cfg = load_config(write("keep_ratio: 0\nto_rgb: true\nrun_eval: 1\n"), ["--finetune", "true", "--resume", "1"])
    assert [cfg.keep_ratio, cfg.to_rgb, cfg.run_eval, cfg.finetune, cfg.resume] == [False, True, True, True, True]
    assert type(cfg.keep_ratio) is bool


def test_numbers_without_a_dot_that_yaml_reads_as_text_are_numbers(write):
    cfg = load_config(write("min_lr: 1e-9\n"), ["--weight_decay", "5e-4", "--lr=1e-3"])
    assert (cfg.min_lr, cfg.weight_decay, cfg.lr) == (1e-9, 5e-4, 1e-3)


def test_overrides_take_the_type_of_their_key(write):
    arguments = [
        "--train_cfg.rcnn.sampler.num",
        "256",
        "--lr_steps",
        "[3, 5]",
        "--brief",
        "007",
        "--flip_ratio=0",
        "--backbone.frozen_stages",
        "-1",
        "--checkpoint_path=a=b.ckpt",
    ]
    cfg = load_config(write(), arguments)
    assert cfg.train_cfg.rcnn.sampler.num == 256
    assert cfg.lr_steps == [3, 5]
    assert (cfg.brief, cfg.checkpoint_path) == ("007", "a=b.ckpt")
    assert (cfg.flip_ratio, type(cfg.flip_ratio), cfg.backbone.frozen_stages) == (0.0, float, -1)


def test_an_override_inside_a_section_that_is_null_switches_it_on(write):
    assert load_config(write()).bbox_head.norm_cfg is None
    assert load_config(write(), ["--bbox_head.norm_cfg.eps", "0.01"]).bbox_head.norm_cfg.eps == 0.01


def test_sample_num_is_the_sampling_ratio_on_the_command_line_too(write):
    assert load_config(write(), ["--roi.roi_layer.sample_num", "2"]).roi.roi_layer.sampling_ratio == 2


def test_two_loads_share_no_values(write):
    first, second = load_config(write()), load_config(write())
    first.lr_steps.append(99)
    assert second == load_config(write())


def test_a_configuration_and_its_sections_cannot_be_changed_in_place(write):
    cfg = load_config(write())
    for part, name in (
        (cfg, "lr"),
        (cfg.backbone, "norm_eval"),
        (cfg.backbone.extra.stage1, "block"),
        (cfg.rpn, "new"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, name, 1)
    assert dataclasses.replace(cfg, lr=0.5).lr == 0.5 and cfg == load_config(write())


def test_input_size_sets_both_sides_of_the_image(write):
    cfg = load_config(write("img_width: 512\n"), ["--input_size", "256"])
    assert (cfg.img_width, cfg.img_height) == (256, 256)
    assert "img_width is 100; it must be a multiple of 32" in refusal(write("input_size: 100\n"))


@pytest.mark.parametrize(
    "typed,size,kept",
    [
        ([], (256, 256), 256),
        (["--img_width", "512"], (512, 256), 0),
        (["--img_width", "512", "--img_height", "128"], (512, 128), 0),
        (["--img_height", "256"], (256, 256), 256),
        (["--img_width", "512", "--input_size", "64"], (64, 64), 64),
        (["--input_size", "64", "--img_width", "512"], (512, 64), 0),
    ],
)
def test_a_side_that_was_typed_wins_over_a_files_input_size(write, tmp_path, typed, size, kept):
    cfg = load_config(write("input_size: 256\n"), typed)
    assert (cfg.img_width, cfg.img_height) == size and cfg.input_size == kept
    save_config(cfg, str(tmp_path / "run.yaml"))
    assert load_config(str(tmp_path / "run.yaml")) == cfg


@pytest.mark.parametrize("text", ["('background', 1.a)", "[background", "{", "'x"])
def test_a_list_that_cannot_be_read_is_one_line(write, text):
    assert f"command line: --coco_classes {text!r} cannot be read as a list; write [a, b, c]" in refusal(
        write(), "--coco_classes", text
    )


# ---------------------------------------------------------------------------------------------- keys without effect


IDLE = "rank_id: 3\nroi: {sample_num: 640}\ntrain_cfg: {rpn: {sampler: {num: 9, add_gt_as_proposals: true}}}\n"


def test_keys_that_nothing_reads_are_taken_and_said_once_to_have_no_effect(write, said):
    write(IDLE, "base.yaml")
    path = write("_base_: base.yaml\nmask_roi: {sample_num: many}\n", classes="")
    cfg = load_config(path, ["--rank_id", "5", "--mask_roi.sample_num=1", "--rank_id=6", "--seed=7"])
    assert (cfg.seed, cfg.train_cfg.rpn.sampler.num) == (7, 9)
    names = "rank_id, roi.sample_num, train_cfg.rpn.sampler.add_gt_as_proposals, mask_roi.sample_num"
    assert said() == [f"keys without effect: {names} ({path}); rank_id, mask_roi.sample_num (command line)"]


def test_the_line_on_keys_without_effect_goes_to_stderr_before_there_is_a_log(write):
    program = "import sys; from src.config import load_config; load_config(sys.argv[1])"
    command = [sys.executable, "-c", program, write(IDLE)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stderr.startswith("keys without effect: rank_id") and result.stderr.count("\n") == 1
    assert not result.stdout


def test_a_file_without_such_keys_says_nothing_and_the_second_stage_keeps_its_own(write, said):
    cfg = load_config(write("train_cfg: {rcnn: {sampler: {add_gt_as_proposals: 1}}}\n"))
    assert cfg.train_cfg.rcnn.sampler.add_gt_as_proposals is True and not said()
    assert "unknown key rpn.sample_num" in refusal(write("rpn: {sample_num: 1}\n"))


def test_the_shipped_configurations_hold_no_key_without_effect(said):
    for path in CONFIGS:
        load_config(str(path))
    assert len(CONFIGS) > 25 and not said()


# ------------------------------------------------------------------------------------------------------------ _base_


def test_a_base_chain_merges_mappings_and_replaces_lists_and_scalars(write):
    write("lr: 0.5\nlr_steps: [1, 2]\nrpn: {feat_channels: 8, in_channels: 9}\n", "grand.yaml")
    write("_base_: grand.yaml\nlr: 0.25\n", "parent.yaml", classes="")
    cfg = load_config(write("_base_: parent.yaml\nlr_steps: [7]\nrpn: {in_channels: 10}\n", classes=""))
    assert (cfg.lr, cfg.lr_steps, cfg.rpn.feat_channels, cfg.rpn.in_channels) == (0.25, [7], 8, 10)


def test_a_child_can_set_what_its_base_calls_by_the_other_name(write):
    write("roi: {roi_layer: {sample_num: 2}}\n", "base.yaml")
    cfg = load_config(write("_base_: base.yaml\nroi: {roi_layer: {sampling_ratio: 3}}\n", classes=""))
    assert cfg.roi.roi_layer.sampling_ratio == 3


def test_a_base_is_found_relative_to_its_file(write, tmp_path, monkeypatch):
    write("lr: 0.5\n", "base.yaml")
    path = write("_base_: base.yaml\n", classes="")
    monkeypatch.chdir("/")
    assert load_config(path).lr == 0.5


def test_a_cycle_of_bases_is_refused(write):
    write("_base_: config.yaml\n", "other.yaml", classes="")
    assert "_base_" in refusal(write("_base_: other.yaml\n", classes=""))


def test_a_missing_base_is_named(write):
    assert "nowhere.yaml" in refusal(write("_base_: nowhere.yaml\n", classes=""))


def test_choices_of_a_base_hold_for_its_children(write):
    write("---\n---\ndevice_target: [CPU]\n", "base.yaml")
    assert "device_target" in refusal(write("_base_: base.yaml\ndevice_target: GPU\n", classes=""))


# ------------------------------------------------------------------------------------------- three documents, --help


def test_the_third_document_restricts_values_and_overrides(write):
    path = write("lr: 0.1\ndevice_target: CPU\n---\n---\ndevice_target: [CPU]\nlr: [0.1, 0.2]\n")
    assert load_config(path, ["--lr", "0.2"]).lr == 0.2
    message = refusal(path, "--device_target", "GPU")
    assert "device_target" in message and "GPU" in message and "CPU" in message


def test_choices_for_a_key_that_does_not_exist_restrict_nothing(write):
    cfg = load_config(write("---\n---\nbackbone_type: [resnet, resnext]\n"))
    assert cfg.backbone.type == "hrnet"


def test_help_lists_keys_with_the_texts_of_the_second_document_and_leaves(write, capsys):
    path = write("---\nlr: 'How fast it learns, says this file.'\n")
    with pytest.raises(SystemExit) as left:
        parse_cli("What the command does.", ["--config_path", path, "--help"])
    text = capsys.readouterr().out
    assert left.value.code == 0
    assert "What the command does." in text and "How fast it learns, says this file." in text
    assert "--train_cfg.rcnn.sampler.num" in text and "--bbox_head.norm_cfg.eps" in text


def test_help_needs_no_configuration_and_imports_neither_mindspore_nor_numpy():
    program = (
        "import sys\nfrom src.config import parse_cli\n"
        "try: parse_cli('d', ['--help'])\nexcept SystemExit: pass\nassert not {'mindspore', 'numpy'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "--batch_size" in result.stdout


def test_the_command_line_needs_a_configuration_and_the_required_keys(write):
    with pytest.raises(UserError, match="--config_path"):
        parse_cli("d", [])
    with pytest.raises(UserError, match="--checkpoint_path"):
        parse_cli("d", ["--config_path", write()], required=("checkpoint_path",))
    assert parse_cli("d", ["--config_path", write(), "--seed=5"]).seed == 5


# -------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("text", "wrong", "nearest"),
    [
        ("batch_sizes: 2\n", "batch_sizes", "batch_size"),
        ("train_cfg: {rcnn: {samplr: {num: 2}}}\n", "train_cfg.rcnn.samplr", "train_cfg.rcnn.sampler"),
        ("train_cfg: {rcnn: {sampler: {nums: 2}}}\n", "train_cfg.rcnn.sampler.nums", "train_cfg.rcnn.sampler.num"),
    ],
)
def test_an_unknown_key_in_a_file_is_named_in_full_with_the_nearest(write, text, wrong, nearest):
    message = refusal(write(text))
    assert f"unknown key {wrong};" in message and nearest + "?" in message and "config.yaml" in message


@pytest.mark.parametrize(
    ("name", "nearest"), [("lr_step", "lr_steps"), ("roi.roi_layer.outsize", "roi.roi_layer.out_size"), ("lr.x", "lr")]
)
def test_an_unknown_key_on_the_command_line_is_named_in_full_with_the_nearest(write, name, nearest):
    message = refusal(write(), f"--{name}", "1")
    assert f"unknown key {name};" in message and nearest in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("batch_size", "0"), ("batch_size", "1.5"), ("batch_size", "many"), ("batch_size", "true"),
        ("batch_size", "null"),
        ("lr", "0"), ("lr", "-1"), ("lr", ".nan"), ("lr", ".inf"), ("lr", "fast"), ("lr", "[1]"), ("lr", "false"),
        ("flip_ratio", "1.1"), ("flip_ratio", "-0.1"), ("momentum", "2"),
        ("keep_ratio", "2"), ("keep_ratio", "often"), ("keep_ratio", "1.0"),
        ("img_mean", "[1, 2]"), ("img_std", "[0, 1, 1]"), ("img_std", "3"), ("lr_steps", "8.5"), ("lr_steps", "[a]"),
        ("device_target", "TPU"), ("opt_type", "lion"), ("lr_type", "polynomial"), ("mode", "eager"), ("task", "pose"),
        ("backbone.extra.stage1.block", "basic"),
        ("bbox_head.bbox_coder.target_stds", "[1]"),
        ("mask_divider", "2.0"), ("datasink", "2"), ("rpn", "5"), ("rpn.anchor_generator.scales", "[-8]"),
        ("train_cfg.rpn.assigner.neg_iou_thr", "0.95"), ("train_cfg.rcnn.sampler.pos_fraction", "2"),
        ("train_cfg.rcnn.sampler.order", "sorted"), ("seed", "-1"), ("loss_scale", "0"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_right_is_refused_with_key_and_value(write, key, value):
    message = refusal(write(), f"--{key}", value)
    assert key in message
    shown = {"null": "None", "true": "True", "false": "False", ".nan": "nan", ".inf": "inf", "[1, 2]": "3 numbers"}
    assert shown.get(value, value.strip("[]").split(",")[0]) in message or key == "datasink"


def test_a_wrong_value_in_a_file_names_the_file(write):
    message = refusal(write("backbone: {norm_cfg: {momentum: 3}}\n"))
    assert "config.yaml" in message and "backbone.norm_cfg.momentum" in message and "3" in message


@pytest.mark.parametrize("typed", [[], ["--datasink", "1"], ["--datasink=True"]])
def test_data_sinking_is_one_line_that_says_why_batches_are_fed_from_python_and_nothing_else_changes(
    write, said, typed
):
    cfg = load_config(write("" if typed else "datasink: 1\n"), typed)
    assert cfg == load_config(write()) and not cfg.datasink
    (line,) = said()
    assert "datasink" in line and "batches are fed from Python here" in line


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("lr: 0.1\nlr: 0.2\n", "line 2"),
        ("rpn:\n  in_channels: 1\n  in_channels: 2\n", "line 3"),
        ("lr: [1, 2\nseed: 1\n", "line"),
        ("lr: 1\n\tseed: 2\n", "line 2"),
        ("- lr\n- seed\n", "mapping"),
        ("[]\n", "mapping"),
        ("just text\n", "mapping"),
        ("", "mapping"),
        ("---\n", "mapping"),
        ("lr: 1\n---\n{}\n---\n{}\n---\n{}\n", "three"),
        ("lr: !!python/object/apply:os.system ['true']\n", "line 1"),
        ("lr: \x00\n", "config.yaml"),
    ],
    ids=["twice", "twice inside", "open list", "tab", "list", "empty list", "text", "empty file", "empty document",
         "four documents", "python object", "control character"],
)  # fmt: skip
def test_a_file_that_is_no_configuration_is_named_with_its_line(write, content, said):
    message = refusal(write(content, classes=""))
    assert "config.yaml" in message and said in message


def test_missing_files_folders_and_binary_files_are_named(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    for name in ("missing.yaml", "binary.yaml", ""):
        assert str(tmp_path / name) in refusal(str(tmp_path / name))


@pytest.mark.parametrize(
    "arguments", [["--lr"], ["--lr", "--seed", "1"], ["lr=1"], ["-lr", "1"], ["--"], ["--lr_steps", "[1"]]
)
def test_malformed_arguments_are_refused(write, arguments):
    assert refusal(write(), *arguments)


def test_saving_where_nothing_can_be_written_is_a_user_error(write, tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        save_config(load_config(write()), str(tmp_path / "nowhere" / "config.yaml"))


def test_of_several_bases_the_later_one_wins_and_the_file_itself_over_all(tmp_path):
    (tmp_path / "a.yaml").write_text("lr: 0.1\nseed: 3\nepoch_size: 5\n")
    (tmp_path / "b.yaml").write_text("lr: 0.2\nseed: 4\n")
    (tmp_path / "c.yaml").write_text("_base_: [a.yaml, b.yaml]\nseed: 9\ntask: classification\n")
    cfg = load_config(str(tmp_path / "c.yaml"))
    assert (cfg.lr, cfg.seed, cfg.epoch_size) == (0.2, 9, 5)
