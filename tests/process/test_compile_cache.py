"""Graphs read instead of compiled, by fresh processes: MindSpore's cache has one state a process."""

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import pytest
from mindspore import nn

from src.config import load_config
from src.errors import UserError
from src.process import compile_cache, graph_hash
from src.process.compile_cache import SWITCH, cache_folder, compile_once
from src.process.runtime import SINGLE, Runtime
from tests.process.compile_job import CONFIG

ROOT = Path(__file__).parents[2]


class Job:
    """A process that trains tests/process/compile_job.py's network, in the background."""

    def __init__(self, folder: Path | str = "", **case: object):
        command = [sys.executable, "-m", "tests.process.compile_job", str(folder), json.dumps(case)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result(self) -> tuple[dict, list[str]]:
        """What came out, and the log's lines."""
        output, errors = self.process.communicate(timeout=200)
        assert self.process.returncode == 0, output[-2000:] + errors[-2000:]
        found = json.loads(output.splitlines()[-1])
        return found, found.pop("log")


def ways(lines: list[str]) -> list[str]:
    """How each graph was had, in their order: 'read' or 'compiled anew'."""
    found = [re.fullmatch(r"Graph of \w+: (read|compiled anew) in .*", line) for line in lines]
    assert all(found), lines
    return [match[1] for match in found]


def test_a_second_process_reads_the_graphs_and_gives_what_freshly_compiled_ones_give(tmp_path):
    """With other weights than the process had that compiled them."""
    expected, first = Job(seed=2), Job(tmp_path, seed=1)
    numbers, lines = first.result()
    assert ways(lines) == ["compiled anew"] * 2 and all(line.endswith(f"kept in {tmp_path}") for line in lines)
    again, lines = Job(tmp_path, seed=2).result()
    assert ways(lines) == ["read"] * 2
    assert again == expected.result()[0] != numbers
    assert {path.suffix for path in tmp_path.iterdir()} == {".mindir"}


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"factor": 2.0}, {"threshold": 0.3}, {"anchor": 0.25}])
def test_a_changed_number_threshold_or_anchor_compiles_anew_and_gives_its_own_losses(tmp_path_factory, change):
    folder = tmp_path_factory.getbasetemp() / "changes"
    before, expected = Job(folder), Job(**change)
    numbers, _ = before.result()
    found, lines = Job(folder, **change).result()
    assert ways(lines) == ["compiled anew"] * 2
    assert found == expected.result()[0] and found["losses"] != numbers["losses"]


@pytest.mark.slow
def test_graphs_are_known_by_what_they_are_not_by_their_number_in_the_process(tmp_path):
    """Two sizes of image in two orders: MindSpore's own numbers would give each the other's graph."""
    found, lines = Job(tmp_path, sides=[8, 12]).result()
    again, more = Job(tmp_path, sides=[12, 8]).result()
    assert ways(lines) == ["compiled anew"] * 3 and ways(more) == ["read"] * 3
    assert again == Job(sides=[12, 8]).result()[0] and found["losses"] == again["losses"]


