"""RandAugment against timm itself: every operation, every magnitude, and whole policies with the same draws."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from src.config import load_config
from src.config.rand_augment import INCREASING, PLAIN, SETS, parse
from src.data.augmentation import timm_randaugment as ours
from src.data.imagenet import FolderSamples
from src.data.streams import SampleStreams
from tests.models.timm_models import import_timm

import_timm()
from timm.data import auto_augment as timm  # noqa: E402

CONFIGS = Path(__file__).parents[3] / "configs"
IMAGE = np.random.RandomState(0).randint(9, 240, (37, 45, 3)).astype(np.uint8)
IMAGE[:, :20] = 9 + np.arange(20)[:, None] * 12  # some of it is smooth
FILL = (124, 116, 104)
NAMES = sorted({*PLAIN, *INCREASING, *(name for operations in SETS.values() for name in operations)})


class SameDraws:
    """Python's `random` as timm uses it, and `numpy.random.choice`, from one stream."""

    def __init__(self, rng: np.random.RandomState):
        self.random_state = rng
        self.random = rng.rand
        self.uniform = rng.uniform
        self.gauss = rng.normal

    def choice(self, members, *arguments, **keywords):
        if arguments or keywords:  # numpy's
            numbers = self.random_state.choice(len(members), *arguments, **keywords)
            return [members[k] for k in numbers]
        return members[self.random_state.randint(len(members))]


@pytest.fixture()
def drawing_alike(monkeypatch):
    """timm's draws from a stream with this seed."""

    def seed(number: int) -> None:
        draws = SameDraws(np.random.RandomState(number))
        monkeypatch.setattr(timm, "random", draws)
        monkeypatch.setattr(timm, "np", SimpleNamespace(random=draws, array=np.array, sum=np.sum))

    return seed


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_at_every_magnitude_is_timms_to_the_bit(name, monkeypatch):
    picture, seen = Image.fromarray(IMAGE), set()
    for magnitude in (0, 0.3, 1, 2, 3, 4.5, 5, 6, 7, 8, 9, 9.7, 10):
        for negated in (False, True):
            monkeypatch.setattr(timm, "random", SimpleNamespace(random=lambda flag=negated: float(flag)))
            level = timm.LEVEL_TO_ARG[name]
            arguments = level(magnitude, {"translate_pct": 0.45}) if level else ()
            make = ours.VALUES.get(name)
            value = make(magnitude / 10, float.__neg__ if negated else float) if make else None
            assert arguments == (() if value is None else (value,))
            for resampling in ours.INTERPOLATIONS if name in ours.GEOMETRY else (None,):
                keywords = {"fillcolor": FILL, "resample": resampling}
                expected = timm.NAME_TO_OP[name](picture, *arguments, **keywords)
                found = ours.apply(picture, ours.Operation(name, value, resampling), FILL)
                np.testing.assert_array_equal(np.asarray(found), np.asarray(expected), err_msg=f"{name} {magnitude}")
                seen.add(found.tobytes())
    assert len(seen) > (1 if name in ours.VALUES else 0) and seen != {picture.tobytes()}


POLICIES = (
    "rand-m9-mstd0.5-inc1", "rand-m9-n3-mstd0.5", "rand-m7-mstd0.5-inc1", "rand", "rand-m5-p1-n4", "rand-mstd101-inc1",
    "rand-m15-mmax20-mstd2", "rand-m9-mstd1-tweights", "rand-m8-t3a-n1", "rand-m8-t3aw-n3-p0.8", "rand-m6-mstd1.0-inc0",
)  # fmt: skip


@pytest.mark.parametrize("text", POLICIES)
def test_a_whole_policy_is_timms_to_the_bit_when_the_draws_are_the_same(text, drawing_alike):
    changed = 0
    for seed in range(25):
        drawing_alike(seed)
        expected = timm.rand_augment_transform(text, {"img_mean": FILL, "translate_const": 16})(Image.fromarray(IMAGE))
        operations = ours.draw_operations(parse(text), np.random.RandomState(seed))
        found = ours.TimmRandAugment(operations, FILL).image(IMAGE)
        np.testing.assert_array_equal(found, np.asarray(expected), err_msg=f"{seed} {operations}")
        changed += bool((found != IMAGE).any())
    assert changed >= 5


def test_operations_are_timms_and_so_are_their_shares():
    for text in ("rand", "rand-inc1", "rand-tweights", "rand-t3a", "rand-t3aw"):
        theirs, policy = timm.rand_augment_transform(text, {}), parse(text)
        assert [one.name for one in theirs.ops] == list(policy.names) and theirs.num_layers == policy.count
        expected = theirs.choice_weights
        assert (expected is None) == (policy.weights is None)
        np.testing.assert_array_equal([] if expected is None else expected, policy.weights or [])


def config(*keys: str):
    common = ["--img_width=32", "--img_height=32", "--num_classes=2", "--train_dataset=unused"]
    return load_config(CONFIGS / "hrnet_w18_cls.yaml", [*common, *keys])


class _Folder:
    folder, images, sets = "unused", [("unused", 0)] * 6, ()

    def __len__(self) -> int:
        return len(self.images)


def test_it_is_drawn_from_a_stream_of_its_own_and_the_others_stay_as_they_were():
    cfgs = config("--color_jitter=0.4"), config("--color_jitter=0.4", "--auto_augment=rand-m9-inc1-p1")
    image = np.random.RandomState(1).randint(0, 256, (50, 60, 3)).astype(np.uint8)
    plain, augmented = (FolderSamples(_Folder(), cfg) for cfg in cfgs)
    for key in range(8):
        twice = [augmented.make((image, 1), SampleStreams(3, 1, key))[0] for _ in range(2)]
        np.testing.assert_array_equal(*twice)
        streams = SampleStreams(3, 1, key), SampleStreams(3, 1, key)
        (*geometry, jitter), (*same, added, last) = (
            made._own(image.shape[:2], one.shared, streams=one).steps for made, one in zip((plain, augmented), streams)
        )
        assert isinstance(added, ours.TimmRandAugment) and jitter == last and len(geometry) == len(same)
        assert all(type(one) is type(other) and vars(one) == vars(other) for one, other in zip(geometry, same))


@pytest.mark.parametrize(("to_rgb", "expected"), [("1", (124, 116, 104)), ("0", (104, 116, 124))])
def test_what_lies_outside_of_the_picture_is_the_mean_colour(to_rgb, expected):
    drawn = ours.TimmRandAugment.draw(config("--auto_augment=rand", f"--to_rgb={to_rgb}"), (32, 32), np.random)
    assert drawn.fill == expected
    assert ours.TimmRandAugment.draw(config(), (32, 32), None) is None
