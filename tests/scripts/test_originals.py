"""The command lines of the five originals' READMEs: each bash line reaches Python with its arguments, by a stand-in
that prints what it was given; each python line is taken.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from src.config import load_config
from src.data.synthetic.cityscapes import write_cityscapes
from src.data.synthetic.lip import write_lip
from tests.end_to_end.commands import run as run_command
from tests.scripts.stand_ins import SCRIPTS, VERSION, run, stand_in, value

ROOT = SCRIPTS.parent
# By whose data they are run on. "(OPTIONAL)" and "(optional)" are the READMEs' own, before or behind the word.
LINES = {
    "config": """
bash scripts/run_distributed_training_gpu.sh [CONFIG_PATH] [DEVICE_NUM] [TRAIN_DATA] [VAL_DATA] [TRAIN_OUT] (OPTIONAL)[PRETRAINED_PATH]
bash scripts/run_eval_gpu.sh [CONFIG_PATH] [CHECKPOINT_PATH]
bash scripts/run_standalone_train_gpu.sh [CONFIG_PATH]
bash scripts/run_distribute_train_gpu.sh [CONFIG_PATH] [DEVICE_NUM] [TRAIN_DATA] [VAL_DATA] [TRAIN_OUT] [BRIEF] (OPTIONAL)[PRETRAINED_PATH]
bash scripts/run_standalone_train_gpu.sh [CONFIG_PATH] [TRAIN_DATA] [VAL_DATA] [TRAIN_OUT] [BRIEF] (OPTIONAL)[PRETRAINED_PATH]
bash scripts/run_standalone_training_gpu.sh [CONFIG_PATH]
bash scripts/run_eval_gpu.sh [CONFIG_PATH] [VAL_DATA] [CHECKPOINT_PATH] (OPTIONAL)[PREDICTION_PATH]
bash scripts/run_infer_gpu.sh [CONFIG_PATH] [CHECKPOINT_PATH] [PRED_INPUT] [PRED_OUTPUT]
""",  # noqa: E501
    "cls": """
bash scripts/run_standalone_train.sh [DATASET_PATH] [TRAIN_OUTPUT_PATH] [CHECKPOINT_PATH](optional) [BEGIN_EPOCH](optional) [EVAL_DATASET_PATH](optional)
bash scripts/run_standalone_train.sh [DATASET_PATH] [TRAIN_OUTPUT_PATH] [EVAL_DATASET_PATH]
bash scripts/run_distribute_train.sh [RANK_TABLE_FILE] [DATASET_PATH] [TRAIN_OUTPUT_PATH] [CHECKPOINT_PATH](optional) [BEGIN_EPOCH](optional) [EVAL_DATASET_PATH](optional)
bash scripts/run_standalone_train_gpu.sh [DATASET_PATH] [TRAIN_OUTPUT_PATH]
bash scripts/run_distribute_train_gpu.sh [DATASET_PATH] [TRAIN_OUTPUT_PATH]
bash scripts/run_eval.sh [DATASET_PATH] [CHECKPOINT_PATH]
bash scripts/run_eval_gpu.sh [DATASET_PATH] [CHECKPOINT_PATH]
""",  # noqa: E501
    "seg": """
bash scripts/run_distribute_train.sh [RANK_TABLE_FILE] [DATASET_PATH] [TRAIN_OUTPUT_PATH] [CHECKPOINT_PATH] [EVAL_CALLBACK]
bash scripts/run_distribute_train.sh [RANK_TABLE_FILE] [DATASET_PATH] [TRAIN_OUTPUT_PATH] [CHECKPOINT_PATH] [BEGIN_EPOCH] [EVAL_CALLBACK]
bash scripts/run_standalone_train.sh [DEVICE_ID] [DATASET_PATH] [TRAIN_OUTPUT_PATH] [CHECKPOINT_PATH] [EVAL_CALLBACK]
bash scripts/run_standalone_train.sh [DEVICE_ID] [DATASET_PATH] [TRAIN_OUTPUT_PATH] [CHECKPOINT_PATH] [BEGIN_EPOCH] [EVAL_CALLBACK]
bash scripts/run_eval.sh [DEVICE_ID] [DATASET_PATH] [CHECKPOINT_PATH]
bash scripts/ascend_310_infer.sh [MINDIR_PATH] [DATA_PATH] [DEVICE_ID]
bash scripts/ascend310_inference.sh [MINDIR_PATH] [DATA_PATH] [DEVICE_ID]
""",  # noqa: E501
    "pointrend": """
