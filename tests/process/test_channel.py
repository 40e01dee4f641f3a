"""The ranks' channel, each rank a thread."""

import contextlib
import dataclasses
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from src.errors import UserError
from src.process import channel as channel_module
from src.process.channel import LOOPBACK, Host, Rendezvous, join_host, own_addresses
from src.process.runtime import SINGLE, Runtime


def connect(size: int, invitation_of=lambda host: host.rendezvous):
    """(channels of all ranks, the address that they have in common)."""
    host = Host(one_machine=True)
    with ThreadPoolExecutor(size) as pool:
        others = [pool.submit(join_host, invitation_of(host), rank) for rank in range(1, size)]
        channel, address = host.accept_ranks(size)
        return [channel, *(other.result(20) for other in others)], address


def together(channels, call):
    """What `call(process)` gives on every rank."""
    size = len(channels)
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(lambda rank: call(Runtime(rank, size, "CPU", channels[rank])), range(size)))


def test_gathered_broadcast_and_summed_values_reach_the_ranks_in_their_order():
    channels, _ = connect(3)
    assert together(channels, lambda process: process.gather({"rank": process.rank})) == [
        [{"rank": 0}, {"rank": 1}, {"rank": 2}], [], [],
    ]  # fmt: skip
    assert together(channels, lambda process: process.from_main(f"of {process.rank}")) == ["of 0"] * 3
    sums = together(channels, lambda process: process.sum_arrays(np.full((2, 3), 2**53 + process.rank)))
    assert all(total.dtype == np.int64 and (total == 3 * 2**53 + 3).all() for total in sums)


def test_no_rank_passes_a_barrier_before_the_last_has_come():
    channels, _ = connect(2)
    passed, late = threading.Event(), threading.Event()

    def call(process):
        if process.rank == 1:
            assert not passed.wait(0.3)
            late.set()
        process.barrier()
        assert late.is_set()
        passed.set()

    together(channels, call)


def test_the_end_of_a_rank_is_told_to_those_who_wait_for_it():
    channels, _ = connect(3)
    channels[2].connections[0].close()
    with pytest.raises(UserError, match="rank 2 has ended"):
        together(channels, lambda process: process.gather(None) if process.rank < 2 else None)
    channels[0].connections[0].close()
    with pytest.raises(UserError, match="rank 0 has ended"):
        channels[1].broadcast(None)


def test_addresses_that_do_not_lead_to_rank_0_are_passed_over():
    def with_decoy(host):
        return dataclasses.replace(host.rendezvous, addresses=("127.0.0.2", *host.rendezvous.addresses))

    channels, address = connect(2, with_decoy)
    assert address == "127.0.0.1" and together(channels, lambda process: process.from_main(process.rank)) == [0, 0]


def test_a_stranger_without_the_secret_is_not_let_in():
    host = Host(one_machine=True)
    stranger = dataclasses.replace(host.rendezvous, secret=b"guessed")
    with ThreadPoolExecutor(2) as pool:
        refused = pool.submit(join_host, stranger, 1)
        welcome = pool.submit(host.accept_ranks, 2)
        with pytest.raises(UserError, match="cannot reach rank 0"):
            refused.result(20)
        channel = join_host(host.rendezvous, 1)
        assert welcome.result(20)[0].connections and channel.rank == 1


@pytest.mark.parametrize("words", [b"", b"\x7f", struct.pack("!i", 2**31 - 1), b"GET / HTTP/1.1\r\n\r\n" * 99])
def test_strangers_that_stay_silent_or_talk_nonsense_keep_no_rank_waiting(words):
    host = Host(one_machine=True)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stranger = stack.enter_context(socket.create_connection((LOOPBACK, host.rendezvous.port)))
            stranger.sendall(words)
        started = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            welcome = pool.submit(host.accept_ranks, 3)
            others = [pool.submit(join_host, host.rendezvous, 2).result(20), join_host(host.rendezvous, 1)]
            channel, _ = welcome.result(20)
        assert time.monotonic() - started < 5
    channels = [channel, others[1], others[0]]
    assert together(channels, lambda process: process.gather(process.rank))[0] == [0, 1, 2]


def test_of_more_silent_strangers_than_are_heard_the_oldest_are_dropped(monkeypatch):
    monkeypatch.setattr(channel_module, "MOST_STRANGERS", 3)
    host = Host(one_machine=True)
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        for _ in range(9):
            stack.enter_context(socket.create_connection((LOOPBACK, host.rendezvous.port)))
        welcome = pool.submit(host.accept_ranks, 2)
        assert join_host(host.rendezvous, 1).rank == 1 and welcome.result(20)


def test_a_rank_zero_that_stays_silent_is_given_up(monkeypatch):
    monkeypatch.setattr(channel_module, "HANDSHAKE_SECONDS", 1)
    with socket.create_server((LOOPBACK, 0)) as silent:
        rendezvous = Rendezvous((LOOPBACK,), silent.getsockname()[1], b"secret")
        with pytest.raises(UserError, match="rank 1 cannot reach rank 0"):
            join_host(rendezvous, 1)


def test_a_message_takes_as_long_as_it_takes_once_the_ranks_know_one_another(monkeypatch):
    monkeypatch.setattr(channel_module, "HANDSHAKE_SECONDS", 1)
    channels, _ = connect(2)

    def call(process):
        time.sleep(1.5 * process.rank)
        return process.gather(process.rank)

    assert together(channels, call)[0] == [0, 1]


def test_a_job_of_one_process_needs_no_channel():
    assert SINGLE.gather(3) == [3] and SINGLE.from_main(3) == 3 and SINGLE.sum_arrays(np.ones(2)).tolist() == [1, 1]
    assert SINGLE.barrier() is None and list(SINGLE.share(3)) == [0, 1, 2]


@pytest.mark.parametrize("count", [0, 1, 7, 8])
def test_the_ranks_shares_are_the_whole_in_order_and_differ_by_one_at_most(count):
    shares = [list(Runtime(rank, 3, "CPU").share(count)) for rank in range(3)]
    assert [item for share in shares for item in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_own_addresses_are_not_the_loopbacks():
    assert all(len(address.split(".")) == 4 and not address.startswith("127.") for address in own_addresses())
