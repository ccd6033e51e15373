"""Copies of datagrams, with real sockets on loopback: who gets which, from whom, what is lost."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.app import open_app
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.contracts import FAIL, HINT
from appliance.decoding.messages.block import Datagram, block_of
from appliance.errors import SettingsError, StartupError
from appliance.flows import address_halves
from appliance.plugins.replicate.local_targets import is_received_here, own_addresses
from appliance.plugins.replicate.replicate_settings import Target
from appliance.plugins.replicate.replicator import Replicator, Selector
from appliance.process_parts import plugin_findings
from appliance.settings.types import ListenAddress
from tests.collector.running import RunningCollector, free_port
from tests.decoding.building import a_set, ipfix, template, v5, v5_record, v9, v9_options

PATIENCE_SECONDS = 20.0
QUEUE = 8_000_000
ELSEWHERE = ListenAddress("127.0.0.1", 1)


def has_raw_sockets() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).close()
    except PermissionError:
        return False
    return True


needs_raw_sockets = pytest.mark.skipif(not has_raw_sockets(), reason="needs CAP_NET_RAW")


class Receiving:
    """Another collector's socket."""

    def __init__(self, host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        self.socket.bind((host, 0))
        self.socket.settimeout(PATIENCE_SECONDS)
        self.address = ListenAddress(host, self.socket.getsockname()[1])

    def datagrams(self, n: int) -> list[tuple[bytes, str, int]]:
        """Wait for so many, and return them with their senders; no more may have come."""
        got = [self.socket.recvfrom(65_536) for _ in range(n)]
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            got.append(self.socket.recvfrom(65_536))
        return [(payload, sender[0], sender[1]) for payload, sender in got]


@pytest.fixture
def receiving() -> Iterator[Callable[[str], Receiving]]:
    with contextlib.ExitStack() as stack:

        def make(host: str = "127.0.0.1") -> Receiving:
            made = Receiving(host)
            stack.callback(made.socket.close)
            return made

        yield make


@contextlib.contextmanager
def replicating(*targets: Target, keep_source: bool = True) -> Iterator[Replicator]:
    replicator = Replicator(targets, keep_source=keep_source, queue_octets=QUEUE)
    replicator.start([ELSEWHERE])
    try:
        yield replicator
    finally:
        replicator.stop()


def block(*senders: tuple[str, int, bytes]) -> Any:
    return block_of([Datagram(p, *address_halves(host), port, 0) for host, port, p in senders])


def counted(replicator: Replicator, to: ListenAddress, word: str, at_least: int) -> dict[str, int]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (counts := replicator.figures()[str(to)])[word] < at_least:
        assert time.monotonic() < deadline, counts
        time.sleep(0.01)
    return counts


@needs_raw_sockets
@pytest.mark.parametrize(
    ("host", "exporters"),
    [("127.0.0.1", ("192.0.2.7", "10.1.2.3")), ("::1", ("2001:db8::7", "2001:db8:1::"))],
)
def test_copies_when_the_kernel_allows_it_then_from_the_exporters_ports(
    receiving: Callable[[str], Receiving], host: str, exporters: tuple[str, str]
) -> None:
    other = receiving(host)
    sent = [(exporters[row % 2], 1000 + row, bytes([row]) * (row * 7)) for row in range(1, 90)]
    with replicating(Target(other.address)) as replicator:
        replicator.take(block(*sent))
        got = other.datagrams(len(sent))
        counts = counted(replicator, other.address, "sent", len(sent))
    assert got == [(payload, host, port) for host, port, payload in sent]
    assert counts["keeps_source"] == 1
    assert counts["own_source"] == counts["dropped"] == counts["failed"] == 0


def test_copies_when_addresses_are_not_wanted_then_from_this_machine(
    receiving: Callable[..., Receiving],
) -> None:
    other = receiving()
    with replicating(Target(other.address), keep_source=False) as replicator:
        replicator.take(block(("192.0.2.7", 2055, b"one"), ("192.0.2.8", 2055, b"two")))
        got = other.datagrams(2)
        counts = counted(replicator, other.address, "sent", 2)
    assert [(payload, host) for payload, host, _ in got] == [
        (b"one", "127.0.0.1"),
        (b"two", "127.0.0.1"),
    ]
    assert (counts["own_source"], counts["keeps_source"]) == (2, 0)


@needs_raw_sockets
def test_copies_when_the_ip_versions_differ_then_from_this_machine_and_counted(
    receiving: Callable[[str], Receiving],
) -> None:
    other = receiving("::1")
    with replicating(Target(other.address)) as replicator:
        replicator.take(block(("192.0.2.7", 5, b"four"), ("2001:db8::7", 6, b"six")))
        got = other.datagrams(2)
        counts = counted(replicator, other.address, "sent", 2)
    assert {(payload, host) for payload, host, _ in got} == {
        (b"four", "::1"),
        (b"six", "2001:db8::7"),
    }
    assert counts["own_source"] == 1


def test_target_when_it_names_exporters_then_it_gets_theirs_only(
    receiving: Callable[..., Receiving],
) -> None:
    some, everything = receiving(), receiving()
    networks = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
    with replicating(Target(some.address, networks), Target(everything.address)) as replicator:
        sent = [("10.1.1.1", 1, b"a"), ("192.0.2.1", 2, b"b"), ("2001:db8::1", 3, b"c")]
        replicator.take(block(*sent))
        assert {payload for payload, *_ in some.datagrams(2)} == {b"a", b"c"}
        assert {payload for payload, *_ in everything.datagrams(3)} == {b"a", b"b", b"c"}


def test_selector_when_sampling_then_one_in_n_and_each_that_begins_with_a_template() -> None:
    plain, announcing = (
        v5(v5_record()),
        [
            ipfix(a_set(2, template(256, (8, 4)))),
            v9(a_set(1, v9_options(257, [(1, 4)], [(34, 4)]))),
        ],
    )
    selector = Selector(Target(ELSEWHERE, sample=10), seed=1)
    rows = selector.rows(block(*[("10.0.0.1", 1, plain)] * 20_000))
    assert rows is not None
    assert 1_800 < len(rows) < 2_200
    rows = selector.rows(block(*[("10.0.0.1", 1, each) for each in announcing * 50]))
    assert rows is not None
    assert len(rows) == 100


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5))
def test_selector_when_datagrams_are_anything_then_rows_of_the_block(payloads: list[bytes]) -> None:
    rows = Selector(Target(ELSEWHERE, sample=3)).rows(
        block(*[("10.0.0.1", 1, p) for p in payloads])
    )
    assert rows is not None
    assert set(rows.tolist()) <= set(range(len(payloads)))


