"""The page of a data set: its images as training has them, what is twice in it, how much of what, and what is odd."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ..data.images import ImageFile, read_bgr, why_unreadable
from ..data.near_duplicates import Duplicate, Fingerprint, across, fingerprint, within
from ..data.read_ahead import read_ahead
from ..data.survey import Survey, image_sizes
from ..errors import counted
from ..inference.diagram_names import drawn_names, font_families
from ..inference.sheets import Shown
from ..pages import plots
from ..pages.page import Page

MOST_ROWS = 200  # of a table on the page; its file has all
MOST_NAMES = 12  # of one oddity
MOST_PAIRS = 12  # duplicates that are shown
MOST_BARS = 60  # classes of a diagram
PAIR_HEIGHT = 200  # pixels
WORKERS = 8
PAIRED = ("which", "image", "is the image", "byte for byte", "bits of 255 that differ", "grey levels between them")


@dataclass
class LookedAt:
    """A data set and its files. places: in `survey.files`, of those that were opened; prints: of these, None where a
    file is no image; problems: (name, reason) of what cannot be used; names: of all files, as the page shows them.
    """

    survey: Survey
    places: Sequence[int]
    prints: list[Fingerprint | None]
    problems: list[tuple[str, str]]
    names: list[str] = field(default_factory=list)


def look_at_files(survey: Survey, most: int, max_pixels: int, rules) -> LookedAt:
    """Opens up to `most` files, evenly over the set."""
    names = shown_names(survey.files)
    places = range(0, len(names), -(-len(names) // most)) if names else range(0)
    checked = range(0, len(places), max(1, len(places) // survey.most_checked)) if survey.most_checked else places
    checked = {places[k] for k in checked} if survey.most_checked else set(places)

    def look(place: int) -> tuple[Fingerprint | None, str]:
        file = survey.files[place]
        found = fingerprint(file, max_pixels, rules)
        if found is None:
            return None, why_unreadable(file, max_pixels)
        return found, survey.why_unusable(place) if place in checked else ""

    prints, problems = [], []
    for place, (found, problem) in zip(places, read_ahead(look, places, WORKERS, ahead=4 * WORKERS)):
        prints.append(found)
        if problem:
            problems.append((names[place], problem))
    return LookedAt(survey, places, prints, problems, names)


def shown_names(files: Sequence[ImageFile]) -> list[str]:
    """Each file's path below the folder that all of them are in."""
    if not files or not all(isinstance(file, Path) for file in files):
        return [file.name for file in files]
    texts = [os.path.abspath(file) for file in files]
    root = os.path.commonpath([os.path.dirname(text) for text in texts])
    return [text[len(root) :].lstrip("/") for text in texts]


def summary(page: Page, sets: Mapping[str, LookedAt], lines: Iterable[str]) -> None:
    page.heading("Summary")
    rows = [
        (name, one.survey.source, len(one.names), len(one.places), len(one.problems)) for name, one in sets.items()
    ]
    page.table(("set", "labels", "images", "files opened", "of them unusable"), rows)
    for line in lines:
        page.line(line)


def oddities(page: Page, sets: Mapping[str, LookedAt], said: Sequence[str]) -> None:
    """said: log lines of reading the data; those that the sets tell themselves are not said twice."""
    page.heading("What is odd")
    rows, known = [], set()
    for name, one in sets.items():
        for line in one.survey.lines:
            page.line(f"{name}: {line}")
            known.add(f"{one.survey.source}: {line}")
        rows += [(name, kind, text) for kind, found in one.survey.named.items() for text in found]
        rows += [(name, "unusable image", reason) for _, reason in one.problems]
    more = [line for line in dict.fromkeys(said) if line not in known]
    for line in more:
        page.line(line)
    counts = dict.fromkeys((name, kind) for name, kind, _ in rows)
    if counts:
        texts = {key: [text for *own, text in rows if tuple(own) == key] for key in counts}
        page.table(
            ("set", "what", "how many", "which"),
            [(*key, len(found), _first(found)) for key, found in texts.items()],
        )
        page.csv("oddities.csv", ("set", "what", "which"), rows)
        page.line("All names are in oddities.csv.", is_note=True)
    if not rows and not known and not more:
        page.line("Nothing.")


