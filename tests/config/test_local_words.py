"""The originals' words for data, weights and results on a command line: local paths, as each command means them."""

from pathlib import Path

import pytest

from src.config import parse_cli
from src.errors import UserError

CONFIGS = Path(__file__).parents[2] / "configs"
CLASSIFIER, SEGMENTER = str(CONFIGS / "hrnet_w48_cls.yaml"), str(CONFIGS / "hrnet_w48_seg_cityscapes.yaml")
DETECTOR = str(CONFIGS / "mask_rcnn_r50_fpn_1x_coco.yaml")
TRAINING = {
    "data_path": "train_dataset", "data_url": "train_dataset", "checkpoint_path": "pre_trained",
    "checkpoint_url": "pre_trained", "train_url": "train_outputs", "eval_data_url": "val_dataset",
}  # fmt: skip
SCORING = {"data_path": "val_dataset", "data_url": "val_dataset", "checkpoint_url": "checkpoint_path"}
INFERENCE = {"data_path": "pred_input", "data_url": "pred_input", "checkpoint_url": "checkpoint_path"}
MEANT = [
    (command, word, key)
    for command, words in (
        ("train.py", TRAINING), ("eval.py", SCORING), ("infer.py", INFERENCE),
        ("export.py", {"checkpoint_url": "checkpoint_path"}),
    )
    for word, key in words.items()
]  # fmt: skip


def config(command: str, *typed: str, path: str = CLASSIFIER):
    return parse_cli("d", ["--config_path", path, *typed], command=command)


@pytest.mark.parametrize("path", [CLASSIFIER, SEGMENTER, DETECTOR])
@pytest.mark.parametrize(("command", "word", "key"), MEANT)
def test_a_typed_word_is_the_local_path_that_it_is_in_its_original_and_its_own_key_is_empty_again(
    command, word, key, path
):
    cfg = config(command, f"--{word}", "/there/it is", path=path)
    assert getattr(cfg, key) == "/there/it is" and key in cfg.typed
    assert getattr(cfg, word) == getattr(config(command, path=path), word)


@pytest.mark.parametrize(("command", "word", "key"), MEANT)
def test_in_a_file_and_with_modelarts_the_words_mean_what_they_did(write, command, word, key):
    before = getattr(config(command), key)
    path = write(f"_base_: {CLASSIFIER}\n{word}: /there\n", classes="")
    assert getattr(config(command, path=path), key) == before and getattr(config(command, path=path), word) == "/there"
    cloud = config(command, f"--{word}", "/there", "--enable_modelarts", "1")
    assert getattr(cloud, key) == before and getattr(cloud, word) == "/there"


def test_what_is_said_twice_is_taken_once_and_refused_where_it_differs():
    assert config("train.py", "--checkpoint_path", "a.ckpt", "--pre_trained", "a.ckpt").pre_trained == "a.ckpt"
    twice = (("checkpoint_path", "pre_trained"), ("data_path", "data_url"), ("train_url", "train_outputs"))
    for first, second in twice:
        with pytest.raises(UserError) as caught:
            config("train.py", f"--{first}", "/a", f"--{second}", "/b")
        assert all(f"--{name}" in str(caught.value) for name in (first, second)) and "\n" not in str(caught.value)


def test_a_word_satisfies_what_a_command_needs(write):
    path = write("train_dataset: ''\n", classes=f"_base_: {CLASSIFIER}\n")
    with pytest.raises(UserError, match="--train_dataset is missing"):
        parse_cli("d", ["--config_path", path], required=("train_dataset|mindrecord_dir",), command="train.py")
    typed = ["--config_path", path, "--data_path", "/there"]
    cfg = parse_cli("d", typed, required=("train_dataset|mindrecord_dir",), command="train.py")
    assert cfg.train_dataset == "/there"


@pytest.mark.parametrize(("path", "held"), [(SEGMENTER, "val.lst"), (DETECTOR, "annotations/instances_val2017.json")])
def test_data_that_hold_what_is_evaluated_are_evaluated_too(tmp_path, path, held):
    (tmp_path / held).parent.mkdir(exist_ok=True)
    (tmp_path / held).write_text("")
    typed = ("--data_url", str(tmp_path))
    assert config("train.py", *typed, path=path).val_dataset == str(tmp_path)
    assert config("train.py", *typed, "--val_dataset", "/other", path=path).val_dataset == "/other"


def test_without_data_to_evaluate_a_training_goes_on_without_evaluation_which_is_said(tmp_path, said):
    cfg = config("train.py", "--data_path", str(tmp_path))
    assert cfg.run_eval is False and "no evaluation while training" in said()[0]
    assert config("train.py", "--data_path", str(tmp_path), "--run_eval", "1").run_eval is True
    assert config("train.py", "--data_path", "/x", "--eval_data_path", "/y").run_eval is True
    assert config("train.py", "--train_dataset", "/x").run_eval is True


def test_words_that_act_are_not_said_to_have_no_effect(said):
    config("train.py", "--checkpoint_url", "a", "--train_url", "b", "--data_url", "/c", "--eval_data_url", "/d")
    assert not [line for line in said() if "without effect" in line]
    config("eval.py", "--train_url", "b")
    assert said()[-1] == "keys without effect (command line): train_url (eval.py reads it with enable_modelarts alone)"
