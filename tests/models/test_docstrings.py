"""Worked examples in docstrings give the numbers that stand there."""

import doctest

import pytest

from src.models.detection import assign, sample


@pytest.mark.parametrize("module,name", [(assign, "MaxIoUAssigner"), (sample, "BalancedSampler")])
def test_a_worked_example_gives_its_numbers(graph_mode, module, name):
    (example,) = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert example.name.endswith(name)
    text = []
    result = doctest.DocTestRunner().run(example, out=text.append)
    assert result.attempted > 3 and not result.failed, "".join(text)
