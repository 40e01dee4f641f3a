"""Gradio's own variables do not reach the page."""

import os

from src.process.environment import prepare_gradio


def test_the_environment_neither_opens_nor_shares_the_page(tmp_path, monkeypatch):
    own = {"GRADIO_ALLOWED_PATHS": "/", "GRADIO_SHARE": "True", "GRADIO_ANALYTICS_ENABLED": "True", "OTHER": "stays"}
    monkeypatch.setattr(os, "environ", dict(own))
    prepare_gradio(tmp_path)
    assert {name: value for name, value in os.environ.items() if name.startswith("GRADIO_")} == {
        "GRADIO_TEMP_DIR": str(tmp_path),
        "GRADIO_EXAMPLES_CACHE": str(tmp_path / "examples"),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_ANALYTICS_MAX_EVENTS": "1",
    }
    assert os.environ["OTHER"] == "stays" and os.environ["HF_HUB_OFFLINE"] == "1"
