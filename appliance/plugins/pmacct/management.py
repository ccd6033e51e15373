"""Collector management: start, stop and configuration, below `/api/v1/admin/collector`.

The messages speak of nfacctd whichever engine runs, as the published API does. A change of the
configuration acts at the collector's next start.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from appliance.contracts import ADMINISTRATOR, Answer, Route
from appliance.errors import ApplianceError, SettingsError, StorageError
from appliance.plugins.pmacct.configuration.active_config import config_file, config_from_file
from appliance.plugins.pmacct.configuration.config import CollectorConfig, read_config
from appliance.plugins.pmacct.configuration.editing import change_config, edit_config
from appliance.plugins.pmacct.configuration.effective import DEFAULT_PORT, EffectiveConfig
from appliance.plugins.pmacct.configuration.reading import effective
from appliance.processes.supervision import (
    AlreadyRunning,
    NotRunning,
    SupervisionError,
    Supervisor,
)
from appliance.settings.file import Settings
from appliance.stores import DATABASE_SETTING
from appliance.web.bodies import Body
from appliance.web.openapi import AnswerExample, OrNull, operation

PREFIX = "/api/v1/admin/collector"
TAG = "Collector Management"

STARTED = "Collector successfully started"
STOPPED = "Collector successfully stopped"
UPDATED = "Collector parameters updated"
RUNS_ALREADY = "Nfacctd process already running"
NONE_RUNS = "No nfacctd process running"
RUNNING, NOT_RUNNING = "Running", "Stopped"

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - what nfacctd listens on when it is not told
_DEFAULTS = {"sql_db": "pmacct", "sql_host": "localhost", "sql_user": "pmacct"}
"""What nfacctd's MySQL plugin takes when the file does not say."""

_TABLE: Mapping[str, str | None] = {
    "plugins": "mysql[netflow]",
    "aggregate": "peer_src_ip, src_host, dst_host, src_port, dst_port, proto, tos, flows",
    "sql_table": "acct",
    "sql_table_version": "9",
    "sql_optimize_clauses": "true",
    "sql_history": "1m",
    "sql_history_roundoff": "m",
    "sql_refresh_time": "60",
}
"""What a configuration begins with that is made because a database was named."""

_MYSQL = ("sqlDB", "sqlHost", "sqlUser", "sqlPassword")
"""What names a MySQL database."""

MYSQL_PORT = 3306
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]{1,5}")
_MOST_NAME = 64
_MOST_PASSWORD = 128


class Parameter(NamedTuple):
    """One parameter of the configuration's PUT.

    Attributes
    ----------
    key
        In the collector configuration.
    is_valid
        Whether a value can be used.
    problem
        What is said of one that cannot.
    """

    key: str
    is_valid: Callable[[str], bool]
    problem: str


