"""What every test of this folder needs."""

import pytest


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """The servers of the tests are on this machine, whatever stands before the others."""
    monkeypatch.setenv("no_proxy", "*")
