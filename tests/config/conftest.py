import logging

import pytest


@pytest.fixture()
def said(caplog, monkeypatch):
    """The log's lines so far; also where an earlier test has started logging to the terminal."""
    monkeypatch.setattr(logging.getLogger("src"), "propagate", True)
    return lambda: [record.getMessage() for record in caplog.records]