class UnworkableChange(ApplianceError):  # noqa: N818 - it says what is the case
    """The collector could not start with a change.

    Attributes
    ----------
    problems
        By parameter, as the published API has them.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = [{name: text} for name, text in problems.items()]
        super().__init__("; ".join(problems.values()))


def start_collector(
    collector: Supervisor, preflight: Callable[[], None], settings: Settings
) -> Mapping[str, str] | Answer:
    """Start the collector; what keeps it from starting is said."""
    if collector.status().is_running:
        return Answer({"error": RUNS_ALREADY}, 409)
    try:
        _refuse_foreign_address(settings)
        preflight()
        collector.start()
    except AlreadyRunning:
        return Answer({"error": RUNS_ALREADY}, 409)
    except (SupervisionError, SettingsError, StorageError) as error:
        return Answer({"error": str(error)}, 500)
    return {"message": STARTED}


def stop_collector(collector: Supervisor) -> Mapping[str, str] | Answer:
    """Stop the collector."""
    try:
        collector.stop()
    except NotRunning:
        return Answer({"error": NONE_RUNS}, 409)
    except SupervisionError as error:
        return Answer({"error": str(error)}, 500)
    return {"message": STOPPED}


def configuration(settings: Settings, collector: Supervisor) -> Mapping[str, Any] | Answer:
    """Return the configuration that the next start will use, without the password."""
    try:
        status = RUNNING if collector.status().is_running else NOT_RUNNING
        return {**_parameters(settings), "status": status}
    except ApplianceError as error:
        return Answer({"error": str(error)}, 500)


def change_configuration(body: Body, settings: Settings) -> Mapping[str, str] | Answer:
    """Change the file; the collector that runs goes on as it is."""
    wanted = body.single(tuple(PARAMETERS))
    problems = [
        {name: PARAMETERS[name].problem}
        for name, value in wanted.items()
        if not PARAMETERS[name].is_valid(value)
    ]
    if problems:
        return Answer({"error": problems}, 400)
    if not wanted:
        return Answer({"error": f"Nothing to change, expected {', '.join(PARAMETERS)}"}, 400)
    changes = {PARAMETERS[name].key: value for name, value in wanted.items()}
    path = config_file(settings)

    def change(there: CollectorConfig | None) -> str:
        base = _listening(settings) if there is None else {}
        config = CollectorConfig(path, ()) if there is None else there
        return edit_config(config, {**base, **_database_base(config, settings, wanted), **changes})

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        change_config(path, change)
    except UnworkableChange as error:
        return Answer({"error": error.problems}, 400)
    except (ApplianceError, OSError) as error:
        return Answer({"error": str(error)}, 500)
    return {"message": UPDATED}


def _parameters(settings: Settings) -> dict[str, Any]:
    path = config_file(settings)
    of_settings = {**dict.fromkeys(_DEFAULTS), **_database_of_settings(settings)}
    if settings["collector.config"] is None and not path.exists():
        listening = _listening(settings)
        address = listening["nfacctd_ip"] or ANY_ADDRESS
        return _config_json(address, int(listening["nfacctd_port"] or 0), of_settings)
    found = effective(read_config(path))
    port = found.number("nfacctd_port", default=DEFAULT_PORT)
    database = _database(found) if found.sql_plugins else of_settings
    return _config_json(found.text("nfacctd_ip", default=ANY_ADDRESS), port, database)


def _listening(settings: Settings) -> Mapping[str, str | None]:
    """Return where the collector listens, in the words of a configuration that is made now."""
    listen = settings["collector.listen"][0]
    address = listen.host if _is_ipv4(listen.host) else None
    return {"nfacctd_ip": address, "nfacctd_port": str(listen.port)}


def _database_base(
    config: CollectorConfig, settings: Settings, wanted: Mapping[str, str]
) -> Mapping[str, str | None]:
    """Return what a configuration must have for a change of its database to act.

    Raises
    ------
    UnworkableChange
        It could not: the database is a file, or nothing says all of a MySQL database.
    """
    names = [name for name in wanted if PARAMETERS[name].key.startswith("sql_")]
    plugins = effective(config).sql_plugins
    if not names or any(plugin.type == "mysql" for plugin in plugins):
        return {}
    if plugins:
        no_use = [name for name in names if name != "sqlDB"]
        if no_use:
            text = "The configuration's database is a SQLite file, which has none"
            raise UnworkableChange(dict.fromkeys(no_use, text))
        return {}
    if any(line.key == "plugins" for line in config.lines):
        text = "The configuration fills no database: name one in its plugins first"
        raise UnworkableChange(dict.fromkeys(names, text))
    in_use = _database_of_settings(settings)
    missing = [name for name in _MYSQL if name not in wanted]
    if missing and not in_use:
        text = "Required, as no MySQL database is in use so far"
        raise UnworkableChange(dict.fromkeys(missing, text))
    return {**_TABLE, **in_use}


def _database_of_settings(settings: Settings) -> dict[str, str | None]:
    """Return the MySQL database of `flows.database` in nfacctd's words; empty for another kind."""
    parts = urlsplit(str(settings[DATABASE_SETTING]))
    if parts.scheme != "mysql":
        return {}
    socket_file = parse_qs(parts.query).get("socket", [""])[0]
    return {
        "sql_host": f"unix:{socket_file}" if socket_file else parts.hostname,
        "sql_port": str(parts.port or MYSQL_PORT),
        "sql_db": unquote(parts.path.strip("/")),
        "sql_user": unquote(parts.username or ""),
        "sql_passwd": unquote(parts.password or ""),
    }


