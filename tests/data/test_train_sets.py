"""Several training data sets at once: a detector's, of different formats, against one merged by hand."""

import json
import shutil

import cv2
import numpy as np
import pytest

from src.commands.places import check_predictions, inputs_of
from src.config import load_config, save_config
from src.data import convert as converter
from src.data import mindrecord
from src.data.formats import detection_source, open_detection
from src.data.held_out import is_held_out
from src.data.loader import streams_of
from src.data.pipeline import MASKS, DetectionSamples, build_train_loader
from src.errors import UserError
from src.evaluation.coco_eval import evaluate_predictions
from src.tasks import TASKS
from tests.data.conftest import DEMO_CONFIG
from tests.data.tiny import square
from tests.data.truth import learned, perfect_results, scored

SIZES = ((32, 24), (20, 30), (40, 20))
OPEN = {"coco_classes": "[]", "num_classes": 81}


def write_set(folder, categories: dict[str, int], objects: list[tuple[int, str]], prefix: str = "", first: int = 0):
    """A COCO set of three random pictures 1.png, 2.png, 3.png; objects: number of the image and class of each."""
    (folder / "data").mkdir(parents=True)
    for number, (width, height) in enumerate(SIZES, start=1):
        picture = np.random.RandomState(first + number).randint(0, 256, (height, width, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / "data" / f"{prefix}{number}.png"), picture)
    images = [
        {"id": number, "file_name": f"{prefix}{number}.png", "width": width, "height": height}
        for number, (width, height) in enumerate(SIZES, start=1)
    ]
    boxes = [square(image, (2 + k, 3, 9 + k, 8), categories[name]) for k, (image, name) in enumerate(objects)]
    content = {
        "images": images,
        "annotations": [{"id": number} | one for number, one in enumerate(boxes, start=1)],
        "categories": [{"id": own, "name": name} for name, own in categories.items()],
    }
    (folder / "labels.json").write_text(json.dumps(content))
    return folder


@pytest.fixture()
def bolts(tmp_path):
    return write_set(tmp_path / "bolts", {"nut": 4, "bolt": 2}, [(1, "bolt"), (1, "nut"), (2, "nut"), (3, "bolt")])


@pytest.fixture()
def washers(tmp_path):
    """Other pictures under the same names; the ids mean other classes."""
    objects = [(1, "washer"), (2, "bolt"), (2, "washer"), (3, "bolt")]
    return write_set(tmp_path / "washers", {"bolt": 4, "washer": 9}, objects, first=10)


@pytest.fixture()
def as_labelme(washers, tmp_path):
    converter.main([str(washers), str(tmp_path / "as_labelme"), "--to", "labelme"])
    return tmp_path / "as_labelme"


@pytest.fixture()
def merged(bolts, washers, tmp_path):
    """Both in one COCO file, by hand: classes nut, bolt, washer in the order in which they appear."""
    folder, names = tmp_path / "merged", {"nut": 1, "bolt": 2, "washer": 3}
    (folder / "data").mkdir(parents=True)
    images, annotations = [], []
    for number, source in enumerate((bolts, washers)):
        content = json.loads((source / "labels.json").read_text())
        own = {one["id"]: names[one["name"]] for one in content["categories"]}
        for one in content["images"]:
            name = f"{number}_{one['file_name']}"
            shutil.copy(source / "data" / one["file_name"], folder / "data" / name)
            images.append(one | {"id": one["id"] + 10 * number, "file_name": name})
        for one in content["annotations"]:
            further = {"id": len(annotations) + 1, "image_id": one["image_id"] + 10 * number}
            annotations.append(one | further | {"category_id": own[one["category_id"]]})
    categories = [{"id": own, "name": name} for name, own in names.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(content))
    return folder


def columns(dataset, cfg) -> list[dict]:
    """Every training sample without its random number."""
    samples = DetectionSamples(dataset, list(range(len(dataset))), cfg)
    found = []
    for entry in range(len(samples.keys)):
        made = samples.make(samples.read(entry), streams_of(samples, 0, 0, entry))
        found.append({name: one for name, one in zip(samples.columns, made) if name != "sample_seed"})
    return found


