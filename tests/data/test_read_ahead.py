"""Work ahead: order kept, a bounded number of results, errors in their turn, the caller's thread for the items."""

import threading
import time

import pytest

from src.data.read_ahead import iterate_ahead, read_ahead


def test_results_come_in_the_order_of_the_items_whichever_is_ready_first():
    def slow_at_first(item: int) -> int:
        time.sleep(0.03 if item == 0 else 0)
        return item * item

    assert list(read_ahead(slow_at_first, range(20), workers=4, ahead=6)) == [k * k for k in range(20)]
    assert list(read_ahead(slow_at_first, [], workers=1, ahead=1)) == []


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_results_than_asked_are_worked_out_before_they_are_taken(ahead):
    started = []
    stream = read_ahead(started.append, range(100), workers=2, ahead=ahead)
    for taken in range(1, 11):
        next(stream)
        time.sleep(0.002)
        assert len(started) <= taken + ahead
    stream.close()
    assert len(started) <= 10 + ahead


def test_the_next_items_are_worked_on_while_the_caller_has_one():
    second = threading.Event()
    stream = read_ahead(lambda item: second.set() if item == 1 else None, range(3), workers=1, ahead=1)
    next(stream)
    assert second.wait(10)


def test_items_are_taken_in_the_callers_thread_and_the_function_runs_in_others():
    here = []

    def items():
        for k in range(3):
            here.append(threading.current_thread())
            yield k

    names = list(read_ahead(lambda _: threading.current_thread().name, items(), workers=1, ahead=1, name="worker"))
    assert set(here) == {threading.current_thread()} and all(name.startswith("worker") for name in names)


def test_an_error_of_the_function_arrives_in_its_items_turn():
    stream = read_ahead(lambda item: 6 // (2 - item), range(5), workers=3, ahead=4)
    assert [next(stream), next(stream)] == [3, 6]
    with pytest.raises(ZeroDivisionError):
        next(stream)


def test_an_iterable_is_gone_through_by_another_thread_one_item_ahead():
    seen, second = [], threading.Event()

    def source():
        for k in range(10):
            seen.append((k, threading.current_thread().name))
            if k == 1:
                second.set()
            yield k

    stream = iterate_ahead(source())
    assert next(stream) == 0
    assert second.wait(10)
    assert [k for k, _ in seen] == [0, 1] and all(name.startswith("reader") for _, name in seen)
    assert list(stream) == list(range(1, 10)) and len(seen) == 10


def test_an_error_of_the_iterable_arrives_after_the_items_before_it():
    def source():
        yield "whole"
        raise ValueError("broken")

    stream = iterate_ahead(source())
    assert next(stream) == "whole"
    with pytest.raises(ValueError, match="broken"):
        next(stream)
