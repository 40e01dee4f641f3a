"""Two ranks under mpirun, each with half of every batch, against PyTorch on the whole batches."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine.two_ranks import OPTIMIZERS, ROWS, STEPS, first_weight, norm_case, whole_batches

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    beside = Path(sys.executable).with_name("mpirun")
    mpirun = str(beside) if beside.exists() else shutil.which("mpirun")
    command = [mpirun, "--allow-run-as-root", "--oversubscribe", "-n", "2", sys.executable]
    done = subprocess.run(
        [*command, "-m", "tests.engine.two_ranks", str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return {path.stem: dict(np.load(path)) for path in folder.iterdir()}


@pytest.mark.parametrize("mode", ["steps", "pynative"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_on_halves_of_the_batches_equal_torch_on_the_whole(results, name, mode):
    kind, clip, accumulate = OPTIMIZERS[name]
    layer = torch.nn.Linear(3, 2)
    layer.weight.data, layer.bias.data = torch.tensor(first_weight()), torch.zeros(2)
    settings = {"lr": 0.1, "weight_decay": 0.01}
    if kind == "adam":
        optimizer = torch.optim.Adam(layer.parameters(), **settings)
    else:
        optimizer = torch.optim.SGD(layer.parameters(), momentum=0.9, **settings)
    losses = []
    for number, (x, target) in enumerate(whole_batches(), 1):
        loss = ((layer(torch.tensor(x)) - torch.tensor(target)) ** 2).mean()
        losses.append(loss.item())
        (loss / accumulate).backward()
        if number % accumulate == 0:
            if clip:
                torch.nn.utils.clip_grad_norm_(layer.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()
    found = results[f"{mode}_{name}"]
    np.testing.assert_array_equal(found["weights"][0], found["weights"][1])
    np.testing.assert_allclose(found["weights"][0], layer.weight.detach().numpy(), rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(found["bias"], layer.bias.detach().numpy(), rtol=2e-4, atol=2e-5)
    assert len(losses) == STEPS
    np.testing.assert_allclose(found["losses"], losses, rtol=1e-4)


def torch_norm(rows: np.ndarray) -> dict[str, np.ndarray]:
    """BatchNorm2d over the given rows of the case."""
    case = norm_case()
    norm = torch.nn.BatchNorm2d(5, eps=1e-3, momentum=0.3).double()
    norm.weight.data, norm.bias.data = torch.tensor(case["gamma"]).double(), torch.tensor(case["beta"]).double()
    norm.running_mean, norm.running_var = torch.tensor(case["mean"]).double(), torch.tensor(case["variance"]).double()
    x = torch.tensor(case["x"][rows]).double().requires_grad_()
    return {"x": x, "norm": norm, "y": norm(x), "upstream": torch.tensor(case["upstream"][rows])}


def compare(found: dict[str, np.ndarray], expected: dict, rows: np.ndarray) -> None:
    norm = expected["norm"]
    for got, wanted in (
        (found["y"][rows], expected["y"]),
        (found["dx"][rows], expected["x"].grad),
        (found["dgamma"], norm.weight.grad),
        (found["dbeta"], norm.bias.grad),
        (found["mean"], norm.running_mean),
        (found["variance"], norm.running_var),
    ):
        np.testing.assert_allclose(got, wanted.detach().numpy(), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("mode", ["", "pynative_"])
def test_synchronised_batchnorm_equals_torchs_on_the_whole_batch(results, mode):
    rows = np.arange(2 * ROWS)
    expected = torch_norm(rows)
    (expected["y"] * expected["upstream"]).sum().backward()
    compare(results[f"{mode}norm"], expected, rows)


@pytest.mark.parametrize("mode", ["", "pynative_"])
def test_the_roi_heads_batchnorm_takes_the_used_rows_of_both_ranks(results, mode):
    rows = np.flatnonzero(norm_case()["valid"])  # three of one rank, one of the other
    expected = torch_norm(rows)
    expected["y"] = torch.relu(expected["y"])
    (expected["y"] * expected["upstream"]).sum().backward()
    compare(results[f"{mode}roi_norm"], expected, rows)


def test_objects_and_sums_travel_between_the_ranks(results):
    assert results["channel"]["ranks"].tolist() == [0, 1]
    np.testing.assert_array_equal(results["channel"]["totals"], np.full((2, 2, 2), 2**41 + 1))


@pytest.mark.parametrize("mode", ["", "pynative_"])
def test_both_ranks_hear_of_a_stop_in_the_same_step(results, mode):
    assert results[f"{mode}stop"]["heard"].tolist() == [[False, False, True, True]] * 2


def test_an_overflow_of_one_rank_is_passed_over_by_both(results):
    found = results["overflow"]
    assert found["overflows"].tolist() == [[0, 1, 0, 0, 0, 0]] * 2
    assert found["scales"].tolist() == [[64, 32, 32, 32, 64, 64]] * 2
    np.testing.assert_array_equal(found["weights"][0], found["weights"][1])
    layer = torch.nn.Linear(3, 2)
    layer.weight.data, layer.bias.data = torch.tensor(first_weight()), torch.zeros(2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for number, (x, target) in enumerate(whole_batches()):
        if number != 1:
            optimizer.zero_grad()
            ((layer(torch.tensor(x)) - torch.tensor(target)) ** 2).mean().backward()
            optimizer.step()
    np.testing.assert_allclose(found["weights"][0], layer.weight.detach().numpy(), rtol=2e-4, atol=2e-5)
