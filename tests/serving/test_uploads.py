"""Uploads wait for the network and leave nothing."""

import os
import time

from src.serving.uploads import KEPT, LONGEST_WAIT, Uploads


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
    monkeypatch.setattr(time, "monotonic", lambda: now + LONGEST_WAIT + 5)  # nobody comes for it
    monkeypatch.setattr(uploads, "_waiting", {path: [now]})
    uploads.sweep(now + 10_000)
    assert not list(tmp_path.iterdir()) and path not in uploads
