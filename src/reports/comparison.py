"""The page of two reports side by side: what is better and what is worse, and what of it may be chance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.images import read_bgr
from ..errors import listed, plain
from ..evaluation.bootstrap import SEED, Difference, differences, resamples_for
from ..pages.page import Page
from .compared import ALL, Compared, Name
from .confusions import class_bars
from .saved import Saved

KIND = "comparison"  # of the page, in report.json
CHANCE, BETTER, WORSE, TOO_FEW = "not more than chance", "better", "worse", "too few images"
INTERVAL = ("first", "second", "difference", "interval from", "to", "", "images")
FEWEST = 6  # images; that fewer all differ to one side is chance in more than one of twenty cases (2 / 2^5)
MOST_ROWS, MOST_BARS = 200, 100  # on the page; the files have all
MOST_IMAGES = 10  # shown that got better, and that got worse
MOST_PICTURE = 10**8  # pixels
MOST_PROTOCOL, LONGEST = 100, 200  # values on the page, and letters of one


@dataclass(frozen=True)
class Comparison:
    """reports: the first and the second; found: of each of `compared.names`."""

    reports: tuple[Saved, Saved]
    compared: Compared
    found: list[Difference]
    resamples: int

    def of(self, classes: bool, sizes: bool = False) -> list[tuple[Name, Difference]]:
        """The scores of all, or those of each class; sizes: by size."""
        pairs = zip(self.compared.names, self.found)
        return [pair for pair in pairs if bool(pair[0].of_class) == classes and (pair[0].size != ALL) == sizes]


def compare(first: Saved, second: Saved, brought: Compared, resamples: int = 0) -> Comparison:
    """resamples: how many, where it is not for the size of the data to say."""
    resamples = resamples or resamples_for(brought.work)
    found = differences(*brought.statistics, len(brought.images), resamples)
    return Comparison((first, second), brought, found, resamples)


def verdict(name: Name, one: Difference) -> str:
    """What may be said of a difference. Of few images an interval is narrower than it should be."""
    if one.low is None:
        return "-"
    if not one.is_better and not one.is_worse:
        return CHANCE
    return TOO_FEW if name.images < FEWEST else BETTER if one.is_better else WORSE


def lines(comparison: Comparison) -> Iterator[str]:
    """What the page says, in a few lines of words."""
    brought = comparison.compared
    yield f"{_scope(comparison)}; {comparison.reports[0].folder} -> {comparison.reports[1].folder}"
    yield from brought.remarks
    for name, one in comparison.of(classes=False):
        yield f"{name.words}: {_words(name, one)}"
    of_classes = comparison.of(classes=True)
    for what, sign in ((BETTER, -1), (WORSE, 1)):
        those = [pair for pair in of_classes if verdict(*pair) == what]
        those.sort(key=lambda pair: sign * pair[1].gain)
        named = listed(f"{plain(' '.join((name.of_class, name.kind)).strip())} {one.gain:+.4f}" for name, one in those)
        count = f"{len(those)} of {len(of_classes)}"
        yield f"{count} figures of classes are {what} beyond chance{': ' * bool(those)}{named}"
    better, worse = _changed(brought)
    for what, places in ((BETTER, better), (WORSE, worse)):
        named = f": {listed(_image_words(brought, k) for k in places)}" if len(places) else ""
        yield f"{len(places)} of {len(brought.images)} images are {what} in {brought.measure}{named}"


def write_comparison(folder: Path, comparison: Comparison, font: str = "") -> dict:
    """Write the page into `folder`, with its files; the facts for `report.json`.

    font: a font file for class names in diagrams.
    """
    page = Page(folder, "Comparison of two reports")
    _reports(page, comparison)
    _scores(page, comparison)
    _classes(page, comparison, font)
    _sizes(page, comparison)
    _images(page, comparison)
    page.write()
    scores = {
        name.words: {"first": one.first, "second": one.second, "difference": one.gain, "interval": [one.low, one.high]}
        for name, one in comparison.of(classes=False)
    }
    return {
        "kind": KIND,
        "of": comparison.reports[0].task,
        "reports": [str(one.folder).encode(errors="backslashreplace").decode() for one in comparison.reports],
        "images": len(comparison.compared.images),
        "classes": comparison.compared.classes,
        "resamples": comparison.resamples,
        "seed": SEED,
        "scores": scores,
        "remarks": comparison.compared.remarks,
    }


def _reports(page: Page, comparison: Comparison) -> None:
    page.heading("Reports")
    facts = [one.facts for one in comparison.reports]
    protocols = [one.get("protocol") if isinstance(one.get("protocol"), dict) else {} for one in facts]
    rows = [("folder", *(str(one.folder) for one in comparison.reports))]
    for key in list(protocols[0] | protocols[1])[:MOST_PROTOCOL]:
        rows.append((plain(key, LONGEST), *(plain(one[key], LONGEST) if key in one else None for one in protocols)))
    page.table(("", "first", "second"), rows)
    page.line(f"{_scope(comparison)}.")
    for line in comparison.compared.remarks:
        page.line(f"{line}.")
    page.line(
        f"interval: of {comparison.resamples} draws of as many images as there are, with replacement and the same ones "
        f"for both reports, the middle 95 % of the differences (seed {SEED}). Where it holds 0, the difference is "
        f"{CHANCE}; of less than {FEWEST} images nothing is said. It says what other images of the same kind would, "
        "not what another training would. images: those that have something to say, which have such objects.",
        is_note=True,
    )


def _scores(page: Page, comparison: Comparison) -> None:
    page.heading("Scores")
    rows = [[name.words, *_cells(name, one)] for name, one in comparison.of(classes=False)]
    page.table(("score", *INTERVAL), rows, "metrics.csv")


def _classes(page: Page, comparison: Comparison, font: str) -> None:
    page.heading("Classes")
    pairs = comparison.of(classes=True)
    kinds = list(dict.fromkeys(name.kind for name, _ in pairs))
    score = pairs[0][0].score
    header = ("class", *(("kind",) if kinds != [""] else ()), *INTERVAL)
    rows = [([name.of_class, *([name.kind] if name.kind else []), *_cells(name, one)], one.gain) for name, one in pairs]
    page.csv("classes.csv", header, [row for row, _ in rows])
    page.line(f"{score}, by the difference. {_by_chance(pairs)}", is_note=True)
    page.table(header, _first_and_last(rows))
    page.link("classes.csv", "All classes:")
    for kind in kinds:
        own = [(name.of_class, one.gain) for name, one in pairs if name.kind == kind and one.gain is not None]
        if 0 < len(own) <= MOST_BARS:
            words = f"difference of {kind} {score}".replace("  ", " ")
            names, gains = zip(*own)
            class_bars(page, f"classes_{kind}" if kind else "classes", gains, names, font, words)


def _sizes(page: Page, comparison: Comparison) -> None:
    pairs = comparison.of(classes=True, sizes=True)
    if not pairs:
        return
    page.heading("Classes by object size")
    header = ("kind", "class", "size", *INTERVAL)
    rows = [([name.kind, name.of_class, name.size, *_cells(name, one)], one.gain) for name, one in pairs]
    page.csv("class_sizes.csv", header, [row for row, _ in rows])
    page.line(f"What differs beyond chance, by the difference. {_by_chance(pairs)}", is_note=True)
    beyond = [row for row, pair in zip(rows, pairs) if verdict(*pair) in (BETTER, WORSE)]
    if beyond:
        page.table(header, _first_and_last(beyond))
    else:
        page.line("Nothing.")
    page.link("class_sizes.csv", "All sizes of all classes:")


def _images(page: Page, comparison: Comparison) -> None:
    page.heading("Images that changed most")
    brought = comparison.compared
    header = ("image", "first", "second", "better by")
    rows = [
        [name, *(None if np.isnan(one) else float(one) for one in (*both, gain))]
        for name, both, gain in zip(brought.images, zip(*brought.values), brought.gains)
    ]
    page.csv("images.csv", header, rows)
    sides = _changed(brought)
    same = len(brought.images) - sum(map(len, sides))
    page.line(
        f"By {brought.measure}: {len(sides[0])} images are better, {len(sides[1])} worse, {same} the same or without "
        "a number. Pictures are those of the reports, which have some of their worst images alone; the first report's "
        "stands first."
    )
    for what, places in zip((BETTER, WORSE), sides):
        page.subheading(what.capitalize())
        if not len(places):
            page.line("None.")
        for rank, k in enumerate(places[:MOST_IMAGES], start=1):
            page.line(f"{rank}. {_image_words(brought, k)}")
            for which, saved, own in zip(("first", "second"), comparison.reports, brought.rows):
                _picture(page, f"{what}_{rank:02d}_{which}", saved, int(own[k]), f"{which}: {brought.images[k]}")
    page.link("images.csv", "All images:")


def _picture(page: Page, name: str, saved: Saved, row: int, caption: str) -> None:
    """The report's first picture of an image, if it has one: read and written anew, as it may be anything."""
    for path in saved.pictures(row)[:1]:
        picture = read_bgr(path, max_pixels=MOST_PICTURE)
        if picture is not None:
            page.picture(name, picture, caption)


