"""The page: its parts, and what happens when somebody drops an image or moves something."""

import html
import json
import os
from abc import ABCMeta
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from gradio.components.annotated_image import AnnotatedImageData, Annotation
from gradio.data_classes import FileData

from ..data.images import IMAGE_SUFFIXES
from ..errors import UserError, counted
from .service import Service
from .sessions import Sessions
from .uploads import Uploads
from .view import CLASSES, OBJECTS, Layer, View

USUAL_THRESHOLD = 0.3  # as draw_predictions.py has it
GONE, NONE = "the image is no longer here: drop it again", "no image is here: drop one"
NETWORK = "network"  # the line of those who wait for it
DRAWERS = 4  # drawings at a time, which need no network
FONTS, FIXED = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")
STYLE = "footer {display: none !important} .mask {image-rendering: auto}"
# What the button's text says is saved by the browser; no file of it is made here.
SAVE = """(text) => {
    if (!text) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], {type: "application/json"}));
    link.download = "predictions.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}"""


class _Part(type(gr.File)):
    """Parts of one's own without the `.pyi` file that Gradio would write beside this one."""

    def __new__(cls, name, bases, attributes):
        return ABCMeta.__new__(cls, name, bases, attributes)


class Dropped(gr.File, metaclass=_Part):
    """A file that is given to the function as its upload's path and its own name, neither opened nor copied."""

    is_template = True

    def preprocess(self, payload):
        return None if payload is None else (payload.path, payload.orig_name or Path(payload.path).name)


class Overlay(gr.AnnotatedImage, metaclass=_Part):
    """An annotated image whose layers are drawn already: its value is a view and the layers that are to be seen."""

    is_template = True

    def postprocess(self, value: tuple[View, list[Layer]] | None) -> AnnotatedImageData | None:
        if value is None:
            return None
        view, layers = value
        folder = Path(self.GRADIO_CACHE, view.token)
        return AnnotatedImageData(
            image=_file(folder / "image.jpg", view.jpeg),
            annotations=[
                Annotation(image=_file(folder / f"{one.number}.png", one.png), label=one.label) for one in layers
            ],
        )


def _file(path: Path, content: bytes) -> FileData:
    """For the browser to fetch; what is old has been removed."""
    try:
        os.utime(path)
    except OSError:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return FileData(path=str(path))


@dataclass(frozen=True)
class Shown:
    """What a visitor looks at. name: of the file, as infer.py's JSON has it."""

    name: str
    view: View


@dataclass
class Handlers:
    """What happens on the page; each visitor has a session of his own."""

    service: Service
    uploads: Uploads
    sessions: Sessions[Shown]

    def predict(self, dropped: tuple[str, str] | None, threshold: float, request: gr.Request):
        """An image has been dropped: its picture, a line of words, its classes, the likely ones, the button."""
        self.sessions.forget(request.session_hash)
        view = self._look(dropped)
        self.sessions.keep(request.session_hash, Shown(dropped[1], view), view.size)
        names = view.names()
        return (
            *_picture(view, threshold, names),
            gr.update(choices=names, value=names, visible=bool(names)),
            dict(view.likely) or None,
            gr.update(interactive=True),
        )

    def show(self, threshold: float, names: list[str], request: gr.Request):
        """The slider or a class has moved. The network is not asked."""
        shown = self.sessions.get(request.session_hash)
        return (gr.skip(), NONE) if shown is None else _picture(shown.view, threshold, names)

    def text(self, request: gr.Request) -> str:
        """The JSON of what the visitor looks at, as infer.py writes it."""
        shown = self.sessions.get(request.session_hash)
        if shown is None:
            raise gr.Error(GONE, print_exception=False)
        return json.dumps({shown.name: shown.view.entry}, indent=1)

    def entry(self, dropped: tuple[str, str] | None) -> dict:
        """For programs: the entry of an image's predictions in infer.py's JSON."""
        return self._look(dropped).entry

    def leave(self, request: gr.Request) -> None:
        """The page is closed."""
        self.sessions.forget(request.session_hash)

    def clear(self, request: gr.Request):
        """The image was taken away, or refused."""
        self.leave(request)
        return None, NONE, gr.update(choices=[], value=[], visible=False), None, gr.update(interactive=False)

    def _look(self, dropped: tuple[str, str] | None) -> View:
        content = None if dropped is None else self.uploads.take(dropped[0])
        if content is None:
            raise gr.Error(GONE, print_exception=False)
        try:
            return self.service.look(content)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None


def _picture(view: View, threshold: float, names: list[str]):
    layers = view.shown(threshold, names)
    colours = {one.label: "#{:02x}{:02x}{:02x}".format(*one.colour) for one in layers}
    words = f"{view.width} x {view.height} pixels"
    if view.layers:
        words = f"{len(layers)} of {counted(len(view.layers), view.kind)} shown, {words}"
    return gr.update(value=(view, layers), color_map=colours), words


def make_page(handlers: Handlers, example: View, title: str, most_waiting: int) -> gr.Blocks:
    """The page, with the parts that results like `example` can use."""
    with gr.Blocks(title=title, analytics_enabled=False) as page:
        gr.HTML(f"<h1>{html.escape(title)}</h1>")
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                dropped = Dropped(label="image", file_types=list(IMAGE_SUFFIXES), height=140, elem_id="dropped")
                threshold = gr.Slider(0, 1, USUAL_THRESHOLD, step=0.01, label="least score",
                                      visible=example.kind == OBJECTS, elem_id="threshold")  # fmt: skip
                classes = gr.CheckboxGroup(label="classes", show_select_all=True, visible=False, elem_id="classes")
                likely = gr.Label(label="likely classes", visible=example.kind == CLASSES, elem_id="likely")
                save = gr.Button("download JSON", interactive=False, elem_id="save")
                text = gr.Textbox(visible=False)
            with gr.Column(scale=3):
                picture = Overlay(show_label=False, height="70vh", elem_id="picture")
                words = gr.Textbox(show_label=False, container=False, interactive=False, elem_id="words")
        ask = gr.Button(visible=False)
        found = gr.JSON(visible=False)
        results = [picture, words, classes, likely, save]
        network = {"concurrency_limit": 1, "concurrency_id": NETWORK}
        drawing = {"concurrency_limit": DRAWERS, "concurrency_id": "drawing", "api_visibility": "private"}
        new = dropped.upload(handlers.predict, [dropped, threshold], results, api_name="drop",
                             api_visibility="private", **network)  # fmt: skip
        for gone in (new.failure, dropped.clear):
            gone(handlers.clear, None, results, show_progress="hidden", **drawing)
        moved = [threshold.change, classes.input]
        gr.on(moved, handlers.show, [threshold, classes], [picture, words], trigger_mode="always_last",
              show_progress="hidden", **drawing)  # fmt: skip
        told = save.click(handlers.text, None, text, show_progress="hidden", **drawing)
        saved = told.success(None, text, None, js=SAVE)
        saved.then(lambda: "", None, text, show_progress="hidden", **drawing)  # Gradio holds on to values
        ask.click(handlers.entry, dropped, found, api_name="predict", **network)
        page.unload(handlers.leave)
    return page.queue(max_size=most_waiting, default_concurrency_limit=1, api_open=False)
