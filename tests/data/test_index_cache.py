"""What is kept of a large folder of label files: the same index, never an old one, and nothing that anybody misses."""

import os
from pathlib import Path

import numpy as np
import pytest

from src.data import formats
from src.data.formats import index_cache, open_detection, yolo
from src.data.formats.index import DetectionIndex, ImageRecord, ObjectRecord
from src.data.formats.report import Report
from src.errors import UserError
from tests.data.test_yolo import BOX, LISTED, NAMES, make, picture


@pytest.fixture()
def kept(tmp_path, monkeypatch) -> Path:
    """The folder of what is kept, in which small sets are too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr(index_cache, "LEAST", 1)
    return tmp_path / "caches" / "ms_vision_zoo" / "labels"


@pytest.fixture()
def root(tmp_path) -> Path:
    return make(tmp_path / "set", "images", "labels", data_yaml="train: images\n" + LISTED)


@pytest.fixture()
def readings(monkeypatch) -> list:
    """One for each time that the label files are read."""
    made, plain = [], yolo.read_yolo
    monkeypatch.setattr(yolo, "read_yolo", lambda *arguments: made.append(1) or plain(*arguments))
    return made


def same(one: DetectionIndex, other: DetectionIndex) -> bool:
    facts = ("annotation_file", "classes", "category_ids", "image_ids", "missing", "report")
    records = [[index.record(k) for k in range(len(index))] for index in (one, other)]
    return all(getattr(one, fact) == getattr(other, fact) for fact in facts) and records[0] == records[1]


def test_a_folder_that_is_as_it_was_is_not_read_again(kept, root, make_config, readings, caplog):
    caplog.set_level("INFO")
    (root / "labels" / "b.txt").write_text(f"{BOX}\nodd\n{BOX}")
    cfg = make_config(**NAMES, train_dataset=root)
    first, second = (open_detection(cfg, "train") for _ in range(2))
    assert len(readings) == 1 and same(first, second) and len(list(kept.iterdir())) == 1
    assert "as it was when it was read before" in caplog.text and second.report.notes
    assert first.coco.dataset == second.coco.dataset
    assert kept.stat().st_mode & 0o777 == 0o700


def test_every_kind_of_object_comes_back_as_it_was(kept, tmp_path):
    polygons, runs = [[1.25, 1, 5, 1, 5, 5.5], [1, 1, 3, 1, 3, 3]], {"size": [8, 8], "counts": [60, 4]}
    objects = [
        ObjectRecord((1.1, 1, 5, 5), 0, False, polygons, (1.1, 1, 4, 4), 9.5),
        ObjectRecord((0, 0, 8, 8), 1, True, runs),
        ObjectRecord((0, 0, 8, 1 / 3), 1, False, None, (-1, 0, 9, 1 / 3), 3.0),
        ObjectRecord((0, 0, 8, 8), 1, False, {"size": [8, 8], "counts": "PQ1"}, None, 0.5),
    ]
    records = [
        ImageRecord(tmp_path / "\udce4 b.png", "text", 8, 8, tuple(objects)),
        ImageRecord(tmp_path / "2.png", 2, 9, 7, ()),
        ImageRecord(tmp_path / "3.png", 3.5, 8, 8, (objects[0],)),
    ]
    picture(tmp_path / "2.png")
    report = Report(notes=["a note"], degenerate_boxes=["b"], corner_boxes=3)
    made = DetectionIndex(tmp_path / "x", ("cat", "dög"), records, [7, "b"], report, is_checked=True)
    index_cache.save(made, tmp_path / "kept", "s" * index_cache.STAMP)
    assert same(made, index_cache.load(tmp_path / "kept", "s" * index_cache.STAMP))
    assert index_cache.load(tmp_path / "kept", "t" * index_cache.STAMP) is None


CHANGES = {
    "a label file": lambda root: (root / "labels" / "b.txt").write_text(BOX),
    "its time alone": lambda root: os.utime(root / "labels" / "a.txt", ns=(5, 5)),
    "an image": lambda root: (root / "images" / "c.png").write_bytes(b"none"),
    "a new image": lambda root: picture(root / "images" / "d.png"),
    "one less": lambda root: (root / "images" / "b.png").unlink(),
    "another name": lambda root: (root / "images" / "b.png").rename(root / "images" / "e.png"),
    "the classes": lambda root: (root / "data.yaml").write_text("train: images\nnames: [dog, cat]\n"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("linked", [False, True])
def test_whatever_changes_in_the_folder_is_read(kept, root, make_config, readings, monkeypatch, change, linked):
    place = root
    if linked:  # the tree's parts lie elsewhere
        place = root.parent / "linked"
        place.mkdir()
        for name in ("images", "labels", "data.yaml"):
            (place / name).symlink_to(root / name)
    cfg = make_config(**NAMES, train_dataset=place)
    open_detection(cfg, "train")
    CHANGES[change](root)
    found = open_detection(cfg, "train")
    assert len(readings) == 2
    monkeypatch.setattr(index_cache, "LEAST", 10**9)
    assert same(found, open_detection(cfg, "train"))


def test_other_keys_and_other_code_read_again_and_each_configuration_keeps_its_own(
    kept, root, make_config, readings, monkeypatch
):
    names = NAMES | {"train_dataset": root}
    ways = [names, names | {"coco_classes": "[background, dog, cat]"}, names | {"max_image_pixels": 10**6}]
    for again in range(2):
        for way in ways:
            open_detection(make_config(**way), "train")
        assert len(readings) == len(ways) == len(list(kept.iterdir())), again
    open_detection(make_config(**names, lr=0.5), "train")  # which no reader asks for
    assert len(readings) == len(ways)
    monkeypatch.setattr(index_cache, "_code", lambda: "a later version")
    open_detection(make_config(**names), "train")
    assert len(readings) == len(ways) + 1


def damaged(content: bytes) -> dict[str, bytes]:
    rng = np.random.RandomState(0)
    found = {f"cut at {k}": content[:k] for k in (0, 5, 40, 76, 80, 84, len(content) // 2, len(content) - 1)}
    for place in (*rng.randint(len(index_cache.MAGIC) + index_cache.STAMP, len(content), 8), len(content) - 1):
        found[f"other byte {place}"] = content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]
    return found | {"longer": content + b"x", "other": b"{}", "pickle": b"\x80\x04cos\nsystem\n(S'false'\ntR."}


def test_a_damaged_file_is_as_if_there_were_none_and_is_written_again(kept, root, make_config, readings):
    cfg = make_config(**NAMES, train_dataset=root)
    whole = open_detection(cfg, "train")
    (path,) = kept.iterdir()
    content = path.read_bytes()
    for number, (how, wrong) in enumerate(damaged(content).items(), start=1):
        path.write_bytes(wrong)
        assert same(open_detection(cfg, "train"), whole) and len(readings) == number + 1, how
        assert path.read_bytes() == content, how


@pytest.mark.parametrize("kind", ["a file in its place", "others may write", "a folder for a file"])
def test_where_nothing_can_be_kept_labels_are_read(kept, root, make_config, readings, kind, caplog):
    caplog.set_level("INFO")
    cfg = make_config(**NAMES, train_dataset=root)
    if kind == "a file in its place":
        kept.parent.parent.mkdir()
        kept.parent.touch()
    elif kind == "others may write":
        kept.mkdir(parents=True)
        kept.chmod(0o777)
    else:
        open_detection(cfg, "train")
        (path,) = kept.iterdir()
        path.unlink()
        path.mkdir()
    before = len(readings)
    for _ in range(2):
        assert len(open_detection(cfg, "train")) == 3
    assert len(readings) == before + 2 and "nothing is kept of the labels" in caplog.text


def test_nothing_is_kept_of_small_folders_of_files_elsewhere_or_where_it_is_switched_off(
    kept, root, make_config, monkeypatch
):
    open_detection(make_config(**NAMES, train_dataset=root, allow_outside=1), "train")
    monkeypatch.setenv("MS_VISION_ZOO_LABEL_CACHE", "0")
    open_detection(make_config(**NAMES, train_dataset=root), "train")
    monkeypatch.setenv("MS_VISION_ZOO_LABEL_CACHE", "")
    monkeypatch.setattr(index_cache, "LEAST", 7)
    open_detection(make_config(**NAMES, train_dataset=root), "train")
    assert not kept.exists()
    monkeypatch.setenv("MS_VISION_ZOO_LABEL_CACHE", "maybe")
    with pytest.raises(UserError, match="MS_VISION_ZOO_LABEL_CACHE must be 0 or 1, not 'maybe'"):
        open_detection(make_config(**NAMES, train_dataset=root), "train")


def test_the_first_go_where_all_together_are_too_large(kept, tmp_path, make_config, monkeypatch):
    monkeypatch.setattr(index_cache, "LIMIT", 1)
    for name in ("one", "two"):
        root = make(tmp_path / name, "images", "labels", data_yaml="train: images\n" + LISTED)
        open_detection(make_config(**NAMES, train_dataset=root), "train")
    (path,) = kept.iterdir()
    assert str(tmp_path / "two").encode() in path.read_bytes()


def test_a_tree_of_links_that_lead_round_or_nowhere_has_an_end(kept, root, make_config, readings):
    (root / "round").symlink_to(root)
    (root / "nowhere").symlink_to(root / "gone")
    for _ in range(2):
        assert len(open_detection(make_config(**NAMES, train_dataset=root), "train")) == 3
    assert len(readings) == 1 and formats.FORMATS["yolo"].root is yolo.root_of
