"""HRNet + OCR's files: every full-size entry has its place, and a plain segmenter's head starts the auxiliary one."""

import gzip
import json

import numpy as np
import pytest
import torch
from mindspore import Tensor
from mindspore.nn.utils import no_init_parameters

from src.checkpoint import load_model_weights, read_checkpoint, save_weights
from src.commands.convert import convert_file
from src.config import load_config
from src.convert.changes import Layout
from src.convert.detect import choose_source
from src.convert.engine import convert as place
from src.errors import UserError
from src.tasks import build_model
from tests.convert.case import CONFIGS, convert, randomise
from tests.models.test_ocr import SMALL
from tests.models.test_segmentation import CITYSCAPES, NARROW, STAGE1, STAGES
from tests.models.torch_hrnet_ocr import AuthorsOCR
from tests.models.torch_hrnet_seg import TorchHRNetSeg

pytestmark = pytest.mark.usefixtures("pynative_mode")
OCR = CONFIGS / "hrnet_w48_ocr_cityscapes.yaml"
FILES = {  # file: configuration, source, the number of parameters that learn
    "hrnet_ocr_w48_cityscapes": ("hrnet_w48_ocr_cityscapes", "hrnet-ocr", 70_372_678),
    "mmseg_ocrnet_hr48_cityscapes": ("hrnet_w48_ocr_cityscapes_mmseg", "mmseg-ocr", 70_371_446),
    "mmseg_ocrnet_hr18_cityscapes": ("hrnet_w18_ocr_cityscapes_mmseg", "mmseg-ocr", 12_080_036),
}


@pytest.fixture(scope="module")
def files(data_files):
    with gzip.open(data_files / "ocr_names.json.gz", "rt") as file:
        return json.load(file)


@pytest.fixture(scope="module")
def shapes_of():
    """Configuration -> shapes of the network's parameters; its number of those that learn is checked on the way."""
    found = {}
    for config, _, count in FILES.values():
        with no_init_parameters():
            keys = ["--device_target", "CPU", "--seg_head.conv_init", "HeNormal"]  # which draws nothing here
            model = build_model(load_config(str(CONFIGS / f"{config}.yaml"), keys))
        assert sum(int(np.prod(parameter.shape)) for parameter in model.trainable_params()) == count
        found[config] = {parameter.name: tuple(parameter.shape) for parameter in model.get_parameters()}
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_entry_of_a_full_size_file_has_its_place(files, shapes_of, name):
    config, source_name, count = FILES[name]
    tensors = {key: np.broadcast_to(np.float32(0), shape) for key, shape, _ in files[name]["entries"]}
    source = choose_source(list(tensors), "", name)
    assert source.name == source_name and f"configs/{config}.yaml" in source.ready
    done = place(source, tensors, shapes_of[config], Layout())
    assert set(done.values) == set(shapes_of[config]) and not (done.unset or done.zeros)
    assert list(done.ignored) == ["counters of PyTorch's BatchNorm"]
    learning = sum(value.size for key, value in done.values.items() if "moving_" not in key)
    assert learning == count == files[name]["n_params"]


def test_mmsegmentations_weights_fill_the_authors_network_whose_two_further_biases_are_0(files, shapes_of):
    tensors = {
        key: np.broadcast_to(np.float32(1), shape) for key, shape, _ in files["mmseg_ocrnet_hr48_cityscapes"]["entries"]
    }
    source = choose_source(list(tensors), "", "w.pth")
    done = place(source, tensors, shapes_of["hrnet_w48_ocr_cityscapes"], Layout())
    assert done.zeros == ["aux_head.0.bias", "ocr_head.conv3x3_ocr.0.bias"]
    assert all(not done.values[name].any() for name in done.zeros) and not done.unset


def test_weights_under_another_definition_are_warned_of_with_the_keys_that_take_them(tmp_path, capsys):
    theirs = randomise(AuthorsOCR(19, STAGE1, STAGES, 16, 8))
    torch.save({f"model.{name}": value for name, value in theirs.state_dict().items()}, tmp_path / "ocr.pth")
    convert(OCR, tmp_path / "ocr.pth", *SMALL, "--seg_head.bilinear", "half_pixel")
    keys = "run with --seg_head.bilinear align_corners, as configs/hrnet_w48_ocr_cityscapes.yaml has"
    assert f"seg_head.bilinear is half_pixel, there align_corners; {keys}" in capsys.readouterr().out


@pytest.fixture(scope="module")
def plain():
    return randomise(TorchHRNetSeg(19, STAGE1, STAGES))


@pytest.mark.parametrize("classes", [19, 7])
def test_a_plain_segmenters_file_starts_backbone_and_auxiliary_head(plain, tmp_path, classes):
    torch.save(plain.state_dict(), tmp_path / "seg.pth")
    keys = [*SMALL, "--num_classes", str(classes), "--class_weights", "[]", "--dataset", "custom"]
    keys += ["--class_names", str([f"c{k}" for k in range(classes)])]
    ckpt = tmp_path / "started.ckpt"
    command = [*keys, "--pt_path", str(tmp_path / "seg.pth"), "--ckpt_path", str(ckpt)]
    with pytest.raises(UserError, match="--finetune 1 "):
        convert_file(load_config(str(OCR), command))
    convert_file(load_config(str(OCR), [*command, "--finetune", "1"]))
    model = build_model(load_config(str(OCR), [*keys, "--device_target", "CPU"]))
    fresh = {parameter.name: parameter.asnumpy().copy() for parameter in model.get_parameters()}
    skipped = load_model_weights(model, ckpt, finetune=True)
    state = plain.state_dict()
    np.testing.assert_array_equal(model.aux_head[0].weight.asnumpy(), state["last_layer.0.weight"].numpy())
    np.testing.assert_array_equal(model.aux_head[1].moving_mean.asnumpy(), state["last_layer.1.running_mean"].numpy())
    np.testing.assert_array_equal(model.backbone.conv1.weight.asnumpy(), state["conv1.weight"].numpy())
    classifier = model.aux_head[3].weight.asnumpy()
    expected = state["last_layer.3.weight"].numpy() if classes == 19 else fresh["aux_head.3.weight"]
    np.testing.assert_array_equal(classifier, expected)
    kept = {name for name in fresh if name.startswith("ocr_head.")} | (
        set() if classes == 19 else {"aux_head.3.weight", "aux_head.3.bias"}
    )
    assert set(skipped) == kept
    for name in kept:
        np.testing.assert_array_equal(dict(model.parameters_and_names())[name].asnumpy(), fresh[name])


def test_a_plain_checkpoint_of_ones_own_starts_them_too(tmp_path):
    keys = ["--device_target", "CPU"]
    own = build_model(load_config(CITYSCAPES, [*NARROW, *keys]))
    save_weights(own, tmp_path / "own.ckpt")
    model = build_model(load_config(str(OCR), [*SMALL, *keys]))
    with pytest.raises(UserError, match="does not fit the configured model"):
        load_model_weights(model, tmp_path / "own.ckpt")
    skipped = load_model_weights(model, tmp_path / "own.ckpt", finetune=True)
    assert skipped and all(name.startswith("ocr_head.") for name in skipped)
    for name, value in read_checkpoint(tmp_path / "own.ckpt").items():
        if not name.startswith("state/"):
            ours = dict(model.parameters_and_names())[name.replace("last_layer.", "aux_head.")]
            np.testing.assert_array_equal(ours.asnumpy(), value)
    assert np.isfinite(model.set_train(False)(Tensor(np.zeros((1, 3, 32, 64), np.float32))).asnumpy()).all()
