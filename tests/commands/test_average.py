"""The mean of checkpoints: its numbers, its facts, its evaluation beside its parts' own, what is refused."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mindspore import Tensor

from src.checkpoint import checkpoint_facts, read_checkpoint, save_arrays, save_weights
from src.commands.average import average, main, parts_of
from src.config import load_config, save_config
from src.errors import UserError
from src.tasks import TASKS

CONFIG = str(Path(__file__).parents[2] / "configs" / "demo" / "hrnet_cls_shapes.yaml")
KEYS = (
    "--backbone.type=resnet", "--backbone.depth=18", "--backbone.base_channels=4", "--cls_head.head_channels=[4,4,4,4]",
    "--cls_head.final_channels=8", "--num_classes=2", "--class_names=[a,b]", "--input_size=32", "--eval_resize=32",
    "--device_target=CPU", "--mode=pynative", "--test_batch_size=2", "--num_parallel_workers=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    """A run's folder: its configuration, three states, two best weights, all of one network with random weights."""
    place = tmp_path_factory.mktemp("average")
    for number, name in enumerate("aab"):
        (place / "val" / name).mkdir(parents=True, exist_ok=True)
        picture = np.random.RandomState(number).randint(0, 256, (32, 32, 3)).astype(np.uint8)
        cv2.imwrite(str(place / "val" / name / f"{number}.png"), picture)
    cfg = load_config(CONFIG, [*KEYS, f"--val_dataset={place / 'val'}"])
    task, folder = TASKS[cfg.task], place / "run"
    model = task.build_model(cfg)
    files = [f"ckpt/epoch_{epoch:04d}_step_0000002.ckpt" for epoch in (1, 2, 10)]
    files += ["best_ckpt/Top_1_Acc_0.9000_epoch_0001.ckpt", "best_ckpt/Top_1_Acc_0.8000_epoch_0010.ckpt"]
    for seed, name in enumerate(files):
        rng = np.random.RandomState(seed)
        for one in model.get_parameters():
            one.set_data(Tensor(rng.uniform(0.1, 1, one.shape).astype(np.float32)))
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_weights(model, path, facts=task.facts(cfg))
    save_config(cfg, str(folder / "config.yaml"))
    return folder


def states(folder: Path) -> list[Path]:
    return sorted((folder / "ckpt").iterdir())


def test_the_mean_is_numpys_and_whole_numbers_and_facts_are_the_newest_ones(tmp_path, run_folder):
    paths = []
    for number, path in enumerate(states(run_folder)):
        values = {"w": np.float32([number, 1e8]), "count": np.int32([7 * number]), "state/moments.w": np.float32([9])}
        paths.append(tmp_path / path.name)
        save_arrays(values, paths[-1], {"task": "classification", "config": {"seed": number}})
    values, facts = average(paths)
    assert values.keys() == {"w", "count"} and facts["config"] == {"seed": 2}
    np.testing.assert_array_equal(values["w"], np.float32([1, 1e8]))
    assert values["w"].dtype == np.float32 and values["count"].tolist() == [14] and values["count"].dtype == np.int32


def test_a_folders_last_and_best_checkpoints_come_oldest_first(run_folder):
    names = [[path.name for path in parts_of([str(run_folder)], *which)] for which in ((), (2, None), (None, 2))]
    assert names[0] == [path.name for path in states(run_folder)] and names[1] == names[0][1:]
    assert names[2] == ["Top_1_Acc_0.9000_epoch_0001.ckpt", "Top_1_Acc_0.8000_epoch_0010.ckpt"]


@pytest.mark.parametrize("source", ["folder", "files"])
def test_the_average_is_evaluated_beside_its_parts_and_is_a_checkpoint_as_any_other(
    pynative_mode, tmp_path, run_folder, capsys, source
):
    out = tmp_path / "new" / "mean.ckpt"
    parts = states(run_folder)[1:]
    main([*(map(str, parts) if source == "files" else (str(run_folder), "--last", "2")), "--out", str(out)])
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[-4:]}
    assert list(rows) == ["checkpoint", *(path.name for path in parts), "mean.ckpt"]
    assert rows["checkpoint"] == ["Loss", "Top_1_Acc", "Top_5_Acc"]
    assert all(re.fullmatch(r"\d+\.\d{4}", number) for row in list(rows.values())[1:] for number in row)
    values, both = read_checkpoint(out), [read_checkpoint(path) for path in parts]
    for name, value in values.items():
        np.testing.assert_array_equal(value, np.mean([np.float64(one[name]) for one in both], 0).astype(np.float32))
    assert any(name.endswith("moving_variance") for name in values)
    assert checkpoint_facts(out) == checkpoint_facts(parts[-1]) and checkpoint_facts(out)["class_names"] == ["a", "b"]
    cfg = load_config(str(run_folder / "config.yaml"), [f"--checkpoint_path={out}"])
    logits = TASKS[cfg.task].load(cfg)(Tensor(np.zeros((1, 3, 32, 32), np.float32)))
    assert logits.shape == (1, 2) and np.isfinite(logits.asnumpy()).all()