@pytest.mark.parametrize("kind", ["coco", "labelme", "mindrecord"])
def test_two_sets_of_any_format_are_what_they_are_merged_by_hand(
    kind, bolts, washers, as_labelme, merged, make_config, tmp_path
):
    second = {"coco": washers, "labelme": as_labelme, "mindrecord": tmp_path / "records" / "train"}[kind]
    if kind == "mindrecord":
        cfg = make_config(**OPEN, train_dataset=washers)
        mindrecord.convert(cfg, open_detection(cfg, "train"), second)
    cfg = make_config(**OPEN, train_dataset=f"[{bolts}, {second}]", num_gts=5)
    ours, theirs = open_detection(cfg, "train"), open_detection(make_config(**OPEN, train_dataset=merged), "train")
    assert ours.classes == theirs.classes == ("nut", "bolt", "washer")
    assert ours.sets == [0, 0, 0, 1, 1, 1] and len(ours) == len(theirs) == 6
    assert len(set(map(str, ours.image_ids))) == 6
    for mine, other in zip(columns(ours, cfg), columns(theirs, cfg)):
        assert mine.keys() == other.keys() and MASKS in mine
        for name in mine:
            np.testing.assert_array_equal(mine[name], other[name], err_msg=name)
    assert ours.report.objects == 8 and ours.missing == set()


def test_class_ids_that_disagree_are_numbered_and_those_that_agree_are_kept(bolts, washers, make_config, tmp_path):
    cfg = make_config(**OPEN, train_dataset=f"[{bolts}, {washers}]")  # bolt is 2 and 4, which is nut
    assert open_detection(cfg, "train").category_ids == [1, 2, 3]
    other = write_set(tmp_path / "other", {"bolt": 2, "pin": 7}, [(1, "pin")])
    for classes in (OPEN, {"coco_classes": "[background, nut, bolt, pin]", "num_classes": 4}):
        cfg = make_config(**classes, train_dataset=f"[{bolts}, {other}]")
        dataset = open_detection(cfg, "train")
        # without classes of its own the first set makes up an id for pin: that of the set that has pins is taken
        assert (dataset.classes, dataset.category_ids) == (("nut", "bolt", "pin"), [4, 2, 7])
    assert TASKS["detection"].facts(cfg, build_train_loader(cfg, dataset))["category_ids"] == [4, 2, 7]


def test_a_configuration_that_names_the_classes_says_what_each_set_lacks(bolts, washers, make_config, caplog):
    names = {"coco_classes": "[background, washer, bolt, nut]", "num_classes": 4}
    dataset = open_detection(make_config(**names, train_dataset=f"[{bolts}, {washers}]"), "train")
    labels = [[item.label for item in dataset.record(index).objects] for index in range(6)]
    assert labels == [[1, 2], [2], [1], [0], [1, 0], [1]]
    assert f"{bolts / 'labels.json'}: classes that the file does not have: ['washer']" in caplog.text
    assert "no truth for them, and an evaluation counts no AP of them" in caplog.text  # said of either kind of data
    caplog.clear()
    open_detection(make_config(**OPEN, train_dataset=f"[{bolts}, {washers}]"), "train")
    lines = [line for line in caplog.messages if "of the other training data" in line]
    assert [line.partition(" of the")[0] for line in lines] == [
        f"{bolts / 'labels.json'}: it has no ['washer']", f"{washers / 'labels.json'}: it has no ['nut']",
    ]  # fmt: skip
    names = {"coco_classes": "[background, nut, bolt]", "num_classes": 3}
    with pytest.raises(UserError, match=f"categories of {washers / 'labels.json'}: .*only in the file: .*'washer'"):
        open_detection(make_config(**names, train_dataset=f"[{bolts}, {washers}]"), "train")
    subset = open_detection(make_config(**names, classes="subset", train_dataset=f"[{bolts}, {washers}]"), "train")
    assert [len(subset.record(index).objects) for index in range(6)] == [2, 1, 1, 0, 1, 1]


