"""Shared by the tests of training: runs without pictures, which take half of a toy run's time."""

import pytest

from src.engine.hooks import curves


@pytest.fixture(autouse=True)
def pictures(monkeypatch):
    """No picture is drawn. A file whose tests look at them has a fixture of this name that does nothing."""
    monkeypatch.setattr(curves, "plot_losses", lambda rows, path: None)
    monkeypatch.setattr(curves, "plot_metrics", lambda rows, names, path: None)
