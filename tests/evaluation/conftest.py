"""The hand-worked data set as a fixture."""

import pytest

from tests.evaluation.tiny import TinyDataset, make_dataset


@pytest.fixture()
def tiny_dataset() -> TinyDataset:
    return make_dataset(
        [
            (11, 7, (10, 10, 40, 40), False),
            (11, 3, (60, 60, 30, 30), False),
            (12, 7, (0, 0, 50, 50), False),
            (12, 7, (60, 60, 20, 20), False),
        ]
    )