def test_take_when_the_queue_is_full_then_dropped_and_counted_without_waiting() -> None:
    target = ListenAddress("127.0.0.1", 9)
    replicator = Replicator([Target(target)], keep_source=False, queue_octets=1_000_000)
    # Not started: nothing is taken out of the queue.
    many = block(*[("10.0.0.1", 1, b"x" * 1000)] * 400)
    for _ in range(5):
        replicator.take(many)
    counts = replicator.figures()[str(target)]
    assert counts["dropped"] == 3 * 400
    assert counts["waiting_octets"] <= 1_000_000


def test_target_when_nobody_listens_then_counted_and_the_rest_goes_on(
    receiving: Callable[..., Receiving],
) -> None:
    other, nobody = receiving(), ListenAddress("127.0.0.1", free_port())
    with replicating(Target(nobody), Target(other.address), keep_source=False) as replicator:
        replicator.take(block(*[("10.0.0.1", 1, b"x")] * 50))
        assert len(other.datagrams(50)) == 50
        counted(replicator, nobody, "sent", 50)
        # The answer to the last of them is heard with the next one.
        replicator.take(block(("10.0.0.1", 1, b"x")))
        counts = counted(replicator, nobody, "sent", 51)
    assert counts["refused"] > 0


_LARGE = """
import socket
import time
from appliance.decoding.messages.block import Datagram, block_of
from appliance.flows import address_halves
from appliance.plugins.replicate.replicate_settings import Target
from appliance.plugins.replicate.replicator import Replicator
from appliance.settings.types import ListenAddress

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
sock.settimeout(20)
target = Target(ListenAddress("127.0.0.1", sock.getsockname()[1]))
replicator = Replicator([target], keep_source=True, queue_octets=8_000_000)
replicator.start([])
sent = [b"a" * 4000, b"b" * 100, b"c" * 9000]
rows = [Datagram(each, *address_halves("192.0.2.7"), 2056, 0) for each in sent]
replicator.take(block_of(rows))
got = [sock.recvfrom(65536) for _ in sent]
replicator.stop()
assert sorted(payload for payload, _ in got) == sorted(sent)
assert {sender for _, sender in got} == {("192.0.2.7", 2056)}, got
print(replicator.figures())
"""