def test_another_set_changes_no_number_of_the_first_ones_samples(bolts, washers, make_config):
    alone, both = (
        make_config(**OPEN, flip_ratio=0.5, expand_ratio=0.5, train_dataset=places, batch_size=1)
        for places in (bolts, f"[{bolts}, {washers}]")
    )
    one, two = (build_train_loader(cfg, open_detection(cfg, "train")).source for cfg in (alone, both))
    seeds = [{int(source[item][-1][0]) for item in range(len(source))} for source in (one, two)]
    assert len(seeds[0]) == 6 and len(seeds[1]) == 12 and seeds[0] < seeds[1]
    assert two.samples.origins == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] and one.samples.origins == []
    first = two.samples.make(two.samples.read(4), streams_of(two.samples, 5, 6, 4))
    expected = np.random.RandomState([5, 6, 1, 1, 0])  # seed, epoch, place in its set, number of the set, repeat
    assert first[-1] != streams_of(one.samples, 5, 6, 1).shared.randint(2**31 - 1)
    assert streams_of(two.samples, 5, 6, 4).shared.rand() == expected.rand()


def test_a_weight_says_how_often_an_epoch_takes_an_image_of_a_set(bolts, washers, make_config, caplog):
    caplog.set_level("INFO")
    places = OPEN | {"train_dataset": f"[{bolts}, {washers}]", "val_dataset": "", "batch_size": 1}
    cfg = make_config(**places, train_weights="[1, 2.5]")
    task = TASKS["detection"]
    loader = task.make_loader(cfg, 0, 1, 0)
    # 3 * 1 and floor(3 * 2.5 + 0.5) = 8: each twice, and two of the three a third time
    assert loader.steps_per_epoch == 11 and len(loader) == 22
    plan = loader.source.sampling
    counts = [plan.counts(cfg.seed, epoch).tolist() for epoch in range(20)]
    assert all(one[:3] == [1, 1, 1] and sorted(one[3:]) == [2, 3, 3] for one in counts)
    assert len(set(map(tuple, counts))) == 3 and counts[0] == plan.counts(cfg.seed, 0).tolist()
    line = (
        f"training data sets: {bolts / 'labels.json'} (3 images, weight 1: 3 samples), {washers / 'labels.json'} "
        "(3 images, weight 2.5: 8 samples), 11 samples an epoch"
    )
    assert line in caplog.messages and list(dict(task.inspect(cfg))["sampling"]) == [line]
    numbers = [one for item in range(11) for one in loader.source[item][-1].tolist()]
    assert len(set(numbers)) == 11  # each with randomness of its own
    assert [one for item in range(6) for one in loader.from_step(5).source[item][-1].tolist()] == numbers[5:]
    half = make_config(**places, train_weights="[0.5, 1]")
    counts = [task.make_loader(half, 0, 1, 0).source.sampling.counts(0, epoch).tolist() for epoch in range(20)]
    assert all(sum(one[:3]) == 2 and one[3:] == [1, 1, 1] for one in counts)  # floor(1.5 + 0.5)
    same = make_config(**places, train_weights="[1, 1]")
    assert task.make_loader(same, 0, 1, 0).source.sampling.is_plain
    once = make_config(**places | {"train_dataset": bolts}, train_weights="[2]")
    assert task.make_loader(once, 0, 1, 0).source.sampling.counts(0, 0).tolist() == [2, 2, 2]


def test_repeats_and_weights_multiply_and_shares_are_of_all_images(bolts, washers, make_config):
    cfg = make_config(**OPEN, train_dataset=f"[{bolts}, {washers}]", repeat_threshold=0.8, train_weights="[1, 2]")
    # nut and washer 2 of 6 images, bolt 4: sqrt(0.8 / 0.333) = 1.55, sqrt(0.8 / 0.667) = 1.1; all are taken twice
    plan = build_train_loader(cfg, open_detection(cfg, "train")).source.sampling
    assert plan.repeats.tolist() == [2] * 6 and plan.counts(0, 0).tolist() == [2, 2, 2, 4, 4, 4]
    order = plan.order(0, 0)
    assert sorted(order[order[:, 0] == 4, 1].tolist()) == [0, 1, 2, 3]


