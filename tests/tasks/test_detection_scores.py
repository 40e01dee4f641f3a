import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mindspore as ms
import numpy as np
import pytest

from src.config import default_config, definition, load_config
from src.data.network_input import ImageSettings, fitted_size
from src.data.pipeline import EvalBatch
from src.errors import UserError
from src.inference import predictor
from src.inference.results import ImagePrediction
from src.process.runtime import SINGLE
from src.tasks import TASKS
from src.tasks import detection as detection_module
from src.tasks.detection_scores import evaluate_saved
from tests.evaluation.tiny import SIZE, detection
from tests.process.test_channel import connect, together

SLOTS = 3
PROTOCOL = {"config": "12ab", "checkpoint": "34cd"}
TASK = TASKS["detection"]


def make_config(prediction_path="") -> SimpleNamespace:
    return SimpleNamespace(
        prediction_path=str(prediction_path),
        neck=SimpleNamespace(type="fpn"),
        test_cfg=SimpleNamespace(rcnn=SimpleNamespace(mask_thr_binary=0.5)),
        test_batch_size=2,
        img_width=SIZE,
        img_height=SIZE,
        img_mean=[0.0, 0.0, 0.0],
        img_std=[1.0, 1.0, 1.0],
        to_rgb=True,
        keep_ratio=True,
        resize="fit",
        max_image_pixels=10**6,
        exif="auto",
        image_window=[],
        alpha_colour=[255, 255, 255],
        pad_colour="mean",
        box_style="continuous",
        eval_flip=False, tile=0,
        eval_scales=[1.0],
        detector="mask_rcnn",
        analysis=True,
        report_dir="",
        log_style="default",
    )


class KnowingLoader:
    """Batches whose pixels carry the image id, so that `KnowingModel` can answer; some images may be unreadable."""

    def __init__(self, dataset, unreadable=(), indices=None):
        self.image_ids = dataset.image_ids if indices is None else [dataset.image_ids[k] for k in indices]
        self.unreadable = unreadable

    def __len__(self) -> int:
        return len(self.image_ids)

    def __iter__(self):
        for start in range(0, len(self), 2):
            ids = self.image_ids[start : start + 2]
            padded = (ids * 2)[:2]
            sides = np.full((2, 2), SIZE, np.int32)
            image = np.zeros((2, 3, SIZE, SIZE), np.float32) + np.reshape(padded, (2, 1, 1, 1))
            readable = [image_id not in self.unreadable for image_id in padded]
            image = image.astype(np.float32)
            yield EvalBatch(image, sides, np.ones((2, 2), np.float32), sides, padded, readable, len(ids))


class KnowingModel:
    """Answers with the ground truth of the image, with masks or without."""

    def __init__(self, dataset, has_masks=True):
        self.dataset, self.has_masks = dataset, has_masks

    def __call__(self, image, image_shape):
        boxes, valid = np.zeros((2, SLOTS, 4), np.float32), np.zeros((2, SLOTS), bool)
        labels = np.zeros((2, SLOTS), np.int32)
        for row, image_id in enumerate(image.asnumpy()[:, 0, 0, 0]):
            annotations = [one for one in self.dataset.coco.dataset["annotations"] if one["image_id"] == image_id]
            for slot, one in enumerate(annotations):
                x, y, w, h = one["bbox"]
                boxes[row, slot], valid[row, slot] = (x, y, x + w, y + h), True
                labels[row, slot] = self.dataset.category_ids.index(one["category_id"])
        scores = np.full((2, SLOTS), 0.9, np.float32)
        masks = (np.ones((2, SLOTS, 28, 28), np.float32),) * self.has_masks
        return tuple(map(ms.Tensor, (boxes, scores, labels, valid, *masks)))


@pytest.fixture()
def use_loader(monkeypatch):
    def use(loader):
        monkeypatch.setattr(predictor, "build_eval_loader", lambda cfg, dataset, indices: loader)

    return use


