"""`NAME.part`: what is there is not worked out again, and nothing is lost, whatever ends a run."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src.config import load_config
from src.errors import UserError
from src.inference.output import weights_and_keys, write_entries, write_predictions
from src.inference.unfinished import describe_files, unfinished

ORIGIN = {"checkpoint": "12ab", "threshold": 0.5}
FOUND = [{"predictions": [{"score": 1 / (k + 3), "name": 'a "b" é\n'}]} for k in range(7)]
RESULTS = [(f"{k}.jpg", found if k != 2 else None) for k, found in enumerate(FOUND)]


def fill(output: Path, first: int, end: int, group: int = 1) -> int:
    """Go on up to image `end`; how many were there, which must be `first`."""
    with unfinished(output, ORIGIN, len(RESULTS), group) as part:
        assert part.done == first
        for image, entry in RESULTS[part.done : end]:
            part.append(image, entry)
        return part.done


def entries(output: Path) -> list:
    with unfinished(output, ORIGIN, len(RESULTS)) as part:
        return list(part.entries())


def test_a_run_goes_on_after_the_lines_that_are_there(tmp_path):
    fill(tmp_path / "out", 0, 4)
    fill(tmp_path / "out", 4, 7)
    assert entries(tmp_path / "out") == RESULTS


def test_a_run_goes_on_with_a_whole_group_but_for_the_end(tmp_path):
    fill(tmp_path / "out", 0, 5, group=3)
    fill(tmp_path / "out", 3, 7, group=3)
    fill(tmp_path / "out", 7, 7, group=3)
    assert entries(tmp_path / "out") == RESULTS


@pytest.mark.parametrize(
    "harm,left",
    [
        (lambda content: content[:-1], 3),
        (lambda content: content[:-30], 3),
        (lambda content: content + b'{"image": "4.jpg", "ent', 4),
        (lambda content: content + b"[" * 100_000 + b"\n", 4),
        (lambda content: content.replace(b"1.jpg", b"9.jpg"), 1),
        (lambda content: content.replace(b'"image": "3', b"\0\0\0\0\0\0\0\0\0\0"), 3),
        (lambda content: content[:20], 0),
        (lambda content: b"", 0),
    ],
    ids=["no end of line", "cut off", "half a line more", "deep", "another name", "zeros", "half of line 1", "empty"],
)
def test_lines_that_are_cut_off_or_damaged_are_dropped_with_those_after_them(tmp_path, harm, left):
    fill(tmp_path / "out", 0, 4)
    path = tmp_path / "out.part"
    path.write_bytes(harm(path.read_bytes()))
    fill(tmp_path / "out", left, 7)
    assert entries(tmp_path / "out") == RESULTS


@pytest.mark.parametrize("content", [b"mine\n", b'{"unfinished": 3}\n', b"\x00\xff", b'{"images": []}'])
def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path, content):
    (tmp_path / "out.part").write_bytes(content)
    with pytest.raises(UserError, match="out.part is no file of this command's"):
        fill(tmp_path / "out", 0, 1)
    assert (tmp_path / "out.part").read_bytes() == content


def test_results_of_another_origin_are_refused_by_name_and_left_alone(tmp_path):
    fill(tmp_path / "out", 0, 4)
    before = (tmp_path / "out.part").read_bytes()
    other = unfinished(tmp_path / "out", ORIGIN | {"threshold": 0.6}, 7)
    with pytest.raises(UserError, match=r"with another threshold \(0.5 then, 0.6 now\): remove it or give"), other:
        pass
    assert (tmp_path / "out.part").read_bytes() == before


def test_a_second_run_of_the_same_output_is_refused(tmp_path):
    with unfinished(tmp_path / "out", ORIGIN, 7) as part:
        part.append(*RESULTS[0])
        with pytest.raises(UserError, match="another command is writing it"):
            fill(tmp_path / "out", 0, 1)
    assert entries(tmp_path / "out") == RESULTS[:1]


def test_a_run_that_found_nothing_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="broken"), unfinished(tmp_path / "out", ORIGIN, 7):
        raise UserError("broken")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_line_and_what_was_written_stays(tmp_path):
    fill(tmp_path / "out", 0, 3)
    size = (tmp_path / "out.part").stat().st_size
    with limited(size + 20), pytest.raises(UserError, match=r"cannot be written \(File too large\); it is kept, and"):
        fill(tmp_path / "out", 3, 7)
    assert (tmp_path / "out.part").stat().st_size == size
    fill(tmp_path / "out", 3, 7)


class limited:
    """No file may grow beyond so many bytes: what a full disk does to whoever writes."""

    def __init__(self, size: int):
        self.size = size

    def __enter__(self):
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *reason):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


KILLED = """
import sys, time
from pathlib import Path
from src.inference.unfinished import unfinished
from tests.inference.test_unfinished import ORIGIN, RESULTS
with unfinished(Path(sys.argv[1]), ORIGIN, len(RESULTS)) as part:
    for image, entry in RESULTS[part.done:]:
        part.append(image, entry)
        print(image, flush=True)
        time.sleep(60 if image.startswith("4") else 0)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_after_a_kill_the_finished_images_are_there(tmp_path, number):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "out")]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        while process.stdout.readline() != "4.jpg\n":
            assert process.poll() is None
        time.sleep(0.05)
        process.send_signal(number)
    fill(tmp_path / "out", 5, 7)
    assert entries(tmp_path / "out") == RESULTS