def test_val_split_holds_images_out_of_all_sets_by_their_names(bolts, washers, make_config, caplog):
    caplog.set_level("INFO")
    cfg = make_config(**OPEN, train_dataset=f"[{bolts}, {washers}]", val_dataset="", val_split=0.4)
    train, val = (open_detection(cfg, split) for split in ("train", "val"))
    held = [number for number in (1, 2, 3) if is_held_out(f"{number}.png", 0.4)]
    assert 0 < len(held) < 3
    names = [val.record(index).path.name for index in range(len(val))]
    assert names == [f"{number}.png" for number in held] * 2 and val.sets == [0] * len(held) + [1] * len(held)
    assert len(train) + len(val) == 6 and f"{len(val)} of 6 images are held out" in caplog.text
    assert val.image_ids == [f"{k}/{number}" for k in (1, 2) for number in held]
    assert evaluate_predictions(val, perfect_results(val), {})["bbox_mAP"] == pytest.approx(1)
    kept = [number for number in (1, 2, 3) if number not in held]
    samples = DetectionSamples(train, list(range(len(train))), cfg)
    assert samples.origins == [(k, place) for k in (0, 1) for place in range(len(kept))]
    same = make_config(**OPEN, train_dataset=f"[{bolts}, {washers}]", val_dataset=washers, val_split=0.4)
    assert len(open_detection(same, "val")) == len(val)  # the validation set has no images of its own
    assert detection_source(cfg, "val") == str(bolts)


def test_label_files_and_image_folders_may_be_named_of_each_set(bolts, washers, make_config, tmp_path):
    files = f"[{bolts / 'labels.json'}, {washers / 'labels.json'}]"
    images = f"[{bolts / 'data'}, {washers / 'data'}]"
    by_folder = open_detection(make_config(**OPEN, train_dataset=f"[{bolts}, {washers}]"), "train")
    for places in ({"train_images": images}, {}):
        found = open_detection(make_config(**OPEN, train_dataset="", train_annotations=files, **places), "train")
        assert [found.record(k) for k in range(6)] == [by_folder.record(k) for k in range(6)]
    # two label files of the same pictures: each image stands there with the labels of either
    shutil.copy(washers / "labels.json", bolts / "washers.json")
    files = f"[{bolts / 'labels.json'}, {bolts / 'washers.json'}]"
    both = open_detection(make_config(**OPEN, train_dataset=bolts, train_annotations=files), "train")
    assert both.record(0).path == both.record(3).path and both.record(0).objects != both.record(3).objects
    kinds = make_config(**OPEN, train_dataset=f"[{bolts}, {washers}]", train_data_type="[coco, auto]")
    assert len(open_detection(kinds, "train")) == 6


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ({"train_weights": "[1]"}, "train_weights has 1 numbers, but there are 2 training data sets"),
        ({"train_weights": "[1, 0]"}, "train_weights is 0.0; it must be at least 0.001"),
        ({"train_weights": "[1, -2]"}, "train_weights is -2.0; it must be at least 0.001"),
        ({"train_weights": "[1, .nan]"}, "train_weights is nan; it must be a finite number"),
        ({"train_weights": "[1, 1e9]"}, "train_weights is 1000000000.0; it must be at least 0.001 and at most 100"),
        ({"train_weights": "[1, x]"}, "train_weights must be a number, not 'x'"),
        ({"train_images": "[a, b, c]"}, "train_dataset names 2, train_images names 3: of several training data sets"),
        ({"train_annotations": "x.json"}, "train_annotations is 'x.json', one label file, of 2 training data sets"),
        ({"train_data_type": "[coco, csv]"}, "train_data_type is 'csv'; it may be 'auto', 'coco'"),
    ],
)  # fmt: skip
def test_keys_that_do_not_fit_several_sets_are_refused(keys, wrong, make_config):
    with pytest.raises(UserError, match=wrong):
        make_config(**OPEN, train_dataset="[a, b]", **keys)


def test_sets_that_are_not_there_or_are_the_same_are_refused(bolts, washers, make_config, tmp_path):
    def error(places: str, **values) -> str:
        with pytest.raises(UserError) as said:
            open_detection(make_config(**OPEN | values, train_dataset=places), "train")
        return str(said.value)

    assert error(f"[{bolts}, {tmp_path / 'nowhere'}]") == f"data set folder {tmp_path / 'nowhere'} does not exist"
    labels = washers / "labels.json"
    hint = "is a file: train_annotations and val_annotations name label files"
    assert error(f"[{bolts}, {labels}]") == f"data set folder {labels} {hint}"
    assert error(f"[{bolts}, {bolts}/../bolts]").endswith(
        "is named twice as training data: train_weights takes one set more often"
    )
    assert f"are: several data sets are written [{bolts}, {washers}]" in error(f"{bolts},{washers}")
    assert error(f"{bolts},{tmp_path / 'no'}") == f"data set folder {bolts},{tmp_path / 'no'} does not exist"
    (washers / "labels.json").write_text("{")
    assert str(washers / "labels.json") in error(f"[{bolts}, {washers}]")
    with pytest.raises(UserError, match="train_weights has 2 numbers, but there is 1 training data set$"):
        make_config(**OPEN, train_dataset=bolts, train_weights="[1, 2]")


