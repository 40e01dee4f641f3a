"""Where a page is reached: this machine alone, or not."""

import socket

import pytest

from src.errors import UserError
from src.serving.place import address, bound, is_loopback


def test_a_free_port_is_taken_and_its_address_told():
    with bound("127.0.0.1", 0) as one:
        port = one.getsockname()[1]
        assert port > 0 and address(one) == f"http://127.0.0.1:{port}/" and is_loopback(one)
        with pytest.raises(ConnectionRefusedError):  # until it is served
            socket.create_connection(("127.0.0.1", port), 5)


def test_a_port_that_another_program_has_is_said():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError) as said, bound("127.0.0.1", port):
            pass
    assert str(said.value) == f"--port {port} of 127.0.0.1 cannot be had: another program has it"


@pytest.mark.parametrize(
    "host,words",
    [("300.1.1.1", "no such place"), ("a" * 300, "no such place"), ("\udcff", "no such place"), ("", "is empty")],
)
def test_a_host_that_is_none_is_said(host, words):
    with pytest.raises(UserError, match=f"--host.* {words}"), bound(host, 0):
        pass


def test_every_network_is_not_this_machine_alone():
    with bound("0.0.0.0", 0) as one:
        assert not is_loopback(one) and address(one).startswith("http://127.0.0.1:")
