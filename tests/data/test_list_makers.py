"""train.lst and val.lst of Cityscapes and LIP trees, as the originals' makers write them."""

from pathlib import Path

import pytest

from tests.end_to_end.test_commands import run


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture()
def cityscapes(tmp_path) -> Path:
    for subset, city in (("train", "bonn"), ("train", "aachen"), ("val", "ulm")):
        for frame in ("000002", "000001"):
            stem = f"{subset}/{city}/{city}_{frame}"
            touch(tmp_path, f"leftImg8bit/{stem}_leftImg8bit.png")
            touch(tmp_path, *[f"gtFine/{stem}_gtFine_{kind}" for kind in (
                "labelIds.png", "color.png", "instanceIds.png", "polygons.json")])  # fmt: skip
    return tmp_path


@pytest.fixture()
def lip(tmp_path) -> Path:
    for subset, ids in (("train", ("7_1", "5_2")), ("val", ("9_3",))):
        for name in ids:
            touch(tmp_path, f"TrainVal_images/{subset}_images/{name}.jpg")
            touch(tmp_path, f"TrainVal_parsing_annotations/{subset}_segmentations/{name}.png")
        (tmp_path / f"{subset}_id.txt").write_text("\n".join(ids) + "\n\n")
    return tmp_path


def make(kind: str, root: Path, status: int = 0) -> str:
    return run("-m", f"src.data.{kind}_lst_maker", "--root", root, status=status)


def test_cityscapes_lists_pair_images_with_label_ids_in_order(cityscapes):
    assert "4 samples written" in make("cityscapes", cityscapes)
    lines = (cityscapes / "train.lst").read_text().splitlines()
    assert lines[0] == (
        "leftImg8bit/train/aachen/aachen_000001_leftImg8bit.png\t"
        "gtFine/train/aachen/aachen_000001_gtFine_labelIds.png"
    )
    assert [line.split("_")[1] + line.split("/")[2] for line in lines] == [
        "000001aachen", "000002aachen", "000001bonn", "000002bonn",
    ]  # fmt: skip
    assert len((cityscapes / "val.lst").read_text().splitlines()) == 2


def test_images_without_labels_and_the_reverse_are_named(cityscapes):
    (cityscapes / "gtFine/train/bonn/bonn_000001_gtFine_labelIds.png").unlink()
    (cityscapes / "leftImg8bit/val/ulm/ulm_000002_leftImg8bit.png").unlink()
    printed = make("cityscapes", cityscapes)
    assert "1 images without label: bonn/bonn_000001" in printed
    assert "1 labels without image: ulm/ulm_000002" in printed
    assert len((cityscapes / "train.lst").read_text().splitlines()) == 3


def test_lip_lists_hold_what_the_id_files_name(lip):
    touch(lip, "TrainVal_images/train_images/8_8.jpg", "TrainVal_parsing_annotations/train_segmentations/8_8.png")
    (lip / "train_id.txt").write_text("7_1.jpg\n5_2\n\n5_2\n3_3\n")  # with and without ending, twice, and one not there
    printed = make("lip", lip)
    assert (lip / "train.lst").read_text() == (
        "TrainVal_images/train_images/5_2.jpg\tTrainVal_parsing_annotations/train_segmentations/5_2.png\n"
        "TrainVal_images/train_images/7_1.jpg\tTrainVal_parsing_annotations/train_segmentations/7_1.png\n"
    )
    for said in ("neither image nor label: 3_3", "whose id is not in it: 8_8", "1 repeated ids"):
        assert said in printed


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lip_ids_are_read_whatever_editor_wrote_them(lip, encoding):
    (lip / "train_id.txt").write_bytes("7_1\r\n5_2\r\n".encode(encoding))
    assert "2 samples written" in make("lip", lip) and "7_1.jpg" in (lip / "train.lst").read_text()


@pytest.mark.parametrize("gone", ["val_id.txt", "TrainVal_images/val_images/9_3.jpg"])
def test_an_incomplete_tree_is_one_line_and_writes_no_list(lip, gone):
    (lip / gone).unlink()
    assert make("lip", lip, status=2).startswith("error: ")
    assert not list(lip.glob("*.lst"))


def test_a_folder_that_is_no_cityscapes_is_one_line(tmp_path):
    assert "leftImg8bit/train does not exist" in make("cityscapes", tmp_path, status=2)
    assert "does not exist" in make("cityscapes", tmp_path / "nowhere", status=2)


def test_a_file_name_that_would_break_a_line_leaves_neither_list(cityscapes):
    folder = "val/bo\tnn/a"
    touch(cityscapes, f"leftImg8bit/{folder}_leftImg8bit.png", f"gtFine/{folder}_gtFine_labelIds.png")
    assert "tab" in make("cityscapes", cityscapes, status=2)
    assert not list(cityscapes.glob("*.lst"))


def test_a_list_that_is_there_with_other_lines_is_replaced_on_request_only(cityscapes):
    make("cityscapes", cityscapes)
    make("cityscapes", cityscapes)
    (cityscapes / "val.lst").write_text("mine\n")
    (cityscapes / "train.lst").unlink()
    printed = make("cityscapes", cityscapes, status=2)
    assert "val.lst is there already with other lines: --overwrite replaces it" in printed
    assert (cityscapes / "val.lst").read_text() == "mine\n" and not (cityscapes / "train.lst").exists()
    run("-m", "src.data.cityscapes_lst_maker", "--root", cityscapes, "--overwrite")
    assert len((cityscapes / "val.lst").read_text().splitlines()) == 2