bash run_distribute_train_gpu.sh [DATA_PATH] [MINDRECORD_PATH] [PRETRAINED_PATH]
bash run_standalone_train_gpu.sh [DEVICE_ID] [DATA_PATH] [MINDRECORD_PATH] [PRETRAINED_PATH]
bash run_distribute_train_gpu.sh [DATA_PATH] [MINDRECORD_PATH] [PRETRAINED_PATH] [NOT_MASK]
bash run_standalone_train_gpu.sh [DEVICE_ID] [DATA_PATH] [MINDRECORD_PATH] [PRETRAINED_PATH] [NOT_MASK]
bash run_eval.sh [DEVICE_ID] [DATA_PATH] [MINDRECORD_PATH] [checkpoint_path]
bash run_eval.sh [DEVICE_ID] [DATA_PATH] [MINDRECORD_PATH] [checkpoint_path] [NOT_MASK]
""",  # noqa: E501
    "maskrcnn": """
bash scripts/run_standalone_train.sh [PRETRAINED_PATH] [DATA_PATH] [DEVICE_ID](optional)
bash scripts/run_distribute_train.sh [RANK_TABLE_FILE] [PRETRAINED_PATH] [DATA_PATH]
bash scripts/run_distribute_train_gpu.sh [PRETRAINED_PATH] [DATA_PATH]
bash scripts/run_eval.sh [ANN_FILE] [CHECKPOINT_PATH] [DATA_PATH]
""",  # noqa: E501
}
# What stands for a word of the READMEs, and the key under which Python gets it, where it is the same in every command.
WORDS = {
    "CONFIG_PATH": ("config.yaml", "config_path"), "TRAIN_DATA": ("train", "train_dataset"),
    "VAL_DATA": ("val", "val_dataset"), "TRAIN_OUT": ("out", "train_outputs"),
    "TRAIN_OUTPUT_PATH": ("out", "train_outputs"),
    "EVAL_DATASET_PATH": ("cls_val", "val_dataset"), "MINDRECORD_PATH": ("record", "mindrecord_dir"),
    "PREDICTION_PATH": ("predictions.json", "prediction_path"), "PRED_INPUT": ("val", "pred_input"),
    "PRED_OUTPUT": ("out.json", "pred_output"), "MINDIR_PATH": ("net.mindir", "model"),
}  # fmt: skip
PLAIN = {"DEVICE_NUM": ("2", "device_num"), "BRIEF": ("first", "brief"), "BEGIN_EPOCH": ("3", "begin_epoch")}
OTHERS = {"RANK_TABLE_FILE": "table.json", "ANN_FILE": "coco/annotations/instances_val2017.json"}
LOGS = {
    ("cls", "run_standalone_train.sh"): "out/log", ("cls", "run_standalone_train_gpu.sh"): "out/standalone_train.log",
    ("cls", "run_distribute_train_gpu.sh"): "out/distribute_train.log", ("cls", "run_eval.sh"): "eval_log",
    ("cls", "run_eval_gpu.sh"): "eval.log", ("seg", "run_standalone_train.sh"): "out/train/log",
    ("seg", "run_eval.sh"): "eval/log", ("seg", "ascend_310_infer.sh"): "acc.log",
    ("pointrend", "run_standalone_train_gpu.sh"): "log/train.log", ("pointrend", "run_eval.sh"): "eval_log/eval.log",
    ("pointrend", "run_distribute_train_gpu.sh"): "log_dist/train_dist.log",
    ("maskrcnn", "run_standalone_train.sh"): "train/log.txt", ("maskrcnn", "run_eval.sh"): "eval/log_eval.txt",
}  # fmt: skip


def variants(line: str) -> list[list[str]]:
    """The words of a line: with none of its optional ones, with the first, with the first two, ..."""
    pieces = re.findall(r"(\(OPTIONAL\))?\[(\w+)\](\(optional\))?", line)
    needed = [word.upper() for before, word, after in pieces if not (before or after)]
    optional = [word.upper() for before, word, after in pieces if before or after]
    return [needed + optional[:count] for count in range(len(optional) + 1)]


CASES = [
    pytest.param(whose, line.split("[")[0].split()[1].rpartition("/")[2], words, id=f"{whose}-{line}-{len(words)}")
    for whose, lines in LINES.items()
    for line in lines.strip().splitlines()
    for words in variants(line)
]

EXPORTING = [case for case in CASES if case.values[0] != "config" and not case.values[1].startswith("ascend")]


@pytest.fixture()
def originals(place):
    """Data of every original, a GPU, and an mpirun that prints what it gets."""
    for name in ("cls/ant", "cls_val/bee", "seg", "coco/annotations", "coco/train2017"):
        (place / name).mkdir(parents=True)
    for name in ("cls/ant/1.jpg", "cls_val/bee/1.JPEG", "seg/train.lst", "seg/val.lst", "coco/train2017/1.jpg"):
        (place / name).touch()
    for name in ("table.json", "net.mindir", OTHERS["ANN_FILE"]):
        (place / name).touch()
    stand_in(place, "python", 'printf "%s\\n" "$@"; env | grep -E "^(DEVICE|RANK|CUDA_V|SERVER)[A-Z_]*="; exit 0')
    stand_in(place, "nvidia-smi", "exit 0")
    stand_in(place, "mpirun", f'{VERSION}\nwhile [ "$1" != train.py ]; do shift; done; exec "$PYTHON" "$@"')
    return place


def arguments(whose: str, words: list[str]) -> list[str]:
    data = {"cls": "cls", "seg": "seg"}.get(whose, "coco")
    stand_for = {word: name for word, (name, _) in (WORDS | PLAIN).items()} | OTHERS
    stand_for |= {
        "DATASET_PATH": data,
        "DATA_PATH": data,
        "DEVICE_ID": "5",
        "EVAL_CALLBACK": "True",
        "NOT_MASK": "True",
    }
    stand_for |= dict.fromkeys(("CHECKPOINT_PATH", "PRETRAINED_PATH"), "model.ckpt")
    return [stand_for[word] for word in words]


@pytest.mark.parametrize("whose,script,words", CASES)
def test_every_bash_line_of_the_readmes_reaches_python_with_its_arguments(originals, whose, script, words):
    device = {} if script.endswith("_gpu.sh") or whose == "pointrend" else {"DEVICE": "cpu"}
    done = run(originals, script, *arguments(whose, words), **device)
    assert done.returncode == 0, done.stderr
    program = {"run_eval": "eval.py", "run_infer": "infer.py", "ascend": "deploy/infer_files.py"}
    program = next((name for start, name in program.items() if script.startswith(start)), "train.py")
    assert program in done.stdout.splitlines()
    assert device or value(done.stdout, "device_target") == "GPU"
    for word, (name, key) in WORDS.items():
        if word in words:
            assert value(done.stdout, key) == str(originals / name)
    for word, (text, key) in PLAIN.items():
        if word in words:
            assert value(done.stdout, key) == text
    if {"DATASET_PATH", "DATA_PATH"} & set(words):
        key = "train_dataset" if program == "train.py" else "val_dataset"
        assert value(done.stdout, key) == str(originals / arguments(whose, ["DATA_PATH"])[0])
        assert (ROOT / value(done.stdout, "config_path")).is_file()
    if {"CHECKPOINT_PATH", "PRETRAINED_PATH"} & set(words):
        key = "pre_trained" if program == "train.py" else "checkpoint_path"
        assert value(done.stdout, key) == str(originals / "model.ckpt")
    if whose in ("cls", "seg", "pointrend") and program == "train.py":
        expected = "1" if {"EVAL_DATASET_PATH", "EVAL_CALLBACK"} & set(words) else "0"
        assert value(done.stdout, "run_eval") == expected
    assert ("NOT_MASK True has no effect" in done.stderr) == ("NOT_MASK" in words)
    if (whose, script) in LOGS:
        assert program.rpartition("/")[2][:4] in (originals / LOGS[whose, script]).read_text() or program.startswith(
            "dep"
        )


@pytest.mark.parametrize("whose,script,words", EXPORTING)
def test_the_originals_exports_reach_python(originals, whose, script, words):
    exported = run(originals, script, *arguments(whose, words), DEVICE="cpu").stdout.splitlines()
    count = "8" if "distribute" in script else "1"
    assert {f"DEVICE_NUM={count}", f"RANK_SIZE={count}"} <= set(exported)
    assert ("SERVER_ID=0" in exported) == (count == "8") and ("RANK_ID=0" in exported) == (count == "1")
    assert (f"RANK_TABLE_FILE={originals / 'table.json'}" in exported) == ("RANK_TABLE_FILE" in words)
    if "DEVICE_ID" in words:
        assert ("CUDA_VISIBLE_DEVICES=5" if whose == "pointrend" else "DEVICE_ID=5") in exported


@pytest.mark.parametrize("script", sorted({case.values[1] for case in CASES if case.values[0] != "config"}))
def test_wrong_counts_give_the_usage_line_and_nothing_runs(originals, script):
    for wrong in ((), ("cls",) * 9, ("5",)):
        done = run(originals, script, *wrong, DEVICE="cpu")
        assert done.returncode == 2 and not done.stdout
        assert done.stderr.startswith(f"usage: bash scripts/{script} ")
        assert all(line.startswith(("usage: bash ", "   or: bash ")) for line in done.stderr.splitlines())


def test_the_readmes_way_from_within_scripts_has_its_logs_where_the_original_has_them(originals):
    """`cd scripts; bash run_eval.sh ...`: in ../eval_log."""
    settings = {name: text for name, text in os.environ.items() if name != "OUTPUT_PATH"}
    for folder, expected in ((SCRIPTS, ROOT), (originals, originals)):
        command = ["bash", "-c", f"source {SCRIPTS / '_originals.sh'}; original_place"]
        done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, timeout=30)
        assert done.stdout == f"{expected}\n"


def test_what_the_data_hold_tells_where_the_arguments_do_not(originals):
    gpu = "run_distribute_train_gpu.sh"
    assert value(run(originals, gpu, "cls", "out").stdout, "batch_size") == "64"
    assert value(run(originals, gpu, "coco", "out").stdout, "mindrecord_dir") == str(originals / "out")
    for script, given in (
        (gpu, ("val", "out")),
        ("run_distribute_train.sh", ("table.json", "val", "out", "m.ckpt", "1")),
    ):
        (originals / "m.ckpt").touch()
        done = run(originals, script, *given, DEVICE="cpu")
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and not done.stdout
        families = re.findall(r"FAMILY=(\w+)", done.stderr)
        assert len(families) == 2
        for family in families:
            assert run(originals, script, *given, DEVICE="cpu", FAMILY=family).returncode == 0
    (originals / "coco" / "train.lst").touch()
    (originals / "coco" / "ant").symlink_to(originals / "cls" / "ant")
    done = run(originals, gpu, "coco", "out")
    assert done.returncode == 2 and "FAMILY=cls" in done.stderr and "FAMILY=pointrend" in done.stderr


def test_data_of_another_original_and_unknown_words_are_said(originals):
    done = run(originals, "run_standalone_train.sh", "seg", "out", DEVICE="cpu")
    assert done.returncode == 2 and "seg holds data of seg, the arguments are those of cls" in done.stderr
    done = run(originals, "run_standalone_train.sh", "seg", "out", DEVICE="cpu", FAMILY="cls")
    assert done.returncode == 0 and value(done.stdout, "train_dataset") == str(originals / "seg")
    for name, word in (("FAMILY", "hrnet"), ("DEVICE", "tpu"), ("DEVICE_NUM", "many")):
        done = run(originals, "run_distribute_train.sh", "table.json", "cls", "new", **{"DEVICE": "cpu", name: word})
        assert done.returncode == 2 and f"{name} must be" in done.stderr and not (originals / "new").exists()


@pytest.mark.parametrize(
    "script,given,missing",
    [
        ("run_standalone_train.sh", ("nowhere", "out"), "no folder"),
        ("run_standalone_train.sh", ("cls", "out", "nowhere"), "no folder"),
        ("run_standalone_train.sh", ("0", "seg", "out", "nowhere", "True"), "no file"),
        ("run_eval.sh", ("0", "seg", "nowhere.ckpt"), "no file"),
        ("run_standalone_train_gpu.sh", ("0", "coco", "record", "nowhere"), "no file"),
    ],
)
def test_a_path_that_is_not_there_is_named_and_nothing_runs(originals, script, given, missing):
    done = run(originals, script, *given, DEVICE="cpu")
    wrong = next(name for name in given if name.startswith("nowhere"))
    assert done.returncode == 2 and done.stderr == f"error: {originals / wrong} is {missing}\n" and not done.stdout
    assert not (originals / "out").exists()


def test_a_machine_without_the_device_is_told_how_to_try_it(originals):
    stand_in(originals, "nvidia-smi", "exit 9")
    for script, given in (
        ("run_standalone_train_gpu.sh", ("cls", "out")), ("run_standalone_train.sh", ("cls", "out")),
        ("run_standalone_train_gpu.sh", ("config.yaml",)), ("run_eval.sh", ("0", "coco", "record", "model.ckpt")),
    ):  # fmt: skip
        done = run(originals, script, *given)
        assert done.returncode == 2 and done.stderr.endswith("; DEVICE=cpu before the command tries it on the CPU\n")
        assert run(originals, script, *given, DEVICE="cpu").returncode == 0


def test_nothing_that_is_there_is_deleted_and_logs_grow(originals):
    (originals / "out").mkdir()
    (originals / "out" / "notes").write_text("mine")
    for _ in range(2):
        assert run(originals, "run_standalone_train.sh", "cls", "out", DEVICE="cpu").returncode == 0
    assert (originals / "out" / "notes").read_text() == "mine"
    assert (originals / "out" / "log").read_text().splitlines().count("train.py") == 2
    (originals / "preprocess_Result").mkdir()
    done = run(originals, "ascend_310_infer.sh", "net.mindir", "seg", "0", DEVICE="cpu")
    assert done.returncode == 2 and "preprocess_Result is there already, and nothing is deleted" in done.stderr


def test_a_configuration_and_keys_of_ones_own_reach_every_step(originals):
    given = ("0", "coco", "record", "model.ckpt", "--config_path", "config.yaml", "--num_gts", "7")
    done = run(originals, "run_standalone_train_gpu.sh", *given, DEVICE="cpu")
    said = done.stderr + done.stdout
    assert said.count(f"--config_path\n{originals / 'config.yaml'}\n") == 3 and said.count("--num_gts\n7\n") == 3
    done = run(originals, "run_eval.sh", "cls", "model.ckpt", DEVICE="cpu", CONFIG_PATH="config.yaml")
    assert value(done.stdout, "config_path") == str(originals / "config.yaml")


def test_mindrecord_that_is_whole_is_not_made_again(originals):
    (originals / "record" / "train").mkdir(parents=True)
    for shard in (1, 2):
        made = run(originals, "run_standalone_train_gpu.sh", "0", "coco", "record", DEVICE="cpu").stdout
        assert "src.data.mindrecord" in made
        (originals / "record" / "train" / f"shard-{shard}-of-2.mindrecord.done").touch()
    made = run(originals, "run_standalone_train_gpu.sh", "0", "coco", "record", DEVICE="cpu").stdout
    assert "src.data.mindrecord" not in made and value(made, "train_data_type") == "mindrecord"


def test_a_step_that_fails_ends_the_launcher_with_its_status(originals):
    for step, script in (("src.data.mindrecord", "run_standalone_train_gpu.sh"), ("src.commands.adopt", "run_eval.sh")):
        stand_in(originals, "python", f'[ "$2" != {step} ] || exit 4; printf "%s\\n" "$@"')
        done = run(originals, script, "0", "coco", "record", "model.ckpt", DEVICE="cpu")
        assert done.returncode == 4 and "train.py" not in done.stdout and "eval.py" not in done.stdout


def test_what_the_weights_are_becomes_the_key_that_takes_them(originals):
    answer = 'for word; do last="$word"; done; [ "$2" != src.commands.adopt ] || '
    answer += 'printf "%s\\n" --backbone.pretrained "/a b.ckpt" >"$last"; printf "%s\\n" "$@"'
    stand_in(originals, "python", answer)
    given = ("0", "seg", "out", "model.ckpt", "False")
    done = run(originals, "run_standalone_train.sh", *given, DEVICE="cpu")
    assert value(done.stdout, "backbone.pretrained") == "/a b.ckpt" and "--pre_trained" not in done.stdout


def test_each_rank_has_the_originals_log(originals):
    ranks = 'for rank in 0 1; do OMPI_COMM_WORLD_RANK=$rank "$@" || exit; done'
    stand_in(originals, "mpirun", f'{VERSION}\nwhile [ "$1" != bash ]; do shift; done\n{ranks}')
    done = run(originals, "run_distribute_train.sh", "table.json", "cls", "out", DEVICE="cpu", DEVICE_NUM="2")
    assert done.returncode == 0 and value(done.stdout, "device_num") == "2"
    logs = [(originals / "out" / f"train_parallel{rank}" / "log").read_text() for rank in (0, 1)]
    assert all(log.startswith("train.py\n") for log in logs)
    noted = (originals / "out" / "env.log").read_text().splitlines()
    assert "RANK_SIZE=2" in noted and not [line for line in noted if line.startswith(("HOME=", "PATH="))]
    done = run(originals, "run_distribute_train_gpu.sh", "coco", "record", DEVICE="cpu", DEVICE_NUM="2")
    assert (originals / "log_dist" / "log_output" / "rank.1" / "stdout").read_text().startswith("train.py\n")


@pytest.mark.parametrize("folder", ["scripts", "."])
def test_a_script_named_by_a_relative_path_finds_what_it_needs_after_it_changed_the_folder(originals, folder):
    stand_in(originals, "mpirun", f'{VERSION}\nwhile [ "$1" != bash ]; do shift; done\n"$@"')
    settings = {**os.environ, "PYTHON": str(originals / "bin" / "python"), "DEVICE": "cpu", "DEVICE_NUM": "2"}
    settings["PATH"] = f"{originals / 'bin'}:{settings['PATH']}"
    script = os.path.relpath(SCRIPTS / "run_distribute_train.sh", ROOT / folder)
    command = ["bash", script, *(str(originals / name) for name in ("table.json", "cls", "out"))]
    done = subprocess.run(command, cwd=ROOT / folder, env=settings, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (originals / "out" / "train_parallel0" / "log").read_text().startswith("train.py\n")


def test_labels_of_another_name_are_evaluated_and_what_is_not_looked_at_is_said(originals):
    (originals / "own.json").touch()
    done = run(originals, "run_eval.sh", "own.json", "model.ckpt", "coco", DEVICE="cpu")
    assert value(done.stdout, "val_annotations") == str(originals / "own.json")
    assert value(done.stdout, "val_images") == str(originals / "coco" / "val2017")
    (originals / "record" / "validation").mkdir(parents=True)
    (originals / "record" / "validation" / "shard-00000-of-00001.mindrecord.done").touch()
    done = run(originals, "run_eval.sh", "0", "coco", "record", "model.ckpt", DEVICE="cpu")
    assert "record holds a validation set already: it is taken as it is" in done.stderr
    done = run(originals, "run_standalone_train.sh", "cls", "out", "--config_path", DEVICE="cpu")
    assert (done.returncode, done.stderr) == (2, "error: --config_path needs a value\n")


def test_lips_tree_takes_lips_configuration(originals):
    (originals / "seg" / "TrainVal_images").mkdir()
    done = run(originals, "run_eval.sh", "0", "seg", "model.ckpt", DEVICE="cpu")
    assert "lip" in Path(value(done.stdout, "config_path")).name
    assert load_config(value(done.stdout, "config_path")).dataset == "lip"


def test_a_container_gets_the_folders_where_they_are(originals):
    for script, folders in (("docker_start.sh", ("cls", "seg")), ("../deploy/mindx/docker_start_infer.sh", ("cls",))):
        assert run(originals, script, "image").stderr.startswith("usage: bash ")
        assert run(originals, script, "image", *("none",) * len(folders)).stderr.endswith("none is no folder\n")
        stand_in(originals, "docker", 'printf "%s\\n" "$@"')
        command = f"has_ascend() {{ true; }}; start_container image {' '.join(folders)}"
        settings = {**os.environ, "PATH": f"{originals / 'bin'}:{os.environ['PATH']}"}
        line = ["bash", "-c", f"source {SCRIPTS / '_docker.sh'}; {command}"]
        words = subprocess.run(line, cwd=originals, env=settings, capture_output=True, text=True).stdout.splitlines()
        assert words[:2] == ["run", "-it"] and words[-2:] == ["image", "/bin/bash"]
        assert [f"{originals / name}:{originals / name}" for name in folders] == [
            w for w in words if str(originals) in w
        ]


PYTHON_LINES = (
    ("export.py", "--checkpoint_path K.ckpt --file_name F --file_format ONNX --device_target GPU",
     "hrnet_w48_cls_mindspore.yaml"),
    ("export.py", "--device_id 1 --checkpoint_file K.ckpt --file_name F --file_format MINDIR --device_target Ascend "
     "--dataset cityscapes", "hrnet_w48_seg_cityscapes_mindspore.yaml"),
    ("export.py", "--device_id 1 --checkpoint_file K.ckpt --file_name F --file_format AIR --device_target Ascend "
     "--dataset lip", "hrnet_w48_seg_lip_mindspore.yaml"),
    ("convert_weights.py", "--pth_path K.ckpt --ckpt_path F", "hrnet_w48_seg_cityscapes_mindspore.yaml"),
)  # fmt: skip


@pytest.mark.parametrize("program,line,config", PYTHON_LINES)
def test_every_python_line_of_the_readmes_is_taken_with_a_configuration(program, line, config):
    cfg = load_config(str(ROOT / "configs" / config), line.split())
    assert "K.ckpt" in (cfg.checkpoint_path, cfg.pt_path) and "F" in (cfg.file_name, cfg.ckpt_path)
    assert (ROOT / program).is_file()


def test_the_makers_of_lists_take_the_readmes_line(tmp_path):
    for write, maker in ((write_cityscapes, "cityscapes_lst_maker"), (write_lip, "lip_lst_maker")):
        write(tmp_path / maker, 1, 1, 48, 1)
        run_command("-m", f"src.data.{maker}", "--root", tmp_path / maker)
        assert len((tmp_path / maker / "val.lst").read_text().splitlines()) == 1