def duplicates(page: Page, sets: Mapping[str, LookedAt], max_pixels: int, rules) -> list[tuple]:
    """The rows of duplicates.csv, those across sets first."""
    page.heading("The same picture twice")
    found: list[tuple[str, LookedAt, LookedAt, Duplicate]] = []
    names, among = list(sets), among_opened(sets)
    for number, first in enumerate(names):
        for second in names[number + 1 :]:
            pairs = across(sets[first].prints, sets[second].prints)
            found += [(f"{second} is in {first}", sets[first], sets[second], one) for one in pairs]
    for name, one in sets.items():
        found += [(f"within {name}", one, one, pair) for pair in within(one.prints)]
    rows = [
        (
            which, second.names[second.places[one.second]], first.names[first.places[one.first]],
            "yes" if one.is_same_file else "no", one.bits, round(one.difference, 2),
        )
        for which, first, second, one in found
    ]  # fmt: skip
    if len(sets) > 1:
        count = sum(not row[0].startswith("within") for row in rows)
        too = f"{counted(count, 'image')} of {names[1]} {'is' if count == 1 else 'are'} in {names[0]} too{among}: "
        too += "scores on them are of what was learned."
        page.line(too if count else f"No image of {names[1]} is in {names[0]} too{among}.")
    page.line(
        "Copies are found though they were encoded anew or resized; cropped, mirrored or repainted ones are not. Each "
        "image is named once, with the nearest.",
        is_note=True,
    )
    page.csv("duplicates.csv", PAIRED, rows)
    if rows:
        page.table(PAIRED, rows[:MOST_ROWS])
        page.line(f"duplicates.csv has all {len(rows)}.", is_note=True)
    else:
        page.line(f"No picture is there twice{among}.")
    for number, (which, first, second, one) in enumerate(found[:MOST_PAIRS]):
        files = second.survey.files[second.places[one.second]], first.survey.files[first.places[one.first]]
        pictures = [read_bgr(file, rules.upright, max_pixels, rules) for file in files]
        if all(picture is not None for picture in pictures):
            words = f"{which}: {rows[number][1]} | {rows[number][2]}"
            page.picture(f"twice_{number:03d}", _side_by_side(pictures), words)
    return rows


def among_opened(sets: Mapping[str, LookedAt]) -> str:
    """What a sentence about copies ends with where not all files were opened."""
    if all(len(one.places) == len(one.names) for one in sets.values()):
        return ""
    opened = (f"{len(one.places)} of {len(one.names)} of {name}" for name, one in sets.items())
    return f" among the files opened ({', '.join(opened)})"


def classes_and_sizes(page: Page, sets: Mapping[str, LookedAt], legend: np.ndarray | None, font: str = "") -> None:
    """font: see the key of this name."""
    page.heading("Classes")
    if legend is not None:
        page.picture("legend", legend)
    for name, one in sets.items():
        table = one.survey.classes()
        page.subheading(name)
        page.csv(f"classes_{name}.csv", table.header, table.rows)
        ranked = sorted(table.rows, key=lambda row: -row[1])
        page.table(table.header, table.rows[:MOST_ROWS])
        never = [str(row[0]) for row in ranked if not row[1] and not str(row[0]).startswith("(")]
        if never:
            what = "class never occurs" if len(never) == 1 else "classes never occur"
            page.line(f"{len(never)} {what}: {_first(never)}")
        drawn, families = drawn_names([str(row[0]) for row in ranked[:MOST_BARS]], font)
        with font_families(families):
            bars = {_unlike(text, drawn[:k]): row[1] for k, (text, row) in enumerate(zip(drawn, ranked))}
            page.picture(f"classes_{name}", plots.bars(bars, table.header[1]))
    page.heading("Sizes")
    parts = {name: [*image_sizes(one.prints), *one.survey.distributions] for name, one in sets.items()}
    for title in dict.fromkeys(part.title for found in parts.values() for part in found):  # both sets' side by side
        for name, found in parts.items():
            for number, part in enumerate(found):
                if part.title == title:
                    words = f"{title}{f', {part.unit}' if part.unit else ''}"
                    diagram = plots.histogram(part.values, words, logarithmic=part.logarithmic)
                    page.picture(f"sizes_{name}_{number}", diagram, f"{name}: {part.line()}")


def images(page: Page, title: str, lines: Sequence[str], shown: Iterator[tuple[str, Shown | None]]) -> int:
    """Contact sheets; how many images they have, which the title begins with.

    shown: caption's beginning and picture, None for an unreadable one.
    """
    reword = page.heading(title)
    for line in lines:
        page.line(line, is_note=True)
    count, unreadable = 0, []
    for name, one in shown:
        if one is None:
            unreadable.append(name)
            continue
        page.picture(f"image_{count:04d}", one.picture, f"{name}: {one.words}" if one.words else name)
        count += 1
    reword(f"{count} {title}")
    if unreadable:
        page.line(f"{len(unreadable)} more cannot be read: {_first(unreadable)}")
    return count


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")


def _unlike(text: str, others: Sequence[str]) -> str:
    """Long names may be drawn alike, and each has a bar of its own."""
    return f"{text} ({others.count(text) + 1})" if text in others else text


def _side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    widths = [max(1, round(one.shape[1] * PAIR_HEIGHT / one.shape[0])) for one in pictures]
    resized = [
        cv2.resize(one, (width, PAIR_HEIGHT), interpolation=cv2.INTER_AREA) for one, width in zip(pictures, widths)
    ]
    gap = np.full((PAIR_HEIGHT, 6, 3), 255, np.uint8)
    return np.concatenate([resized[0], gap, *resized[1:]], axis=1)
