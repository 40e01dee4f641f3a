"""A run that is killed again and again is, at its end, the run that was not. Any number: random_kills.py."""

import pytest

from tests.end_to_end.random_kills import try_kills


@pytest.mark.slow
def test_a_run_killed_at_five_random_moments_is_at_its_end_the_uninterrupted_one(tmp_path):
    said = []
    assert not try_kills("classifier", 5, 1, tmp_path, said.append), said
