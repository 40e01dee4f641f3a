"""The server: one process, one loop, its files in a folder of its own that goes with it."""

import logging
import socket
import threading
from pathlib import Path

import fastapi
import gradio as gr
import uvicorn

from ..process import signals
from .gate import LOCAL_NAMES, MEGABYTE, Gate
from .limits import Limits
from .page import FIXED, FONTS, STYLE, Handlers, make_page
from .service import Service
from .sessions import MOST_VISITORS, Sessions
from .uploads import Uploads

SWEPT_EVERY = 10.0  # seconds
MOST_CONNECTIONS = 256
LAST_WORDS = 2  # seconds, which answers have at the end


def application(model, title: str, folder: Path, limits: Limits, is_local: bool) -> tuple[Gate, "Sweeper"]:
    """The page of `model` as an ASGI application, and what removes its old files, which are in `folder`."""
    uploads, sessions = Uploads(folder), Sessions()
    service = Service(model, round(limits.megapixels * 1e6))
    example = service.warm_up()
    page = make_page(Handlers(service, uploads, sessions), example, title, limits.waiting)
    page.state_session_capacity = MOST_VISITORS
    page.has_launched = True  # files that were not uploaded are refused by Gradio too; it asks for this one
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        app, page, "/",
        footer_links=[], run_history=False, show_error=False, max_file_size=round(limits.megabytes * MEGABYTE),
        ssr_mode=False, enable_monitoring=False, pwa=False, mcp_server=False, css=STYLE,
        theme=gr.themes.Default(font=FONTS, font_mono=FIXED),
    )  # fmt: skip
    gate = Gate(app, uploads, LOCAL_NAMES if is_local else None, round(limits.megabytes * MEGABYTE))
    return gate, Sweeper(uploads, sessions, page)


class Sweeper(threading.Thread):
    """Every few seconds removes what is old."""

    def __init__(self, uploads: Uploads, sessions: Sessions, page: gr.Blocks):
        super().__init__(name="sweeper", daemon=True)
        self.uploads, self.sessions, self.page = uploads, sessions, page
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(SWEPT_EVERY):
            self.sweep()

    def sweep(self) -> None:
        self.uploads.sweep()
        self.sessions.sweep()
        for names in self.page.temp_file_sets:  # Gradio's list of the files that it has ever made
            names.clear()


def run(app: Gate, sweeper: Sweeper, one: socket.socket) -> int:
    """Answer at the socket until a signal comes, whose number is returned."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, limit_concurrency=MOST_CONNECTIONS, lifespan="on",
                       timeout_graceful_shutdown=LAST_WORDS)
    )  # fmt: skip

    came: list[int] = []

    def stop(number: int) -> None:
        if came:  # the second one does not wait
            signals.leave(128 + number)
        came.append(number)
        server.should_exit = True

    sweeper.start()
    with signals.told_to(stop):
        server.run([one])
    sweeper.stopped.set()
    return next(iter(came), 0)
