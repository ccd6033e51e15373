"""The receiver on loopback: nothing is lost, changed or let in that should not be."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack
from ipaddress import ip_network

import pytest

from appliance.collector import recvmmsg
from appliance.collector.receiver import Receiver
from appliance.collector.recvmmsg import STRIDE
from appliance.flows import address_halves
from appliance.settings.types import ListenAddress
from tests.collector.receiving import (
    BUFFER,
    LOOPBACK,
    datagrams_of,
    exporter,
    payloads,
    receiving,
    take,
)


@pytest.fixture(params=["recvmmsg", "plain loop"])
def plain_loop(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "plain loop")


def test_receive_when_datagram_comes_then_sender_and_time_are_told(plain_loop: bool) -> None:
    with receiving(plain_loop=plain_loop) as receiver, exporter(receiver.addresses[0]) as out:
        before = time.time_ns() // 1_000_000
        out.send(b"flow")
        [datagram] = take(receiver, 1)
        assert datagram.payload == b"flow"
        assert (datagram.address_hi, datagram.address_lo) == address_halves("127.0.0.1")
        assert datagram.port == out.getsockname()[1]
        assert before <= datagram.received_ms <= time.time_ns() // 1_000_000
        assert receiver.addresses[0].port != 0


def test_receive_when_nothing_comes_then_none_after_the_timeout() -> None:
    with receiving() as receiver:
        start = time.monotonic()
        assert receiver.receive(0.05) is None
        assert 0.04 < time.monotonic() - start < 2


def test_receive_when_all_sizes_come_then_each_is_whole_and_in_order(plain_loop: bool) -> None:
    sizes = [0, 1, 1472, STRIDE - 1, STRIDE, 65507, STRIDE + 1, 0, 9000, 24]
    sent = [bytes((size + i) % 251 for i in range(size)) for size in sizes]
    with receiving(plain_loop=plain_loop) as receiver, exporter(receiver.addresses[0]) as out:
        for payload in sent:
            out.send(payload)
        block = receiver.receive(2)
        assert block is not None
        assert block.octets.flags.c_contiguous
        assert block.lengths.max() <= block.octets.shape[1]
        assert payloads(datagrams_of(block)) == sent
        out.send(b"small again")
        assert payloads(take(receiver, 1)) == [b"small again"]
        assert receiver.counters.datagrams == len(sizes) + 1
        assert receiver.counters.octets == sum(sizes) + 11
        assert receiver.counters.truncated_datagrams == 0


def test_receive_when_ipv4_and_ipv6_come_to_one_socket_then_ipv4_is_mapped(
    plain_loop: bool,
) -> None:
    with receiving(ListenAddress("::", 0), plain_loop=plain_loop) as receiver:
        port = receiver.addresses[0].port
        with (
            exporter(ListenAddress("127.0.0.1", port), "127.0.0.7") as v4,
            exporter(ListenAddress("::1", port)) as v6,
        ):
            v4.send(b"four")
            v6.send(b"six")
            four, six = take(receiver, 2)
    assert (four.address_hi, four.address_lo) == address_halves("127.0.0.7")
    assert (six.address_hi, six.address_lo) == address_halves("::1")


def test_receive_when_several_sockets_have_datagrams_then_all_are_returned(
    plain_loop: bool,
) -> None:
    listen = [LOOPBACK, ListenAddress("127.0.0.2", 0), ListenAddress("::1", 0)]
    with (
        receiving(*listen, plain_loop=plain_loop, block_datagrams=4) as receiver,
        ExitStack() as stack,
    ):
        sent = set()
        for address in receiver.addresses:
            out = stack.enter_context(exporter(address))
            for i in range(10):
                sent.add(payload := f"{address} {i}".encode())
                out.send(payload)
        first = {payload.rpartition(b" ")[0] for payload in payloads(take(receiver, 12))}
        assert len(first) == 3, "one busy socket starves the others"
        rest = payloads(take(receiver, 18))
        assert len(rest) == 18
        assert set(rest) < sent


def test_receive_when_block_is_larger_than_one_call_then_it_is_filled() -> None:
    with (
        receiving(block_datagrams=1500, receive_buffer_octets=8 << 20) as receiver,
        exporter(receiver.addresses[0]) as out,
    ):
        sent = [str(i).encode() for i in range(1400)]
        for payload in sent:
            out.send(payload)
        assert payloads(datagrams_of(receiver.receive(2))) == sent


def test_receive_when_memory_is_reused_then_the_senders_of_each_block_are_its_own() -> None:
    with receiving(block_datagrams=2) as receiver, ExitStack() as stack:
        for i in range(1, 5):
            out = stack.enter_context(exporter(receiver.addresses[0], f"127.0.0.{i}"))
            out.send(bytes(i))
        seen = [(d.address_lo & 255, len(d.payload)) for d in take(receiver, 4)]
    assert seen == [(1, 1), (2, 2), (3, 3), (4, 4)]


def test_receive_when_gathering_then_a_second_block_comes_whole() -> None:
    with (
        receiving(gather_seconds=0.2, receive_buffer_octets=128 << 20) as receiver,
        exporter(receiver.addresses[0]) as out,
    ):
        out.send(b"first")
        assert payloads(take(receiver, 1)) == [b"first"]
        out.send(b"second")
        timer = threading.Timer(0.02, out.send, [b"third"])
        timer.start()
        assert payloads(datagrams_of(receiver.receive(2))) == [b"second", b"third"]
        timer.join()


def test_receive_when_datagram_is_longer_than_a_slot_then_it_is_counted_as_truncated(
    plain_loop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recvmmsg, "SLOT_OCTETS", STRIDE + 64)
    with receiving(plain_loop=plain_loop) as receiver, exporter(receiver.addresses[0]) as out:
        out.send(bytes(3000))
        assert [len(p) for p in payloads(take(receiver, 1))] == [STRIDE + 64]
        assert receiver.counters.truncated_datagrams == 1


def test_allow_list_when_sender_is_outside_then_refused_and_counted(plain_loop: bool) -> None:
    allowed = [ip_network("127.0.0.2/31"), ip_network("::1/128")]
    with receiving(ListenAddress("::", 0), allowed=allowed, plain_loop=plain_loop) as receiver:
        port = receiver.addresses[0].port
        with ExitStack() as stack:
            for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"):
                target = ListenAddress("127.0.0.1", port)
                out = stack.enter_context(exporter(target, source))
                out.send(source.encode())
            stack.enter_context(exporter(ListenAddress("::1", port))).send(b"::1")
        assert payloads(take(receiver, 3)) == [b"127.0.0.2", b"127.0.0.3", b"::1"]
    assert receiver.counters.refused_datagrams == 2
    assert receiver.counters.datagrams == 3


def test_allow_list_when_refused_datagrams_flood_then_the_timeout_is_kept() -> None:
    allowed = [ip_network("127.0.0.2/32")]
    with (
        receiving(allowed=allowed, block_datagrams=1, receive_buffer_octets=1 << 22) as receiver,
        exporter(receiver.addresses[0]) as out,
    ):
        for _ in range(1000):
            out.send(b"flood")
        assert receiver.receive(0) is None
        assert 0 < receiver.counters.refused_datagrams < 1000


def test_stop_when_never_started_then_nothing_happens() -> None:
    Receiver([LOOPBACK], receive_buffer_octets=BUFFER).stop()


def test_allow_list_when_large_datagrams_are_mixed_in_then_the_right_rows_are_kept() -> None:
    with receiving(allowed=[ip_network("127.0.0.2/32")]) as receiver, ExitStack() as stack:
        for source, size in (("127.0.0.1", 9000), ("127.0.0.2", 5000), ("127.0.0.2", 7)):
            out = stack.enter_context(exporter(receiver.addresses[0], source))
            out.send(bytes([size % 256]) * size)
        assert payloads(take(receiver, 2)) == [bytes([5000 % 256]) * 5000, b"\7" * 7]


def test_kernel_drops_when_the_buffer_is_full_then_sent_is_received_plus_drops() -> None:
    with (
        receiving(receive_buffer_octets=8192) as receiver,
        exporter(receiver.addresses[0]) as out,
    ):
        for _ in range(300):
            out.send(bytes(1000))
        receiver.stop_receiving()
        received = len(take(receiver, 300))
        assert 0 < received < 300
        assert receiver.counters.kernel_drops == 300 - received


def test_kernel_drops_when_the_sockets_take_turns_then_each_drop_counts_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("appliance.collector.receiver.DROPS_INTERVAL_SECONDS", 0)
    listen = [LOOPBACK, ListenAddress("127.0.0.2", 0)]
    with (
        receiving(*listen, receive_buffer_octets=8192) as receiver,
        exporter(receiver.addresses[0]) as out,
    ):
        for _ in range(300):
            out.send(bytes(1000))
        received = len(take(receiver, 300, 0.05))
        for _ in range(3):
            out.send(b"one more round")
            assert payloads(take(receiver, 1)) == [b"one more round"]
        assert receiver.counters.kernel_drops == 300 - received


def test_stop_receiving_when_datagrams_are_queued_then_all_are_returned_and_later_ones_not(
    plain_loop: bool,
) -> None:
    with (
        receiving(plain_loop=plain_loop, block_datagrams=64) as receiver,
        exporter(receiver.addresses[0]) as out,
    ):
        sent = [b"%d" % i for i in range(500)]
        for payload in sent:
            out.send(payload)
        receiver.stop_receiving()
        out.send(b"too late")
        assert payloads(take(receiver, 501)) == sent
        assert receiver.receive(60) is None
        assert receiver.counters.kernel_drops == 0


def test_stop_receiving_when_refused_datagrams_are_queued_then_the_rest_is_still_returned() -> None:
    allowed = [ip_network("127.0.0.2/32")]
    with receiving(allowed=allowed, block_datagrams=8) as receiver, ExitStack() as stack:
        stranger = stack.enter_context(exporter(receiver.addresses[0], "127.0.0.1"))
        for _ in range(20):
            stranger.send(b"no")
        stack.enter_context(exporter(receiver.addresses[0], "127.0.0.2")).send(b"yes")
        receiver.stop_receiving()
        assert payloads(datagrams_of(receiver.receive(0))) == [b"yes"]
        assert receiver.receive(0) is None


def test_wake_when_receive_waits_then_it_returns_at_once() -> None:
    with receiving() as receiver:
        timer = threading.Timer(0.05, receiver.wake)
        timer.start()
        start = time.monotonic()
        assert receiver.receive(60) is None
        assert time.monotonic() - start < 5
        timer.join()
        assert receiver.receive(0.01) is None


def test_wake_when_called_in_a_signal_handler_then_receive_returns() -> None:
    with receiving() as receiver:
        before = signal.signal(signal.SIGALRM, lambda *_: receiver.wake())
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            start = time.monotonic()
            assert receiver.receive(60) is None
            assert time.monotonic() - start < 5
        finally:
            signal.signal(signal.SIGALRM, before)


def test_wake_when_called_very_often_then_never_blocks() -> None:
    with receiving() as receiver, exporter(receiver.addresses[0]) as out:
        for _ in range(10_000):
            receiver.wake()
        out.send(b"kept")
        assert payloads(take(receiver, 1)) == [b"kept"]


def test_wake_when_called_before_each_receive_then_datagrams_come_all_the_same() -> None:
    with receiving() as receiver, exporter(receiver.addresses[0]) as out:
        out.send(b"kept")
        for _ in range(1000):
            receiver.wake()
            if (block := receiver.receive(1)) is not None:
                break
        assert block is not None
        assert block.payload(0) == b"kept"
