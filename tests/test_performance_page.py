"""benchmarks/all.py: the page and README's table from figures written by hand."""

import argparse

import pytest

from benchmarks import all as performance
from benchmarks.figures import Figure, add_figures_option, show

ROI = Figure("RoIAlign | forward", 12.0, 48.0, "ms", "torchvision 0.28", goal=0.2)
RATE = Figure("loader", 90.0, 60.0, "images/s", "one worker", goal=1.5)
PLAIN = Figure("images", 12345.0, 10000.0, "images/s", "cv2")


def test_a_ratio_is_ours_by_the_reference_s_and_a_rate_s_goal_is_the_least():
    assert (ROI.ratio, ROI.reached) == (0.25, False)
    assert (RATE.ratio, RATE.reached, PLAIN.reached) == (1.5, True, None)
    assert Figure("loader", 89.0, 60.0, "images/s", "one worker", goal=1.5).reached is False


def test_figures_are_printed_and_appended_as_lines(tmp_path, capsys):
    file = tmp_path / "figures"
    options = argparse.ArgumentParser()
    add_figures_option(options)
    assert options.parse_args([]).figures is None
    show([ROI], options.parse_args(["--figures", str(file)]).figures)
    show([RATE], file)
    assert "12 ms, torchvision 0.28 48 ms, ratio 0.250 (goal 0.2: MISSED)" in capsys.readouterr().out
    assert [line[:22] for line in file.read_text().splitlines()] == ['{"what": "RoIAlign | f', '{"what": "loader", "ou']


def test_a_table_has_a_row_a_figure():
    assert performance.table([ROI, RATE, PLAIN]).splitlines()[2:] == [
        "| RoIAlign \\| forward | 12 ms | 48 ms | torchvision 0.28 | 0.25 | 0.2, **missed** |",
        "| loader | 90 images/s | 60 images/s | one worker | 1.50 | 1.5, reached |",
        "| images | 12,345 images/s | 10,000 images/s | cv2 | 1.23 | |",
    ]


def test_readme_shows_one_figure_a_row_under_its_own_name(monkeypatch):
    monkeypatch.setattr(performance, "HEADLINES", (("loader", "one"), (ROI.what, "torchvision")))
    cells = performance.headlines([ROI, RATE, PLAIN])
    start, end = performance.MARKS
    text = f"before\n\n{start}\n| Was | wir |\n| --- | --- |\n| Laden | 3 |\n| RoI |\n{end}\n\nafter\n"
    assert performance.with_headlines(text, cells).splitlines()[2:8] == [
        start,
        "| Was | wir |",
        "| --- | --- |",
        "| Laden | 90 images/s | 60 images/s, one worker | 1.50 |",
        "| RoI | 12 ms | 48 ms, torchvision 0.28 | 0.25 |",
        end,
    ]
    with pytest.raises(SystemExit, match="2 figures are 'loader' beside 'one'"):
        performance.headlines([ROI, RATE, RATE])
    with pytest.raises(SystemExit, match="must have 1 rows"):
        performance.with_headlines(text, cells[:1])


def test_figures_of_two_machines_make_no_page(tmp_path, monkeypatch):
    monkeypatch.setattr(performance, "machine", lambda: {"machine": "one"})
    monkeypatch.setattr(performance, "PAGE", tmp_path / "page.md")
    files = {name: tmp_path / name for name in "ab"}
    for file, machine in zip(files.values(), ("one", "two")):
        file.write_text(f'{{"machine": {{"machine": "{machine}"}}, "figures": []}}')
    with pytest.raises(SystemExit, match="figures of 2 machines"):
        performance.write(files)
    assert not (tmp_path / "page.md").exists()


def test_every_program_of_the_page_gives_figures():
    programs = [program for own in performance.SECTIONS.values() for program in own]
    assert len(programs) == len(set(programs))
    for program in programs:
        text = (performance.ROOT / "benchmarks" / f"{program.split()[0]}.py").read_text(encoding="utf-8")
        assert "run(figures, __doc__)" in text or "add_figures_option(" in text, program


def test_calls_of_a_program_have_one_table(monkeypatch):
    sections = {"Files": ("families --a", "families --b", "other")}
    monkeypatch.setattr(performance, "SECTIONS", sections)
    kept = {"families --a": [ROI], "families --b": [RATE], "other": [PLAIN]}
    text = performance.page(kept, {"machine": "m", "versions": "v"})
    assert [line[:32] for line in text[text.index("## Files") :].splitlines() if line] == [
        "## Files",
        "`python -m benchmarks.families -",
        "`python -m benchmarks.families -",
        "| what | ours | reference | | ra",
        "| --- | --- | --- | --- | --- | ",
        "| RoIAlign \\| forward | 12 ms | ",
        "| loader | 90 images/s | 60 imag",
        "`python -m benchmarks.other`",
        "| what | ours | reference | | ra",
        "| --- | --- | --- | --- | --- | ",
        "| images | 12,345 images/s | 10,",
    ]
