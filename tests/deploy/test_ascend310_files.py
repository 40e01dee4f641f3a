"""The host-independent unit of the Ascend 310 program, compiled here, with a stand-in for the network."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from src.config import load_config
from src.data.formats.segmentation_list import open_segmentation
from src.data.synthetic.lip import write_lip
from src.inference.binary_files import label_maps, read_manifest, write_inputs
from src.inference.segment import make_segmenter

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT, CLASSES = 40, 32, 20
INPUT_SIZE, OUTPUT_SIZE = 4 * 3 * HEIGHT * WIDTH, 4 * CLASSES * (HEIGHT // 4) * (WIDTH // 4)

# The network answers the first bytes of its input; an input that begins with 'X' breaks it.
DRIVER = """
#include <iostream>
#include "files.h"
int main(int argc, char **argv) {
  try {
    const deploy::Arguments arguments = deploy::ParseArguments(std::vector<std::string>(argv + 1, argv + argc));
    const deploy::Timing timing = deploy::RunInputs(arguments, [&arguments] {
      std::cout << "opened for device " << arguments.device_id << std::endl;
      return deploy::Model{%d, [](const std::vector<char> &pixels) {
        if (pixels[0] == 'X') throw deploy::Failure(deploy::OneLine("the device is\\ngone"));
        return std::vector<char>(pixels.begin(), pixels.begin() + %d);
      }};
    });
    std::cout << timing.count << " results, " << (timing.seconds >= 0 ? "timed" : "") << std::endl;
  } catch (const std::exception &error) {
    std::cerr << "error: " << error.what() << std::endl;
    return 2;
  }
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ascend310")
    (folder / "driver.cc").write_text(DRIVER % (INPUT_SIZE, OUTPUT_SIZE))
    unit = ROOT / "deploy" / "ascend310"
    warnings = ("-Wall", "-Wextra", "-pedantic", "-Werror")
    command = ["g++", "-std=c++17", *warnings, f"-I{unit}", folder / "driver.cc", unit / "files.cc"]
    subprocess.run([*command, "-o", folder / "program"], check=True)
    (folder / "net.mindir").touch()
    return folder / "program"


def run(program: Path, preprocessed: Path, results: Path, *more: str):
    arguments = ("--mindir_path", program.parent / "net.mindir", "--preprocess_path", preprocessed)
    command = [program, *arguments, f"--result_path={results}", *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def refused(done, message: str) -> bool:
    """Status 2, nothing run, and one line."""
    one_line = done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    return done.returncode == 2 and one_line and message in done.stderr and "results" not in done.stdout


@pytest.fixture()
def preprocessed(tmp_path):
    """Three inputs of random bytes, the list that names them."""
    folder = tmp_path / "my inputs"
    (folder / "inputs").mkdir(parents=True)
    rng = np.random.RandomState(3)
    for name in ("a", "b", "c"):
        (folder / "inputs" / f"{name}.bin").write_bytes(rng.bytes(INPUT_SIZE - 1).rjust(INPUT_SIZE, b"-"))
    (folder / "inputs.txt").write_text("".join(f"{name}\tinputs/{name}.bin\n" for name in "abc"))
    return folder


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("is_absolute", (False, True), ids=("paths below the list", "absolute paths"))
def test_what_preprocessing_writes_is_read_and_the_results_are_scored(program, tmp_path, is_absolute):
    keys = ("--img_width", str(WIDTH), "--img_height", str(HEIGHT), "--eval_flip", "1")
    cfg = load_config(str(ROOT / "configs/demo/hrnet_seg_lip_shapes.yaml"), keys)
    write_lip(tmp_path / "data", 1, 2, 48, 1)
    lines = (tmp_path / "data" / "val.lst").read_text().replace("TrainVal", f"{tmp_path / 'data'}/TrainVal")
    (tmp_path / "absolute.lst").write_text(lines)
    dataset = open_segmentation(cfg, str(tmp_path / ("absolute.lst" if is_absolute else "data")), "val")
    write_inputs(cfg, dataset, tmp_path / "pre")
    done = run(program, tmp_path / "pre", tmp_path / "results", "--device_id", "3")
    assert done.returncode == 0 and done.stdout == "opened for device 3\n4 results, timed\n"

    def network(batch):
        first = batch.reshape(len(batch), -1)[:, : OUTPUT_SIZE // 4]
        return first.reshape(len(batch), CLASSES, HEIGHT // 4, WIDTH // 4)

    maps = list(label_maps(cfg, dataset, read_manifest(tmp_path / "pre"), tmp_path / "results"))
    segmenter = make_segmenter(cfg, None, dataset.labels)
    segmenter.network = network
    for index, label, predicted in maps:
        expected = segmenter.scores(dataset.read_image(index)).label_map(label.shape)
        np.testing.assert_array_equal(predicted, expected)
    assert len(maps) == 2 and len(np.unique(predicted)) > 2


def test_results_go_to_a_new_or_an_empty_folder_and_nothing_else_is_left(program, preprocessed, tmp_path):
    (tmp_path / "empty").mkdir()
    for results in (tmp_path / "new" / "results", tmp_path / "empty"):
        assert run(program, preprocessed, results).returncode == 0
        assert left_over(results) == ["a_0.bin", "b_0.bin", "c_0.bin"]
        for name in "abc":
            content = (preprocessed / "inputs" / f"{name}.bin").read_bytes()
            assert (results / f"{name}_0.bin").read_bytes() == content[:OUTPUT_SIZE]
    assert left_over(tmp_path) == ["empty", "my inputs", "new"] and left_over(tmp_path / "new") == ["results"]


def test_an_occupied_result_folder_stays_as_it_is(program, preprocessed, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "notes").write_text("mine")
    (tmp_path / "file").touch()
    for results in (tmp_path / "results", tmp_path / "file"):
        done = run(program, preprocessed, results)
        assert refused(done, f"{results} is there already") and "opened" not in done.stdout
    assert left_over(tmp_path / "results") == ["notes"] and left_over(tmp_path) == ["file", "my inputs", "results"]


def test_a_device_that_fails_in_between_leaves_no_results(program, preprocessed, tmp_path):
    (preprocessed / "inputs" / "b.bin").write_bytes(b"X".ljust(INPUT_SIZE))
    assert refused(run(program, preprocessed, tmp_path / "results"), "the device is gone")
    assert left_over(tmp_path) == ["my inputs"]


@pytest.mark.parametrize(
    "text,message",
    [
        ("a\tinputs/a.bin\nb inputs/b.bin\n", "inputs.txt, line 2: expected a name, a tab and a file"),
        ("a\tinputs/a.bin\n\n", "line 2: expected"),
        ("a\tinputs/a.bin\textra\n", "line 1: expected"),
        ("\tinputs/a.bin\n", "line 1: expected"),
        ("../a\tinputs/a.bin\n", "line 1: ../a is a path, not a name"),
        ("a\t/etc/hostname\n", "line 1: /etc/hostname lies outside of"),
        ("a\tinputs/../../a.bin\n", "line 1: inputs/../../a.bin lies outside of"),
        ("a\tinputs/a.bin\na\tinputs/b.bin\n", "line 2: a comes twice"),
        ("", "inputs.txt names no inputs"),
    ],
)
def test_a_broken_list_is_named_with_its_line(program, preprocessed, tmp_path, text, message):
    (preprocessed / "inputs.txt").write_text(text)
    done = run(program, preprocessed, tmp_path / "results")
    assert refused(done, message) and "opened" not in done.stdout and left_over(tmp_path) == ["my inputs"]


def test_an_input_of_another_size_or_a_missing_one_is_found_before_the_first_is_run(program, preprocessed, tmp_path):
    (preprocessed / "inputs" / "a.bin").write_bytes(b"X".ljust(INPUT_SIZE))  # it would break the network
    last = preprocessed / "inputs" / "c.bin"
    last.write_bytes(bytes(INPUT_SIZE - 4))
    done = run(program, preprocessed, tmp_path / "results")
    assert refused(done, f"{last} holds {INPUT_SIZE - 4} bytes, but the model takes {INPUT_SIZE}")
    last.unlink()
    assert refused(run(program, preprocessed, tmp_path / "results"), f"{last}: cannot be read")
    assert refused(run(program, tmp_path, tmp_path / "results"), "deploy/preprocess.py writes it")
    assert left_over(tmp_path) == ["my inputs"]


@pytest.mark.parametrize(
    "more,message",
    [
        (("--device_id", "one"), "--device_id must be a number from 0 on, not 'one'"),
        (("--device_id=-1",), "not '-1'"),
        (("--device_id",), "--device_id has no value; usage:"),
        (("--device", "1"), "unknown argument --device; usage:"),
        (("--result_path", "x"), "--result_path is given twice"),
    ],
)
def test_wrong_arguments_are_named(program, preprocessed, tmp_path, more, message):
    assert refused(run(program, preprocessed, tmp_path / "results", *more), message)


def test_missing_arguments_and_a_missing_model_are_named(program, tmp_path):
    done = subprocess.run([program], capture_output=True, text=True)
    assert refused(done, "--mindir_path is missing; usage: ascend310_infer --mindir_path FILE")
    paths = ("--mindir_path", "none.mindir", "--preprocess_path", ".", "--result_path", "results")
    done = subprocess.run([program, *paths], capture_output=True, text=True, cwd=tmp_path)
    assert refused(done, "none.mindir is no file")


def test_the_script_checks_its_arguments_and_the_device_before_it_builds_anything(tmp_path):
    def launch(*arguments):
        command = ["bash", ROOT / "deploy/ascend310/run.sh", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    for name in ("net.mindir", "config.yaml"):
        (tmp_path / name).touch()
    usage = launch("net.mindir", "config.yaml")
    assert usage.returncode == 2 and usage.stderr.startswith("usage: bash deploy/ascend310/run.sh MINDIR_PATH CONFIG")
    missing = launch("net.mindir", "config.yaml", "data")
    assert missing.returncode == 2 and missing.stderr == f"error: {tmp_path / 'data'} is no folder and no list\n"
    (tmp_path / "data").mkdir()
    device = launch("net.mindir", "config.yaml", "data", "zero")
    assert device.returncode == 2 and "DEVICE_ID must be a number from 0 on, not 'zero'" in device.stderr
    none = launch("net.mindir", "config.yaml", "data", "--eval_width", "64")
    assert none.returncode == 2 and "no Ascend NPU found on this machine" in none.stderr
    assert left_over(tmp_path) == ["config.yaml", "data", "net.mindir"]
