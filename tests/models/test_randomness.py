import numpy as np
from mindspore import Tensor

from src.models.randomness import hashed_uniform


def test_hashed_numbers_are_repeatable_even_and_uncorrelated(graph_mode):
    seeds = Tensor(np.int32([0, 1, 2**31 - 1]))
    numbers = hashed_uniform(seeds, 20000, stream=1).asnumpy()
    np.testing.assert_array_equal(numbers, hashed_uniform(seeds, 20000, stream=1).asnumpy())
    other = hashed_uniform(seeds, 20000, stream=2).asnumpy()
    assert numbers.min() >= 0 and numbers.max() <= 1
    for row in range(3):
        histogram = np.histogram(numbers[row], bins=20, range=(0, 1))[0]
        assert ((histogram - 1000) ** 2 / 1000).sum() < 50  # 19 degrees of freedom
        assert abs(np.corrcoef(numbers[row][1:], numbers[row][:-1])[0, 1]) < 0.03
        assert abs(np.corrcoef(numbers[row], other[row])[0, 1]) < 0.03
    assert abs(np.corrcoef(numbers[0], numbers[1])[0, 1]) < 0.03
