"""Small pictures for the README out of large ones: see scripts/make_pictures.sh."""

import argparse
import io
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

CHOSEN = (6, 29, 14, 13)  # of the overlays, by number from 1
HEIGHT = 300  # pixels of one of them
COLOURS = 64
LINE, ABOVE = 204, 48  # the grey of the line under a heading; from that line to above the heading, in pixels


def overlays(target: Path, sources: list[Path]) -> None:
    """The chosen pictures in a row, each of the same height."""
    row = [Image.open(sources[k - 1]) for k in CHOSEN]
    row = [one.resize((round(one.width * HEIGHT / one.height), HEIGHT), Image.Resampling.LANCZOS) for one in row]
    together = Image.fromarray(np.hstack([np.asarray(one.convert("RGB")) for one in row]))
    together.save(target, quality=85, optimize=True)


def save_small(target: Path, picture: Image.Image) -> None:
    """As PNG of few colours."""
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


def sections(whole: np.ndarray, first: int, last: int) -> np.ndarray:
    """The part of a page's picture (H, W, 3) from its first-th heading to before the one behind the last, from 1."""
    lines = np.flatnonzero((whole == LINE).all(2).mean(1) > 0.9)
    starts = [max(0, row - ABOVE) for k, row in enumerate(lines) if not k or row - lines[k - 1] > 2]
    return whole[starts[first - 1] : starts[last]]


def page(target: Path, run: str, image: str, score: float) -> None:
    """The page of src.commands.serve with what it shows for an image from this score on, in a real browser."""
    from benchmarks.serve_load import served
    from tests.serving.chromium import chromium

    with tempfile.TemporaryDirectory() as folder, served("--run", run) as server, chromium(Path(folder)) as tab:
        tab.call("Emulation.setDeviceMetricsOverride", width=1200, height=780, deviceScaleFactor=1, mobile=False)
        tab.open(server.address)
        tab.wait_for("!!document.querySelector('#dropped input[type=file]')")
        tab.choose_file("#dropped input[type=file]", Path(image))
        tab.wait_for("document.querySelectorAll('#picture .legend-item').length > 0", 300)
        slider = "document.querySelector('#threshold input[type=range]')"
        tab.run(f"{slider}.value = {score}; {slider}.dispatchEvent(new Event('input', {{bubbles: true}}))")
        time.sleep(3)  # until it is drawn anew
        save_small(target, Image.open(io.BytesIO(tab.screenshot(1200, 780))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("overlay", "small", "report", "page"))
    parser.add_argument("target", type=Path)
    which = "pictures; of a report its picture, the first and the last section; of the page a run, an image, a score"
    parser.add_argument("sources", nargs="+", help=which)
    arguments = parser.parse_args()
    if arguments.kind == "overlay":
        overlays(arguments.target, sorted(Path(one) for one in arguments.sources))
    elif arguments.kind == "small":
        save_small(arguments.target, Image.open(arguments.sources[0]))
    elif arguments.kind == "report":
        whole = np.asarray(Image.open(arguments.sources[0]).convert("RGB"))
        save_small(arguments.target, Image.fromarray(sections(whole, *map(int, arguments.sources[1:]))))
    else:
        run, image, score = arguments.sources
        page(arguments.target, run, image, float(score))


if __name__ == "__main__":
    main()