def test_without_the_data_it_is_not_written_but_with_no_eval(tmp_path, run_folder):
    out = tmp_path / "mean.ckpt"
    with pytest.raises(SystemExit) as left:
        main([str(run_folder), "--out", str(out), "--val_dataset", str(tmp_path / "gone")])
    assert left.value.code == 2 and not out.exists()
    main([str(run_folder), "--out", str(out), "--no_eval"])
    assert out.exists()


def test_what_cannot_be_averaged_is_one_line(tmp_path, run_folder, capsys):
    one, other = states(run_folder)[:2]
    values, facts = read_checkpoint(one), checkpoint_facts(one)
    unlike = {
        "names": ({f"{name}x": value for name, value in values.items()}, facts, "only one of them has "),
        "shapes": (values | {"classifier.bias": np.zeros(3, np.float32)}, facts, "classifier.bias is [2] in one, [3] "),
        "classes": (values, facts | {"class_names": ["b", "a"]}, "they have another class_names"),
        "task": (values, facts | {"task": "segmentation"}, "they have another task"),
        "definition": (values, facts | {"definition": {"backbone.type": "x"}}, "they have other values of "),
    }
    (tmp_path / "there.ckpt").write_bytes(b"")
    cases = {
        "exists already": [str(run_folder), "--out", str(tmp_path / "there.ckpt")],
        "must end with .ckpt": [str(run_folder), "--out", str(tmp_path / "mean.npz")],
        "holds 3 checkpoints, too few for --last 4": [str(run_folder), "--last", "4", "--out", "x.ckpt"],
        "holds 2 checkpoints, too few for --best 3": [str(run_folder), "--best", "3", "--out", "x.ckpt"],
        "no run has begun in": [str(tmp_path), "--out", "x.ckpt"],
        "is one checkpoint": [str(one), "--out", "x.ckpt"],
        "is given twice": [str(one), str(one), "--out", "x.ckpt"],
        "give one run's folder alone": [str(one), str(run_folder), "--out", "x.ckpt"],
        "give its folder alone": [str(one), str(other), "--last", "2", "--out", "x.ckpt"],
        "--last is 1; it must be at least 2": [str(run_folder), "--last", "1", "--out", "x.ckpt"],
        "unknown key rubbish": [str(run_folder), "--out", "x.ckpt", "--rubbish", "1"],
        "unknown option --rubbish": [str(run_folder), "--out", "x.ckpt", "--rubbish=1", "--no_eval"],
        "does not exist": [str(one), str(tmp_path / "gone.ckpt"), "--out", "x.ckpt", "--no_eval"],
    }
    for name, (changed, own, said) in unlike.items():
        path = tmp_path / f"{name}.ckpt"
        save_arrays(changed, path, own)
        cases[said] = [str(one), str(path), "--out", "x.ckpt", "--no_eval"]
    for said, arguments in cases.items():
        with pytest.raises(SystemExit) as left:
            main(arguments)
        printed = capsys.readouterr().err
        assert left.value.code == 2 and said in printed, (said, printed)
        assert printed.startswith("error: ") and printed.count("\n") == 1
    assert not Path("x.ckpt").exists()
    with pytest.raises(UserError, match="too few for an average, which has two at least"):
        parts_of([str(lonely(tmp_path, one))])


def lonely(tmp_path: Path, state: Path) -> Path:
    """A run of one checkpoint."""
    folder = tmp_path / "lonely"
    (folder / "ckpt").mkdir(parents=True)
    (folder / "ckpt" / state.name).write_bytes(state.read_bytes())
    return folder