def test_files_are_known_by_name_size_and_time(tmp_path):
    path = tmp_path / "a"
    path.write_text("1")
    first = describe_files([(1, path)])
    assert first == describe_files([(1, path)]) != describe_files([(2, path)])
    os.utime(path, ns=(1, 1))
    assert describe_files([(1, path)]) != first


# ----------------------------------------------------------------------------------------------------- infer's JSON


class Settings:
    """As much of a configuration as is asked for."""

    checkpoint_path, pred_input, test_batch_size = "", "images", 2


@pytest.fixture()
def infer(tmp_path, monkeypatch):
    """Write the predictions on RESULTS' images, interrupted before image `stop`; the images that were looked at."""
    monkeypatch.setattr("src.inference.output.weights_and_keys", lambda cfg: {"checkpoint": "12ab"})
    paths = [Path(name) for name, _ in RESULTS]

    def call(stop: int = 99) -> list[str]:
        seen = []

        def predict(part):
            for path in part:
                if len(RESULTS) - len(part) + len(seen) == stop:
                    raise KeyboardInterrupt
                seen.append(str(path))
                yield path, dict(RESULTS)[str(path)]

        write_predictions(Settings, paths, tmp_path / "out.json", predict, {"names": ["a"]})
        return seen

    return call


def test_the_json_is_whole_at_the_end_and_as_json_writes_it_after_any_number_of_stops(tmp_path, infer):
    for stop in (1, 4, 5):
        with pytest.raises(KeyboardInterrupt):
            infer(stop)
        assert [path.name for path in tmp_path.iterdir()] == (["out.json.part"])
    assert infer() == ["4.jpg", "5.jpg", "6.jpg"]  # a group of two goes on whole
    content = {name: entry for name, entry in RESULTS if entry is not None}
    assert (tmp_path / "out.json").read_text() == json.dumps(content, indent=1)
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


@pytest.mark.parametrize("count", [0, 1, 7])
def test_entries_without_a_part_give_the_same_bytes(tmp_path, count):
    found = [(name, entry or {"predictions": []}) for name, entry in RESULTS[:count]]
    write_entries(iter(found), tmp_path / "out.json", "images", 99)
    assert (tmp_path / "out.json").read_text() == json.dumps(dict(found), indent=1)


def test_where_no_image_can_be_read_nothing_is_left(tmp_path, infer, monkeypatch):
    monkeypatch.setitem(infer.__globals__, "RESULTS", [(name, None) for name, _ in RESULTS])
    with pytest.raises(UserError, match="images: none of its 7 images can be read"):
        infer()
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_at_the_end_keeps_the_part_alone(tmp_path, infer, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(UserError, match=r"out.json: cannot be written \(No space"):
        patched.setattr("src.files.os.fsync", full)
        infer()
    assert [path.name for path in tmp_path.iterdir()] == ["out.json.part"]
    assert infer() == [] and (tmp_path / "out.json").exists()


@pytest.mark.parametrize("moved", ["gone", "twice"])
def test_a_line_that_has_moved_ends_what_is_taken(tmp_path, moved):
    fill(tmp_path / "out", 0, 6)
    part = tmp_path / "out.part"
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join([*lines[:3], *lines[4:]] if moved == "gone" else [*lines[:4], *lines[3:]]))
    fill(tmp_path / "out", 2 if moved == "gone" else 3, 7)
    assert entries(tmp_path / "out") == RESULTS


@pytest.mark.parametrize("done,said", [(2, "2 of 5 images are kept in o.json.part: the same command goes on"), (0, "")])
def test_a_process_that_a_signal_ends_says_what_is_kept(tmp_path, done, said):
    """No block outlives that."""
    program = (
        "import logging; from pathlib import Path; logging.basicConfig(level='INFO', format='%(message)s')\n"
        "from src.inference.unfinished import unfinished; from src.process import signals\n"
        "with unfinished(Path('whole.json'), {}, 1) as part: part.append('a', 1)\n"
        "with unfinished(Path('o.json'), {}, 5) as part:\n"
        f"    for number in range({done}): part.append(str(number), {{}})\n"
        "    signals.leave(130, 'interrupted')"
    )
    path = str(Path(__file__).parents[2])
    command, environment = [sys.executable, "-c", program], os.environ | {"PYTHONPATH": path}
    ended = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, text=True)
    assert ended.returncode == 130 and ended.stderr.splitlines() == ["interrupted", *filter(None, [said])]


def test_whose_convolutions_they_are_is_a_part_of_where_predictions_come_from():
    """A part of before `fast_inference` was on goes on with 0."""
    fast, plain = (weights_and_keys(load_config("configs/demo/hrnet_cls_shapes.yaml", [f"--fast_inference={k}"]))
                   for k in (1, 0))  # fmt: skip
    assert fast == plain | {"fast_inference": True} and "fast_inference" not in plain