def _changed(brought: Compared) -> tuple[np.ndarray, np.ndarray]:
    """The images that are better and those that are worse, what changed most first; by name of equal ones."""
    gains = np.nan_to_num(brought.gains)
    order = sorted(range(len(gains)), key=lambda k: (-abs(gains[k]), brought.images[k], k))
    order = np.array(order, np.int64)
    return order[gains[order] > 0], order[gains[order] < 0]


def _scope(comparison: Comparison) -> str:
    brought = comparison.compared
    both = f"{len(brought.images)} images and {len(brought.classes)} classes are in both"
    return f"{both}; {comparison.resamples} resamples"


def _cells(name: Name, one: Difference) -> list:
    return [one.first, one.second, one.gain, one.low, one.high, verdict(name, one), name.images]


def _words(name: Name, one: Difference) -> str:
    if one.gain is None:
        return "no image defines it"
    interval = "" if one.low is None else f" [{one.low:+.4f}, {one.high:+.4f}], {verdict(name, one)}"
    return f"{one.first:.4f} -> {one.second:.4f}, {one.gain:+.4f}{interval}"


def _image_words(brought: Compared, k: int) -> str:
    first, second = (f"{one[k]:.3f}".removesuffix(".000") for one in brought.values)
    return f"{plain(brought.images[k], LONGEST)}: {first} -> {second}"


def _by_chance(pairs: Sequence[tuple[Name, Difference]]) -> str:
    count = sum(one.low is not None for _, one in pairs)
    return f"Of these {count} intervals one in twenty lies beside 0 by chance alone."


def _first_and_last(rows: Sequence[tuple[list, float | None]]) -> list[list]:
    """By the difference, the largest gain first; of many the first and the last ones."""
    rows = [row for row, _ in sorted(rows, key=lambda one: -np.inf if one[1] is None else one[1], reverse=True)]
    return rows if len(rows) <= MOST_ROWS else rows[: MOST_ROWS // 2] + rows[-MOST_ROWS // 2 :]
