"""TLS of exporters' connections: the certificate that they see, and who may sign theirs."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from appliance.errors import SettingsError, StartupError
from appliance.settings.file import Settings

log = logging.getLogger(__name__)


class TlsFiles(NamedTuple):
    """Files (PEM) of an endpoint; without `client_ca` any exporter may connect."""

    certificate: Path
    key: Path
    client_ca: Path | None


def tls_files_of(settings: Settings) -> TlsFiles:
    """Return the files that the settings name.

    Raises
    ------
    SettingsError
        There is no certificate or no key.
    """
    for name in ("collector.tls_certificate", "collector.tls_key"):
        if settings[name] is None:
            raise SettingsError("collector.listen_tls needs a file (PEM)", key=name)
    return TlsFiles(
        settings["collector.tls_certificate"],
        settings["collector.tls_key"],
        settings["collector.tls_client_ca"],
    )


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return what handshakes are made with: TLS 1.2 or later (RFC 7011 section 11.1).

    Raises
    ------
    StartupError
        A file cannot be read or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Nothing is sent to exporters, so there is nothing that a later session could resume faster.
    context.num_tickets = 0
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except OSError as error:
        raise StartupError(
            f"collector.tls_certificate {files.certificate} with collector.tls_key {files.key}:"
            f" {_reason(error)}"
        ) from None
    if files.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(files.client_ca)
        except OSError as error:
            raise StartupError(
                f"collector.tls_client_ca {files.client_ca}: {_reason(error)}"
            ) from None
    return context


def _no_password() -> str:
    raise ssl.SSLError("it has a password")


_SSL_REASONS = {
    "KEY_VALUES_MISMATCH": "the key is of another certificate",
    "PEM_LIB": "expected a certificate and its key in PEM",
    "NO_CERTIFICATE": "expected certificates in PEM",
    "NO_START_LINE": "expected certificates in PEM",
    "HAS_A_PASSWORD": "the key has a password, and nobody is there to type it",
}


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        # Python's text for the same reason has blanks in one place, underscores in another.
        text = str(error).replace(" ", "_").upper()
        return next((says for word, says in _SSL_REASONS.items() if word in text), str(error))
    return f"{error.strerror}".lower()


class ReloadedContext:
    """A context that is made anew when its files have changed."""

    def __init__(
        self, files: TlsFiles, make: Callable[[TlsFiles], ssl.SSLContext] = tls_context
    ) -> None:
        """Make the first.

        Raises
        ------
        StartupError
            See `tls_context`.
        """
        self._files, self._make = files, make
        self._stamps = self._now()
        self.context = make(files)

    def renew(self) -> None:
        """Look at the files; what cannot be used leaves the context as it was."""
        stamps = self._now()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self.context = self._make(self._files)
        except StartupError as error:
            log.warning("%s; new connections get the former certificate", error)
            return
        log.info("%s: read anew", self._files.certificate)

    def _now(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in self._files if path is not None)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
