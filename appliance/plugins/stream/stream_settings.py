"""The settings of streams: where flows go, which ones, and as what."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from appliance import Settings
from appliance.settings.file import Setting
from appliance.settings.raw_values import scalar_text, within
from appliance.settings.target_lists import parse_targets, target_values
from appliance.settings.types import (
    Boolean,
    OptionalFilePath,
    TextList,
    UnfitSettingError,
)

FOLDER = "stream"
"""In the data directory: how far each target is."""

TCP, TLS, UNIX, FILE = "tcp", "tls", "unix", "file"
SYSLOG_UDP, SYSLOG_TCP, SYSLOG_TLS = "syslog+udp", "syslog+tcp", "syslog+tls"
NETWORK = (TCP, TLS, SYSLOG_UDP, SYSLOG_TCP, SYSLOG_TLS)
KEYS = ("to", "filter", "columns", "history")
MAX_TARGETS = 8
_LONGEST_SOCKET = 107
"""Linux: `sun_path` has 108 octets with the final zero."""


class StreamAddress(NamedTuple):
    """Where lines go.

    Attributes
    ----------
    host, port
        Of a target in the network.
    path
        Of a file or a UNIX socket.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: Path = Path()

    def __str__(self) -> str:
        if self.scheme not in NETWORK:
            return f"{self.scheme}:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class StreamTarget(NamedTuple):
    """A program that gets flows.

    Attributes
    ----------
    filter
        Which flows; empty: all.
    columns
        Their names; none: those of an export.
    history
        Whether it first gets what the flow log has already.
    """

    to: StreamAddress
    filter: str = ""
    columns: tuple[str, ...] = ()
    history: bool = False

    def folder(self, settings: Settings) -> Path:
        """Return where its place in the flow log is kept."""
        digest = hashlib.sha256(str(self.to).encode()).hexdigest()[:16]
        return Path(settings["data_directory"]) / FOLDER / digest


@dataclass(frozen=True, slots=True)
class StreamTargets:
    """Addresses, or mappings that say more."""

    expected: str = (
        "a list of addresses such as tcp://192.0.2.9:5140, syslog+udp://192.0.2.9:514 or"
        ' file:/srv/flows.json, or of {to: "tcp://192.0.2.9:5140", filter: "port 443"}'
    )

    def parse(self, raw: object, folder: Path) -> tuple[StreamTarget, ...]:
        """Return the targets.

        Raises
        ------
        UnfitSettingError
            One is wrong, is there twice, or there are too many.
        """
        return parse_targets(raw, MAX_TARGETS, lambda item: _target(item, folder))


def _target(item: object, folder: Path) -> StreamTarget:
    where, values = target_values(item, KEYS, 200)
    try:
        to = parse_stream_address(where, folder)
    except ValueError:
        raise UnfitSettingError(
            f"expected an address such as tcp://192.0.2.9:5140, tls://collector.example.net:6514,"
            f" syslog+udp://192.0.2.9:514, unix:/run/flows.sock or file:/srv/flows.json, found"
            f" {where!r}"
        ) from None
    try:
        return StreamTarget(
            to,
            scalar_text(values.get("filter", "")),
            TextList().parse(values.get("columns", []), folder),
            Boolean().parse(values.get("history", "false"), folder),
        )
    except ValueError:
        problem = "expected a filter in one text, columns as a list, history true or false"
        raise UnfitSettingError(f"{where}: {problem}") from None


def parse_stream_address(text: str, folder: Path) -> StreamAddress:
    """Return the address that a text means.

    Parameters
    ----------
    folder
        Relative paths begin here.

    Raises
    ------
    ValueError
        It is none.
    """
    scheme, colon, rest = text.partition(":")
    if scheme in (FILE, UNIX) and rest and colon:
        path = folder / rest.removeprefix("//")
        if scheme == UNIX and len(bytes(path)) > _LONGEST_SOCKET:
            raise ValueError(text)
        return StreamAddress(scheme, path=path)
    if scheme not in NETWORK or not rest.startswith("//"):
        raise ValueError(text)
    host, _, port = rest[2:].rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not bare or (":" in bare) != is_bracketed or not port.isdecimal() or "/" in bare:
        raise ValueError(text)
    return StreamAddress(scheme, bare, within(int(port), 1, 65535))


TARGETS = Setting(
    "stream.targets",
    StreamTargets(),
    [],
    "Programs that get each flow as a line of JSON while it comes: [tcp://192.0.2.9:5140]. Schemes"
    " are tcp, tls, syslog+udp, syslog+tcp, syslog+tls (RFC 5424), unix and file. One can say more:"
    ' {to: "tcp://192.0.2.9:5140", filter: "port 443", columns: [source_address], history: true}'
    " begins with what the flow log has already. Empty: none.",
)
CA_FILE = Setting(
    "stream.ca_file",
    OptionalFilePath(),
    "",
    "With tls: certificates (PEM) that a target's own must be signed by. Empty: those that this"
    " machine trusts.",
)
CERTIFICATE_FILE = Setting(
    "stream.certificate_file",
    OptionalFilePath(),
    "",
    "With tls: the certificate and key (PEM, one file) by which targets know this machine. Empty:"
    " none.",
)
SETTINGS: list[Setting[Any]] = [TARGETS, CA_FILE, CERTIFICATE_FILE]