@pytest.mark.slow
def test_a_damaged_graph_is_compiled_anew_and_takes_its_place(tmp_path):
    expected, _ = Job(tmp_path).result()
    for damage in (lambda data: data[: len(data) // 2], lambda data: bytes(len(data)), lambda data: b""):
        for path in tmp_path.glob("*.mindir"):
            path.write_bytes(damage(path.read_bytes()))
        found, lines = Job(tmp_path).result()
        assert found == expected and ways(lines) == ["compiled anew"] * 2
    found, lines = Job(tmp_path).result()
    assert found == expected and ways(lines) == ["read"] * 2


@pytest.mark.slow
def test_one_graph_missing_is_compiled_and_what_follows_is_right(tmp_path):
    expected, _ = Job(tmp_path).result()
    max(tmp_path.glob("*.mindir"), key=lambda path: path.stat().st_size).unlink()  # the training step's
    found, lines = Job(tmp_path).result()
    assert found == expected and ways(lines)[0] == "compiled anew"
    assert ways(Job(tmp_path).result()[1]) == ["read"] * 2


@pytest.mark.slow
def test_a_graph_that_cannot_be_read_although_its_bytes_are_those_written_is_compiled_anew(tmp_path):
    """As from another build of MindSpore under the same version."""
    expected, _ = Job(tmp_path).result()
    for path in tmp_path.glob("*.mindir"):
        key = path.name.partition(".")[0]
        path.unlink()
        compile_cache.GraphStore(tmp_path).put(key, b"no graph at all")
    found, lines = Job(tmp_path).result()
    assert found == expected and ways(lines) == ["compiled anew"] * 2
    found, lines = Job(tmp_path).result()
    assert found == expected and ways(lines) == ["read"] * 2


@pytest.mark.slow
def test_two_runs_at_once_are_both_right_and_leave_whole_graphs(tmp_path):
    jobs = [Job(tmp_path) for _ in range(2)]
    (first, _), (second, _) = [job.result() for job in jobs]
    assert first == second
    assert {path.suffix for path in tmp_path.iterdir()} == {".mindir"}
    third, lines = Job(tmp_path).result()
    assert third == first and ways(lines) == ["read"] * 2


# --------------------------------------------------------------------------------------------------- on and off


@pytest.fixture()
def network(graph_mode, monkeypatch, tmp_path):
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr(compile_cache, "_framework", [])
    return nn.Dense(2, 2)


def is_served(network: nn.Cell, *keys: str) -> bool:
    compile_once(load_config(CONFIG, list(keys)), SINGLE, network)
    return "compile" in vars(network)


def test_it_is_on_by_default_in_the_users_caches(network, tmp_path):
    assert is_served(network)
    folder = tmp_path / "caches" / "ms_vision_zoo" / "graphs"
    assert folder.stat().st_mode & 0o777 == 0o700 and cache_folder("") == folder


def test_a_folder_of_ones_own(network, tmp_path):
    assert is_served(network, "--compile_cache_path", str(tmp_path / "mine"))
    assert (tmp_path / "mine").is_dir() and not (tmp_path / "caches").exists()


@pytest.mark.parametrize("keys", [("--compile_cache", "0"), ("--mode", "pynative"), ("--device_target", "GPU")])
def test_keys_that_turn_it_off(network, tmp_path, keys):
    assert not is_served(network, *keys) and not (tmp_path / "caches").exists()


@pytest.mark.parametrize("variable,value", [(SWITCH, "0"), (SWITCH, "Off"), ("MS_COMPILER_CACHE_ENABLE", "1")])
def test_variables_that_turn_it_off(network, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    assert not is_served(network)


def test_a_variable_of_no_known_word_is_an_error(network, monkeypatch):
    monkeypatch.setenv(SWITCH, "maybe")
    with pytest.raises(UserError, match=f"^{SWITCH} must be 0 or 1, not 'maybe'$"):
        is_served(network)


def test_another_release_of_the_framework_is_left_alone(network, monkeypatch):
    monkeypatch.setattr(ms, "__version__", "2.9.0")
    assert not is_served(network)


def test_the_other_tests_run_without_it():
    assert os.environ[SWITCH] == "0"


def test_an_unsafe_folder_is_one_warning_and_no_cache(network, tmp_path, caplog):
    folder = tmp_path / "caches" / "ms_vision_zoo" / "graphs"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert not is_served(network)
    assert [record.getMessage() for record in caplog.records] == [
        f"graphs are compiled anew in every run: {folder} cannot be used, other users may write to it"
    ]


def test_a_folder_that_was_asked_for_and_cannot_be_used_is_an_error(network, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"^compile_cache_path: {tmp_path}/file cannot be used, "):
        is_served(network, "--compile_cache_path", str(tmp_path / "file"))


def test_what_is_no_network_is_passed_over(network, tmp_path):
    compile_once(load_config(CONFIG, []), SINGLE, object())
    assert not (tmp_path / "caches").exists()


# ------------------------------------------------------------------------------- what counts beside the network


def facts(*keys: str, process: Runtime = SINGLE) -> dict:
    return compile_cache._facts(ms, load_config(CONFIG, list(keys)), process)


def test_a_release_a_rank_a_compiler_setting_or_a_key_that_matters_is_another_graph(monkeypatch):
    plain = facts()
    assert facts("--seed", "5") != plain and facts("--test_cfg.rcnn.score_thr", "0.2") != plain
    assert facts(process=Runtime(0, 2)) != facts(process=Runtime(1, 2)) != plain
    with monkeypatch.context() as patch:
        patch.setenv("MS_DEV_SOMETHING", "1")
        assert facts() != plain
    monkeypatch.setattr(ms, "__version__", "2.8.1")
    assert facts() != plain


def test_places_cadence_and_how_long_a_run_goes_on_are_the_same_graph():
    keys = ("--train_outputs", "x", "--brief", "y", "--log_every", "7", "--resume", "1", "--max_steps", "9")
    assert facts(*keys, "--train_dataset", "z", "--pre_trained", "k.ckpt") == facts()


def test_an_edited_source_and_operators_built_anew_are_another_graph(monkeypatch, tmp_path):
    monkeypatch.setattr(graph_hash, "PACKAGE", tmp_path)
    (tmp_path / "ops" / "bin").mkdir(parents=True)
    found = []
    for name in ("a.py", "ops/bin/custom_ops_cpu.so"):
        for text in ("one", "two"):
            (tmp_path / name).write_text(text)
            found.append(facts())
    assert all(one != other for one, other in itertools.combinations(found, 2))
