"""Python objects between the ranks of a job over TCP: rank 0 listens, every other rank connects to it.

Why beside the device's collectives: those of MindSpore on the CPU give up after 30 seconds, which a rank that compiles,
evaluates or writes a checkpoint may well take, and they carry tensors only. Nothing waits here with a time limit but
the connecting; a process that dies closes its connections, which ends every wait for it. Who connects must show the
secret of the job before anything of his is read as an object.

What would let it go: collectives of MindSpore on the CPU that wait as long as it takes; then pickled objects could
travel as tensors of bytes, and this file would be two functions.
"""

import contextlib
import fcntl
import json
import os
import queue
import secrets
import socket
import struct
import threading
import time
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any

from ..errors import UserError

LOOPBACK = "127.0.0.1"
CONNECT_SECONDS = 5.0  # for one address; those of networks that the ranks do not share are tried too
HANDSHAKE_SECONDS = 20  # that either side waits for a word of the other until they know one another
LONGEST_GREETING = 2**16  # bytes
MOST_STRANGERS = 256  # connections at once that have not shown the secret
ADDRESS_OF_INTERFACE = 0x8915  # Linux' SIOCGIFADDR
REFUSED = (AuthenticationError, EOFError, OSError, ValueError, TypeError)  # what comes of a stranger


@dataclass(frozen=True)
class Rendezvous:
    """Where rank 0 listens and the secret that a rank shows; rank 0 sends it to the others by other means."""

    addresses: tuple[str, ...]
    port: int
    secret: bytes


class Host:
    """Rank 0's side before the others are there. one_machine: all ranks run on it, so no network is listened on."""

    def __init__(self, one_machine: bool):
        secret = secrets.token_bytes(32)
        self.listener = socket.create_server((LOOPBACK if one_machine else "", 0), backlog=128)
        addresses = (LOOPBACK,) if one_machine else own_addresses()
        self.rendezvous = Rendezvous(addresses, self.listener.getsockname()[1], secret)

    def accept_ranks(self, size: int) -> tuple["Channel", str]:
        """Wait for the other ranks: the channel, and an address of this machine that all of them reach.

        Whoever connects is heard in a thread of its own: one that stays silent, or does not know the secret, keeps
        nobody waiting.
        """
        greeted: queue.Queue[tuple[Connection, int, list[str]]] = queue.Queue()
        ended = threading.Event()
        threading.Thread(target=self._greet_all, args=(greeted, ended), daemon=True).start()
        connections: dict[int, Connection] = {}
        common = list(self.rendezvous.addresses)
        while len(connections) < size - 1:
            connection, rank, reachable = greeted.get()
            if not 0 < rank < size or rank in connections:
                connection.close()
                continue
            connections[rank] = connection
            common = [address for address in common if address in reachable]
        ended.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits there
        self.listener.close()
        if not common:
            raise UserError("no address of rank 0's machine can be reached by all ranks: check network and firewall")
        return Channel(0, [connections[rank] for rank in range(1, size)]), common[0]

    def _greet_all(self, greeted: queue.Queue, ended: threading.Event) -> None:
        strangers: list[socket.socket] = []
        while not ended.is_set():
            try:
                peer, _ = self.listener.accept()
            except OSError:
                time.sleep(0.05)  # closed, which `ended` says, or for now out of files
                continue
            strangers.append(peer)
            if len(strangers) > MOST_STRANGERS:
                with contextlib.suppress(OSError, IndexError):
                    strangers[0].shutdown(socket.SHUT_RDWR)  # who has said the least for the longest time
            threading.Thread(target=self._greet, args=(peer, greeted, strangers), daemon=True).start()

    def _greet(self, peer: socket.socket, greeted: queue.Queue, strangers: list[socket.socket]) -> None:
        try:
            connection = _timed(peer)
            deliver_challenge(connection, self.rendezvous.secret)
            answer_challenge(connection, self.rendezvous.secret)
            rank, reachable = json.loads(connection.recv_bytes(LONGEST_GREETING))
            _limit(peer, 0)
            greeted.put((connection, int(rank), list(reachable)))
        except REFUSED:
            pass  # somebody who only looked whether the port is open, as the others do first, or a stranger
        finally:
            strangers.remove(peer)
            peer.close()  # the connection has a descriptor of its own


def join_host(rendezvous: Rendezvous, rank: int) -> "Channel":
    """The side of another rank. UserError if none of rank 0's addresses can be reached."""
    reachable = [address for address in rendezvous.addresses if _is_open(address, rendezvous.port)]
    for address in reachable:
        try:
            with socket.create_connection((address, rendezvous.port), CONNECT_SECONDS) as peer:
                connection = _timed(peer)
                answer_challenge(connection, rendezvous.secret)
                deliver_challenge(connection, rendezvous.secret)
                connection.send_bytes(json.dumps([rank, reachable]).encode())
                _limit(peer, 0)
        except REFUSED:
            continue  # a machine of the same address in another network
        return Channel(rank, [connection])
    tried = ", ".join(rendezvous.addresses) or "none"
    raise UserError(f"rank {rank} cannot reach rank 0 at any of its addresses ({tried}), port {rendezvous.port}")


class Channel:
    """Rank 0's connections to ranks 1, 2, ..., or another rank's one to rank 0. All ranks make the same calls.

    UserError, naming the rank, if one has ended.
    """

    def __init__(self, rank: int, connections: list[Connection]):
        self.rank, self.connections = rank, connections

    def gather(self, item: Any) -> list:
        """Every rank's item, in the order of the ranks, on rank 0; an empty list on the others."""
        if self.rank:
            self._send(0, item)
            return []
        return [item, *(self._receive(number) for number in range(len(self.connections)))]

    def broadcast(self, item: Any) -> Any:
        """Rank 0's item, on every rank."""
        if self.rank:
            return self._receive(0)
        for number in range(len(self.connections)):
            self._send(number, item)
        return item

    def _send(self, number: int, item: Any) -> None:
        try:
            self.connections[number].send(item)
        except OSError:
            raise self._loss(number) from None

    def _receive(self, number: int) -> Any:
        try:
            return self.connections[number].recv()
        except (EOFError, OSError):
            raise self._loss(number) from None

    def _loss(self, number: int) -> UserError:
        peer = 0 if self.rank else number + 1
        return UserError(f"rank {peer} has ended before the others; its log says why, unless it was killed")


def own_addresses() -> tuple[str, ...]:
    """IPv4 addresses of this machine's network interfaces, without the loopback."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe, ADDRESS_OF_INTERFACE, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # an interface without an IPv4 address
            found.append(socket.inet_ntoa(answer[20:24]))
    return tuple(address for address in found if not address.startswith("127."))


def _timed(peer: socket.socket) -> Connection:
    """A connection over the same wire that gives up a peer which is silent for too long, with OSError."""
    peer.setblocking(True)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _limit(peer, HANDSHAKE_SECONDS)
    return Connection(os.dup(peer.fileno()))


def _limit(peer: socket.socket, seconds: int) -> None:
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        peer.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", seconds, 0))


def _is_open(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
