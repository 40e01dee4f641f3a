"""Python objects between the ranks of a job over TCP: rank 0 listens, every other rank connects to it.

Why beside the device's collectives: those of MindSpore on the CPU give up after 30 seconds, which a rank that compiles,
evaluates or writes a checkpoint may well take, and they carry tensors only. Nothing waits here with a time limit but
the connecting; a process that dies closes its connections, which ends every wait for it.

What would let it go: collectives of MindSpore on the CPU that wait as long as it takes; then pickled objects could
travel as tensors of bytes, and this file would be two functions.
"""

import fcntl
import secrets
import socket
import struct
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from ..errors import UserError

LOOPBACK = "127.0.0.1"
CONNECT_SECONDS = 5.0  # for one address; those of networks that the ranks do not share are tried too
ADDRESS_OF_INTERFACE = 0x8915  # Linux' SIOCGIFADDR


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
        self.listener = Listener((LOOPBACK if one_machine else "", 0), authkey=secret, backlog=128)
        addresses = (LOOPBACK,) if one_machine else own_addresses()
        self.rendezvous = Rendezvous(addresses, self.listener.address[1], secret)

    def accept_ranks(self, size: int) -> tuple["Channel", str]:
        """Wait for the other ranks: the channel, and an address of this machine that all of them reach."""
        connections: dict[int, Connection] = {}
        common = list(self.rendezvous.addresses)
        while len(connections) < size - 1:
            try:
                connection = self.listener.accept()
                rank, reachable = connection.recv()
            except (AuthenticationError, EOFError, OSError):
                continue  # somebody who only looked whether the port is open, as the others do first
            connections[rank] = connection
            common = [address for address in common if address in reachable]
        self.listener.close()
        if not common:
            raise UserError("no address of rank 0's machine can be reached by all ranks: check network and firewall")
        return Channel(0, [connections[rank] for rank in range(1, size)]), common[0]


def join_host(rendezvous: Rendezvous, rank: int) -> "Channel":
    """The side of another rank. UserError if none of rank 0's addresses can be reached."""
    reachable = [address for address in rendezvous.addresses if _is_open(address, rendezvous.port)]
    for address in reachable:
        try:
            connection = Client((address, rendezvous.port), authkey=rendezvous.secret)
        except (AuthenticationError, EOFError, OSError):
            continue  # a machine of the same address in another network
        connection.send((rank, reachable))
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
        return UserError(f"rank {peer} has ended before the others; its log says why")


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


def _is_open(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
