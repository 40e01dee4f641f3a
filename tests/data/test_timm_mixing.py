"""Mixup and CutMix against timm itself, with the same draws: images to the bit, targets as the loss sees them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from src.config import load_config
from src.data.timm_mixing import TimmMixing
from tests.models.timm_models import import_timm

import_timm()
from timm.data.mixup import Mixup, mixup_target  # noqa: E402
from timm.loss import SoftTargetCrossEntropy  # noqa: E402

CONFIG = Path(__file__).parents[2] / "configs" / "hrnet_w18_cls.yaml"
CLASSES, BATCH = 7, 6
IMAGES = np.random.RandomState(0).randn(BATCH, 3, 19, 24).astype(np.float32)
LABELS = np.array([0, 3, 3, 6, 1, 2], np.int32)
SETTINGS = {  # mixup, cutmix, minmax, prob, switch_prob
    "mixup": (0.8, 0.0, (), 1.0, 0.5),
    "cutmix": (0.0, 1.0, (), 1.0, 0.5),
    "both": (0.8, 1.0, (), 1.0, 0.5),
    "seldom": (0.2, 1.0, (), 0.4, 0.7),
    "minmax": (0.3, 0.0, (0.2, 0.8), 1.0, 0.5),
    "minmax_alone": (0.0, 0.0, (0.1, 0.6), 0.8, 0.5),
}


@pytest.fixture()
def numpy_state():
    """timm draws from numpy's global state."""
    before = np.random.get_state()
    yield
    np.random.set_state(before)


def both(setting: str, mode: str, seed: int, smoothing: float):
    mixup, cutmix, minmax, prob, switch_prob = SETTINGS[setting]
    theirs = Mixup(mixup, cutmix, minmax or None, prob, switch_prob, mode, True, smoothing, CLASSES)
    np.random.seed(seed)
    expected = theirs(torch.tensor(IMAGES.copy()), torch.tensor(LABELS))
    ours = TimmMixing(mixup, 1.0 if minmax else cutmix, minmax, prob, switch_prob, mode)
    return expected, ours.mix(IMAGES.copy(), LABELS, np.random.RandomState(seed))


def one_hot(labels: np.ndarray, smoothing: float) -> np.ndarray:
    return np.eye(CLASSES, dtype=np.float32)[labels] * (1 - smoothing) + smoothing / CLASSES


@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_images_are_timms_to_the_bit_and_targets_the_same(setting, mode, numpy_state):
    shares = set()
    for seed in range(12):
        smoothing = 0.1 * (seed % 2)
        (images, targets), (mixed, other, share) = both(setting, mode, seed, smoothing)
        np.testing.assert_array_equal(mixed, images.numpy(), strict=True)
        ours = one_hot(LABELS, smoothing) * share[:, None] + one_hot(other, smoothing) * (1 - share[:, None])
        np.testing.assert_allclose(ours, targets.numpy(), atol=2e-7)
        assert other.dtype == LABELS.dtype and share.dtype == np.float32 and share.shape == (BATCH,)
        shares |= set(share.tolist())
    assert len(shares) > 3 and (SETTINGS[setting][3] == 1 or 1.0 in shares)


def test_the_loss_of_a_mixed_batch_is_timms(numpy_state):
    from mindspore import Tensor, nn

    from src.models.classification import ImageClassifier

    class Scores(nn.Cell):
        def __init__(self):
            super().__init__()
            self.label_smoothing = 0.1

        def logits(self, image):
            return image

        losses = ImageClassifier.losses

    logits = np.random.RandomState(5).randn(BATCH, CLASSES).astype(np.float32) * 3
    (_, targets), (_, other, share) = both("both", "elem", 3, 0.1)
    expected = SoftTargetCrossEntropy()(torch.tensor(logits), targets)
    (loss,) = Scores().losses(*map(Tensor, (logits, LABELS, other, share)))
    assert float(loss.asnumpy()) == pytest.approx(float(expected), rel=1e-5)


def test_a_hand_worked_batch():
    """share 0.75: image 0 keeps three quarters of itself and gets a quarter of the last."""
    images = np.arange(4, dtype=np.float32)[:, None, None, None] * np.ones((1, 3, 2, 2), np.float32)
    mixing = TimmMixing(1.0, 0.0)
    rng = type("Draws", (), {"rand": lambda self: 0.3, "beta": lambda self, a, b: 0.75})()
    mixed, other, share = mixing.mix(images, np.array([5, 6, 7, 8]), rng)
    assert mixed[:, 0, 0, 0].tolist() == [0.75, 1.25, 1.75, 2.25] and other.tolist() == [8, 7, 6, 5]
    assert share.tolist() == [0.75] * 4
    targets = mixup_target(torch.tensor([0, 1]), 3, 0.75, 0.3)
    np.testing.assert_allclose(targets.numpy(), [[0.625, 0.275, 0.1], [0.275, 0.625, 0.1]], atol=1e-6)


def test_it_is_off_unless_a_mode_of_timms_is_named():
    def made(*keys):
        return TimmMixing.from_config(load_config(CONFIG, list(keys)))

    assert made() is None and made("--mixup=0.8", "--cutmix=1") is None and made("--mixup_mode=batch") is None
    assert made("--mixup_mode=pair", "--mixup=0.8") == TimmMixing(0.8, 0.0, mode="pair")
    keys = "--mixup_prob=0.3", "--mixup_switch_prob=0.2", "--cutmix_minmax=[0.2,0.7]", "--mixup_mode=elem"
    assert made(*keys) == TimmMixing(0.0, 1.0, (0.2, 0.7), 0.3, 0.2, "elem")
