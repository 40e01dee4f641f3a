"""The command line of every program: what is wrong is one line and status 2, `--help` is status 0."""

import subprocess
import sys
from pathlib import Path

import pytest

from src.config.arguments import Arguments, number, whole_number
from src.errors import UserError
from tests.end_to_end.commands import ROOT, run

PROGRAMS = {  # what runs it; arguments without which it says that they are missing
    "train": ("train.py",), "eval": ("eval.py",), "infer": ("infer.py",), "export": ("export.py",),
    "convert_from_pt": ("convert_from_pt.py",), "draw_predictions": ("draw_predictions.py",),
    "check": ("-m", "src.check"), "check's new name": ("-m", "src.commands.check"),
    "summary": ("-m", "src.models.summary"), "summary's new name": ("-m", "src.commands.summary"),
    "mindrecord": ("-m", "src.data.mindrecord"), "synthetic": ("-m", "src.data.synthetic"),
    "cityscapes_lst_maker": ("-m", "src.data.cityscapes_lst_maker"), "lip_lst_maker": ("-m", "src.data.lip_lst_maker"),
    "preprocess": ("deploy/preprocess.py",), "postprocess": ("deploy/postprocess.py",),
    "infer_files": ("deploy/infer_files.py",), "mindx": ("deploy/mindx/main.py",),
    "onnx_detect": ("deploy/onnx_detect.py",), "adopt": ("-m", "src.commands.adopt"),
    "average": ("-m", "src.commands.average"),
    "browse": ("-m", "src.commands.browse"), "new": ("-m", "src.commands.new"),
    "compare": ("-m", "src.commands.compare"),
    "modelarts": ("modelarts/start.py",),
}  # fmt: skip
PARSED = [name for name in PROGRAMS if name != "onnx_detect"]  # which takes its arguments by their places


def refusal(*arguments: object) -> str:
    said = run(*arguments, status=2)
    assert said.startswith("error: ") and said.count("\n") == 1 and len(said) < 300, said
    return said


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_ends_well_and_says_what_the_program_is(program):
    said = run(*PROGRAMS[program], "--help")
    assert len(said) > 200 and "error" not in said.splitlines()[0]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_missing_argument_is_one_line(program):
    assert "--help" in refusal(*PROGRAMS[program])


@pytest.mark.parametrize(
    "wrong", ["--rubbish=1", "--\u2028", "x" * 10**5, "--" + "y" * 10**5, "--config_path", "-", "--", ""]
)
@pytest.mark.parametrize("program", PARSED)
def test_an_unknown_argument_is_one_line(program, wrong):
    assert refusal(*PROGRAMS[program], wrong).startswith("error: ")


@pytest.mark.parametrize(
    "arguments,said",
    [
        (("-m", "src.data.lip_lst_maker", "--rot", "x"), "unknown option --rot; did you mean --root?"),
        (("-m", "src.data.lip_lst_maker", "--root"), "--root needs a value; see --help"),
        (("-m", "src.data.lip_lst_maker", "--root", "a", "b"), "unexpected argument 'b'; see --help"),
        (("-m", "src.data.synthetic",), "layout, out are missing; see --help"),
        (("-m", "src.data.synthetic", "voc", "x"), "layout: invalid choice: 'voc' (choose from "),
        (("-m", "src.data.synthetic", "coco", "x", "--size", "many"), "--size must be a whole number, not 'many'"),
        (("-m", "src.data.synthetic", "coco", "x", "--size", "1000000"), "--size is 1000000; it must be"),
        (("-m", "src.data.synthetic", "coco", "x", "--images", "9" * 5000), "--images must be a whole number, not '9"),
        (("draw_predictions.py", "--pred_file", "a", "--out_dir", "b", "--score_thr", "nan"), "--score_thr is nan; it"),
        (("draw_predictions.py", "--pred_file", "a", "--out_dir", "b", "--max_image_pixels", "0"), "--max_image"),
        (("deploy/onnx_detect.py", "a.onnx", "b.jpg", "", "many"), "LEAST_SCORE must be a number, not 'many'"),
        (("deploy/onnx_detect.py", "a.onnx", "b.jpg"), "a.onnx is no file"),
        (("deploy/onnx_detect.py", "a" * 5000, "b.jpg"), "aaa"),
        (("train.py", "--config_path"), "--config_path needs a value; see --help"),
        (("infer.py", "--checkpoint_path", "a", "--fast_inference"), "--fast_inference needs a value"),
        (("train.py", "configs/demo/hrnet_cls_shapes.yaml"), "--config_path FILE.yaml is missing; see --help"),
        (("train.py", "--config_path", "x" * 5000), "configuration file xxx"),
        (("train.py", "--config_path", "/dev/zero"), "configuration file /dev/zero cannot be read: it is no"),
    ],
    ids=lambda one: None if isinstance(one, str) else " ".join(one)[:60],
)  # fmt: skip
def test_what_is_wrong_is_said_with_the_option(arguments, said):
    lines = run(*arguments, status=2)
    assert lines.startswith(f"error: {said}") and lines.count("\n") == 1 and len(lines) < 700


def test_numbers_of_options_have_bounds():
    parser = Arguments()
    parser.add_argument("--count", type=whole_number(1, 10))
    parser.add_argument("--share", type=number(0, 1))
    assert parser.parse_args(["--count", "7", "--sha", "0.5"]).share == 0.5
    for wrong in ("0", "11", "1.5", "1e1", "", "ten"):
        with pytest.raises(UserError, match="--count (is|must)"):
            parser.parse_args(["--count", wrong])
    for wrong in ("1.1", "-1", "nan", "inf", "half"):
        with pytest.raises(UserError, match="--share"):
            parser.parse_args([f"--share={wrong}"])


def test_what_cannot_be_printed_is_one_line():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "train.py", "--help"]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: what is printed cannot be written: No space left")


def test_who_has_read_enough_sees_no_traceback():
    for program in ("draw_predictions.py --help", "-m src.data.lip_lst_maker --help", "-m src.data.synthetic --help"):
        done = subprocess.run(
            ["bash", "-c", f"{sys.executable} {program} | true"], cwd=ROOT, capture_output=True, text=True
        )
        assert not done.stderr


@pytest.mark.parametrize(
    "name,value", [("OMP_NUM_THREADS", "abc"), ("OMP_NUM_THREADS", "-1"), ("OMP_NUM_THREADS", "9" * 30),
                   ("RANK_ID", "x"), ("OMPI_COMM_WORLD_RANK", "one"), ("MS_WORKER_NUM", "2.5")],
)  # fmt: skip
def test_a_number_of_the_environment_that_is_none_is_one_line(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert f"the environment variable {name} is '{value}'; it must be a" in refusal("train.py", "--help")


def test_a_file_that_no_command_looked_at_itself_and_too_little_memory_are_one_line(capsys):
    from src.process.command import entry_point

    def opens():
        Path("/nowhere/file").read_text()

    def takes_much():
        raise MemoryError("Unable to allocate 9 TiB")

    for main, said in ((opens, "error: /nowhere/file: No such file or directory\n"),
                       (takes_much, "error: there is not enough memory: Unable to allocate 9 TiB\n")):  # fmt: skip
        with pytest.raises(SystemExit) as left:
            entry_point(main)()
        assert left.value.code == 2 and capsys.readouterr().err == said
