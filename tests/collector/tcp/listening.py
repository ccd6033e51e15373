"""Connections at work in this process: a listener, a pipeline, and exporters that connect."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.fair_share import FairShare
from appliance.collector.pipeline import Pipeline
from appliance.collector.tcp.acceptor import StreamSettings
from appliance.collector.tcp.admission import ConnectionLimits
from appliance.collector.tcp.feed import ConnectionFeed
from appliance.collector.tcp.inbox import Inbox
from appliance.collector.tcp.listener import StreamListener
from appliance.collector.tcp.tls import TlsFiles
from appliance.flows import FlowBatch
from appliance.plugins.ipfix import FRAMING
from appliance.settings.types import ListenAddress
from tests.decoding.building import decoders, rows_of

LOOPBACK = ListenAddress("127.0.0.1", 0)
LONG_SECONDS = 30.0


class Rows:
    """A sink that keeps flow records as dictionaries."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def append(self, batch: FlowBatch) -> None:
        if not batch.options:
            self.rows += rows_of(batch)


class Listening:
    """A listener and what the collector makes of its messages."""

    def __init__(self, settings: StreamSettings) -> None:
        self.sink = Rows()
        self.states = ExporterStates(ExporterLimits())
        self.share = FairShare(self.states.is_known)
        self.pipeline = Pipeline(
            list(decoders().values()), self.states, self.sink, share=self.share
        )
        self.inbox = Inbox()
        self.listener = StreamListener(settings, self.inbox, lambda: None)
        self.feed = ConnectionFeed(
            self.listener, self.inbox, self.pipeline, self.states, self.share
        )
        self.is_taking = True

    @property
    def target(self) -> tuple[str, int]:
        _, address = self.listener.acceptor.addresses[0]
        return address.host, address.port

    @property
    def counts(self) -> dict[str, int]:
        return dict(self.listener.counts)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.sink.rows

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(self.target, LONG_SECONDS, (source, 0))

    def send(self, *pieces: bytes, source: str = "127.0.0.1") -> None:
        """Connect, send and close."""
        with self.connect(source) as sock:
            for piece in pieces:
                sock.sendall(piece)

    def wait_for(self, is_so: Callable[[], bool], seconds: float = LONG_SECONDS) -> None:
        """Do the collector's work until something is so."""
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline, (self.counts, len(self.rows))
            if self.is_taking:
                now_ms = int(time.time() * 1000)
                self.feed.take(now_ms)
                self.pipeline.take_waiting(now_ms, time.monotonic())
            threading.Event().wait(0.005)

    def wait_for_count(self, word: str, number: int = 1) -> None:
        self.wait_for(lambda: self.counts.get(word, 0) >= number)

    def wait_for_rows(self, number: int) -> None:
        self.wait_for(lambda: len(self.rows) >= number)


@contextmanager
def listening(
    tls_files: TlsFiles | None = None,
    limits: ConnectionLimits | None = None,
    allowed: tuple[Any, ...] = (),
) -> Iterator[Listening]:
    """Have a listener at work on a free port of loopback, of TLS when files are given."""
    tcp, tls = ((), (LOOPBACK,)) if tls_files is not None else ((LOOPBACK,), ())
    settings = StreamSettings(
        tcp, tls, {10: FRAMING}, limits or ConnectionLimits(), allowed, tls_files
    )
    working = Listening(settings)
    working.feed.start()
    try:
        yield working
    finally:
        working.feed.stop()


class Authority:
    """Signs certificates, and writes them to a folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder, self.name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = folder / f"{name}.pem"
        self._write(self.certificate, self._sign(self._key, name, is_authority=True))

    def pair(self, name: str) -> tuple[Path, Path]:
        """Write a certificate and its key; return both files."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, key_file = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        self._write(certificate, self._sign(key, name, is_authority=False))
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key_file

    def _sign(
        self, key: ec.EllipticCurvePrivateKey, name: str, *, is_authority: bool
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        usage = x509.KeyUsage(*(True, *[False] * 4, is_authority, is_authority, False, False))
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(usage, critical=True)
            # Python 3.13 and newer ask for both, as RFC 5280 does.
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, path: Path, certificate: x509.Certificate) -> None:
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