def test_a_detector_that_knows_the_truth_scores_one(tiny_dataset, use_loader, capsys):
    use_loader(KnowingLoader(tiny_dataset))
    metrics = TASK.score(make_config(), KnowingModel(tiny_dataset), tiny_dataset, protocol=PROTOCOL)
    assert metrics["bbox_mAP"] == pytest.approx(1) and metrics["seg_mAP"] == pytest.approx(1)
    printed = capsys.readouterr().out
    assert "Protocol: images 3, size 100x100, flip off, config 12ab, checkpoint 34cd, resize inside 100x100" in printed
    assert "total images num: 3" in printed and "3/3 images" in printed and " s per image" in printed
    assert "Errors: duplicate 0, localisation 0, confusion 0, background 0, missed 0" in printed


@pytest.mark.parametrize("detector,first", [("pointrend", 0), ("mask_rcnn", 1)])
def test_the_log_style_of_the_originals_prints_their_evaluation(tiny_dataset, use_loader, capsys, detector, first):
    use_loader(KnowingLoader(tiny_dataset))
    cfg = make_config()
    cfg.detector, cfg.log_style = detector, "original"
    TASK.score(cfg, KnowingModel(tiny_dataset), tiny_dataset)
    printed = capsys.readouterr().out
    head = f"\n{'=' * 40}\n\ntotal images num:  2\nProcessing, please wait a moment.\n"  # batches, as theirs
    times = [re.escape(f"Iter {first + number} cost time ") + r"\d+\.\d+(e-\d+)?\n" for number in range(2)]
    assert re.match(re.escape(head) + "".join(times), printed), printed[:300]
    assert "images\n" not in printed and " s per image" not in printed and "Average Precision" in printed


def test_unreadable_images_are_counted_and_still_evaluated(tiny_dataset, use_loader, capsys):
    use_loader(KnowingLoader(tiny_dataset, unreadable=[12]))
    metrics = TASK.score(make_config(), KnowingModel(tiny_dataset), tiny_dataset)
    assert metrics["bbox_mAP"] == pytest.approx((34 / 101 + 1) / 2)  # two of three squares are missed
    assert "unreadable images: 1" in capsys.readouterr().out


def test_saved_predictions_are_evaluated_without_the_network(tiny_dataset, use_loader, tmp_path, capsys):
    use_loader(KnowingLoader(tiny_dataset))
    path = str(tmp_path / "preds.json")
    model = KnowingModel(tiny_dataset)
    first = TASK.score(make_config(), model, tiny_dataset, protocol=PROTOCOL, save_to=path)
    use_loader(None)
    capsys.readouterr()
    again = evaluate_saved(make_config(path), tiny_dataset)
    assert again == first
    printed = capsys.readouterr().out
    assert "size 100x100, flip off, config 12ab, checkpoint 34cd, predictions " in printed
    assert printed.count("resize inside 100x100, portrait images too") == 1


def test_of_a_detector_without_masks_boxes_alone_are_scored_saved_and_scored_again(
    tiny_dataset, use_loader, tmp_path, capsys
):
    use_loader(KnowingLoader(tiny_dataset))
    path, cfg = tmp_path / "preds.json", make_config()
    cfg.detector = "faster_rcnn"
    metrics = TASK.score(cfg, KnowingModel(tiny_dataset, has_masks=False), tiny_dataset, save_to=str(path))
    assert len(metrics) == 12 and metrics["bbox_mAP"] == pytest.approx(1) and "seg_mAP" not in metrics
    printed = capsys.readouterr().out
    assert "Errors: duplicate 0, localisation 0" in printed and "mask" not in printed and "segm" not in printed.lower()
    assert {key for one in json.loads(path.read_text()) for key in one} == {
        "image_id", "category_id", "bbox", "score",
    }  # fmt: skip
    cfg.prediction_path = str(path)
    assert evaluate_saved(cfg, tiny_dataset) == metrics
    # Other detectors' files: with masks they are scored by masks too, without them that there are none is said.
    capsys.readouterr()
    assert evaluate_saved(make_config(path), tiny_dataset) == metrics
    assert "4 of 4 predictions have no mask: there is no Segmentation evaluation" in capsys.readouterr().out
    TASK.score(make_config(), KnowingModel(tiny_dataset), tiny_dataset, save_to=str(path))
    assert evaluate_saved(cfg, tiny_dataset)["seg_mAP"] == pytest.approx(1)


