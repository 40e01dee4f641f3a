"""A page: what is written into it, and that nothing in it is taken for more than text."""

import csv
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from matplotlib.axes import Axes

from src.errors import UserError
from src.pages import plots
from src.pages.page import Link, Page

ODD = "a <script>alert('1')</script> & \"b\" $x^2$ 猫"


class Reader(HTMLParser):
    """Tags with their attributes, and the texts."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def page(tmp_path) -> Page:
    return Page(tmp_path / "report", ODD)


def test_texts_from_elsewhere_are_shown_and_never_become_tags(page):
    page.heading(ODD)
    page.subheading(ODD, name='x" onload="1')
    page.line(ODD)
    page.table([ODD], [[ODD], [Link(ODD, f"#{ODD}")]])
    page.picture("one", np.zeros((4, 6, 3), np.uint8), caption=ODD)
    found = Reader(page.write().read_text(encoding="utf-8"))
    assert not found.of("script") and found.texts.count(ODD) == 10
    assert found.of("h3") == [{"id": 'x" onload="1'}]
    assert "default-src 'none'" in found.of("meta")[1]["content"]
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)


def test_a_line_leads_to_a_file_beside_the_page(page):
    page.csv("a b.csv", ["x"], [[1]])
    page.link("a b.csv", ODD)
    found = Reader(page.write().read_text(encoding="utf-8"))
    assert {"href": "a%20b.csv"} in found.of("a") and f"{ODD} " in found.texts and "a b.csv" in found.texts


def test_everything_that_the_page_shows_lies_beside_it(page):
    name = "b c#1%"
    page.picture(name, np.full((4, 6, 3), 200, np.uint8))
    page.picture("plot", plots.histogram([1, 2, 2], "size"))
    found = Reader(page.write().read_text(encoding="utf-8"))
    assert [one["src"] for one in found.of("img")] == ["pictures/b%20c%231%25.jpg", "pictures/plot.png"]
    assert cv2.imread(str(page.folder / "pictures" / f"{name}.jpg")).shape == (4, 6, 3)
    assert cv2.imread(str(page.folder / "pictures" / "plot.png")).std() > 0


def test_a_table_shows_three_digits_and_its_file_holds_all(page):
    page.table(["name", "AP", "count"], [["cat", 0.123456789, 3], [Link("dog", "#dog"), None, np.int64(4)]], "t.csv")
    found = Reader(page.write().read_text(encoding="utf-8"))
    cells = [text for text in found.texts if text.strip()]
    assert cells[-7:] == ["cat", "0.123", "3", "dog", "-", "4", "t.csv"]
    assert {"href": "t.csv"} in found.of("a") and {"href": "#dog"} in found.of("a")
    with (page.folder / "t.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["name", "AP", "count"], ["cat", "0.123456789", "3"], ["dog", "", "4"]]


def test_a_name_that_is_no_text_is_shown_alike_on_the_page_and_in_its_file(page):
    page.table(["name \udcfe"], [["a\udcff.jpg"], [Link("b\udc80.jpg", "#b")]], "names.csv")
    assert (page.folder / "names.csv").read_bytes() == b"name \\xfe\na\\xff.jpg\nb\\x80.jpg\n"
    assert {"a\\xff.jpg", "b\\x80.jpg", "name \\xfe"} <= set(Reader(page.write().read_text(encoding="utf-8")).texts)


def test_links_at_the_top_lead_to_the_sections(page):
    page.heading("first")
    page.heading("2nd")("second")
    found = Reader(page.write().read_text(encoding="utf-8"))
    assert [one["href"] for one in found.of("a")] == ["#section1", "#section2"]
    assert [one["id"] for one in found.of("h2")] == ["section1", "section2"]
    assert found.texts.count("second") == 2 and "2nd" not in found.texts


def test_a_line_of_links_leads_to_files_beside_the_page(page):
    page.links([Link(ODD, "b c#1%.csv"), Link("t.csv", "t.csv")])
    found = Reader(page.write().read_text(encoding="utf-8"))
    assert [one["href"] for one in found.of("a")] == ["b%20c%231%25.csv", "t.csv"] and ODD in found.texts


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/index.html"):
        Page(tmp_path / "file", "x").write()


def test_diagrams_take_names_as_they_are_and_are_the_same_bytes_each_time():
    odd = ["$a", "b$^", "\\frac{", "background"]
    counts = np.array([[5, 1, 0, 2], [0, 0, 0, 0], [1, 2, 30, 4], [7, 0, 0, 0]])
    for draw in (
        lambda: plots.confusion(counts, odd, odd),
        lambda: plots.bars(dict.fromkeys(odd, 3), "objects"),
        lambda: plots.curves({name: ([0, 1], [1, 0]) for name in odd}, "recall", "precision"),
        lambda: plots.histogram([1.0, 10.0, 1000.0], "pixels", logarithmic=True),
        lambda: plots.histogram([], "pixels", logarithmic=True),
        lambda: plots.curves({}, "recall", "precision"),
    ):
        picture = draw()
        assert picture == draw() and cv2.imdecode(np.frombuffer(picture, np.uint8), 1).shape[2] == 3


def test_names_of_any_length_leave_room_for_the_diagram(recwarn):
    names = ["W" * 300, "W" * 30 + " and more", "c"]
    drawn = [plots.confusion(np.eye(3), names, names), plots.bars({name: 1 for name in names}, "objects")]
    plots.curves({name: ([0, 1], [1, 0]) for name in names}, "recall", "precision")
    assert [str(one.message) for one in recwarn] == []
    assert max(cv2.imdecode(np.frombuffer(drawn[0], np.uint8), 1).shape) < 900


def test_every_line_of_a_diagram_is_named_whatever_its_name_begins_with(monkeypatch):
    named = []
    monkeypatch.setattr(Axes, "legend", lambda axis, lines, names, **_: named.append((len(lines), names)))
    plots.curves({"_hidden": ([0, 1], [1, 0]), "b": ([0, 1], [0, 1])}, "x", "y")
    assert named == [(2, ["_hidden", "b"])]


def labels_of(monkeypatch, draw) -> list[str]:
    """The numbers at the lower axis of a diagram."""
    found = []
    usual = plots._png
    monkeypatch.setattr(plots, "_png", lambda figure: found.append(figure) or usual(figure))
    draw()
    return [one.get_text() for one in found[0].axes[0].get_xticklabels() if one.get_text()]


def test_numbers_at_an_axis_are_numbers_on_one_of_equal_ratios_too(monkeypatch):
    labels = labels_of(monkeypatch, lambda: plots.histogram([8, 30, 900, 2400], "pixels", logarithmic=True))
    assert {"10", "100", "1,000"} <= set(labels) and not any("$" in one for one in labels)


@pytest.mark.parametrize("logarithmic", [False, True])
def test_values_that_are_all_one_are_one_bar_at_its_place(monkeypatch, logarithmic):
    labels = labels_of(monkeypatch, lambda: plots.histogram([9000] * 5, "pixels", logarithmic=logarithmic))
    assert labels == ["9000"]


def test_short_words_of_a_table_stay_whole_and_long_ones_may_be_broken(page):
    words = "a name of many words that is long as a whole"
    page.table(["class"], [["triangle"], [words], ["x" * 31], [Link("y" * 40, "a")]])
    found = Reader(page.write().read_text(encoding="utf-8"))
    assert [one.get("class") for one in found.of("td")] == [None, None, "long", "long"]
