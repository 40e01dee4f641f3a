"""A cascade's heads, stage by stage: MMDetection's, 1.x too, and Detectron2's, which has one mask head.

Detectron2's whole network: what its definition finds, the converted weights find.
"""

import pickle

import numpy as np
import onnxruntime
import pytest
import torch
from mindspore import Tensor
from onnx import TensorProto

from src.config import load_config
from src.convert.changes import Layout
from src.convert.detect import SOURCES, choose_source
from src.convert.engine import Conversion, convert
from src.convert.expectations import compare, compare_definition, known_of
from src.convert.read import ForeignFile
from src.errors import UserError
from src.export.detector_onnx import _mean_logits, detector_to_onnx
from src.export.onnx_graph import GraphBuilder
from src.export.parity import pair_detections, valid_detections
from src.models.detection.cascade import mean_logits
from src.tasks import TASKS
from tests.convert.case import CONFIGS, NARROW_DETECTOR, RESNET_DETECTOR, image, randomise
from tests.convert.case import convert as convert_file
from tests.convert.torch_detectron2 import to_pickle
from tests.convert.torch_detectron2_cascade import Detectron2Cascade, detect, enliven
from tests.models.full_size import shapes_of

LAYOUT = Layout(1, 3)
STAGES = range(3)
BOXES = {
    f"bbox_head.{k}.{name}": shape for k in STAGES for name, shape in (("fc_cls.bias", (4,)), ("fc_reg.bias", (4,)))
}
MASKS = {f"mask_head.{k}.conv_logits.bias": (3,) for k in STAGES}
READY = CONFIGS / "cascade_mask_rcnn_r50_fpn_detectron2.yaml"
DETECTRON2 = {
    "backbone.bottom_up.res5.0.conv1.weight": "backbone.layer4.0.conv1.weight",
    "backbone.bottom_up.stem.conv1.weight": "backbone.conv1.weight",
    **{f"roi_heads.box_head.{k}.fc{n}.bias": f"bbox_head.{k}.shared_fcs.{n - 1}.bias" for k in STAGES for n in (1, 2)},
    **{f"roi_heads.box_predictor.{k}.cls_score.weight": f"bbox_head.{k}.fc_cls.weight" for k in STAGES},
    **{f"roi_heads.box_predictor.{k}.bbox_pred.weight": f"bbox_head.{k}.fc_reg.weight" for k in STAGES},
}


def test_every_stage_of_mmdetection_1x_gets_its_background_last_and_loses_its_masks():
    tensors = {}
    for k in STAGES:
        tensors[f"bbox_head.{k}.fc_cls.bias"] = 10 * k + np.arange(4)
        tensors[f"bbox_head.{k}.fc_reg.bias"] = 10 * k + np.arange(4)
        tensors[f"mask_head.{k}.conv_logits.bias"] = 10 * k + np.arange(4)
    done = convert(SOURCES["mmdet1"], tensors, BOXES | MASKS, LAYOUT)
    for k in STAGES:
        assert done.values[f"bbox_head.{k}.fc_cls.bias"].tolist() == [10 * k + n for n in (1, 2, 3, 0)]
        assert done.values[f"bbox_head.{k}.fc_reg.bias"].tolist() == [10 * k + n for n in (0, 1, 2, 3)]
        assert done.values[f"mask_head.{k}.conv_logits.bias"].tolist() == [10 * k + n for n in (1, 2, 3)]
    names = ["rpn_head.rpn_cls.weight", "bbox_head.0.fc_cls.weight", *tensors]
    assert choose_source(names, "", "w.pth").name == "mmdet1"


def of_detectron2(*more: str, masks: bool = False) -> Conversion:
    """more: the source's tensors besides its boxes'; masks: into a model with a mask head a stage."""
    tensors = {name: np.float32([number]) for number, name in enumerate([*DETECTRON2, *more])}
    source = choose_source(list(tensors), "", "w.pkl")
    assert source.name == "detectron2-cascade"
    return convert(
        source, tensors, dict.fromkeys([*DETECTRON2.values(), *(MASKS if masks else ())], (1,)), LAYOUT, where="w.pkl"
    )


def test_every_stage_of_detectron2_gets_its_own_weights():
    done = of_detectron2()
    for number, ours in enumerate(DETECTRON2.values()):
        assert done.values[ours].tolist() == [number], ours
    assert not done.ignored


def test_detectron2s_one_mask_head_is_left_out_of_a_cascade_without_masks_and_of_heads_a_stage_the_key_is_named():
    masks = ["roi_heads.mask_head.mask_fcn1.weight", "roi_heads.mask_head.predictor.bias"]
    assert of_detectron2(*masks).ignored == {"mask_head, which the configured model does not have": masks}
    with pytest.raises(UserError) as error:
        of_detectron2(*masks, masks=True)
    assert str(error.value).endswith("Detectron2's cascade has one mask head: --cascade.mask_heads one takes it")
    assert "2 tensors (roi_heads.mask_head.mask_fcn1.weight" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("source", "prefix"), [("mmdet", "roi_head."), ("mmdet1", "")])
def test_mmdetections_mask_heads_have_no_place_in_a_cascade_with_one_and_the_key_is_named(source, prefix):
    tensors = {f"{prefix}mask_head.{k}.conv_logits.bias": np.zeros(3) for k in STAGES}
    with pytest.raises(UserError, match="has a mask head: --cascade.mask_heads each takes them$"):
        convert(SOURCES[source], tensors, {"mask_head.conv_logits.bias": (3,)}, LAYOUT)


