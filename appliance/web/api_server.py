"""Reads `api_server.yml`: the listener of the netflow collector API, its TLS, CORS and logs.

The keys are those of the published API; `reference/api-notes.md` says what each does here. Unknown
keys and timeouts that waitress has no counterpart for become warnings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.errors import SettingsError
from appliance.settings.file import Setting, Settings, read_yaml
from appliance.settings.raw_values import sample, unknown
from appliance.settings.server_addresses import UNIX, ServerAddress, parse_server_address
from appliance.settings.types import (
    Boolean,
    Duration,
    Integer,
    OptionalFilePath,
    Text,
    TextList,
)
from appliance.web.cors import Cors

FILE_NAME = "api_server.yml"

API_SETTINGS: tuple[Setting[Any], ...] = (
    Setting("debug", Boolean(), False, "Write more to the log."),
    Setting("accessLogFile", OptionalFilePath(), "", "A line for each request goes here."),
    Setting("errorLogFile", OptionalFilePath(), "", "Warnings and errors also go here."),
    Setting("listen.address", Text(), "0.0.0.0", "Address to listen on, or unix:PATH."),  # noqa: S104
    Setting("listen.port", Integer(0, 65535), 9999, "Port to listen on."),
    Setting("tls.enabled", Boolean(), False, "Speak HTTPS only."),
    Setting("tls.cert", OptionalFilePath(), "", "Certificate with its chain (PEM)."),
    Setting("tls.key", OptionalFilePath(), "", "Its private key (PEM)."),
    Setting("http.readTimeOut", Duration(), "0s", "Not acted upon."),
    Setting("http.writeTimeOut", Duration(), "0s", "Not acted upon."),
    Setting("http.idleTimeOut", Duration(), "0s", "Close connections without a request after it."),
    Setting("http.readHeaderTimeOut", Duration(), "0s", "Not acted upon."),
    Setting("http.cors.allowAll", Boolean(), False, "Every page of every site may ask."),
    Setting("http.cors.allowedHeaders", TextList(), [], "Headers that other sites may send."),
    Setting("http.cors.allowedMethods", TextList(), [], "Methods that other sites may use."),
    Setting("http.cors.allowedOrigins", TextList(), [], "Sites whose pages may ask."),
    Setting("needAuth", Boolean(), True, "Whether the API needs a token."),
)

_OTHER_SPELLINGS = {"tls.enable": "tls.enabled"}
_NOT_ACTED_UPON = ("http.readTimeOut", "http.writeTimeOut", "http.readHeaderTimeOut")
_TABLE = {setting.name: setting for setting in API_SETTINGS}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A certificate with its chain, and its private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ApiServerConfig:
    """What `api_server.yml` says.

    Attributes
    ----------
    file
        None: there is no file, everything is at its documented default.
    idle_seconds
        None: as in `appliance.yml`.
    warnings
        What the file says that is not understood or not acted upon.
    """

    file: Path | None
    listen: ServerAddress
    tls: TlsFiles | None
    cors: Cors
    need_auth: bool
    debug: bool
    access_log: Path | None
    error_log: Path | None
    idle_seconds: float | None
    warnings: tuple[str, ...] = ()


def configuration_folder(settings: Settings) -> Path:
    """Return the folder that every configuration file is in."""
    return settings.file.parent if settings.file is not None else Path("conf")


def read_api_server(folder: Path) -> ApiServerConfig:
    """Read the file of this folder; without one all is default, and a token is needed.

    Raises
    ------
    SettingsError
        It cannot be read, or a value does not fit.
    """
    file = folder / FILE_NAME
    written = dict(_flat(read_yaml(file))) if file.is_file() else {}
    warnings: list[str] = []
    raw = _known_keys(written, file, warnings)
    values = {name: _parse(setting, raw, file) for name, setting in _TABLE.items()}
    warnings += [
        f"{file}: {name}: is not acted upon, the server has no such timeout"
        for name in _NOT_ACTED_UPON
        if values[name]
    ]
    return ApiServerConfig(
        file=file if file.is_file() else None,
        listen=_listen(values, file),
        tls=_tls(values, file),
        cors=Cors(
            values["http.cors.allowAll"],
            values["http.cors.allowedHeaders"],
            tuple(method.upper() for method in values["http.cors.allowedMethods"]),
            values["http.cors.allowedOrigins"],
        ),
        need_auth=values["needAuth"],
        debug=values["debug"],
        access_log=values["accessLogFile"],
        error_log=values["errorLogFile"],
        idle_seconds=values["http.idleTimeOut"] or None,
        warnings=tuple(warnings),
    )


def _flat(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        name = prefix + key
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        elif value != "" or name in _TABLE:
            yield name, value


def _known_keys(
    written: Mapping[str, object], file: Path, warnings: list[str]
) -> dict[str, object]:
    """Return the keys that there are by their first spelling; others become warnings."""
    raw: dict[str, object] = {}
    for name, value in written.items():
        key = _OTHER_SPELLINGS.get(name, name)
        if key not in _TABLE:
            warnings.append(f"{file}: {name}: {unknown('key', name, _TABLE)}")
        elif key in raw:
            raise SettingsError(f"is set as {name} too", file=file, key=key)
        else:
            raw[key] = value
    return raw


def _parse(setting: Setting[Any], raw: Mapping[str, object], file: Path) -> Any:
    value = raw.get(setting.name, "")
    if value == "":
        value = setting.default
    try:
        return setting.type.parse(value, file.parent)
    except ValueError:
        problem = f"expected {setting.type.expected}, found {sample(value)}"
        raise SettingsError(problem, file=file, key=setting.name) from None


def _listen(values: Mapping[str, Any], file: Path) -> ServerAddress:
    host = str(values["listen.address"])
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    try:
        if host.startswith(UNIX):
            return parse_server_address(host, file.parent)
        return parse_server_address(f"{shown}:{values['listen.port']}", file.parent)
    except ValueError:
        problem = f"expected an address such as 127.0.0.1 or ::, found {sample(host)}"
        raise SettingsError(problem, file=file, key="listen.address") from None


def _tls(values: Mapping[str, Any], file: Path) -> TlsFiles | None:
    if not values["tls.enabled"]:
        return None
    certificate, key = values["tls.cert"], values["tls.key"]
    if certificate is None or key is None:
        missing = "tls.cert" if certificate is None else "tls.key"
        raise SettingsError("is needed where tls.enabled is true", file=file, key=missing)
    return TlsFiles(certificate, key)
