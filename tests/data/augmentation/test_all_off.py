"""What is off by default draws nothing, and what is on changes nobody else's choices."""

import numpy as np
import pytest

from src.data.augmentation import AUGMENTATIONS, draw_transforms
from src.data.augmentation.geometry import FitInput
from src.data.augmentation.transform import Chain
from src.data.streams import SampleStreams
from tests.data.augmentation.samples import TASKS, made

ON = {"photometric_distortion": 1, "random_erasing": 0.5, "vertical_flip_ratio": 0.5, "rotate90_ratio": 0.5}


@pytest.mark.parametrize("task", TASKS)
def test_the_defaults_add_no_step_to_a_tasks_own(task, tmp_path):
    samples = TASKS[task](tmp_path / task, {})
    for epoch in range(5):
        own = []
        chain = draw_transforms(lambda size, rng, own=own: own.append(size) or Chain(), samples.cfg, (40, 50),
                                SampleStreams(1, epoch, 2), bgr=True)  # fmt: skip
        assert own == [(40, 50)] and [step.steps for step in chain.steps] == [(), (), ()]
        assert not chain.recomputes_boxes and chain.least_side == 0


def test_a_detectors_own_step_is_the_plain_fit(tmp_path):
    samples = TASKS["detection"](tmp_path / "detection", {"flip_ratio": 0, "expand_ratio": 0})
    streams = SampleStreams(1, 0, 2)
    assert samples._own((40, 50), streams.shared, streams, 0) == Chain((FitInput(samples.settings),))


@pytest.mark.parametrize("task", TASKS)
def test_each_draws_from_a_stream_of_its_own(task, tmp_path):
    """Two at a time are what each of them is alone, and the sample's own number stays."""
    assert len(AUGMENTATIONS) == len(ON)
    plain, flipped = made(task, tmp_path), made(task, tmp_path, vertical_flip_ratio=0.5)
    flips = [bool((a["image"] != b["image"]).any()) for a, b in zip(plain, flipped)]
    cast = made(task, tmp_path, photometric_distortion=1)
    both = made(task, tmp_path, photometric_distortion=1, vertical_flip_ratio=0.5)
    assert [bool((a["image"] != b["image"]).any()) for a, b in zip(cast, both)] == flips
    all_on = made(task, tmp_path, **ON)
    for one, other in zip(all_on, made(task, tmp_path, **ON)):
        assert all((one[name] == other[name]).all() for name in one)
    if task == "detection":
        np.testing.assert_array_equal([one["sample_seed"] for one in all_on], [one["sample_seed"] for one in plain])
