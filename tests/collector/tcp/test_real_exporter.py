"""A whole collector with exporters that are not ours: libfixbuf over TCP, openssl over TLS."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.running import RunningCollector, free_port
from tests.collector.tcp.listening import Authority
from tests.decoding.building import BASIC, a_set, basic, ipfix, template

SOURCE = Path(__file__).parent / "fixbuf_exporter.c"
N_FLOWS = 25_000
TEMPLATE = a_set(2, template(256, *BASIC))


@pytest.fixture(scope="module")
def fixbuf_exporter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the exporter; skip where compiler or library is missing."""
    if shutil.which("gcc") is None or shutil.which("pkg-config") is None:
        pytest.skip("no gcc or pkg-config")
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libfixbuf"],
        check=False,
        capture_output=True,
        text=True,
    )
    if flags.returncode:
        pytest.skip("no libfixbuf-dev")
    program = tmp_path_factory.mktemp("fixbuf") / "exporter"
    subprocess.run(["gcc", "-o", program, SOURCE, *flags.stdout.split()], check=True)
    return program


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "certificates").mkdir()
    return Authority(tmp_path / "certificates")


class ConnectedCollector(RunningCollector):
    """`appliance collect` that also listens on TCP and TLS, on free ports."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.tcp_port = free_port(socket.SOCK_STREAM)
        self.tls_port = free_port(socket.SOCK_STREAM)
        certificate, key = authority.pair("collector")
        super().__init__(
            folder,
            f'  listen_tcp: ["127.0.0.1:{self.tcp_port}"]\n'
            f'  listen_tls: ["127.0.0.1:{self.tls_port}"]\n'
            f"  tls_certificate: {certificate}\n  tls_key: {key}\n"
            f"  tls_client_ca: {authority.certificate}\n",
        )
        self.ready_pattern = f"TLS .*:{self.tls_port}"

    def wait_for_messages(self, number: int, seconds: float = 60.0) -> None:
        """Wait until the figures tell of so many messages of connections."""
        deadline = time.monotonic() + seconds
        counts: dict[str, int] = {}
        while counts.get("messages", 0) < number:
            assert time.monotonic() < deadline, counts
            threading.Event().wait(0.05)
            counts = self.status().get("connections", {}).get("counts", {})


@pytest.fixture
def collector(tmp_path: Path, authority: Authority) -> Iterator[ConnectedCollector]:
    running = ConnectedCollector(tmp_path, authority)
    try:
        running.start()
        yield running
    finally:
        running.close()


def test_libfixbuf_when_it_exports_over_tcp_then_every_flow_is_in_the_log(
    collector: ConnectedCollector, fixbuf_exporter: Path
):
    subprocess.run(
        [fixbuf_exporter, "127.0.0.1", str(collector.tcp_port), str(N_FLOWS)], check=True
    )
    assert collector.stop() == 0
    assert collector.rows() == N_FLOWS
    status = collector.status()
    (exporter,) = status["exporters"].values()
    (session,) = exporter["sessions"].values()
    assert (session["transport"], session["records"], exporter["lost"]) == ("tcp", N_FLOWS, 0)
    assert status["connections"]["counts"]["accepted_tcp"] == 1


def test_openssl_when_it_sends_messages_then_they_count_and_health_says_tls(
    collector: ConnectedCollector, authority: Authority
):
    certificate, key = authority.pair("exporter")
    messages = ipfix(TEMPLATE) + ipfix(a_set(256, basic() * 40)) * 50
    with subprocess.Popen(
        [
            *("openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{collector.tls_port}"),
            *("-CAfile", authority.certificate, "-verify_return_error"),
            *("-cert", certificate, "-key", key),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as client:
        assert client.stdin is not None
        client.stdin.write(messages)
        client.stdin.flush()
        collector.wait_for_messages(51)
        words = ("exporters", "health", "127.0.0.1", "--format", "json")
        health = json.loads(run(collector, *words))
        client.kill()
    (session,) = health["sessions"]
    assert (session["transport"], session["received"], session["state"]) == ("tls", 2000, "active")
    assert collector.stop() == 0
    assert collector.rows() == 2000


def test_exporter_when_it_sends_by_udp_and_tcp_then_one_exporter_with_two_sessions(
    collector: ConnectedCollector,
):
    message = ipfix(TEMPLATE, a_set(256, basic()))
    with (
        socket.create_connection(("127.0.0.1", collector.tcp_port)) as stream,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        stream.sendall(message)
        datagrams.sendto(message, ("127.0.0.1", collector.port))
        collector.wait_for_messages(1)
        collector.wait_for("datagrams", 1)
        shown = run(collector, "exporters")
    assert shown.count("127.0.0.1:") == 2
    assert "IPFIX/tcp" in shown
    assert len(collector.status()["exporters"]) == 1


def run(collector: RunningCollector, *words: str) -> str:
    command = [sys.executable, "-m", "appliance", "-confPath", f"{collector.conf}/", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
