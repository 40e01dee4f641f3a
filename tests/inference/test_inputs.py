"""What pred_input may name: images, folders, lists, several of them; and what it may not."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.config import default_config
from src.config.overrides import parse_overrides
from src.errors import UserError
from src.inference.inputs import find_inputs, relative_to, root_of
from tests.data.videos import write_video


def write_image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    return path


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "x/b.png", "x/y/c.png", "d,e.png", "[f].png", "[a.png, x]/g.png", "0/h.png", "my photo.png"):
        write_image(Path(name))
    return tmp_path


def found(*words: str, **keys) -> list[str]:
    more = [f"--{name}={value}" for name, value in keys.items()]
    return [str(path) for path in find_inputs(default_config(["--pred_input", *words, *more])).images]


def test_words_behind_the_key_are_its_values():
    assert parse_overrides(["--pred_input", "a", "b", "--lr", "1", "--pred_input", "c"]) == [
        ("pred_input", ["a", "b"]), ("lr", "1"), ("pred_input", "c"),
    ]  # fmt: skip
    for words in (["--brief", "a", "b"], ["--pred_input=a", "b"]):
        with pytest.raises(UserError, match="unexpected argument 'b': write --key value"):
            parse_overrides(words)


def test_one_thing_or_several_of_any_kind():
    Path("two.txt").write_text("x/b.png\n")
    assert found("a.png") == ["a.png"] and found("x") == ["x/b.png"]
    assert found("x", recursive=1) == ["x/b.png", "x/y/c.png"]
    assert found("a.png", "two.txt", "x/y") == ["a.png", "x/b.png", "x/y/c.png"]
    assert found("[a.png, x/y]") == found("['a.png', \"x/y\"]") == ["a.png", "x/y/c.png"]
    assert found("d,e.png") == ["d,e.png"] and found("[f].png") == ["[f].png"] and found("my photo.png")
    assert found("[a.png, x]") == ["[a.png, x]/g.png"]  # a folder of that name is there
    assert found("0") == ["0/h.png"]


def test_each_file_is_taken_once(place, caplog):
    assert found("a.png", "x", "./x/b.png", str(place / "a.png")) == ["a.png", "x/b.png"]
    assert "pred_input names 2 images more than once: each is taken once" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        b"# images\n\na.png\n  x/b.png  \n# a.png\nmy photo.png\n",
        "\ufeffa.png\r\nx/b.png\r\nmy photo.png".encode(),
        "a.png\nx/b.png\nmy photo.png\n".encode("utf-16"),
        b"a.png\rx/b.png\rmy photo.png\r",
    ],
)
def test_a_list_as_editors_of_all_systems_write_it(content):
    Path("list.lst").write_bytes(content)
    assert found("list.lst") == ["a.png", "x/b.png", "my photo.png"]


def test_a_list_is_relative_to_its_folder_and_leads_out_of_it_only_where_that_is_allowed(place):
    (place / "x" / "list.TXT").write_text("b.png\n../a.png\n")
    for source in ("x/list.TXT", str(place / "x" / "list.TXT")):
        with pytest.raises(UserError, match=r"list.TXT: line 2 names '\.\./a.png', outside .* allow_outside: 1 reads"):
            found(source)
    assert found("x/list.TXT", allow_outside=1) == ["x/b.png", "x/../a.png"]
    (place / "x" / "list.TXT").write_text(f"{place / 'a.png'}\n")
    with pytest.raises(UserError, match="allow_outside: 1 reads it"):
        found("x/list.TXT")
    assert found("x/list.TXT", allow_outside=1) == [str(place / "a.png")]


@pytest.mark.parametrize("name", ["../x/y/c.png", "{place}/x/y/c.png"])
def test_a_list_takes_no_other_image_for_one_that_is_there_outside_of_its_folder(place, name):
    write_image(place / "lists" / "c.png")
    (place / "lists" / "a.lst").write_text(name.format(place=place))
    with pytest.raises(UserError, match=r"a.lst: line 1 names '.*, which is there, outside of .* allow_outside: 1 "):
        found("lists/a.lst")
    assert Path(found("lists/a.lst", allow_outside=1)[0]).samefile("x/y/c.png")
    (place / "x/y/c.png").unlink()
    assert found("lists/a.lst") == ["lists/c.png"]  # a folder that moved as a whole
    (place / "x/y/c.png").symlink_to(place / "lists" / "c.png")
    assert found("lists/a.lst") == ["lists/c.png"]


def test_what_a_list_names_and_is_not_there_is_named(caplog):
    Path("list.txt").write_text("a.png\nnone.png\nx\n")
    assert found("list.txt") == ["a.png"]
    assert "list.txt: 2 of the 3 images it names are missing: none.png (line 2), x (line 3, is a folder)" in caplog.text
    Path("list.txt").write_text("none.png\n")
    with pytest.raises(UserError, match="list.txt: 1 of the 1 image it names are missing: none.png"):
        found("list.txt")
    for content in ("", "# a.png\n\n"):
        Path("list.txt").write_text(content)
        with pytest.raises(UserError, match="list.txt names no images"):
            found("list.txt")


def test_names_that_are_no_text_and_very_long_ones_are_names(place):
    for name in (b"caf\xe9.png", b"%d<b>&'\"# .png", b"-.png", b"--x.png", b"x" * 240 + b".png"):
        write_image(place / "odd" / os.fsdecode(name))
    names = sorted(os.fsencode(path.name) for path in (place / "odd").iterdir())
    (place / "odd" / "list.txt").write_bytes(b"\n".join(names))
    assert found("odd/list.txt") == [os.fsdecode(b"odd/" + name) for name in names]
    assert found("odd") == sorted(found("odd/list.txt"))


def test_an_image_may_be_called_as_a_list_or_as_a_video():
    for name in ("image.txt", "image.mp4"):
        write_image(Path(name))
        assert found(name) == [name]


def test_a_video_stands_alone(tmp_path):
    write_video(tmp_path / "v.mp4", 2)
    assert find_inputs(default_config(["--pred_input", "v.mp4"])).video == Path("v.mp4")
    assert find_inputs(default_config(["--pred_input", "7"])).video == 7
    with pytest.raises(UserError, match="v.mp4 is a video, which is run alone; 2 things are named"):
        found("a.png", "v.mp4")
    (tmp_path / "v.mp4").rename(write_image(Path("w/a.png")).with_name("v.mp4"))
    assert found("w") == ["w/a.png"]
    Path("w/a.png").unlink()
    with pytest.raises(UserError, match="w: no jpg.* in this folder, but 1 video, to be run alone: v.mp4"):
        found("w")
    Path("text.mp4").write_text("#EXTM3U\nv.mp4\n")
    with pytest.raises(UserError, match="text.mp4 is no video: it does not begin as its name says"):
        found("text.mp4")


@pytest.mark.parametrize(
    "name,problem",
    [
        ("rtsp://camera/1", "is an address: files, folders and cameras are read, no network"),
        ("http://h/a.mp4", "is an address"),
        ("a.png,x", r"is not there, but a.png, x are: several are written one after the other, or \[a.png, x\]"),
        ("a.png,none", "a.png,none: no such image or folder"),
        ("img_%02d.png", "img_%02d.png: no such image or folder"),
        ("1234", "1234: no such image or folder"),
        ("/dev/zero", "/dev/zero is a device or a pipe"),
        ("pipe.png", "pipe.png is a device or a pipe"),
        ("nowhere.png", "nowhere.png is a link that leads to nothing"),
        ("odd.txt", r"odd.txt: 3 of the 3 .*: pipe.png \(line 1, is a device or a pipe\), nowhere.png \(line 2"),
        ("none.mp4", "none.mp4: no such image or folder"),
    ],
)
def test_what_is_not_there_is_refused_in_a_line(name, problem):
    os.mkfifo("pipe.png")
    Path("nowhere.png").symlink_to("gone.png")
    Path("odd.txt").write_text("pipe.png\nnowhere.png\n" + "n" * 90)
    with pytest.raises(UserError, match=problem):
        found(name)


def test_names_are_told_from_the_innermost_folder_of_all(place):
    for pred_input, images, root, relative in (
        ("x", ["x/b.png", "x/y/c.png"], "x", ["b.png", "y/c.png"]),
        ("x/b.png", ["x/b.png"], "x", ["b.png"]),
        (["x", "a.png"], ["x/b.png", "a.png"], place, ["x/b.png", "a.png"]),
        (["x/y", "x/b.png"], ["x/y/c.png", "x/b.png"], place / "x", ["y/c.png", "b.png"]),
        ("l.txt", ["x/../a.png", str(place / "x/b.png")], place, ["a.png", "x/b.png"]),
    ):
        paths = list(map(Path, images))
        assert root_of(pred_input, paths) == Path(root)
        assert [relative_to(path, Path(root)).as_posix() for path in paths] == relative
