"""A converted data set is the same data set: same batches, same labels, same complaints; half of one is none."""

import json
import logging
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import mindspore.dataset as ds
import numpy as np
import pytest

from src.data.formats import open_detection
from src.data.formats.coco import read_coco
from src.data.formats.mindrecord import open_shard, read_mindrecord, read_records
from src.data.inspection import annotated_images
from src.data.mindrecord import convert, main, verify
from src.data.pipeline import COLUMNS, build_eval_loader, build_train_loader
from src.errors import UserError
from tests.data.conftest import DEMO_CONFIG
from tests.data.tiny import CLASSES, square

ROOT = Path(__file__).parents[2]
COUNT, SHARDS = 11, 3


@pytest.fixture()
def folder(coco_folder) -> Path:
    """Eleven images with everything that may be odd: a missing and a cut-off file, a crowd, an empty image."""
    crowd = square(4, (8, 8, 16, 8), 9, iscrowd=1, segmentation={"size": [24, 32], "counts": [5, 200, 563]})
    stray = square(99, (1, 1, 5, 5), 4)
    annotations = [square(i, (1.25, 2, 3 + i, 5.5), 4 if i % 2 else 9) for i in range(1, COUNT + 1) if i != 7]
    made = coco_folder([(32, 24)] * COUNT, [stray, *annotations, crowd], info={"year": 2026})
    (made / "data" / "2.png").unlink()
    jpeg = cv2.imencode(".jpg", cv2.imread(str(made / "data" / "3.png")))[1].tobytes()
    (made / "data" / "3.png").write_bytes(jpeg[: len(jpeg) // 2])
    return made


def arguments(folder: Path, out: Path, *more: object) -> list[str]:
    keys = {"config_path": DEMO_CONFIG, "train_dataset": folder, "mindrecord_dir": out, "mindrecord_shards": SHARDS}
    keys |= {"coco_classes": f"[background, {', '.join(CLASSES)}]", "num_classes": len(CLASSES) + 1}
    keys["val_dataset"] = ""
    return [str(part) for name, value in keys.items() for part in (f"--{name}", value)] + [str(part) for part in more]


@pytest.fixture()
def record(folder, tmp_path) -> Path:
    """The same data set, converted."""
    main(arguments(folder, tmp_path / "record"))
    return tmp_path / "record" / "train"


def assert_same_batches(ours, theirs) -> None:
    count = 0
    for left, right in zip(ours, theirs, strict=True):
        for name, a, b in zip(COLUMNS, left, right):
            np.testing.assert_array_equal(a.asnumpy(), b.asnumpy(), err_msg=name)
        count += 1
    assert count > 1


@pytest.mark.parametrize("processes", [False, True])
def test_two_epochs_of_shuffled_flipped_expanded_batches_are_the_same_bit_for_bit(
    folder, record, make_config, processes
):
    cfg = make_config(flip_ratio=0.5, expand_ratio=0.5, num_parallel_workers=2, python_multiprocessing=processes)
    loaders = [
        build_train_loader(cfg, dataset) for dataset in (read_mindrecord(record, CLASSES), read_coco(folder, CLASSES))
    ]
    assert_same_batches(*loaders)


def test_labels_report_and_evaluation_batches_are_those_of_the_original(folder, record, make_config):
    ours, original = read_mindrecord(record, CLASSES), read_coco(folder, CLASSES, "val")
    assert ours.image_ids == original.image_ids and ours.category_ids == original.category_ids
    assert ours.coco.imgs == original.coco.imgs and ours.coco.imgToAnns == original.coco.imgToAnns
    assert ours.coco.dataset["info"] == original.coco.dataset["info"]
    assert ours.report == original.report and ours.report.missing_files == ["2.png"] and ours.report.unknown_references
    assert ours.training_indices(True) == original.training_indices(True)
    for left, right in zip(*(build_eval_loader(make_config(), data) for data in (ours, original)), strict=True):
        np.testing.assert_array_equal(left.image, right.image)
        assert left.image_ids == right.image_ids and left.readable == right.readable


def test_the_shards_are_mindrecord_and_mindspores_own_dataset_reads_the_files_as_they_are(folder, record):
    shards = sorted(map(str, record.glob("*.mindrecord")))
    rows = ds.MindDataset(shards, shuffle=False).create_dict_iterator(output_numpy=True, num_epochs=1)
    images = [row["image"].tobytes() for row in rows]
    assert len(shards) == SHARDS and len(images) == COUNT
    for number in (1, 3, 11):
        assert images[number - 1] == (folder / "data" / f"{number}.png").read_bytes()


KILLED_AT_THE_NINTH_IMAGE = """
import os, pathlib, signal, sys
read = pathlib.Path.read_bytes
pathlib.Path.read_bytes = lambda path: os.kill(os.getpid(), signal.SIGKILL) if path.name == "9.png" else read(path)
from src.data.mindrecord import main
main(sys.argv[1:])
"""


def test_a_killed_conversion_is_no_data_set_and_goes_on_with_what_is_not_whole(folder, tmp_path, capsys):
    out = tmp_path / "record"
    command = [sys.executable, "-c", KILLED_AT_THE_NINTH_IMAGE, *arguments(folder, out)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120).returncode == -signal.SIGKILL
    assert (out / "train" / ".shard-3-of-3.mindrecord.tmp").is_dir()
    with pytest.raises(UserError, match=r"shard-3-of-3\.mindrecord is not finished: run"):
        read_mindrecord(out / "train", CLASSES)
    first = out / "train" / "shard-1-of-3.mindrecord"
    second = out / "train" / "shard-2-of-3.mindrecord"
    with open(second, "r+b") as file:  # what a full disk or an unfinished copy leaves
        file.truncate(second.stat().st_size // 2)
    with pytest.raises(UserError, match=r"shard-2-of-3\.mindrecord or its index is not of the size"):
        read_mindrecord(out / "train", CLASSES)
    before = first.stat().st_mtime_ns
    main(arguments(folder, out))
    assert first.stat().st_mtime_ns == before and "shard-1-of-3.mindrecord: whole already" in capsys.readouterr().out
    assert f"{COUNT} images in 3 shards verified" in verify(out / "train")
    assert not list((out / "train").glob(".shard*"))


def test_a_flipped_byte_is_found_by_the_verification_and_the_image_counts_as_unreadable(
    record, make_config, caplog, capsys, monkeypatch
):
    monkeypatch.setattr(logging.getLogger("src"), "propagate", True)
    shard = record / "shard-2-of-3.mindrecord"
    content = bytearray(shard.read_bytes())
    content[content.index(b"IEND") - 40] ^= 1
    shard.write_bytes(content)
    with pytest.raises(SystemExit) as failed:
        main(["--verify_only", *arguments(record, record.parent)])
    assert failed.value.code == 2
    assert "shard-2-of-3.mindrecord: row 3 is not what was written" in capsys.readouterr().err
    dataset = read_mindrecord(record, CLASSES)
    with caplog.at_level(logging.WARNING):
        batches = list(build_eval_loader(make_config(), dataset))
    flags = [flag for batch in batches for flag in batch.readable[: batch.count]]
    assert [i for i, flag in enumerate(flags) if not flag] == [1, 2, 3]
    assert "shard-2-of-3.mindrecord:4.png is no image, or cut off" in caplog.text


def test_damaged_labels_and_notes_are_one_line_that_names_the_shard(record):
    shard = sorted(record.glob("*.mindrecord"))[0]
    row, done, original = open_shard(shard).rows[0], shard.with_name(f"{shard.name}.done"), shard.read_bytes()
    for place, damage in ((row.offset + 8, b"\x7f" * 8), (row.offset + 18, b"\0")):  # the labels' length, the labels
        shard.write_bytes(original[:place] + damage + original[place + len(damage) :])
        with pytest.raises(UserError, match=rf"{shard.name}: row 0 is damaged; delete {done.name} and convert again"):
            read_records(record)
    shard.write_bytes(b"\x7f" * 8 + original[8:])
    with pytest.raises(UserError, match=f"{shard.name} cannot be read"):
        read_records(record)
    for note in ("{}", "[]"):
        done.write_text(note)
        with pytest.raises(UserError, match=f"{shard.name} is not finished"):
            read_records(record)
    (record / "dataset.json").write_text('{"format": 1}')
    with pytest.raises(UserError, match="dataset.json was not written by this version"):
        read_records(record)


def test_the_log_style_of_the_originals_says_when_it_begins_and_where_it_is(folder, tmp_path, capsys):
    main(arguments(folder, tmp_path / "out", "--log_style", "original"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Create Mindrecord." and lines[-1] == f"Create Mindrecord Done, at {tmp_path / 'out'}"


def test_verification_alone_changes_nothing_and_says_what_is_there(record, capsys):
    before = {path: path.stat().st_mtime_ns for path in record.iterdir()}
    main(["--verify_only", *arguments(record, record.parent)])
    assert "train: 11 images in 3 shards verified" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in record.iterdir()} == before


def test_the_files_stay_near_the_size_of_the_images(coco_folder, make_config, tmp_path):
    folder = coco_folder([(256, 192)] * 40, [])
    convert(make_config(), read_coco(folder, CLASSES), tmp_path / "record")
    images = sum(path.stat().st_size for path in (folder / "data").iterdir())
    stored = sum(path.stat().st_size for path in (tmp_path / "record").iterdir())
    assert images < stored < 1.1 * images


def test_other_classes_than_the_records_are_an_error(record):
    with pytest.raises(UserError, match=r"coco_classes does not match the categories of .*dataset\.json.*'bird'"):
        read_mindrecord(record, ("dog", "bird"))


def test_another_data_set_is_not_written_over(folder, record, capsys):
    labels = json.loads((folder / "labels.json").read_text())
    labels["annotations"] = labels["annotations"][:-1]
    (folder / "labels.json").write_text(json.dumps(labels))
    with pytest.raises(SystemExit):
        main(arguments(folder, record.parent))
    assert "holds another data set or number of shards" in capsys.readouterr().err
    assert f"{COUNT} images" in verify(record)


def test_the_configuration_leads_to_the_record_by_its_parent_or_by_the_datasets_own_keys(record, make_config):
    names = f"[background, {', '.join(CLASSES)}]"
    common = {"coco_classes": names, "num_classes": 3, "train_data_type": "mindrecord", "val_data_type": "mindrecord"}
    assert len(open_detection(make_config(**common, mindrecord_dir=record.parent), "train")) == COUNT
    assert len(open_detection(make_config(**common, val_dataset=record), "val")) == COUNT
    with pytest.raises(UserError, match=r"validation holds no converted data set .*src\.data\.mindrecord"):
        open_detection(make_config(**common, mindrecord_dir=record.parent), "val")


def test_the_check_says_the_same_of_both(folder, record, make_config):
    names = {"coco_classes": f"[background, {', '.join(CLASSES)}]", "num_classes": 3}
    cfg = make_config(**names, train_data_type="mindrecord", mindrecord_dir=record.parent)
    lines = list(annotated_images(open_detection(cfg, "train"), "kept", cfg.num_gts))
    others = list(annotated_images(read_coco(folder, CLASSES), "kept", cfg.num_gts))
    others = [line.replace(f"; looked for {folder / 'data' / '2.png'}", "") for line in others]
    assert lines[1:-1] == others[1:-1] and "WARNING" not in lines[0]
    assert lines[0].replace(str(record / "dataset.json"), str(folder / "labels.json")) == others[0]
    assert lines[-1].startswith("11 image files opened, 2 unreadable: 2.png: ") and "is missing" in lines[-1]


def test_a_classifier_cannot_read_it():
    config = DEMO_CONFIG.with_name("hrnet_cls_shapes.yaml")
    with pytest.raises(SystemExit) as failed:
        main(["--config_path", str(config), "--mindrecord_dir", "x", "--train_data_type", "mindrecord"])
    assert failed.value.code == 2
