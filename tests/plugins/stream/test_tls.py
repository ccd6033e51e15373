"""Streams by TLS, with certificates of either side."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.errors import SettingsError, StorageError
from appliance.plugins.stream.loader import loaders_of
from tests.plugins.clickhouse.world import START, LogOfFlows
from tests.plugins.stream.world import LineServer, loader_of, octets_of, send_all, settings_of


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a certificate of 127.0.0.1 with its key, in one file."""
    file = tmp_path / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=target", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    file.write_text((tmp_path / "cert.pem").read_text() + (tmp_path / "key.pem").read_text())
    return file


def test_tls_when_both_sides_have_certificates_then_the_flows_arrive(
    servers: Callable[..., LineServer], tmp_path: Path, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    server, log = servers(("127.0.0.1", 0), context), LogOfFlows(tmp_path)
    log.write(3_000)
    to = {"to": f"tls://127.0.0.1:{server.address[1]}", "columns": ["all"], "history": True}
    files = {"ca_file": str(certificate), "certificate_file": str(certificate)}
    (loader,) = loaders_of(settings_of(tmp_path, to, **files))
    assert send_all(loader) == 3_000
    assert octets_of(server.rows(3_000)) == log.sums()[1]
    loader.close()


def test_tls_when_the_certificate_is_not_trusted_then_nothing_is_sent_and_said(
    servers: Callable[..., LineServer], tmp_path: Path, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = servers(("127.0.0.1", 0), context)
    LogOfFlows(tmp_path).write(30)
    loader = loader_of(tmp_path, f"tls://127.0.0.1:{server.address[1]}", history=True)
    with pytest.raises(StorageError, match="its certificate is not trusted: self"):
        loader.load_once(START)
    assert not any(server.received)
    loader.close()


def test_tls_when_a_file_of_certificates_is_not_there_then_one_sentence(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "tls://127.0.0.1:1", ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(SettingsError, match=r"none\.pem: no such file") as caught:
        list(loaders_of(settings))
    assert caught.value.key == "stream.ca_file"
