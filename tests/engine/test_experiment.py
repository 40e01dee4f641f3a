from pathlib import Path

import pytest
import yaml

from src.config import load_config
from src.engine.curves import CsvTable
from src.engine.experiment import open_experiment
from src.errors import UserError
from src.tasks import TASKS

DEMO = Path(__file__).parents[2] / "configs" / "demo"
CONFIG, CLASSIFIER = str(DEMO / "mask_rcnn_hrnet_tiny.yaml"), str(DEMO / "hrnet_cls_shapes.yaml")


def open_run(tmp_path, *overrides, steps=1):
    """The experiment of a run that has done so many steps and has more to come."""
    cfg = load_config(CONFIG, ["--train_outputs", str(tmp_path), "--brief", "b", *overrides])
    experiment = open_experiment(cfg, TASKS[cfg.task].run_names(cfg), True)
    experiment.keep_config()
    do_steps(experiment.folder, steps)
    return experiment


def do_steps(folder, count):
    folder.mkdir(exist_ok=True)
    CsvTable(folder / "losses.csv").append([{"global_step": step} for step in range(1, 1 + count)])


def test_the_folder_is_named_by_date_system_and_brief_and_holds_the_resolved_configuration(tmp_path):
    experiment = open_run(tmp_path, "--lr", "0.5")
    assert experiment.folder.name[6:] == "_MaskRCNN_b" and experiment.folder.name[:6].isdigit()
    assert load_config(str(experiment.folder / "config.yaml")).lr == 0.5


def test_a_second_run_of_the_same_name_is_refused_and_writes_nothing(tmp_path):
    folder = open_run(tmp_path).folder
    before = (folder / "config.yaml").read_text()
    with pytest.raises(UserError, match=r"--resume 1"):
        open_run(tmp_path, "--lr", "0.5")
    assert (folder / "config.yaml").read_text() == before


def test_resume_takes_the_newest_folder_of_the_name_and_refuses_another_configuration(tmp_path):
    folder = open_run(tmp_path).folder
    older = folder.with_name("200101_MaskRCNN_b")
    folder.rename(older)
    assert open_run(tmp_path, "--resume", "1", "--epoch_size", "9").folder == older
    with pytest.raises(UserError, match=r"batch_size"):
        open_run(tmp_path, "--resume", "1", "--batch_size", "3")


def test_the_keys_in_which_a_resumed_run_differs_are_named_one_by_one(tmp_path):
    open_run(tmp_path)
    free = ["--test_cfg.rcnn.score_thr", "0.3", "--num_parallel_workers", "3"]
    changed = ["--backbone.extra.stage4.num_channels", "[4, 8, 16, 64]", "--mask_head.norm_cfg.eps", "0.01"]
    said = (
        r"another backbone.extra.stage4.num_channels \(\[4, 8, 16, 32\] then, \[4, 8, 16, 64\] now\), "
        r"mask_head.norm_cfg \(False then, True now\)$"
    )
    with pytest.raises(UserError, match=said):
        open_run(tmp_path, "--resume", "1", *free, *changed)
    values = dict(grad_clip=1, momentum=0, seed=7, batch_size=5, ohem=1, mixup=1)
    many = [f"--{name}={value}" for name, value in values.items()]
    with pytest.raises(UserError, match=r"momentum \(0.9 then, 0.0 now\).* 2 more$"):
        open_run(tmp_path, "--resume", "1", *many)


def test_a_folder_that_is_written_in_another_way_is_the_same_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = open_run(tmp_path, "--train_dataset", "train").folder
    assert open_run(tmp_path, "--resume", "1", "--train_dataset", str(tmp_path / "train")).folder == folder
    with pytest.raises(UserError, match=r"another train_dataset \("):
        open_run(tmp_path, "--resume", "1", "--train_dataset", "other")


def test_of_several_training_sets_each_must_be_the_same_folder_in_the_same_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = open_run(tmp_path, "--train_dataset", "[a, b]", "--train_weights", "[1, 2]").folder
    again = ("--resume", "1", "--train_weights", "[1, 2]", "--train_dataset")
    assert open_run(tmp_path, *again, f"[a/../a, {tmp_path / 'b'}]").folder == folder
    for other in ("[b, a]", "[a, c]", "[a, b, c]", "a"):
        weights = ("--train_weights", "[]") if other in ("a", "[a, b, c]") else ()
        with pytest.raises(UserError, match=r"another train_dataset \("):
            open_run(tmp_path, *again, other, *weights)
    with pytest.raises(UserError, match=r"another train_weights \(\[1.0, 2.0\] then, \[1.0, 3.0\] now"):
        open_run(tmp_path, *again, "[a, b]", "--train_weights", "[1, 3]")


