"""train.lst and val.lst of Cityscapes and LIP: every labelled image once, nothing dropped without a word."""

import pytest

from src.data import cityscapes_lst_maker, lip_lst_maker


def touch(root, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def lines(path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines()]


def refused(maker, root, capsys) -> str:
    """The error of a run that must leave no list behind."""
    with pytest.raises(SystemExit) as stop:
        maker.main(["--root", str(root)])
    assert stop.value.code == 2
    assert not list(root.glob("*.lst")) and not list(root.glob(".*.tmp"))
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1
    return message


@pytest.fixture()
def cityscapes(tmp_path):
    train = ("ulm/ulm_000001_000019", "aachen/aachen_000000_000019")
    for subset, names in (("train", train), ("val", ("bonn/b_1_2",))):
        for name in names:
            touch(tmp_path, f"leftImg8bit/{subset}/{name}_leftImg8bit.png")
            endings = ("labelIds.png", "color.png", "instanceIds.png", "polygons.json")
            touch(tmp_path, *(f"gtFine/{subset}/{name}_gtFine_{ending}" for ending in endings))
    touch(tmp_path, "leftImg8bit/test/berlin/berlin_0_0_leftImg8bit.png", "leftImg8bit/train/ulm/Thumbs.db")
    return tmp_path


@pytest.fixture()
def lip(tmp_path):
    for subset, names in (("train", ("7_70", "12_3", "9_1")), ("val", ("5_5",))):
        touch(tmp_path, *(f"TrainVal_images/{subset}_images/{name}.jpg" for name in names))
        touch(tmp_path, *(f"TrainVal_parsing_annotations/{subset}_segmentations/{name}.png" for name in names))
    (tmp_path / "train_id.txt").write_text("7_70\n12_3\n9_1\n")
    (tmp_path / "val_id.txt").write_text("5_5\n")
    return tmp_path


def test_cityscapes_lists_hold_image_and_label_ids_of_every_city_sorted(cityscapes, capsys):
    cityscapes_lst_maker.main(["--root", str(cityscapes)])
    image, label = "leftImg8bit/train/{0}_leftImg8bit.png", "gtFine/train/{0}_gtFine_labelIds.png"
    names = ("aachen/aachen_000000_000019", "ulm/ulm_000001_000019")
    assert lines(cityscapes / "train.lst") == [[image.format(name), label.format(name)] for name in names]
    val = [["leftImg8bit/val/bonn/b_1_2_leftImg8bit.png", "gtFine/val/bonn/b_1_2_gtFine_labelIds.png"]]
    assert lines(cityscapes / "val.lst") == val
    assert not (cityscapes / "test.lst").exists()
    out = capsys.readouterr().out.splitlines()
    assert out == [f"2 samples written to {cityscapes / 'train.lst'}", f"1 samples written to {cityscapes / 'val.lst'}"]


def test_every_line_is_relative_to_the_root_and_both_files_are_there(lip):
    lip_lst_maker.main(["--root", str(lip)])
    for name, count in (("train.lst", 3), ("val.lst", 1)):
        entries = lines(lip / name)
        assert len(entries) == count and entries == sorted(entries)
        assert all(len(entry) == 2 and all((lip / file).is_file() for file in entry) for entry in entries)
    assert lines(lip / "val.lst") == [
        ["TrainVal_images/val_images/5_5.jpg", "TrainVal_parsing_annotations/val_segmentations/5_5.png"]
    ]


def test_a_cityscapes_image_without_label_and_the_reverse_are_counted_and_named(cityscapes, capsys):
    touch(cityscapes, *(f"leftImg8bit/train/ulm/x{number}_leftImg8bit.png" for number in range(7)))
    touch(cityscapes, "gtFine/val/bonn/lone_gtFine_labelIds.png")
    cityscapes_lst_maker.main(["--root", str(cityscapes)])
    out = capsys.readouterr().out
    assert "(train): 7 images without label: ulm/x0, ulm/x1, ulm/x2, ulm/x3, ulm/x4, ..." in out
    assert "(val): 1 labels without image: bonn/lone\n" in out
    assert len(lines(cityscapes / "train.lst")) == 2 and len(lines(cityscapes / "val.lst")) == 1


def test_lip_ids_with_file_endings_blank_lines_and_repetitions_are_understood(lip, capsys):
    (lip / "train_id.txt").write_text("\ufeff9_1.jpg\n\n  7_70.png \r\n12_3\n9_1\n\n", encoding="utf-8")
    lip_lst_maker.main(["--root", str(lip)])
    assert len(lines(lip / "train.lst")) == 3
    assert f"{lip / 'train_id.txt'}: 1 repeated ids, taken once" in capsys.readouterr().out


def test_lip_ids_without_files_and_files_without_id_are_counted_and_named(lip, capsys):
    (lip / "train_id.txt").write_text("7_70\n12_3\nghost\n1_1\n2_2\n")
    touch(lip, "TrainVal_images/train_images/1_1.jpg", "TrainVal_parsing_annotations/train_segmentations/2_2.png")
    lip_lst_maker.main(["--root", str(lip)])
    out = capsys.readouterr().out
    for note in (
        "1 images without label: 1_1",
        "1 labels without image: 2_2",
        "1 ids with neither image nor label: ghost",
        "1 images or labels whose id is not in it: 9_1",
    ):
        assert f"{lip / 'train_id.txt'}: {note}\n" in out
    assert len(lines(lip / "train.lst")) == 2


@pytest.mark.parametrize("missing", ["leftImg8bit/val", "gtFine/val", "gtFine"])
def test_a_missing_cityscapes_folder_is_named_and_nothing_written(cityscapes, missing, capsys):
    (cityscapes / missing).rename(cityscapes / "elsewhere")
    assert str(cityscapes / missing) in refused(cityscapes_lst_maker, cityscapes, capsys)


@pytest.mark.parametrize(
    "missing", ["TrainVal_images/val_images", "TrainVal_parsing_annotations/train_segmentations", "val_id.txt"]
)
def test_a_missing_lip_folder_or_id_file_is_named_and_nothing_written(lip, missing, capsys):
    (lip / missing).rename(lip / "elsewhere")
    assert str(lip / missing) in refused(lip_lst_maker, lip, capsys)


def test_a_missing_root_a_binary_id_file_and_an_empty_subset_are_refused(lip, capsys):
    assert "nowhere" in refused(lip_lst_maker, lip / "nowhere", capsys)
    (lip / "val_id.txt").write_bytes(b"\xff\xfe\x00\x81")
    assert "val_id.txt" in refused(lip_lst_maker, lip, capsys)
    (lip / "val_id.txt").write_text("\n")
    assert "val_id.txt" in refused(lip_lst_maker, lip, capsys)


def test_a_file_name_that_would_break_a_line_is_refused(cityscapes, capsys):
    name = "bo\tnn"
    touch(cityscapes, f"leftImg8bit/val/{name}/a_leftImg8bit.png", f"gtFine/val/{name}/a_gtFine_labelIds.png")
    assert "tab" in refused(cityscapes_lst_maker, cityscapes, capsys)
