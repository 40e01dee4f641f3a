"""Class names in any script: drawn with a font that has their characters, or by their number, never as `???`."""

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from src.errors import UserError
from src.evaluation.classification_eval import ClassificationResult
from src.inference import fonts
from src.inference.fonts import Face, FontBook, characters_of, drawable
from src.inference.visualize import draw_class, draw_overlay
from src.reports.classification_files import FOUR_FILES, write_four_files
from tests.inference.test_visualize import prediction, write_case

ROOT = Path(__file__).parents[2]
CHINESE = "\u87ba\u6813"  # a bolt
EVERYWHERE = {  # scripts of the font that comes with matplotlib
    "Cyrillic": "\u0431\u043e\u043b\u0442", "accents": "Schr\u00e4ubchen", "Hebrew": "\u05d1\u05d5\u05e8\u05d2",
    "Arabic": "\u0628\u0631\u063a\u064a", "Greek": "\u03b2\u03af\u03b4\u03b1", "decomposed": "e\u0301crou",
}  # fmt: skip


def make_font(path: Path, characters: str, one_picture: bool = False) -> Path:
    """A font with a bar for each character, each of another height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = {ord(one): "g0" if one_picture else f"g{k}" for k, one in enumerate(characters)}
    glyphs = {}
    for k, name in enumerate([".notdef", *dict.fromkeys(names.values())]):
        pen = TTGlyphPen(None)
        pen.moveTo((100, 0))
        for point in ((100, 300 + 10 * k), (900, 300 + 10 * k), (900, 0)):
            pen.lineTo(point)
        pen.closePath()
        glyphs[name] = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap(names)
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular", "psName": path.stem})
    builder.setupOS2(sTypoAscender=800, sTypoDescender=-200)
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture()
def no_system_fonts(monkeypatch):
    """Only matplotlib's own font is there."""
    monkeypatch.setattr(fonts, "_ask", lambda *command: ())
    monkeypatch.setattr(fonts, "_all_fonts", lambda: iter(()))


def drawn(name: str, label: int = 3, book: FontBook | None = None) -> np.ndarray:
    one = prediction(400, 400, (50, 100, 200, 200), 0.9, name)
    one["class"]["label"] = label
    return draw_overlay(np.full((400, 400, 3), 120, np.uint8), [one], fonts=book)


@pytest.mark.parametrize("script", EVERYWHERE)
def test_a_name_is_drawn_in_its_script_and_not_as_question_marks_or_boxes(script, no_system_fonts, caplog):
    name = EVERYWHERE[script]
    picture = drawn(name)
    assert not caplog.text
    for other in ("????", "\u0416" * len(name), "class 3"):
        assert not np.array_equal(picture, drawn(other))
    ((_, face),) = FontBook().runs(drawable(name, 100))
    pictures = {bytes(face.of_size(40).getmask(one)) for one in drawable(name, 100)}
    assert len(pictures) == len(set(drawable(name, 100)))


def test_a_name_without_a_font_is_drawn_by_its_number_and_said_once(no_system_fonts, caplog):
    book = FontBook()
    for name in (CHINESE, CHINESE[::-1], "M8 " + CHINESE):
        np.testing.assert_array_equal(drawn(name, 3, book), drawn("class 3"))
    one = {"label": 4, "name": CHINESE, "score": 0.5}
    blank = np.zeros((400, 400, 3), np.uint8)
    np.testing.assert_array_equal(draw_class(blank, [one], book), draw_class(blank, [one | {"name": "class 4"}]))
    assert caplog.text.count("no font here has") == 1 and "(U+87BA)" in caplog.text


def test_the_key_names_a_font_and_what_is_none_is_refused(tmp_path, no_system_fonts, caplog):
    book = FontBook(str(make_font(tmp_path / "bars.ttf", CHINESE)))
    assert not np.array_equal(drawn(CHINESE, 3, book), drawn("class 3")) and not caplog.text
    assert [(text, Path(face.file).stem) for text, face in book.runs(f"M8 {CHINESE} \u0431")] == [
        ("M8 ", "DejaVuSans"), (f"{CHINESE} ", "bars"), ("\u0431", "DejaVuSans")
    ]  # fmt: skip
    for content in (b"", b"no font", (tmp_path / "bars.ttf").read_bytes()[:200]):
        (tmp_path / "x.ttf").write_bytes(content)
        with pytest.raises(UserError, match="font .*x.ttf is no font file"):
            FontBook(str(tmp_path / "x.ttf"))
    with pytest.raises(UserError, match="is no font file"):
        FontBook(str(tmp_path))


