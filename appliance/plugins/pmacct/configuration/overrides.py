"""What a collector configuration says in place of the appliance's own settings.

Values are as `appliance.yml` would have them, so that they are checked, shown and used like those.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from appliance.contracts import Overrides
from appliance.errors import SettingsError
from appliance.flows import RawElement
from appliance.log_handlers import FACILITIES
from appliance.plugins.pmacct.configuration.active_config import NFACCTD
from appliance.plugins.pmacct.configuration.config import PluginName, is_comment, read_lines
from appliance.plugins.pmacct.configuration.effective import DEFAULT_PORT, EffectiveConfig
from appliance.plugins.pmacct.configuration.primitives import read_primitives
from appliance.settings.file import Settings
from appliance.settings.kept_values import raw_element_text

NOBODY = ["255.255.255.255/32"]
"""No datagram comes from there: what an empty `nfacctd_allow_file` allows."""


def overrides(config: EffectiveConfig) -> Mapping[str, Any]:
    """Return settings by name that the configuration decides.

    Raises
    ------
    SettingsError
        nfacctd would not start with it, or a file that it names cannot be read.
    """
    config.raise_errors()
    found: dict[str, Any] = {}
    if config.is_set("nfacctd_ip") or config.is_set("nfacctd_port"):
        found["collector.listen"] = [_listen(config)]
    if config.is_set("nfacctd_pipe_size"):
        found["collector.receive_buffer"] = config.text("nfacctd_pipe_size")
    allow = config.file("nfacctd_allow_file")
    if allow is not None:
        found["collector.allowed_exporters"] = _allow_list(allow)
    primitives = config.file("aggregate_primitives")
    if primitives is not None:
        found["collector.primitives_file"] = str(primitives)
    for key in ("sampling_rate", "nfacctd_ext_sampling_rate"):
        if config.is_set(key):
            found["collector.default_sampling_rate"] = config.text(key)
    if config.is_set("nfacctd_time_secs"):
        found["collector.netflow_v5_seconds"] = config.text("nfacctd_time_secs")
    templates = config.file("nfacctd_templates_file")
    if templates is not None:
        found["collector.templates_file"] = str(templates)
    if config.sql_plugins:
        found["flows.database"] = database_url(config, config.sql_plugins[0])
    if config.header_columns:
        found["collector.header_columns"] = list(config.header_columns)
    return {**found, **_process_overrides(config)}


def _process_overrides(config: EffectiveConfig) -> Mapping[str, object]:
    """Return what the configuration says of the collector as a process, and of its log."""
    process = {
        "log_file": config.file("logfile"),
        "log_facility": config.text("syslog").lower(),
        "collector.process_file": config.file("pidfile"),
        "collector.background": config.text("daemonize").lower(),
    }
    # Like nfacctd, without a facility that there is the log stays where it was.
    if process["log_facility"] not in FACILITIES:
        del process["log_facility"]
    decided = {name: str(value) for name, value in process.items() if value}
    # A log_file of the settings would go before the syslog of the configuration.
    return {"log_file": "", **decided} if "log_facility" in decided else decided


def overrides_beside(settings: Settings, config: EffectiveConfig) -> Overrides:
    """Return what a collector configuration decides beside these settings.

    Raises
    ------
    SettingsError
        As `overrides`.
    """
    found = dict(overrides(config))
    if "collector.listen" in found and _is_made_here(settings):
        found["collector.listen"] = [*_listen_with_others(found["collector.listen"], settings)]
    runs_nfacctd = settings["collector.engine"] == NFACCTD
    # nfacctd gives up on a file that somebody else writes to at the moment.
    is_locked = runs_nfacctd and is_file(found.get("flows.database"))
    if is_locked or has_own_flow_database(settings):
        found.pop("flows.database", None)
    if headers := found.get("collector.header_columns"):
        found["collector.header_columns"] = [*settings["collector.header_columns"], *headers]
    if runs_nfacctd:
        for name in ("collector.background", "collector.process_file"):
            found.pop(name, None)
    return Overrides(config.path, found)


def raw_element_overrides(settings: Settings, config: EffectiveConfig | None) -> list[Overrides]:
    """Return which elements are kept with their octets: those of the settings, those that the file
    of primitives names, and those that tables of the configuration need.

    Raises
    ------
    SettingsError
        The file of primitives cannot be read.
    """
    file: Path | None = settings["collector.primitives_file"]
    more: list[tuple[Path, tuple[RawElement, ...]]] = []
    if config is not None:
        file = config.file("aggregate_primitives") or file
        more = [(config.path, config.kept_elements)]
    if file is not None:
        more.insert(0, (file, read_primitives(file).elements))
    elements: tuple[RawElement, ...] = settings["collector.raw_elements"]
    overrides_of_files = []
    for path, of_file in more:
        elements = tuple(dict.fromkeys((*elements, *of_file)))
        values = {"collector.raw_elements": list(map(raw_element_text, elements))}
        overrides_of_files += [Overrides(path, values)] if of_file else []
    return overrides_of_files


def has_own_flow_database(settings: Settings) -> bool:
    """Tell whether sums are kept where `flows.database` says, whatever the configuration names.

    Not beside a configuration that the API made: it was told the database later than the settings.
    """
    return not _is_made_here(settings) and settings.is_changed("flows.database")


def is_file(url: object) -> bool:
    """Tell whether the URL of a database is that of a SQLite file."""
    return str(url).startswith("sqlite:")


def database_url(config: EffectiveConfig, plugin: PluginName) -> str:
    """Return the URL of a plugin's database."""
    name = plugin.name
    if plugin.type == "sqlite3":
        folder = config.path.parent.absolute()
        return f"sqlite:{folder / config.text('sql_db', name, SQLITE_DEFAULT)}"
    host = config.text("sql_host", name) or "localhost"
    socket = host.removeprefix("unix:") if host.startswith("unix:") else ""
    user = quote(config.text("sql_user", name, "pmacct"), safe="")
    password = quote(config.text("sql_passwd", name, DEFAULT_PASSWORD), safe="")
    database = quote(config.text("sql_db", name, "pmacct"), safe="")
    address = "localhost" if socket else (f"[{host}]" if ":" in host else host)
    port = config.number("sql_port", name, 3306)
    authorities = config.text("sql_conn_ca_file", name)
    parameters = {"socket": socket} if socket else {}
    if authorities and not socket:
        parameters = {"ssl": "verify", "ca": authorities}
    query = f"?{urlencode(parameters)}" if parameters else ""
    return f"mysql://{user}:{password}@{address}:{port}/{database}{query}"


