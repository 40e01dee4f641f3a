"""Each visitor's last result, and no more of them than there is room for."""

import time

from src.serving.sessions import Sessions


def test_a_visitor_sees_the_own_result_alone():
    sessions = Sessions()
    sessions.keep("a", "cat")
    sessions.keep("b", "dog")
    sessions.keep("a", "bird")
    assert (sessions.get("a"), sessions.get("b"), sessions.get("c")) == ("bird", "dog", None)
    sessions.forget("a")
    assert sessions.get("a") is None and len(sessions) == 1


def test_who_has_not_come_back_for_longest_is_forgotten_first():
    sessions = Sessions(most=2)
    sessions.keep("a", 1)
    sessions.keep("b", 2)
    sessions.get("a")
    sessions.keep("c", 3)
    assert (sessions.get("a"), sessions.get("b"), sessions.get("c")) == (1, None, 3)


def test_results_have_so_many_bytes_together():
    sessions = Sessions(most_bytes=100)
    for visitor, size in (("a", 60), ("b", 30), ("c", 20)):
        sessions.keep(visitor, visitor, size)
    assert [sessions.get(visitor) for visitor in "abc"] == [None, "b", "c"]
    sessions.keep("d", "d", 101)
    assert len(sessions) == 0


def test_after_a_while_a_visitor_is_forgotten(monkeypatch):
    sessions = Sessions(rest=10)
    sessions.keep("a", 1)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 9)
    sessions.sweep()
    assert sessions.get("a") == 1  # which counts as coming back
    monkeypatch.setattr(time, "monotonic", lambda: now + 20)
    sessions.sweep()
    assert sessions.get("a") is None
