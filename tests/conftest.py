"""Shared by all tests: quiet MindSpore logs, graph mode on the CPU, paths."""

import logging
import os
import signal
import weakref
from pathlib import Path

from src.process.threads import share_cores

os.environ.setdefault("GLOG_v", "3")
share_cores()
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup ignores, for the tests' programs too
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's job in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["MS_VISION_ZOO_COMPILE_CACHE"] = "0"  # its own tests turn it on; subprocesses inherit it

import mindspore  # noqa: E402  before onnx: MindSpore's generated protobuf code must be the first to be loaded
import pytest  # noqa: E402
from mindspore.common.api import _cell_graph_executor  # noqa: E402

from src.data.formats import report  # noqa: E402
from src.ops import library  # noqa: E402

# In PyNative mode threads wait awake for one another otherwise: the same numbers in half of the CPU time.
mindspore.set_context(pynative_synchronize=True)

DATA_FILES = Path(__file__).parent / "data_files"
LONGEST = (  # files by time, those of --all too
    "test_any_backbone", "test_compile_once", "test_precision", "test_museum", "test_pythons", "test_distributed",
    "test_killed_ranks", "test_wheel", "test_trained_parity", "test_mask_rcnn", "test_turned_images", "test_commands",
    "test_api", "test_huge_images", "test_detectors", "test_export_commands", "test_segmentation_commands",
    "test_classification_commands", "test_cascade", "test_original_launchers", "test_new_on_photographs",
    "test_own_data", "test_kinds_of_nms", "test_random_kills", "test_without_operators", "test_transfer_training",
    "test_sampling_page", "test_ocr_commands", "test_box_commands", "test_two_ranks", "test_classification",
    "test_fused",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def data_files() -> Path:
    """Folder of the reference arrays."""
    return DATA_FILES


@pytest.fixture(autouse=True, scope="module")
def graphs_end_with_their_module():
    """A cell that has a gradient of its own never dies (the framework holds it), nor would its graph, often 50 MB."""
    compiled, compile_graph = weakref.WeakSet(), type(_cell_graph_executor).compile

    def compile_and_note(executor, cell, *arguments, **keys):
        compiled.add(cell)
        return compile_graph(executor, cell, *arguments, **keys)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(_cell_graph_executor), "compile", compile_and_note)
        yield
    for cell in compiled:
        if isinstance(cell, mindspore.nn.Cell) and cell.compile_cache:
            _cell_graph_executor.del_net_res(cell, cell.compile_cache)
            cell.compile_cache.clear()


@pytest.fixture(autouse=True)
def log_lines_reach_pytest(monkeypatch):
    """Whatever a command of an earlier test has done to the log, or has said of a data set already."""
    ours = logging.getLogger("src")
    monkeypatch.setattr(ours, "propagate", True)
    for handler in list(ours.handlers):  # the run's log file, the terminal of that test
        ours.removeHandler(handler)
        handler.close()
    report.said_already.clear()


@pytest.fixture(autouse=True)
def nothing_is_built_unasked(monkeypatch):
    """A command of an earlier test in this process has said who builds operators that are missing."""
    monkeypatch.setattr(library, "_builders", [])


@pytest.fixture()
def graph_mode():
    """MindSpore on the CPU in graph mode, whatever an earlier test has set."""
    import mindspore as ms

    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    return ms


@pytest.fixture()
def pynative_mode():
    """MindSpore on the CPU in PyNative mode, back to graph mode afterwards."""
    import mindspore as ms

    ms.set_context(mode=ms.PYNATIVE_MODE, device_target="CPU")
    yield ms
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")


@pytest.fixture()
def added():
    """Appends to a list for the time of the test."""
    before = []

    def add(values: list, value: object) -> None:
        before.append((values, list(values)))
        values.append(value)

    yield add
    for values, old in reversed(before):
        values[:] = old


@pytest.fixture()
def tiny_dataset():
    """Three images of a hand-worked data set, see tests/evaluation/tiny.py."""
    from tests.evaluation.tiny import make_dataset

    return make_dataset(
        [
            (11, 7, (10, 10, 40, 40), False),
            (11, 3, (60, 60, 30, 30), False),
            (12, 7, (0, 0, 50, 50), False),
            (12, 7, (60, 60, 20, 20), False),
        ]
    )
