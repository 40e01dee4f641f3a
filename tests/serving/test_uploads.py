"""Uploads wait for the network and leave nothing."""

import os
import time

from src.serving.uploads import KEPT, LONGEST_WAIT, MOST_WAITING, PATIENCE, UNASKED, Uploads


def arrived(uploads: Uploads, path, content: bytes = b"x") -> str:
    """A file as Gradio stores it."""
    with uploads.arriving() as note:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        note([str(path)])
    return str(path)


def test_a_file_that_was_taken_is_gone(tmp_path):
    uploads = Uploads(tmp_path)
    path = arrived(uploads, tmp_path / "a" / "photo.jpg", b"pixels")
    assert path in uploads and len(uploads) == 1
    assert uploads.take(path) == b"pixels"
    assert not os.path.exists(path) and path not in uploads and uploads.take(path) is None


def test_only_what_was_uploaded_is_taken(tmp_path):
    uploads = Uploads(tmp_path)
    (tmp_path / "own").write_bytes(b"secret")
    assert uploads.take(str(tmp_path / "own")) is None and uploads.take("/etc/hostname") is None
    assert {"path": 1} not in uploads and 3 not in uploads and (tmp_path / "own").exists()


def test_two_visitors_with_one_file_both_get_it(tmp_path):
    """Gradio stores equal contents at one place."""
    uploads = Uploads(tmp_path)
    path = arrived(uploads, tmp_path / "a" / "photo.jpg", b"pixels")
    arrived(uploads, tmp_path / "a" / "photo.jpg", b"pixels")
    assert len(uploads) == 2
    assert uploads.take(path) == b"pixels" and uploads.take(path) == b"pixels"
    assert not os.path.exists(path) and uploads.take(path) is None


def test_a_file_stays_while_the_same_may_be_on_its_way(tmp_path):
    uploads = Uploads(tmp_path)
    path = arrived(uploads, tmp_path / "a" / "photo.jpg", b"pixels")
    with uploads.arriving() as note:  # of the same content, stored already
        assert uploads.take(path) == b"pixels"
        note([path])
    assert uploads.take(path) == b"pixels" and not os.path.exists(path)


def test_what_is_old_goes_and_what_is_waited_for_stays(tmp_path, monkeypatch):
    uploads = Uploads(tmp_path)
    path = arrived(uploads, tmp_path / "a" / "photo.jpg")
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn" / "image.jpg").write_bytes(b"x")
    (tmp_path / "half of an upload").write_bytes(b"x")
    now = time.time()
    uploads.sweep(now + KEPT - 5)
    assert len(list(tmp_path.rglob("*"))) == 5
    uploads.sweep(now + KEPT + 5)
    assert os.path.exists(path) and not (tmp_path / "drawn" / "image.jpg").exists()
    assert not (tmp_path / "half of an upload").exists()
    clock = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: clock + UNASKED + 5)  # nobody comes for it
    uploads.sweep(now + 10_000)
    assert not list(tmp_path.iterdir()) and path not in uploads


def test_what_the_network_is_to_look_at_waits_longer(tmp_path, monkeypatch):
    uploads = Uploads(tmp_path)
    paths = [arrived(uploads, tmp_path / name / "photo.jpg") for name in "ab"]
    uploads.ask([paths[0], "/etc/hostname"])
    clock = time.monotonic()
    for later, there in ((UNASKED - 5, [True, True]), (UNASKED + 5, [True, False]), (LONGEST_WAIT + 5, [False, False])):
        monkeypatch.setattr(time, "monotonic", lambda later=later: clock + later)
        uploads.sweep()
        assert [path in uploads for path in paths] == there


def test_of_too_many_the_one_goes_that_nobody_asks_about_longest(tmp_path, monkeypatch):
    uploads = Uploads(tmp_path)
    paths = [arrived(uploads, tmp_path / str(k) / "photo.jpg") for k in range(MOST_WAITING)]
    uploads.ask(paths[:1])
    assert uploads.make_room() and len(uploads) == MOST_WAITING - 1
    assert paths[0] in uploads and paths[1] not in uploads and not os.path.exists(paths[1])
    assert uploads.make_room() and paths[2] in uploads  # there is room already
    paths[1] = arrived(uploads, tmp_path / "again" / "photo.jpg")
    uploads.ask(paths)
    assert not uploads.make_room() and len(uploads) == MOST_WAITING  # all of them wait for the network
    clock = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: clock + PATIENCE + 5)
    assert uploads.make_room() and paths[0] not in uploads and len(uploads) == MOST_WAITING - 1