def test_one_set_in_brackets_is_that_set_and_a_runs_file_keeps_the_text(bolts, make_config, tmp_path):
    plain, listed = (make_config(**OPEN, train_dataset=text) for text in (bolts, f"[{bolts}]"))
    assert plain == listed and plain.train_dataset == str(bolts)
    save_config(plain, str(tmp_path / "config.yaml"))
    assert f"train_dataset: {bolts}\n" in (tmp_path / "config.yaml").read_text()
    several = make_config(**OPEN, train_dataset=f"[{bolts}, 'a, b']")
    save_config(several, str(tmp_path / "config.yaml"))
    assert load_config(str(tmp_path / "config.yaml")) == several and several.train_dataset == [str(bolts), "a, b"]


def test_a_converter_to_records_takes_one_set_at_a_time(bolts, washers, tmp_path, capsys):
    sets = ("--train_dataset", f"[{bolts}, {washers}]", "--val_dataset", "")
    with pytest.raises(SystemExit) as ended:
        mindrecord.main(["--config_path", str(DEMO_CONFIG), *sets, "--mindrecord_dir", str(tmp_path / "out")])
    assert ended.value.code == 2 and not (tmp_path / "out").exists()
    wrong = "train_dataset names 2 data sets: convert each of them to a mindrecord_dir of its own"
    assert wrong in capsys.readouterr().err


def test_no_output_replaces_a_file_of_any_of_the_sets(bolts, washers, make_config):
    places = {"train_dataset": f"[{bolts}, {washers}]", "val_dataset": "", "pred_output": washers / "labels.json"}
    cfg = make_config(**OPEN, **places)
    assert [path for name, path in inputs_of(cfg).folders if name == "train_dataset"] == [bolts, washers]
    with pytest.raises(UserError, match="would replace a file of train_dataset"):
        check_predictions(cfg)


def test_training_and_evaluation_agree_on_sets_of_odd_files(data_files, make_config, tmp_path):
    """Ids that are texts, a class of three ids, objects without masks, crowds."""
    names = ("plain", "text_ids", "via_export", "mixed", "some_masks_as_crowds")
    for name in names:
        (tmp_path / name).mkdir()
        shutil.copy(data_files / "quirky_labels" / name / "labels.json", tmp_path / name)
        (tmp_path / name / "data").symlink_to(data_files / "quirky_labels" / "images")
    cfg = make_config(**OPEN, train_dataset=[str(tmp_path / name) for name in names], num_gts=40)
    dataset = open_detection(cfg, "train")
    assert dataset.classes == ("bolt", "nut") and len(dataset) == 20 and dataset.lacks_masks
    assert (dataset.report.objects, dataset.report.crowds, dataset.report.without_mask) == (25, 3, 4)
    assert learned(dataset, cfg) == scored(dataset)
    assert any(line.startswith(f"{tmp_path / 'via_export'}") for line in dataset.report.lines())


def test_a_number_of_images_counts_through_the_sets_in_their_order(bolts, washers, make_config):
    for keys, counts in (
        ({"train_dataset_num": 4}, [1, 1, 1, 1]),
        ({"train_dataset_divider": 2}, [1, 1, 1]),
        ({"train_dataset_num": 4, "train_weights": "[1, 3]"}, [1, 1, 1, 3]),
        ({"train_dataset_num": 3, "train_weights": "[1, 3]"}, [1, 1, 1]),  # none of the second set is left
    ):
        cfg = make_config(**OPEN, train_dataset=f"[{bolts}, {washers}]", batch_size=1, **keys)
        source = build_train_loader(cfg, open_detection(cfg, "train")).source
        assert source.sampling.counts(0, 0).tolist() == counts and len(source.samples.origins) == len(counts)