@pytest.mark.parametrize(("detector", "kinds"), [("mask_rcnn", ["bbox", "seg"]), ("faster_rcnn", ["bbox"])])
def test_a_detector_that_finds_nothing_has_the_metrics_of_what_it_gives(tiny_dataset, tmp_path, detector, kinds):
    (tmp_path / "preds.json").write_text("[]")
    cfg = make_config(tmp_path / "preds.json")
    cfg.detector = detector
    metrics = evaluate_saved(cfg, tiny_dataset)
    assert {name.split("_")[0] for name in metrics} == set(kinds) and metrics["bbox_mAP"] == 0


def test_predictions_of_unknown_origin_say_so(tiny_dataset, tmp_path, capsys):
    path = tmp_path / "preds.json"
    path.write_text(json.dumps([detection(11, 7, (10, 10, 40, 40), 0.9)]))
    evaluate_saved(make_config(path), tiny_dataset)
    assert "checkpoint unknown, predictions " in capsys.readouterr().out


def test_saved_masks_alone_are_evaluated_without_an_error_analysis(tiny_dataset, tmp_path, capsys):
    path = tmp_path / "preds.json"
    without_box = {key: value for key, value in detection(11, 7, (10, 10, 40, 40), 0.9).items() if key != "bbox"}
    path.write_text(json.dumps([without_box]))
    metrics = evaluate_saved(make_config(path), tiny_dataset)
    assert metrics["seg_mAP"] > 0 and "bbox_mAP" not in metrics
    assert "No error analysis" in capsys.readouterr().out


def test_wrong_predictions_are_refused_and_kept(tiny_dataset, tmp_path):
    path = tmp_path / "preds.json"
    path.write_text("{}")
    with pytest.raises(UserError, match="preds.json"):
        evaluate_saved(make_config(path), tiny_dataset)
    assert path.read_text() == "{}"


@pytest.mark.parametrize("size", [2, 4])  # four ranks for three images: one has none
def test_ranks_that_share_the_images_find_what_one_finds(tiny_dataset, monkeypatch, tmp_path, capsys, size):
    def loader(cfg, dataset, indices):
        return KnowingLoader(dataset, unreadable=[12], indices=indices)

    monkeypatch.setattr(predictor, "build_eval_loader", loader)
    channels, _ = connect(size)

    def evaluate(process):
        path = str(tmp_path / f"{process.size}.json")
        return TASK.score(make_config(), KnowingModel(tiny_dataset), tiny_dataset, process, save_to=path)

    alone = evaluate(SINGLE)
    assert together(channels, evaluate) == [alone, *[{}] * (size - 1)]
    files = [json.loads((tmp_path / f"{number}.json").read_text()) for number in (1, size)]
    assert files[0] == files[1] and files[0]
    assert capsys.readouterr().out.count("unreadable images: 1") == 2


@pytest.mark.parametrize(
    "keep_ratio,rule", [(True, "inside 1344x800, portrait images too"), (False, "stretched to 1344x800")]
)
def test_the_protocol_names_the_rule_by_which_portrait_images_get_their_size(keep_ratio, rule):
    assert detection_module.resize_rule("1344x800", keep_ratio) == rule
    settings = ImageSettings(800, 800, None, keep_ratio)
    assert fitted_size(480, 640, settings) == ((600, 800) if keep_ratio else (800, 800))


