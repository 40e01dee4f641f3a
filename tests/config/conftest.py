import logging

import pytest

SHAPES = "coco_classes: [background, circle]\nnum_classes: 2\n"


@pytest.fixture()
def said(caplog, monkeypatch):
    """The log's lines so far; also where an earlier test has started logging to the terminal."""
    monkeypatch.setattr(logging.getLogger("src"), "propagate", True)
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture()
def write(tmp_path):
    """Writes a file that names two classes, plus the given text; returns its path."""

    def make(text: str = "", name: str = "config.yaml", classes: str = SHAPES) -> str:
        (tmp_path / name).write_text(classes + text, encoding="utf-8")
        return str(tmp_path / name)

    return make
