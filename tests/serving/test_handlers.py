"""What happens on the page, called as Gradio calls it."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from src.process.environment import prepare_gradio
from src.serving.service import Service
from src.serving.sessions import Sessions
from src.serving.uploads import Uploads
from tests.serving.results import NAMES, CountingModel, classes

ANNA, BERT = SimpleNamespace(session_hash="anna"), SimpleNamespace(session_hash="bert")


@pytest.fixture()
def page(tmp_path, monkeypatch):
    """Gradio's module of ours, which keeps its files in a folder of the test."""
    pytest.importorskip("gradio", reason="pip install -r requirements-serve.txt")
    import os

    monkeypatch.setattr(os, "environ", os.environ.copy())
    prepare_gradio(tmp_path)
    from src.serving import page

    return page


@pytest.fixture()
def handlers(page, tmp_path):
    return page.Handlers(Service(CountingModel(), 1_000_000), Uploads(tmp_path), Sessions())


def dropped(handlers, content: bytes, name: str = "photo.png") -> tuple[str, str]:
    """An upload as the page gives it."""
    path = handlers.uploads.folder / str(len(handlers.uploads)) / "stored.png"
    with handlers.uploads.arriving() as note:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        note([str(path)])
    return str(path), name


def picture(height: int = 400, width: int = 800) -> bytes:
    return cv2.imencode(".png", np.full((height, width, 3), 90, np.uint8))[1].tobytes()


def labels(update: dict) -> list[str]:
    return [layer.label for layer in update["value"][1]]


def test_the_network_is_asked_once_whatever_is_moved(handlers):
    model = handlers.service.model
    shown, words, boxes, likely, save = handlers.predict(dropped(handlers, picture()), 0.3, ANNA)
    assert labels(shown) == ["person 0.90", f"{NAMES[1]} 0.60"] and words == "2 of 3 objects shown, 800 x 400 pixels"
    assert boxes["choices"] == boxes["value"] == ["person", NAMES[1], "class 2"]
    assert likely is None and save["interactive"] and model.asked == 1
    assert shown["color_map"]["person 0.90"] == "#{:02x}{:02x}{:02x}".format(*shown["value"][1][0].colour)
    assert labels(handlers.show(0.0, ["class 2", NAMES[1]], ANNA)[0]) == [f"{NAMES[1]} 0.60", "class 2 0.25"]
    assert labels(handlers.show(0.95, boxes["value"], ANNA)[0]) == []
    text = json.loads(handlers.text(ANNA))
    assert list(text) == ["photo.png"] and text["photo.png"] == model.make().to_json()
    assert model.asked == 1


def test_visitors_do_not_see_one_another(page, handlers):
    handlers.predict(dropped(handlers, picture(400, 800)), 0.3, ANNA)
    assert handlers.show(0.3, ["person"], BERT)[1] == page.NONE
    with pytest.raises(page.gr.Error, match="no longer here"):
        handlers.text(BERT)
    handlers.predict(dropped(handlers, picture(200, 300)), 0.3, BERT)
    assert "800 x 400" in handlers.show(0.3, ["person"], ANNA)[1]
    assert "300 x 200" in handlers.show(0.3, ["person"], BERT)[1]
    handlers.leave(BERT)
    assert len(handlers.sessions) == 1 and handlers.show(0.3, ["person"], BERT)[1] == page.NONE


@pytest.mark.parametrize(
    "content,words",
    [
        (b"hello", "this file is no image, or cut off"),
        (b"", "this file is no image, or cut off"),
        (picture()[:-40], "this file is no image, or cut off"),
        (picture(1000, 1001), "the image has 1,001 x 1,000 pixels; at most 1 million are taken"),
    ],
)
def test_what_is_refused_is_refused_in_words_and_nothing_is_shown_any_more(content, words, page, handlers):
    handlers.predict(dropped(handlers, picture()), 0.3, ANNA)
    with pytest.raises(page.gr.Error) as refused:
        handlers.predict(dropped(handlers, content), 0.3, ANNA)
    assert refused.value.message == words and handlers.show(0.3, [], ANNA)[1] == page.NONE
    assert handlers.service.model.asked == 1 and not list(handlers.uploads.folder.rglob("*.png"))


def test_files_that_were_not_uploaded_are_not_looked_at(page, handlers, tmp_path):
    (tmp_path / "own.png").write_bytes(picture())
    for given in ((str(tmp_path / "own.png"), "own.png"), None):
        with pytest.raises(page.gr.Error, match="drop it again"):
            handlers.predict(given, 0.3, ANNA)
    assert handlers.service.model.asked == 0 and (tmp_path / "own.png").exists()


def test_programs_get_the_entry(handlers):
    assert handlers.entry(dropped(handlers, picture())) == handlers.service.model.make().to_json()
    assert len(handlers.sessions) == 0


def test_likely_classes_are_shown_of_a_classifier(page, tmp_path):
    handlers = page.Handlers(Service(CountingModel(classes), 1_000_000), Uploads(tmp_path), Sessions())
    shown, words, boxes, likely, _ = handlers.predict(dropped(handlers, picture()), 0.3, ANNA)
    assert likely == {"class 2": 0.7, "person": 0.3} and labels(shown) == [] and not boxes["visible"]
    assert words == "800 x 400 pixels"


def test_the_page_is_built_for_each_kind_and_writes_beside_none_of_its_sources(page, tmp_path):
    from pathlib import Path

    for make, slider, likely in ((None, True, False), (classes, False, True)):
        service = Service(CountingModel(make) if make else CountingModel(), 1_000_000)
        handlers = page.Handlers(service, Uploads(tmp_path), Sessions())
        parts = {
            part.elem_id: part.visible
            for part in page.make_page(handlers, service.warm_up(), "<b>", 4).blocks.values()
            if part.elem_id
        }
        assert (parts["threshold"], parts["likely"]) == (slider, likely)
    assert not list(Path(page.__file__).parent.glob("*.pyi"))