def test_an_exported_file_is_run_at_its_own_size_where_the_configuration_has_that_size(monkeypatch, tmp_path):
    """One of before, of a configuration's img_width x img_height, and one for portraits."""
    path = Path(__file__).parents[2] / "configs" / "mask_rcnn_hrnetv2p_w18_1x_coco.yaml"
    file = tmp_path / "net.onnx"
    file.touch()
    cfg = load_config(str(path), ["--backend", "onnx", "--checkpoint_path", str(file)])
    for (height, width), own in {(800, 1344): (800, 1344), (1344, 800): (1344, 800), (1024, 1024): (1024, 1024),
                                 (640, 640): (800, 1344)}.items():  # fmt: skip
        facts = {"height": height, "width": width, "class_names": cfg.coco_classes[1:]}
        for module in ("src.tasks.detection", "src.tasks.task"):
            monkeypatch.setattr(f"{module}.stated_facts", lambda cfg, facts=facts: facts)
        assert TASK.input_size(TASK.to_run(cfg)[0]) == own
    monkeypatch.setattr("src.tasks.task.stated_facts", lambda cfg: {"class_names": cfg.coco_classes[1:]})
    plain = load_config(str(path), ["--checkpoint_path", str(file)])
    assert TASK.input_size(TASK.to_run(plain)[0]) == TASK.input_size(plain) == (800, 1344)


def test_weights_of_either_way_to_resize_go_with_both():
    cfg = load_config(str(Path(__file__).parents[2] / "configs" / "mask_rcnn_r50_fpn_1x_coco.yaml"))
    assert cfg.resize == "short_long" and definition.differences({"resize": "fit"}, cfg, ("",)) == []
    assert definition.differences({"resize": "fit_twice"}, cfg, ("",)) == [("resize", "short_long", "fit_twice")]


def test_inference_takes_a_threshold_for_each_class_and_says_which(tmp_path, monkeypatch):
    found = ImagePrediction(
        10, 10, np.float32([[0, 0, 5, 5]] * 3), np.array([0, 1, 1]), np.float32([0.5, 0.5, 0.75]), None
    )
    monkeypatch.setattr(detection_module, "known_category_ids", lambda cfg: [7, 3])
    monkeypatch.setattr("src.inference.find.make_predictor", lambda model, cfg: SimpleNamespace(
        predict_files=lambda paths: ((str(path), found) for path in paths)))  # fmt: skip
    monkeypatch.setattr(detection_module, "together", lambda cfg: 1)
    facts = []

    def write(cfg, paths, output, predict, told, *how):
        facts.append(told["infer_score_thr"])
        return [(one["class"]["name"], one["score"]) for _, entry in predict(paths) for one in entry["predictions"]]

    monkeypatch.setattr(detection_module, "write_predictions", lambda *arguments: written.append(write(*arguments)))
    written = []
    (tmp_path / "t.yaml").write_text("disc: 0.6\nsquare: 0.5\n")
    classes, least = ["background", "square", "disc"], str(tmp_path / "t.yaml")
    cfg = replace(default_config(), coco_classes=classes, num_classes=3, infer_score_thr=least)
    TASK.check_inference(cfg)
    TASK.infer(cfg, None, ["a.png"], tmp_path / "out.json")
    assert written == [[("square", 0.5), ("disc", 0.75)]] and facts == [{"square": 0.5, "disc": 0.6}]
    cfg = replace(cfg, infer_score_thr=0.6)
    TASK.infer(cfg, None, ["a.png"], tmp_path / "out.json")
    assert written[1] == [("disc", 0.75)] and facts[1] == 0.6
    cfg = replace(cfg, infer_score_thr=least, coco_classes=["background", "square", "disc", "bar"])
    with pytest.raises(UserError, match="infer_score_thr: .*t.yaml has no threshold for bar"):
        TASK.check_inference(cfg)
