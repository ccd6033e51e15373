"""Replay: what arrives is what the capture holds, at the pace that was asked for."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.collector.receiver import Receiver
from appliance.errors import CaptureError
from appliance.settings.types import ListenAddress
from appliance.traffic import source_sockets as source_sockets_module
from appliance.traffic.replay import Pace, Replay, capture_files
from appliance.traffic.sendmmsg import DatagramSender
from appliance.traffic.source_sockets import SourceSockets, TargetError
from tests.traffic.building import ethernet, ipv4, pcap, udp


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver([ListenAddress("127.0.0.1", 0)], receive_buffer_octets=1 << 22)
    receiver.start()
    yield receiver
    receiver.stop()


def arrived(receiver: Receiver) -> list[tuple[bytes, int, int]]:
    """Stop receiving; return payload, last octet of the address, and port of all that came."""
    receiver.stop_receiving()
    found = []
    while (block := receiver.receive(0)) is not None:
        found += [
            (block.payload(row), int(block.address_lo[row]) & 255, int(block.port[row]))
            for row in range(len(block))
        ]
    return found


def capture(tmp_path: Path, *frames: bytes, name: str = "flows.pcap") -> Path:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pcap(*map(ethernet, frames)))
    return path


def numbered(n: int, **rest: str) -> list[bytes]:
    return [ipv4(udp(b"%d" % i), **rest) for i in range(n)]


def test_replay_when_run_then_every_datagram_arrives_in_order(
    receiver: Receiver, tmp_path: Path
) -> None:
    path = capture(tmp_path, *numbered(600), ipv4(udp(bytes(60_000))[:1400]))
    other = capture(tmp_path, ipv4(udp(b"", 1, 53)), name="other.pcap")
    report = Replay([path, other], receiver.addresses[0]).run()
    payloads = [payload for payload, _, _ in arrived(receiver)]
    assert payloads == [b"%d" % i for i in range(600)]
    assert report.datagrams == 600
    assert report.octets == sum(map(len, payloads))
    assert report.skipped == {"malformed": 1, "other port": 1}
    assert report.file_octets == path.stat().st_size + other.stat().st_size
    assert report.refused == 0


def test_replay_when_capture_has_several_sessions_then_each_keeps_apart(
    receiver: Receiver, tmp_path: Path
) -> None:
    frames = [
        ipv4(udp(b"a1", 1001), "192.0.2.1"),
        ipv4(udp(b"b", 1001), "192.0.2.2"),
        ipv4(udp(b"a2", 1001), "192.0.2.1"),
        ipv4(udp(b"a3", 1002), "192.0.2.1"),
    ]
    report = Replay([capture(tmp_path, *frames)], receiver.addresses[0]).run()
    by_payload = {payload: (address, port) for payload, address, port in arrived(receiver)}
    assert report.exporters == 3
    assert by_payload[b"a1"] == by_payload[b"a2"]
    assert by_payload[b"a1"][0] == by_payload[b"a3"][0] != by_payload[b"b"][0]
    assert by_payload[b"a1"][1] != by_payload[b"a3"][1]


def test_replay_when_sessions_outnumber_sockets_then_they_share_and_all_arrives(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_sockets_module, "MAX_SOURCE_SOCKETS", 4)
    frames = [ipv4(udp(b"%d" % i, 1000 + i % 20)) for i in range(100)]
    report = Replay([capture(tmp_path, *frames)], receiver.addresses[0]).run()
    assert report.exporters == 4
    assert {payload for payload, _, _ in arrived(receiver)} == {b"%d" % i for i in range(100)}


def test_replay_when_ports_are_named_then_only_those_are_sent(
    receiver: Receiver, tmp_path: Path
) -> None:
    path = capture(tmp_path, *[ipv4(udp(b"%d" % p, 1, p)) for p in (53, 2055, 4739, 9996)])
    Replay([path], receiver.addresses[0]).run()
    Replay([path], receiver.addresses[0], ports=[53]).run()
    Replay([path], receiver.addresses[0], ports=None).run()
    found = [payload for payload, _, _ in arrived(receiver)]
    assert found == [b"2055", b"4739", b"9996", b"53", b"53", b"2055", b"4739", b"9996"]


def test_replay_when_rate_is_given_then_it_is_kept_over_files_and_loops(
    receiver: Receiver, tmp_path: Path
) -> None:
    files = [capture(tmp_path, *numbered(10), name=f"{i}.pcap") for i in range(5)]
    start = time.monotonic()
    report = Replay(files, receiver.addresses[0], pace=Pace(rate=500), loops=2).run()
    taken = time.monotonic() - start
    assert report.datagrams == 100
    assert len(arrived(receiver)) == 100
    assert 0.19 < taken < 2


def test_replay_when_speed_is_given_then_capture_times_set_the_pace(
    receiver: Receiver, tmp_path: Path
) -> None:
    path = capture(tmp_path, *numbered(4))  # one second apart
    start = time.monotonic()
    Replay([path], receiver.addresses[0], pace=Pace(speed=30), loops=2).run()
    assert 0.19 < time.monotonic() - start < 2
    assert len(arrived(receiver)) == 8


def test_replay_when_speed_is_given_then_the_time_between_files_is_left_out(
    receiver: Receiver, tmp_path: Path
) -> None:
    early = capture(tmp_path, *numbered(2), name="early.pcap")
    late = tmp_path / "late.pcap"
    late.write_bytes(pcap(*map(ethernet, numbered(2)), seconds=1_800_000_000))
    start = time.monotonic()
    Replay([early, late, early], receiver.addresses[0], pace=Pace(speed=100)).run()
    assert time.monotonic() - start < 2
    assert len(arrived(receiver)) == 6


def test_replay_when_a_file_ends_early_then_the_report_says_so(
    receiver: Receiver, tmp_path: Path
) -> None:
    path = capture(tmp_path, *numbered(3))
    path.write_bytes(path.read_bytes()[:-1])
    report = Replay([path], receiver.addresses[0]).run()
    assert report.datagrams == 2
    assert "ends early, after 2 whole packets" in report.warnings[0]


def test_replay_when_stopped_then_the_report_says_what_was_sent(
    receiver: Receiver, tmp_path: Path
) -> None:
    path = capture(tmp_path, *numbered(1000))
    replay = Replay([path], receiver.addresses[0])
    replay.run(lambda report: replay.stop())
    assert replay.report.datagrams == len(arrived(receiver)) == 256
    assert 0 < replay.report.file_octets < path.stat().st_size


def test_replay_when_stopped_while_waiting_then_it_does_not_wait_on(
    receiver: Receiver, tmp_path: Path
) -> None:
    replay = Replay(
        [capture(tmp_path, *numbered(3))] * 2, receiver.addresses[0], pace=Pace(speed=0.001)
    )
    timer = threading.Timer(0.1, replay.stop)
    timer.start()
    start = time.monotonic()
    assert replay.run().datagrams == len(arrived(receiver)) == 1
    assert time.monotonic() - start < 5
    timer.join()


def test_replay_when_nobody_listens_then_all_is_sent_and_refusals_are_counted(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = ListenAddress("127.0.0.1", closed.getsockname()[1])
    path = capture(tmp_path, *numbered(10))
    report = Replay([path], nobody, pace=Pace(rate=1000)).run()
    assert report.datagrams == 10
    assert 0 < report.refused <= 10


def test_replay_when_target_is_impossible_then_one_sentence(tmp_path: Path) -> None:
    path = capture(tmp_path, *numbered(1))
    with pytest.raises(TargetError) as caught:
        Replay([path], ListenAddress("255.255.255.255", 2055)).run()
    assert str(caught.value).startswith("cannot send to 255.255.255.255:2055: ")


def test_replay_when_a_later_file_is_damaged_then_the_former_is_sent(
    receiver: Receiver, tmp_path: Path
) -> None:
    good = capture(tmp_path, *numbered(3))
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(b"no capture")
    replay = Replay([good, bad], receiver.addresses[0])
    with pytest.raises(CaptureError, match=r"bad\.pcap"):
        replay.run()
    assert replay.report.datagrams == len(arrived(receiver)) == 3


def test_capture_files_when_folder_then_captures_in_order_of_name(tmp_path: Path) -> None:
    expected = [capture(tmp_path, name=name) for name in ("a.PCAP", "b/c.pcapng", "d.cap")]
    packed = tmp_path / "e.pcap.gz"
    packed.write_bytes(gzip.compress(pcap()))
    (tmp_path / "notes.txt").write_text("no capture")
    assert capture_files(tmp_path) == [*expected, packed]
    assert capture_files(expected[0]) == [expected[0]]


def test_capture_files_when_folder_has_none_then_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no capture in this folder"):
        capture_files(tmp_path)


@pytest.mark.parametrize("single", [False, True], ids=["sendmmsg", "plain loop"])
def test_send_when_rows_differ_in_length_then_each_is_whole(
    receiver: Receiver, single: bool
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(receiver.addresses[0])
        wider = np.arange(1100 * 70, dtype=np.uint32).astype(np.uint8).reshape(1100, 70)
        octets = wider[:, 3:67]
        lengths = np.arange(1100, dtype=np.int64) % 65
        DatagramSender(sock, single=single).send(octets, lengths)
    expected = [octets[row, : lengths[row]].tobytes() for row in range(1100)]
    assert [payload for payload, _, _ in arrived(receiver)] == expected


@pytest.mark.parametrize("single", [False, True], ids=["sendmmsg", "plain loop"])
def test_send_when_a_datagram_is_too_long_then_os_error(receiver: Receiver, single: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(receiver.addresses[0])
        sender = DatagramSender(sock, single=single)
        with pytest.raises(OSError, match="too long"):
            sender.send(np.zeros((1, 70_000), np.uint8), np.array([70_000]))


def test_outlets_when_the_target_is_loopback_then_addresses_differ(receiver: Receiver) -> None:
    octets, lengths = np.zeros((1, 4), np.uint8), np.array([4])
    with SourceSockets(receiver.addresses[0]) as sockets:
        for number in range(3):
            sockets.send((number, 0), octets, lengths)
    assert [address for _, address, _ in arrived(receiver)] == [2, 3, 4]