@needs_raw_sockets
def test_copies_when_larger_than_the_way_allows_then_the_kernel_makes_fragments() -> None:
    shell = "ip link set lo mtu 1500 up && exec " + sys.executable + ' -c "$0"'
    ran = subprocess.run(
        ["unshare", "--net", "sh", "-c", shell, textwrap.dedent(_LARGE)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "unshare failed" in ran.stderr or "ip: not found" in ran.stderr:
        pytest.skip("no network of its own can be made here")
    assert ran.returncode == 0, ran.stderr
    assert "'failed': 0" in ran.stdout


@pytest.mark.parametrize(
    ("target", "listen", "is_loop"),
    [
        ("127.0.0.1:2055", "0.0.0.0:2055", True),
        ("127.0.0.1:2055", "[::]:2055", True),
        ("127.0.0.9:2055", "0.0.0.0:2055", True),
        ("[::1]:2055", "[::]:2055", True),
        ("[::ffff:127.0.0.1]:2055", "127.0.0.1:2055", True),
        ("0.0.0.0:2055", "127.0.0.1:2055", True),
        ("[::1]:2055", "0.0.0.0:2055", False),
        ("127.0.0.1:2056", "0.0.0.0:2055", False),
        ("127.0.0.2:2055", "127.0.0.1:2055", False),
        ("192.0.2.9:2055", "0.0.0.0:2055", False),
    ],
)
def test_target_when_it_is_this_collector_then_a_loop(
    target: str, listen: str, is_loop: bool
) -> None:
    def parsed(text: str) -> ListenAddress:
        host, _, port = text.rpartition(":")
        return ListenAddress(host.strip("[]"), int(port))

    assert is_received_here(parsed(target), [ELSEWHERE, parsed(listen)]) is is_loop


def test_target_when_it_is_an_address_of_an_interface_then_a_loop() -> None:
    for address in own_addresses():
        everywhere = ListenAddress("::", 2055)
        assert is_received_here(ListenAddress(str(address), 2055), [everywhere])


def test_start_when_a_target_is_this_collector_then_one_sentence() -> None:
    replicator = Replicator([Target(ELSEWHERE)], keep_source=True, queue_octets=QUEUE)
    with pytest.raises(StartupError, match=r"replicate\.targets: 127\.0\.0\.1:1 is where this"):
        replicator.start([ELSEWHERE])
    replicator.stop()


def findings_of(folder: Path, **settings: Any) -> list[Any]:
    (folder / "appliance.yml").write_text(json.dumps({"data_directory": "data", **settings}))
    return [f for f in plugin_findings(open_app(folder)) if f.what == "replication"]


def test_check_when_a_target_is_a_loop_or_cannot_be_reached_then_said(tmp_path: Path) -> None:
    listen = {"listen": ["127.0.0.1:2055"]}
    (loop,) = findings_of(tmp_path, collector=listen, replicate={"targets": ["127.0.0.1:2055"]})
    assert (loop.status, "is where this collector receives" in loop.text) == (FAIL, True)
    assert not findings_of(tmp_path)


def test_check_when_raw_sockets_are_forbidden_then_says_whose_address_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance.plugins.replicate import checks

    def refuse(target: ListenAddress) -> socket.socket:
        raise PermissionError

    monkeypatch.setattr(checks, "open_raw_socket", refuse)
    (hint,) = findings_of(tmp_path, replicate={"targets": ["127.0.0.1:9999"]})
    assert hint.status == HINT
    assert "from this machine's address, for this user has no CAP_NET_RAW" in hint.text


def test_settings_when_the_queue_is_tiny_then_refused(tmp_path: Path) -> None:
    (tmp_path / "appliance.yml").write_text("replicate: {queue: 10kB}\n")
    with pytest.raises(SettingsError, match="expected a size of at least 1MB"):
        open_app(tmp_path)


def test_collector_when_it_replicates_then_the_copies_are_whole_and_shown(
    tmp_path: Path, receiving: Callable[..., Receiving], capsys: pytest.CaptureFixture[str]
) -> None:
    other = receiving()
    targets = f'replicate:\n  targets: ["{other.address}"]\n'
    running = RunningCollector(tmp_path, targets)
    sent = [v5(v5_record(), v5_record(f"10.0.0.{n}")) for n in range(1, 40)]
    try:
        running.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as exporter:
            for payload in sent:
                exporter.sendto(payload, running.target)
            assert [payload for payload, *_ in other.datagrams(len(sent))] == sent
        status = running.wait_for("datagrams", len(sent))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while status["taps"]["replication"][str(other.address)]["sent"] < len(sent):
            assert time.monotonic() < deadline
            status = running.status()
        run_command_line(group, ["-confPath", f"{running.conf}/", "replication"])
        assert f"{other.address}" in (shown := capsys.readouterr().out)
        assert str(len(sent)) in shown
        samples = {
            (sample.name, sample.labels["target"]): sample.value
            for collector in open_app(running.conf).metrics
            for family in collector.collect()
            for sample in family.samples
            if "replicat" in sample.name
        }
        assert samples["appliance_replicated_datagrams_total", str(other.address)] == len(sent)
    finally:
        running.close()


def test_collector_when_a_target_is_itself_then_it_does_not_start(tmp_path: Path) -> None:
    running = RunningCollector(tmp_path)
    file = running.conf / "appliance.yml"
    targets = f'replicate:\n  targets: ["127.0.0.1:{running.port}"]\n'
    file.write_text(file.read_text() + targets)
    command = [sys.executable, "-m", "appliance", "-confPath", f"{running.conf}/", "collect"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert "is where this collector receives, expected another one" in ran.stderr


def test_tap_when_nothing_is_configured_then_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "appliance.yml").write_text("data_directory: data\n")
    assert not open_app(tmp_path).taps