def _refuse_foreign_address(settings: Settings) -> None:
    """Raise when the collector is to listen on an address that this machine does not have."""
    found = config_from_file(settings)
    address = found.text("nfacctd_ip") if found is not None else ""
    if not address:
        return
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            raise SupervisionError(f"{address} is not an address of this machine") from None


def _config_json(address: str, port: int, database: Mapping[str, str | None]) -> dict[str, Any]:
    return {
        "collectorIP": address,
        "collectorPort": port,
        "sqlDB": database["sql_db"],
        "sqlHost": database["sql_host"],
        "sqlUser": database["sql_user"],
    }


def _database(found: EffectiveConfig) -> dict[str, str | None]:
    """Return what the first plugin with a database says; nfacctd's defaults are for MySQL only."""
    plugin = next(iter(found.sql_plugins), None)
    name = plugin.name if plugin is not None else ""
    defaults = _DEFAULTS if plugin is not None and plugin.type == "mysql" else {}
    return {key: found.text(key, name) or defaults.get(key) for key in _DEFAULTS}


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and 1 <= int(text) <= 65535


def _is_host(text: str) -> bool:
    """Tell whether a text is an IPv4 address or a host name (RFC 1123)."""
    if re.fullmatch(r"[0-9.]*", text):
        return _is_ipv4(text)
    return len(text) <= 253 and all(_LABEL.fullmatch(part) for part in text.split("."))


def _is_name(text: str) -> bool:
    return 1 <= len(text) <= _MOST_NAME and text.isprintable() and _is_plain(text)


def _is_password(text: str) -> bool:
    return len(text) <= _MOST_PASSWORD and text.isprintable() and text == text.strip()


def _is_plain(text: str) -> bool:
    """Tell whether a database's or user's name needs no quotes anywhere."""
    return not set(text) & set("`'\"\\/;#! \u00a0")


PARAMETERS: Mapping[str, Parameter] = {
    "collectorIP": Parameter("nfacctd_ip", _is_ipv4, "Invalid IP Address (IPv4)"),
    "collectorPort": Parameter("nfacctd_port", _is_port, "Invalid Port (1 to 65535)"),
    "sqlDB": Parameter("sql_db", _is_name, "Invalid Database Name"),
    "sqlHost": Parameter("sql_host", _is_host, "Invalid Host (IPv4 or hostname)"),
    "sqlUser": Parameter("sql_user", _is_name, "Invalid Username"),
    "sqlPassword": Parameter("sql_passwd", _is_password, "Invalid Password"),
}


def collector_routes() -> list[Route]:
    """Return the routes below `/api/v1/admin/collector`."""
    example = {
        "collectorIP": "10.0.2.15",
        "collectorPort": 8887,
        "sqlDB": OrNull("destne"),
        "sqlHost": OrNull("127.0.0.1"),
        "sqlUser": OrNull("root"),
        "status": NOT_RUNNING,
    }
    body = {
        "collectorIP": "10.0.2.16",
        "collectorPort": "8889",
        "sqlDB": "destne2",
        "sqlHost": "127.0.0.1",
        "sqlUser": "root",
        "sqlPassword": "password",
    }
    listens = "The configuration; collectorIP is the address on which the collector listens"
    started, stopped, updated = ({"message": text} for text in (STARTED, STOPPED, UPDATED))
    described = (
        ("GET", "start", start_collector, "Start the collector", started, (409, 500)),
        ("GET", "stop", stop_collector, "Stop the collector", stopped, (409, 500)),
        ("GET", "config", configuration, listens, example, (500,)),
        (
            "PUT",
            "config",
            change_configuration,
            "Change it for the next start",
            updated,
            (400, 413, 415, 500),
        ),
    )
    return [
        Route(
            method,
            f"{PREFIX}/{path}",
            handler,
            role=ADMINISTRATOR,
            schema=operation(
                summary,
                AnswerExample(answer, refuses=refuses),
                body=body if method == "PUT" else None,
                tag=TAG,
            ),
            changes=path in ("start", "stop"),
            error_body=lambda problem: {"error": problem},
        )
        for method, path, handler, summary, answer, refuses in described
    ]
