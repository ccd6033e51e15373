"""TLS: who may connect, and what strangers do in place of a handshake."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from pathlib import Path

import pytest

from appliance.collector.tcp import connection as connection_module
from appliance.collector.tcp.tls import ReloadedContext, TlsFiles, tls_context
from appliance.errors import StartupError
from tests.collector.tcp.listening import Authority, Listening, listening
from tests.collector.tcp.test_listener import DATA, TEMPLATE, WHOLE
from tests.decoding.building import ipfix


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def files(authority: Authority) -> TlsFiles:
    return TlsFiles(*authority.pair("collector"), None)


def connect(
    collector: Listening, authority: Authority, pair: tuple[Path, Path] | None = None
) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=authority.certificate)
    if pair is not None:
        context.load_cert_chain(*pair)
    return context.wrap_socket(collector.connect(), server_hostname="127.0.0.1")


def is_refused(sock: ssl.SSLSocket) -> bool:
    """Tell whether the collector closes a connection in place of reading it."""
    try:
        return sock.recv(1) == b""
    except OSError:
        return True


def test_messages_when_sent_over_tls_then_flows(authority: Authority, files: TlsFiles):
    with listening(files) as collector, connect(collector, authority) as sock:
        sock.sendall(WHOLE * 3000)
        collector.wait_for_rows(3000)
        assert collector.counts["accepted_tls"] == 1


def test_exporter_when_its_certificate_is_asked_for_then_only_with_one_of_the_authority(
    authority: Authority, files: TlsFiles, tmp_path: Path
):
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger").pair("exporter")
    wanted = files._replace(client_ca=authority.certificate)
    with listening(wanted) as collector:
        for pair in (None, stranger):
            # TLS 1.3: the client learns only later that it was refused.
            with connect(collector, authority, pair) as sock:
                assert is_refused(sock)
        with connect(collector, authority, authority.pair("exporter")) as sock:
            sock.sendall(WHOLE)
            collector.wait_for_rows(1)
        assert len(collector.rows) == 1
        assert collector.counts["closed_handshake"] == 2


@pytest.mark.parametrize(
    "octets",
    [b"\x00" * 100, WHOLE, b"\x16\x03\x01\xff\xff" + b"x" * 500],
    ids=["zeros", "plain", "records"],
)
def test_client_when_it_sends_no_handshake_then_closed_and_others_served(
    authority: Authority, files: TlsFiles, octets: bytes
):
    with listening(files) as collector, collector.connect() as stranger:
        stranger.sendall(octets)
        with contextlib.suppress(OSError):
            stranger.shutdown(socket.SHUT_WR)
        collector.wait_for_count("closed_handshake")
        with connect(collector, authority) as sock:
            sock.sendall(WHOLE)
            collector.wait_for_rows(1)


def test_handshakes_when_never_finished_then_closed_in_time_and_nobody_waits(
    authority: Authority, files: TlsFiles, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection_module, "HANDSHAKE_SECONDS", 1.0)
    with listening(files) as collector:
        silent = [collector.connect(f"127.0.0.{n}") for n in range(2, 60)]
        silent[0].sendall(b"\x16\x03\x01")
        with connect(collector, authority) as sock:
            sock.sendall(WHOLE)
            collector.wait_for_rows(1)
            collector.wait_for_count("closed_handshake_timeout", len(silent))
            sock.sendall(ipfix(TEMPLATE, DATA))
            collector.wait_for_rows(2)
        for each in silent:
            each.close()


def test_client_when_older_than_tls_1_2_then_refused(authority: Authority, files: TlsFiles):
    with listening(files) as collector:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with collector.connect() as sock, pytest.raises(ssl.SSLError):
            context.wrap_socket(sock)


def test_certificate_when_its_files_change_then_new_connections_see_the_new_one(
    authority: Authority, files: TlsFiles
):
    reloaded = ReloadedContext(files)
    before = reloaded.context
    reloaded.renew()
    assert reloaded.context is before
    certificate, key = authority.pair("renewed")
    os.replace(key, files.key)
    reloaded.renew()
    assert reloaded.context is before, "a key without its certificate changes nothing"
    os.replace(certificate, files.certificate)
    reloaded.renew()
    assert reloaded.context is not before


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"key": Path("/nowhere")}, "tls_key /nowhere: no such file"),
        ({"client_ca": Path("/nowhere")}, "tls_client_ca /nowhere: no such file"),
    ],
)
def test_files_when_missing_then_one_sentence(files: TlsFiles, change: dict[str, Path], text: str):
    with pytest.raises(StartupError, match=text):
        tls_context(files._replace(**change))


def test_files_when_not_a_pair_then_one_sentence(files: TlsFiles, authority: Authority):
    _, other_key = authority.pair("other")
    with pytest.raises(StartupError, match="the key is of another certificate"):
        tls_context(files._replace(key=other_key))
    files.certificate.write_text("no certificate")
    with pytest.raises(StartupError, match="expected a certificate and its key in PEM"):
        tls_context(files)
    with pytest.raises(StartupError, match=r"tls_client_ca .*: expected certificates in PEM"):
        tls_context(TlsFiles(*authority.pair("again"), files.certificate))