SQLITE_DEFAULT = "/tmp/pmacct.db"  # noqa: S108 - pmacct's own default
DEFAULT_PASSWORD = "arealsmartpwd"  # noqa: S105 - pmacct's own default


def _listen(config: EffectiveConfig) -> str:
    address = config.text("nfacctd_ip") or "::"
    port = config.number("nfacctd_port", default=DEFAULT_PORT)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _is_made_here(settings: Settings) -> bool:
    """Tell whether the configuration is the one that the first change through the API makes."""
    return settings["collector.config"] is None and settings["collector.engine"] != NFACCTD


def _listen_with_others(listen: object, settings: Settings) -> list[str]:
    """Return the changed first address, and the others of the settings, which nobody changed.

    nfacctd's format has one address only; without this, the first change would drop the others.
    """
    first = str(listen[0]) if isinstance(listen, list) else str(listen)
    port = first.rpartition(":")[2]
    others = [address for address in settings["collector.listen"][1:] if str(address.port) != port]
    return [first, *map(str, others)]


def _allow_list(path: Path) -> list[str]:
    try:
        lines = read_lines(path)
    except SettingsError as error:
        raise SettingsError(f"nfacctd_allow_file: {error.problem}", file=path) from None
    return [text.strip() for text in lines if not is_comment(text)] or NOBODY
