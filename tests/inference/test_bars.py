"""Bars on a terminal, and nowhere else."""

import io
import sys

from src.inference.bars import bar, say, with_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_shown_on_a_terminal_and_a_line_stands_above_it(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with bar(4, done=1) as progress:
        progress.update()
        say("a line")
    shown = sys.stderr.getvalue()
    assert "2/4" in shown and capsys.readouterr().out == "a line\n"
    assert list(with_bar(iter("abc"), 3, "frame")) == ["a", "b", "c"] and "3/3" in sys.stderr.getvalue()
    with bar(0, "frame") as progress:
        progress.update()
    assert "1frame" in sys.stderr.getvalue()


def test_logs_and_pipes_get_none(capfd):
    assert list(with_bar("ab", 2)) == ["a", "b"]
    with bar(2) as progress:
        progress.update()
        say("a line")
    assert capfd.readouterr() == ("a line\n", "")