@pytest.mark.skipif(shutil.which("fc-list") is None, reason="fontconfig is not installed")
def test_fontconfigs_fonts_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(fonts, "_all_fonts", lambda: iter(()))
    fonts._ask.cache_clear()
    unused = "\U0010f123"  # of the private area: no font of this machine has it
    make_font(tmp_path / "fonts" / "bars.ttf", unused)
    assert [Path(face.file).name for _, face in FontBook().runs(unused)] == ["bars.ttf"]
    fonts._ask.cache_clear()


def test_matplotlibs_font_manager_is_asked_last(tmp_path, monkeypatch):
    from matplotlib.font_manager import fontManager

    monkeypatch.setattr(fonts, "_ask", lambda *command: ())
    monkeypatch.setattr(fontManager, "ttflist", list(fontManager.ttflist))
    fontManager.addfont(make_font(tmp_path / "bars.ttf", "\U0010f123"))
    assert [Path(face.file).name for _, face in FontBook().runs("\U0010f123")] == ["bars.ttf"]


def test_a_font_of_last_resort_has_no_characters(tmp_path):
    characters = "".join(map(chr, range(0x4E00, 0x4E40)))
    assert not characters_of(Face(str(make_font(tmp_path / "a.ttf", characters, one_picture=True))))
    assert len(characters_of(Face(str(make_font(tmp_path / "b.ttf", characters))))) == 64


@pytest.mark.parametrize(
    ("name", "text"),
    [("dog", "dog"), ("e\u0301", "\u00e9"), ("a\u3000b", "a b"), ("a\u202eb", "ab"), ("a\nb", "a\\nb"),
     ("x" * 200, "x" * 97 + "..."), ("\u0645\u200c\u0647", "\u0645\u200c\u0647"), ("\ud800", "\\ud800")],
)  # fmt: skip
def test_what_is_drawn_of_a_name_has_no_invisible_marks(name, text):
    assert drawable(name, 100) == text


def test_labels_at_the_border_and_of_any_length_are_drawn():
    for name in ("\u0416" * 1000, "\u0416"):
        for box in ((0, 0, 400, 400), (399, 399, 1, 1), (390, 0, 10, 400)):
            assert draw_overlay(np.zeros((400, 400, 3), np.uint8), [prediction(400, 400, box, 0.9, name)]).any()


def test_a_classifiers_report_has_its_names_in_their_script(tmp_path, no_system_fonts, recwarn, caplog):
    names = ["dog", EVERYWHERE["Cyrillic"], CHINESE, "$x$"]
    result = ClassificationResult(np.eye(4, dtype=np.int64), 0.1, 1.0, 1.0, 0)
    write_four_files(tmp_path / "numbers", result, names)
    assert "no font here has" in caplog.text
    write_four_files(tmp_path / "names", result, names, str(make_font(tmp_path / "bars.ttf", CHINESE)))
    assert not [one for one in recwarn if "missing from" in str(one.message)]
    for name in FOUR_FILES:
        if name.endswith(".png"):
            one, other = (cv2.imread(str(tmp_path / folder / name)) for folder in ("numbers", "names"))
            assert one.shape != other.shape or not np.array_equal(one, other)
    assert CHINESE in (tmp_path / "names" / FOUR_FILES[0]).read_text(encoding="utf-8")


def test_the_command_takes_a_font_and_the_rules_of_the_predictions(tmp_path):
    pred_file = write_case(tmp_path, ["a.png"])
    font = make_font(tmp_path / "bars.ttf", CHINESE)
    command = [sys.executable, "draw_predictions.py", "--pred_file", pred_file, "--out_dir", tmp_path / "out"]
    more = ["--font", font, "--exif", "stored", "--image_window", "0", "4095"]
    done = subprocess.run([*command, *more], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "1 overlays" in done.stdout, done.stderr
