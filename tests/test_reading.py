"""Files that attack whoever reads them: no hang, no traceback, no more memory than they deserve."""

import gc
import os

import pytest

from src.errors import UserError
from src.reading import is_file, is_folder, no_file, parse_json, read_bytes, read_json, read_text, without_collection


def odd_paths(folder):
    """Every kind of name and thing that is no regular file, by kind."""
    (folder / "here").symlink_to("there")
    (folder / "there").symlink_to("here")
    os.mkfifo(folder / "pipe")
    (folder / "file").write_text("1")
    return {
        "loop": folder / "here", "below a loop": folder / "here" / "x", "pipe": folder / "pipe", "endless": "/dev/zero",
        "device": "/dev/null", "folder": folder, "nothing": folder / "nothing", "long name": folder / ("x" * 300),
        "long path": folder / "/".join(["x" * 100] * 60), "NUL": folder / "a\0b", "below a file": folder / "file" / "x",
        "half a character": folder / "\ud800",
    }  # fmt: skip


KINDS = ("loop", "below a loop", "pipe", "endless", "device", "folder", "nothing", "long name", "long path", "NUL",
         "below a file", "half a character")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_in_the_place_of_a_file_is_told(tmp_path, kind):
    told = dict.fromkeys(("pipe", "endless", "device"), "is a device or a pipe")
    told |= {"loop": "is a link that leads to nothing", "folder": "is a folder"}
    assert no_file(odd_paths(tmp_path)[kind]) == told.get(kind, "does not exist")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_said_at_once(tmp_path, kind):
    path = odd_paths(tmp_path)[kind]
    assert not is_file(path) and is_folder(path) == (kind == "folder")
    for read in (read_bytes, read_text):
        with pytest.raises(OSError):
            read(path)
    with pytest.raises(UserError) as said:
        read_json(path)
    assert "\n" not in str(said.value) and "cannot be read (" in str(said.value)


def test_a_files_size_is_looked_at_before_it_is_read(tmp_path):
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(OSError, match="1,099,511,627,776 bytes; at most 100 are read"):
        read_bytes(tmp_path / "sparse", 100)
    with pytest.raises(UserError, match="is not JSON"):
        read_json(tmp_path / "sparse")


DEEP = 100_000


@pytest.mark.parametrize(
    "content",
    [b"[" * DEEP, b"[" * DEEP + b"]" * DEEP, b'{"a":' * DEEP, b"9" * 5000, b"[1, -" + b"9" * 5000 + b"]", b"", b"\0",
     b"\xff\xfe\x00", b'{"a": 1', b"1 2", b"nix"],
    ids=["lists", "closed lists", "objects", "number", "number in a list", "empty", "NUL", "binary", "cut off", "two",
         "word"],
)  # fmt: skip
def test_json_that_cannot_be_read_is_one_short_line(tmp_path, content):
    (tmp_path / "odd.json").write_bytes(content)
    with pytest.raises(UserError, match="odd.json is not JSON") as said:
        read_json(tmp_path / "odd.json")
    assert len(str(said.value)) < len(str(tmp_path)) + 100 and "\n" not in str(said.value)
    with pytest.raises(ValueError):
        parse_json(content)


def test_json_is_read_with_a_byte_order_mark_and_without(tmp_path):
    for mark in (b"", b"\xef\xbb\xbf"):
        (tmp_path / "good.json").write_bytes(mark + '{"name": "Gänse", "big": 1e400}'.encode())
        assert read_json(tmp_path / "good.json") == {"name": "Gänse", "big": float("inf")}


def test_the_collection_of_garbage_is_on_again_whatever_happens():
    assert gc.isenabled()
    with pytest.raises(ValueError, match="line 1"), without_collection():
        with without_collection():
            assert not gc.isenabled()
        assert not gc.isenabled()
        parse_json("{")
    assert gc.isenabled()
    gc.disable()
    try:
        parse_json("{}")
        assert not gc.isenabled()
    finally:
        gc.enable()
