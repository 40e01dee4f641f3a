"""Every sample's randomness is its own, the same in every process, and a name's stream is nobody else's."""

import numpy as np

from src.data.streams import SampleStreams


def test_a_names_stream_is_the_same_in_every_process_and_version():
    streams = SampleStreams(seed=1, epoch=2, key=3)
    assert streams.of("vertical_flip").randint(0, 1000, 4).tolist() == [320, 355, 404, 668]
    assert streams.shared.randint(0, 1000, 4).tolist() == np.random.RandomState([1, 2, 3]).randint(0, 1000, 4).tolist()


def test_streams_differ_by_seed_epoch_sample_and_name():
    numbers = {
        tuple(streams.of(name).randint(0, 2**31 - 1, 3))
        for streams in (SampleStreams(s, e, k) for s in (0, 1) for e in (0, 1) for k in (0, 1))
        for name in ("flip", "pilf")
    }
    assert len(numbers) == 16


def test_a_names_stream_starts_anew_and_takes_nothing_from_the_shared_one():
    streams = SampleStreams(0, 0, 7)
    first = streams.shared.rand()
    assert streams.of("flip").rand() == streams.of("flip").rand()
    untouched = SampleStreams(0, 0, 7)
    assert [first, streams.shared.rand()] == [untouched.shared.rand(), untouched.shared.rand()]


def test_a_partners_streams_are_its_own_by_name_and_number():
    streams = SampleStreams(1, 2, 3)
    assert streams.partner("mosaic", 0).of("flip").randint(0, 1000, 3).tolist() == [620, 833, 135]
    assert streams.partner("mosaic", 0).shared.randint(0, 1000, 3).tolist() == [688, 161, 996]
    ways = [streams, *(streams.partner(name, k) for name in ("mosaic", "copy_paste") for k in (0, 1))]
    ways.append(streams.partner("mosaic", 0).partner("mosaic", 0))
    numbers = {tuple(stream.randint(0, 2**31 - 1, 3)) for one in ways for stream in (one.shared, one.of("flip"))}
    assert len(numbers) == 12


def test_streams_are_numpys():
    """All that a stream of numpy's own has, drawn or not: the fast way to make one gives no other state."""
    ours, theirs = SampleStreams(2**32 - 1, 0, 5).shared, np.random.RandomState([2**32 - 1, 0, 5])
    for one, other in zip(ours.get_state(), theirs.get_state(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert ours.normal(size=3).tolist() == theirs.normal(size=3).tolist()  # keeps one of four for later
    assert ours.permutation(9).tolist() == theirs.permutation(9).tolist()
