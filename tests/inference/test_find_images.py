"""Images of a folder and of a tree, and the pictures of a tree's images in a tree of the same names."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mindspore import Tensor

from src.commands.places import check_pictures
from src.config import load_config
from src.data.images import IMAGE_SUFFIXES
from src.errors import UserError
from src.inference.find_images import find_images
from src.inference.output import write_predictions
from src.inference.segment_files import KINDS, picture_paths, segment_files

CONFIG = Path(__file__).parents[2] / "configs/demo/hrnet_seg_cityscapes_shapes.yaml"
TREE = ("a.jpg", "A.png", "x/a.jpg", "x/y/a.tif", "x/b.TIFF", "z/a.webp", "z/a_index.png")


@pytest.fixture()
def tree(tmp_path) -> Path:
    """A tree of small images, and what is none of it: texts, hidden folders, links that lead round."""
    for name in (*TREE, ".hidden/a.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(path.suffix.lower(), np.full((8, 16, 3), 99, np.uint8))[1].tobytes())
    (tmp_path / "in" / "notes.txt").write_text("a")
    (tmp_path / "in" / "x" / "round").symlink_to(tmp_path / "in")
    return tmp_path / "in"


def names(paths: list[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def test_a_tree_gives_all_its_images_once_and_says_which_links_it_does_not_follow(tree, caplog):
    assert names(find_images(tree, recursive=True), tree) == sorted(TREE, key=Path)
    assert "1 links to folders are not followed" in caplog.text and "round" in caplog.text
    assert names(find_images(tree), tree) == ["A.png", "a.jpg"]
    assert find_images(tree / "a.jpg", recursive=True) == [tree / "a.jpg"]
    assert {Path(name).suffix.lower() for name in TREE} <= set(IMAGE_SUFFIXES)


def test_a_folder_whose_images_lie_deeper_says_how_to_take_them(tree):
    for name in ("a.jpg", "A.png"):
        (tree / name).unlink()
    with pytest.raises(UserError, match="no jpg, .* files in this folder, but 5 within its folders: recursive 1"):
        find_images(tree)
    (tree / "empty").mkdir()
    with pytest.raises(UserError, match="no jpg, .*tiff files in this folder$"):
        find_images(tree / "empty", recursive=True)


def test_pictures_of_a_tree_have_its_names_and_never_clash(tree):
    paths = find_images(tree, recursive=True)
    pictures = [one for group in picture_paths(paths, Path("out"), tree) for one in group]
    assert len({str(one).lower() for one in pictures}) == len(paths) * len(KINDS)
    for path, group in zip(paths, picture_paths(paths, Path("out"), tree)):
        assert {one.parent for one in group} == {Path("out") / path.parent.relative_to(tree)}
    assert picture_paths([tree / "x/a.jpg"], Path("out"))[0][0] == Path("out/a_index.png")


def configured(tree: Path, out: Path, *more: str):
    size = ["--img_width", "32", "--img_height", "16", "--recursive", "1"]
    return load_config(CONFIG, [*size, "--pred_input", str(tree), "--pred_output", str(out), *more])


def blank(image: Tensor) -> Tensor:
    """A network that takes everything for class 2."""
    scores = np.zeros((image.shape[0], 19, image.shape[2] // 4, image.shape[3] // 4), np.float32)
    scores[:, 2] = 1
    return Tensor(scores)


def test_a_tree_is_segmented_into_a_tree_that_is_no_input_of_the_next_run(tree):
    out = tree / "out"
    for _ in range(2):
        paths = find_images(tree, True, [out])
        cfg = configured(tree, out)
        check_pictures(cfg, paths)
        written, unreadable = segment_files(cfg, blank, paths, out)
        assert len(written) == len(TREE) and not unreadable
    index = cv2.imread(str(out / "x" / "y" / "a_index.png"), cv2.IMREAD_UNCHANGED)
    assert index.shape == (8, 16) and (index == 2).all()
    assert len(list(out.rglob("*.png"))) == len(TREE) * len(KINDS)


def test_a_file_where_a_folder_of_pictures_must_be_is_refused_before_anything_is_done(tree, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_text("mine")
    cfg = configured(tree, tmp_path / "out")
    with pytest.raises(UserError, match="pred_output .*out/x is a file; a folder of pred_input has its name"):
        check_pictures(cfg, find_images(tree, True))
    assert (tmp_path / "out" / "x").read_text() == "mine"


def test_predictions_on_a_tree_are_told_apart_by_their_paths(tree, tmp_path):
    paths = find_images(tree, recursive=True)
    cfg = configured(tree, tmp_path / "out.json")
    write_predictions(
        cfg, paths, tmp_path / "out.json", lambda left: ((path, {"predictions": []}) for path in left), {}
    )
    assert list(json.loads((tmp_path / "out.json").read_text())) == list(map(str, paths))
