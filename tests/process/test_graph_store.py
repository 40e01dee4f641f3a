"""The folder of compiled graphs: what is damaged, too much or not to be trusted."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from src.process.graph_store import ABANDONED, GraphStore, make_private

KEY, OTHER = "a1" * 16, "b2" * 16


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def zero(path):
    path.write_bytes(bytes(path.stat().st_size))


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def replace_by_link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


DAMAGES = {
    "truncated": truncate,
    "zeroed": zero,
    "emptied": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
    "of another key's content": lambda path: path.write_bytes(b"another graph"),
    "a folder": replace_by_folder,
    "a link": replace_by_link,
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_graph_is_as_good_as_none_and_another_one_takes_its_place(tmp_path, kind):
    store = GraphStore(tmp_path)
    DAMAGES[kind](store.put(KEY, b"a graph"))
    assert store.get(KEY) is None
    store.put(KEY, b"a graph, compiled anew")
    assert store.get(KEY) == b"a graph, compiled anew"


def test_a_damaged_graph_is_removed(tmp_path):
    store = GraphStore(tmp_path)
    truncate(store.put(KEY, b"a graph"))
    store.get(KEY)
    assert not list(tmp_path.iterdir())


def test_each_key_has_its_own_graph_and_can_be_dropped(tmp_path):
    store = GraphStore(tmp_path)
    store.put(KEY, b"one")
    store.put(OTHER, b"two")
    assert (store.get(KEY), store.get(OTHER)) == (b"one", b"two")
    store.drop(KEY)
    assert (store.get(KEY), store.get(OTHER)) == (None, b"two")


def test_the_least_recently_used_graphs_go_first_and_the_newest_stays(tmp_path):
    store = GraphStore(tmp_path, limit=25)
    for age, key in ((300, "1a"), (200, "2b")):
        path = store.put(key, key.encode() * 5)
        os.utime(path, (time.time() - age,) * 2)
    assert store.get("1a")  # used: now 2b is the oldest
    store.put("3c", b"3c" * 5)
    assert store.get("2b") is None and store.get("1a") and store.get("3c")
    store.put("4d", b"4d" * 50)  # by itself above the limit
    assert store.get("4d") and not store.get("1a") and not store.get("3c")


def test_what_killed_runs_have_left_goes_and_what_runs_work_with_stays(tmp_path):
    store = GraphStore(tmp_path)
    for name in (".run-old", ".run-now"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    (tmp_path / ".new-old").write_text("half")
    for name in (".run-old", ".new-old"):
        os.utime(tmp_path / name, (time.time() - 2 * ABANDONED,) * 2)
    store.put(KEY, b"a graph")
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == {".run-now"}


def test_many_writers_and_readers_at_once_never_see_half_a_graph(tmp_path):
    contents = {bytes([k]) * 100_000 for k in range(8)}

    def work(content: bytes) -> set[bytes | None]:
        store = GraphStore(tmp_path, limit=250_000)
        return {found for _ in range(20) for found in (store.put(KEY, content) and store.get(KEY),)}

    with ThreadPoolExecutor(8) as pool:
        seen = set().union(*pool.map(work, contents))
    assert seen - {None} <= contents and len(seen) > 1
    assert not list(tmp_path.glob(".*"))


def test_a_folder_is_made_for_this_user_alone(tmp_path):
    folder = tmp_path / "caches" / "graphs"
    assert make_private(folder) == "" and make_private(folder) == ""
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700, 0o700]
    assert GraphStore(folder).put(KEY, b"a graph").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_folder_that_others_can_write_is_refused(tmp_path, mode):
    tmp_path.chmod(mode)
    assert make_private(tmp_path) == "other users may write to it"
    tmp_path.chmod(0o700)


def test_a_folder_below_one_that_others_can_write_is_refused_but_not_below_tmp(tmp_path):
    folder = tmp_path / "open" / "graphs"
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o777)
    assert make_private(folder) == "other users may put another folder in its place"
    folder.parent.chmod(0o1777)
    assert make_private(folder) == ""


def test_a_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert make_private(tmp_path) == "it belongs to another user"


def test_what_cannot_be_made_is_refused_with_the_reason(tmp_path):
    (tmp_path / "file").write_text("")
    assert make_private(tmp_path / "file" / "graphs") == "it cannot be made (Not a directory)"
    assert make_private(tmp_path / "file") == "it is no folder"
