"""A receiver's sockets: what is said when they cannot be opened, or not as was asked."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from appliance.collector import sockets
from appliance.collector.receiver import Receiver
from appliance.errors import StartupError
from appliance.settings.types import ListenAddress
from tests.collector.receiving import BUFFER, exporter, payloads, receiving, take


def test_start_when_the_port_becomes_free_then_a_second_try_works() -> None:
    with receiving() as first:
        receiver = Receiver(first.addresses, receive_buffer_octets=BUFFER)
        with pytest.raises(StartupError):
            receiver.start()
    receiver.start()
    assert len(receiver.addresses) == 1
    receiver.stop()


def test_start_when_port_is_busy_then_one_sentence_and_nothing_stays_open() -> None:
    with receiving() as first:
        busy = first.addresses[0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            free = ListenAddress("127.0.0.1", probe.getsockname()[1])
        with pytest.raises(StartupError) as caught, receiving(free, busy):
            pass
        assert str(caught.value) == (
            f"cannot listen on {busy}: another program uses the port "
            f"(`ss -lunp sport = :{busy.port}` shows which); stop it or choose another port"
        )
        with receiving(free) as again:
            assert again.addresses == [free]


def test_start_when_address_is_foreign_then_one_sentence() -> None:
    with pytest.raises(StartupError) as caught, receiving(ListenAddress("192.0.2.1", 2055)):
        pass
    assert str(caught.value) == (
        "cannot listen on 192.0.2.1:2055: this machine does not have the address; "
        "`ip address` shows those it has"
    )


def test_start_when_machine_has_no_ipv6_then_listens_on_ipv4_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = socket.socket

    def without_v6(family: int = -1, *rest: Any, **options: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *rest, **options)

    monkeypatch.setattr(sockets.socket, "socket", without_v6)
    with receiving(ListenAddress("::", 0)) as receiver:
        assert receiver.warnings == [
            "this machine has no IPv6: listening on 0.0.0.0:0 instead of [::]:0"
        ]
        target = ListenAddress("127.0.0.1", receiver.addresses[0].port)
        with exporter(target) as out:
            out.send(b"four")
            assert payloads(take(receiver, 1)) == [b"four"]


def test_start_when_both_wildcards_share_a_port_then_each_family_has_its_socket() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::", 0))
        port = probe.getsockname()[1]
    both = [ListenAddress("0.0.0.0", port), ListenAddress("::", port)]
    with receiving(*both, both[0]) as receiver:
        assert receiver.addresses == both
        assert receiver.warnings == []


def test_start_when_the_buffer_is_granted_then_no_warning() -> None:
    with receiving(receive_buffer_octets=100_000) as receiver:
        assert receiver.granted_buffer_octets == 100_000
        assert receiver.warnings == []


def test_start_when_the_buffer_is_not_granted_then_warning_says_how_to_raise_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sockets, "SO_RCVBUFFORCE", 9999)
    with receiving(receive_buffer_octets=2_500_000_000) as receiver:
        [warning] = receiver.warnings
        granted = receiver.granted_buffer_octets
    assert 0 < granted < 2_500_000_000
    assert warning.startswith("receive buffer: asked for 2500 MB, got ")
    assert "`sysctl -w net.core.rmem_max=2500000000`" in warning
    assert "CAP_NET_ADMIN" in warning
