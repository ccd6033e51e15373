from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.collector.receiver import Receiver
from appliance.settings.types import ListenAddress
from tests.collector.tcp.listening import listening
from tests.decoding.building import BASIC, a_set, basic, ipfix, template
from tests.traffic.building import ethernet, ipv4, pcap, udp


@pytest.fixture
def receiver():
    receiver = Receiver([ListenAddress("127.0.0.1", 0)], receive_buffer_octets=1 << 22)
    receiver.start()
    yield receiver
    receiver.stop()


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "flows.pcap"
    v5 = [ipv4(udp(b"\0\5 %d" % i), "192.0.2.1") for i in range(3)]
    ipfix = [ipv4(udp(b"\0\x0a", 1, 4739), "192.0.2.2"), ipv4(udp(b"dns", 1, 53))]
    path.write_bytes(pcap(*map(ethernet, [*v5, *ipfix])))
    return path


def replay(capsys, *arguments: object) -> tuple[int, str, str]:
    code = run_command_line(group, ["replay", *map(str, arguments)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def arrived(receiver: Receiver) -> list[bytes]:
    receiver.stop_receiving()
    found: list[bytes] = []
    while (block := receiver.receive(0)) is not None:
        found += [block.payload(row) for row in range(len(block))]
    return found


def test_replay_when_run_then_sends_the_export_ports_and_says_what(capsys, receiver, capture):
    code, out, err = replay(capsys, capture, "--to", receiver.addresses[0])
    assert (code, err) == (0, "")
    assert out.startswith("sent 4 datagrams, 14 octets, of 2 exporters in ")
    assert out.splitlines()[1] == "not sent: 1 other port"
    assert sorted(arrived(receiver)) == [b"\0\5 0", b"\0\5 1", b"\0\5 2", b"\0\x0a"]


def test_replay_when_json_then_the_same_as_data(capsys, receiver, capture):
    code, out, _ = replay(
        capsys, capture.parent, "--to", receiver.addresses[0], "--json", "--loop", "2"
    )
    report = json.loads(out)
    assert code == 0
    assert report["datagrams"] == len(arrived(receiver)) == 8
    assert report["skipped"] == {"other port": 2}


@pytest.mark.parametrize(
    ("options", "n"),
    [(["--port", "53"], 1), (["--port", "53", "--port", "4739"], 2), (["--all-ports"], 5)],
)
def test_replay_when_ports_are_chosen_then_those(capsys, receiver, capture, options, n):
    code, _, _ = replay(capsys, capture, "--to", receiver.addresses[0], *options)
    assert code == 0
    assert len(arrived(receiver)) == n


@pytest.mark.parametrize("pace", [["--rate", "1000"], ["--speed", "1000"]])
def test_replay_when_paced_then_all_arrives(capsys, receiver, capture, pace):
    code, _, _ = replay(capsys, capture, "--to", receiver.addresses[0], *pace)
    assert code == 0
    assert len(arrived(receiver)) == 4


def test_replay_when_listing_then_shows_who_sends_what_and_sends_nothing(capsys, receiver, capture):
    code, out, _ = replay(capsys, capture, "--list", "--to", receiver.addresses[0])
    assert code == 0
    rows = [line.split() for line in out.splitlines()[1:]]
    assert rows == [["192.0.2.1", "40000", "2055", "5", "3"], ["192.0.2.2", "1", "4739", "10", "1"]]
    assert arrived(receiver) == []


def test_replay_when_nobody_listens_then_says_so_and_fails(capsys, receiver, capture):
    nobody = receiver.addresses[0]
    receiver.stop()
    code, out, err = replay(capsys, capture, "--to", nobody, "--rate", "500")
    assert code == 1
    assert out.startswith("sent 4 datagrams")
    assert err.startswith(f"appliance: nobody listens on {nobody}: ")


@pytest.mark.parametrize(
    ("content", "arguments", "code", "sentence"),
    [
        (
            b"text",
            [],
            1,
            "{0}: expected a pcap, pcapng or IPFIX file, found other octets (after 0 packets)",
        ),
        (None, [], 2, "invalid value for 'FILE|DIR': Path '{0}' does not exist"),
        (
            pcap(),
            [],
            1,
            "{0}: no datagrams to port 2055, 4739, 6343, 9995, 9996; --all-ports takes",
        ),
        (pcap(), ["--all-ports"], 1, "{0}: no UDP datagrams in it"),
        (pcap(), ["--rate", "1", "--speed", "1"], 2, "--rate and --speed exclude each other"),
        (pcap(), ["--to", "localhost"], 2, "invalid value for '--to': expected HOST:PORT"),
        (pcap(), ["--to", "::1:2055"], 2, "invalid value for '--to': expected HOST:PORT"),
        (pcap(), ["--to", "127.0.0.1:0"], 2, "invalid value for '--to': expected HOST:PORT"),
    ],
)
def test_replay_when_something_is_wrong_then_one_sentence(
    capsys, tmp_path, content, arguments, code, sentence
):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    found, _, err = replay(capsys, path, *arguments)
    assert found == code
    assert err.startswith(f"appliance: {sentence.format(path)}")
    assert err.count("\n") == 1


def test_replay_when_a_file_ends_early_then_sends_the_rest_with_a_warning(
    capsys, receiver, capture
):
    capture.write_bytes(capture.read_bytes()[:-1])
    code, _, err = replay(capsys, capture, "--to", receiver.addresses[0])
    assert code == 0
    assert "ends early" in err
    assert len(arrived(receiver)) == 4


def test_replay_when_over_tcp_then_the_ipfix_messages_by_connections(capsys, tmp_path):
    messages = [ipfix(a_set(2, template(256, *BASIC))), ipfix(a_set(256, basic()))]
    path = tmp_path / "flows.pcap"
    sent = [ipv4(udp(octets, 1, 4739), "192.0.2.2") for octets in (*messages, b"\0\5 v5")]
    path.write_bytes(pcap(*map(ethernet, sent)))
    with listening() as collector:
        target = ":".join(map(str, collector.target))
        code, out, err = replay(capsys, path, "--tcp", "--to", target)
        collector.wait_for_rows(1)
    assert (code, err) == (0, "")
    assert out.splitlines()[1] == "not sent: 1 no IPFIX message"
    assert collector.rows[0]["exporter_address"] == "127.0.0.2"


def test_replay_when_nobody_accepts_connections_then_one_sentence(capsys, tmp_path):
    path = tmp_path / "flows.ipfix"
    path.write_bytes(ipfix())
    code, _, err = replay(capsys, path, "--all-ports", "--tcp", "--to", "127.0.0.1:1")
    assert code == 1
    assert "cannot send to 127.0.0.1:1: connection refused" in err


def test_replay_when_a_message_of_a_file_is_too_long_for_udp_then_left_out_and_said(
    capsys, receiver, tmp_path
):
    path = tmp_path / "flows.ipfix"
    path.write_bytes(ipfix(bytes(65_519)) + ipfix(b"short"))
    code, out, _ = replay(capsys, path, "--to", receiver.addresses[0])
    assert code == 0
    assert out.splitlines()[1] == "not sent: 1 too long for UDP"
    assert arrived(receiver) == [ipfix(b"short")]
