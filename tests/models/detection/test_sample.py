import numpy as np
import pytest
from mindspore import Tensor

from src.models.detection.sample import BalancedSampler


def run(sampler, assigned, seed=0):
    assigned = np.int32(assigned)
    outputs = sampler(Tensor(assigned[None]), Tensor(np.int32([seed])))
    return [output.asnumpy()[0] for output in outputs]


def test_in_order_takes_the_first_candidates_positives_before_background(graph_mode):
    assigned = [0, 2, -1, 0, 1, 3, 0, 0]
    index, positive, sampled = run(BalancedSampler(4, 0.5, order="in_order"), assigned)
    np.testing.assert_array_equal(index, [1, 4, 0, 3])
    np.testing.assert_array_equal(positive, [True, True, False, False])
    assert sampled.all()


def test_missing_positives_are_replaced_by_background_and_missing_background_leaves_slots_unused(graph_mode):
    index, positive, sampled = run(BalancedSampler(4, 0.5, order="in_order"), [0, 0, 1, 0, 0])
    np.testing.assert_array_equal(index, [2, 0, 1, 3])
    np.testing.assert_array_equal(positive, [True, False, False, False])
    index, positive, sampled = run(BalancedSampler(4, 0.5, order="in_order"), [1, 1, 1, 0, -1])
    np.testing.assert_array_equal(sampled, [True, True, True, False])
    np.testing.assert_array_equal(index, [0, 1, 3, 0])


def test_background_is_bounded_by_a_multiple_of_the_positives(graph_mode):
    _, _, sampled = run(BalancedSampler(8, 0.5, neg_pos_ub=2, order="in_order"), [1] + [0] * 10)
    assert sampled.sum() == 3
    _, _, sampled = run(BalancedSampler(8, 0.5, neg_pos_ub=2, order="in_order"), [0] * 10)
    assert sampled.sum() == 2  # no positive counts as one


def test_random_choice_is_repeatable_differs_between_seeds_and_is_even(graph_mode):
    sampler = BalancedSampler(64, 0.5)
    assigned = [1] * 200 + [0] * 800
    first, positive, sampled = run(sampler, assigned, seed=3)
    again, _, _ = run(sampler, assigned, seed=3)
    np.testing.assert_array_equal(first, again)
    assert sampled.all() and positive.sum() == 32 and (first[:32] < 200).all() and (first[32:] >= 200).all()
    assert len(set(first)) == 64
    counts = np.zeros(1000)
    for seed in range(300):
        counts[run(sampler, assigned, seed)[0]] += 1
    expected = np.where(np.arange(1000) < 200, 300 * 32 / 200, 300 * 32 / 800)
    chi_square = ((counts - expected) ** 2 / expected).sum()
    # 200 * (1 - 32 / 200) + 800 * (1 - 32 / 800) = 936 expected without replacement, standard deviation about 43
    assert 936 - 130 < chi_square < 936 + 130


@pytest.mark.parametrize(
    "order,bound", [("random", -1), ("random", 2.5), pytest.param("in_order", 2.5, marks=pytest.mark.slow)]
)
def test_the_compiled_operator_chooses_as_the_frameworks_operators_do(graph_mode, order, bound):
    rng = np.random.RandomState(0)
    shares = ([0.1, 0.6, 0.3], [0.0, 0.99, 0.01], [0.9, 0.0, 0.1], [0.2, 0.8, 0.0], [1.0, 0.0, 0.0])
    assigned = np.int32([rng.choice([-1, 0, 1], 5000, p=share) * rng.randint(1, 9, 5000) for share in shares]).clip(-1)
    seeds = np.int32([0, 1, -7, 2**31 - 1, 12345])
    for num, stream in ((64, 0), (6000, 3)) if bound > 0 else ((64, 0),):
        outputs = [
            BalancedSampler(num, 0.25, bound, order, stream, portable)(Tensor(assigned), Tensor(seeds))
            for portable in (False, True)
        ]
        for own, other in zip(*outputs):
            assert own.dtype == other.dtype
            np.testing.assert_array_equal(own.asnumpy(), other.asnumpy())