def test_a_run_folder_of_before_with_keys_that_have_left_can_be_resumed(tmp_path):
    saved = open_run(tmp_path).folder / "config.yaml"
    values = yaml.safe_load(saved.read_text())
    values["backbone"] |= {
        "arch": "49",
        "scaling": {"width": 0.0},
        "depth": 50,
        "base_channels": 64,
        "style": "pytorch",
    }
    values["train_cfg"]["rpn"]["sampler"]["add_gt_as_proposals"] = False
    values["roi"]["sample_num"] = values["mask_roi"]["sample_num"] = 640
    saved.write_text(yaml.safe_dump(values | {"rank_id": 0}))
    assert open_run(tmp_path, "--resume", "1").folder == saved.parent
    assert "depth" not in yaml.safe_load(saved.read_text())["backbone"]


def of_before(folder):
    """Make a run's config.yaml one that an earlier version has written."""
    saved = folder / "config.yaml"
    saved.write_text(saved.read_text().replace("_format_: 2\n", ""))


@pytest.mark.parametrize(
    ("started", "resumed", "decay"),
    [((), (), "mindspore"), ((), ("1",), True), ((), ("0",), False), (("0",), (), False), (("0",), ("0",), False)],
)
def test_weight_decay_of_a_run_of_before_leaves_out_gamma_and_beta_unless_typed_otherwise(
    tmp_path, capsys, started, resumed, decay
):
    keys = [("--norm_bias_decay", *value) if value else () for value in (started, resumed)]
    of_before(open_run(tmp_path, *keys[0]).folder)
    capsys.readouterr()
    # the same command resumes it, with what was typed at the start or not
    found = open_run(tmp_path, "--resume", "1", *(keys[1] or keys[0]))
    said = [line for line in capsys.readouterr().out.splitlines() if "is of an earlier version" in line]
    assert len(said) == 1 and f"norm_bias_decay is {decay!r}" in said[0]
    assert found.cfg.norm_bias_decay == load_config(str(found.folder / "config.yaml")).norm_bias_decay == decay
    # and it stays so when it is resumed once more
    again = open_run(tmp_path, "--resume", "1", *(keys[1] or keys[0]))
    assert again.cfg.norm_bias_decay == decay and "earlier version" not in capsys.readouterr().out


def test_a_run_of_today_is_not_resumed_with_other_weight_decay(tmp_path):
    open_run(tmp_path)
    for other in ("0", "mindspore"):
        with pytest.raises(UserError, match=r"norm_bias_decay \(True then"):
            open_run(tmp_path, "--resume", "1", "--norm_bias_decay", other)


def test_a_run_of_before_goes_on_to_evaluate_as_it_did_unless_typed_otherwise(tmp_path, capsys):
    published = ("--resize_limits", "[60, 40]", "--eval_width", "96", "--eval_height", "64")
    file = tmp_path / "published.yaml"
    file.write_text(f"_base_: {CONFIG}\nresize: short_long\nresize_limits: [60, 40]\neval_width: 96\n")

    def resumed(*typed):
        cfg = load_config(str(file), ["--train_outputs", str(tmp_path), "--brief", "b", "--resume", "1", *typed])
        return open_experiment(cfg, TASKS[cfg.task].run_names(cfg), True).cfg

    open_run(tmp_path)
    found = resumed()
    assert (found.resize, found.resize_limits, found.eval_width) == ("fit", [], 0)
    assert "goes on to evaluate with resize fit, as it was started" in capsys.readouterr().out
    with pytest.raises(UserError, match="resize \\('fit' then, 'short_long' now"):
        resumed("--resize", "short_long", *published)


def test_the_keys_of_the_schedule_may_change_and_are_told(tmp_path):
    open_run(tmp_path)
    assert open_run(tmp_path, "--resume", "1", "--log_every", "7").changes == ()
    changed = open_run(tmp_path, "--resume", "1", "--epoch_size", "9", "--lr", "0.5", "--lr_type", "cosine").changes
    assert {one.name: one.now for one in changed} == {"epoch_size": 9, "lr": 0.5, "lr_type": "cosine"}


def test_a_run_of_a_classifier_is_found_under_its_old_name_too_and_goes_on_there(tmp_path):
    keys = ("--train_outputs", str(tmp_path), "--brief", "b")
    resumed = load_config(CLASSIFIER, [*keys, "--resume", "1"])
    names = TASKS["classification"].run_names(resumed)
    fresh = open_experiment(load_config(CLASSIFIER, keys), names, True).folder
    assert fresh.name[6:] == "_Classifier_b"
    old = fresh.with_name("300101_HRNetCls_b")
    fresh.rename(old)
    do_steps(old, 1)
    assert open_experiment(resumed, names, True).folder == old
    newer = old.with_name("300102_Classifier_b")
    do_steps(newer, 1)
    assert open_experiment(resumed, names, True).folder == newer
    newer.rename(old.with_name("300101_Classifier_b"))
    assert open_experiment(resumed, names, True).folder.name == "300101_Classifier_b"