@pytest.mark.usefixtures("pynative_mode")
def test_full_size_detectron2s_cascade_with_masks_fills_its_configuration():
    with torch.device("meta"):
        theirs = Detectron2Cascade(64, 256, 1024, 80).state_dict()
    shapes = shapes_of(READY.name)
    tensors = {name: np.broadcast_to(np.float32(0), value.shape) for name, value in theirs.items()}
    source = choose_source(list(tensors), "", "w.pkl")
    done = convert(source, tensors, shapes, LAYOUT)
    assert source.name == "detectron2-cascade" and set(done.values) == set(shapes) and not done.ignored


def test_what_detectron2s_cascade_computes_is_said_with_the_keys_that_do_it():
    source, sections = SOURCES["detectron2-cascade"], TASKS["detection"].network_sections
    keys = ["--detector", "cascade_mask_rcnn"]
    (line,) = compare_definition(source, load_config(str(RESNET_DETECTOR), keys), sections)
    assert line.endswith(", as configs/cascade_mask_rcnn_r50_fpn_detectron2.yaml has")
    advised = line.partition("run with ")[2].partition(", as configs")[0].split()
    assert advised[:2] == ["--cascade.mean_of", "probabilities"] and advised[2] == "--cascade.target_stds"
    assert compare_definition(source, load_config(str(RESNET_DETECTOR), [*keys, *advised]), sections) == []
    assert compare_definition(source, load_config(str(READY)), sections) == []
    assert "mean_of" in compare_definition(SOURCES["mmdet"], load_config(str(READY)), sections)[0]
    assert compare_definition(SOURCES["mmdet"], load_config(str(RESNET_DETECTOR)), sections) == []


def test_what_training_of_detectron2s_cascade_does_otherwise_is_said_of_a_cascade_alone():
    cfg = load_config(str(RESNET_DETECTOR))
    lines = [
        compare(known_of(SOURCES[name], ForeignFile({})), cfg, ())[0] for name in ("detectron2", "detectron2-cascade")
    ]
    assert ["all RoIs of the first stage go on to the later" in line for line in lines] == [False, True]


def in_onnx(stages: list[np.ndarray]) -> np.ndarray:
    """The mean of probabilities as exported files have it."""
    g = GraphBuilder("mean")
    names = [g.input(f"stage_{k}", TensorProto.FLOAT, one.shape) for k, one in enumerate(stages)]
    g.output("mean", _mean_logits(g, names, True), TensorProto.FLOAT, stages[0].shape)
    session = onnxruntime.InferenceSession(g.build().SerializeToString())
    return session.run(None, dict(zip(names, stages)))[0]


@pytest.mark.usefixtures("pynative_mode")
def test_the_softmax_of_what_stands_for_mean_logits_is_the_mean_of_the_stages_probabilities():
    stages = [np.random.RandomState(k).randn(6, 4).astype(np.float32) * 3 for k in STAGES]
    for one in stages:
        one[0] = [200, -200, 0, -200]  # the softmax has zeros, of which there is no logarithm
    expected = np.mean([np.exp(one) / np.exp(one).sum(1, keepdims=True) for one in np.float64(stages)], 0)
    of_mean_logits = np.exp(np.float64(np.mean(stages, 0)))
    for found in (mean_logits(tuple(map(Tensor, stages)), True).asnumpy(), in_onnx(stages)):
        assert np.isfinite(found).all()
        powers = np.exp(np.float64(found))
        np.testing.assert_allclose(powers / powers.sum(1, keepdims=True), expected, rtol=1e-5, atol=1e-7)
    assert np.abs(of_mean_logits / of_mean_logits.sum(1, keepdims=True) - expected).max() > 0.05


@pytest.fixture(scope="module")
def detectron2(tmp_path_factory):
    """The file of a narrow network, its image, the image's (h, w), the keys of the network, what it detects."""
    path, x, shape = tmp_path_factory.mktemp("cascade") / "model.pkl", image(128, 128, 1), (110, 120)
    theirs = enliven(randomise(Detectron2Cascade(8, 16, 24, 3)), torch.tensor(x))
    path.write_bytes(pickle.dumps(to_pickle(theirs.state_dict()), protocol=2))
    keys = ["--test_cfg.rpn.nms_pre", "40", "--test_cfg.rpn.max_per_img", "40", "--test_cfg.rcnn.max_per_img", "30"]
    keys += [*NARROW_DETECTOR, "--backbone.base_channels", "8", "--neck.fpn.in_channels", "[32,64,128,256]"]
    return path, x, shape, keys, [y.numpy() for y in detect(theirs, torch.tensor(x), shape, 40, 40, 30)]


@pytest.mark.parametrize("way", ["pynative", "onnx", pytest.param("graph", marks=pytest.mark.slow)])
def test_detectron2s_cascade_with_masks_detects_the_same(pynative_mode, detectron2, way, tmp_path):
    path, x, shape, keys, expected = detectron2
    (tmp_path / path.name).write_bytes(path.read_bytes())
    ours, done = convert_file(READY, tmp_path / path.name, *keys)
    assert not done.ignored and not done.unset
    if way == "onnx":
        session = onnxruntime.InferenceSession(detector_to_onnx(ours, x.shape[2:]).SerializeToString())
        found = session.run(None, {"image": x, "image_shape": np.int32([shape])})
    else:
        if way == "graph":  # which the conversion is not in
            pynative_mode.set_context(mode=pynative_mode.GRAPH_MODE)
        found = valid_detections([y.asnumpy() for y in ours(Tensor(x), Tensor(np.int32([shape])))])
    pairs = pair_detections(expected, found)
    assert len(pairs) == len(expected[0]) == len(found[0]) == 30
    order, (boxes, scores, _, masks) = [j for _, j in pairs], expected
    np.testing.assert_allclose(found[0][order], boxes, atol=0.01)
    np.testing.assert_allclose(found[1][order], scores, atol=1e-4)
    np.testing.assert_allclose(found[3][order], masks, atol=1e-3)
