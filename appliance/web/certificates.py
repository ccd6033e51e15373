"""A self-signed certificate for the first start, and the fingerprints of certificates.

The pair that `appliance cert` makes lies in the data directory and is used wherever the settings
name no other.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import socket
import ssl
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from appliance.atomic_files import PRIVATE, PUBLIC, atomic_write
from appliance.errors import StartupError
from appliance.settings.file import Settings
from appliance.settings.types import ListenAddress
from appliance.web.api_server import TlsFiles

FOLDER = "tls"
COMMON_NAME = "netflow-appliance"
_DNS_NAME = re.compile(r"[A-Za-z0-9_*-]+(?:\.[A-Za-z0-9_-]+)*")
_BACKDATED = timedelta(hours=1)
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def own_pair(settings: Settings) -> TlsFiles:
    """Return where the self-signed pair is, or would be."""
    folder: Path = settings["data_directory"] / FOLDER
    return TlsFiles(folder / "certificate.pem", folder / "key.pem")


def is_there(pair: TlsFiles) -> bool:
    """Tell whether both files of a pair are there."""
    return pair.certificate.exists() and pair.key.exists()


def usual_names(settings: Settings) -> list[str]:
    """Return the names and addresses by which this machine is likely to be called."""
    listen = [at.host for at in settings["web.listen"] if isinstance(at, ListenAddress)]
    named = [host for host in listen if not ipaddress.ip_address(host).is_unspecified]
    return list(dict.fromkeys([*_LOCAL_NAMES, socket.gethostname(), *named]))


def make_pair(pair: TlsFiles, names: Iterable[str], days: int, now: datetime) -> None:
    """Write a new private key (0600) and a certificate that is signed with it.

    Raises
    ------
    StartupError
        A name cannot be in a certificate, or the files cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(key, list(names), days, now)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(pair.key, private, PRIVATE)
    _write(pair.certificate, certificate, PUBLIC)


def fingerprint(certificate: Path) -> str:
    """Return the SHA-256 fingerprint of the first certificate in a file, as browsers show it.

    Raises
    ------
    StartupError
        It cannot be read.
    """
    return hashlib.sha256(_der(certificate)).digest().hex(":").upper()


def expiry(certificate: Path) -> datetime:
    """Return when the first certificate in a file ends.

    Raises
    ------
    StartupError
        It cannot be read.
    """
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(_der(certificate)).not_valid_after_utc
    except ValueError as error:
        raise StartupError(f"{certificate} is no certificate: {error}") from None


def _sign(key: Any, names: list[str], days: int, now: datetime) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    common = x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAME)
    subject = x509.Name([common])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        # RFC 5280 section 4.2.1.3: a TLS server with a key for ECDSA signs, nothing else.
        .add_extension(_signing_only(), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _signing_only() -> Any:
    from cryptography import x509

    others = (
        *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(digital_signature=True, **dict.fromkeys(others, False))


def _general(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        ascii_name = name.encode("idna").decode("ascii")
    except UnicodeError:
        ascii_name = ""
    if not _DNS_NAME.fullmatch(ascii_name):
        raise StartupError(f"{name!r} is not a name for a certificate")
    return x509.DNSName(ascii_name)


def _write(path: Path, octets: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, mode) as file:
            file.write(octets)
    except OSError as error:
        raise StartupError(f"{path} cannot be written: {(error.strerror or '').lower()}") from None


def _der(certificate: Path) -> bytes:
    try:
        text = certificate.read_text(encoding="ascii")
        begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
        first = text[text.index(begin) : text.index(end) + len(end)]
        return ssl.PEM_cert_to_DER_cert(first)
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise StartupError(f"{certificate} is no certificate: {reason}") from None
