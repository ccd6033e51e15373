"""What a collector configuration says in place of the appliance's own settings.

Values are as `appliance.yml` would have them, so that they are checked, shown and used like those.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

from appliance.errors import SettingsError
from appliance.nfacctd.config import PluginName, is_comment, read_lines
from appliance.nfacctd.effective import DEFAULT_PORT, EffectiveConfig
from appliance.settings import NFACCTD, Settings

NOBODY = ["255.255.255.255/32"]
"""No datagram comes from there: what an empty `nfacctd_allow_file` allows."""


def overrides(config: EffectiveConfig) -> Mapping[str, object]:
    """Return settings by name that the configuration decides.

    Raises
    ------
    SettingsError
        nfacctd would not start with it, or a file that it names cannot be read.
    """
    config.raise_errors()
    found: dict[str, object] = {}
    if config.is_set("nfacctd_ip") or config.is_set("nfacctd_port"):
        found["collector.listen"] = [_listen(config)]
    if config.is_set("nfacctd_pipe_size"):
        found["collector.receive_buffer"] = config.text("nfacctd_pipe_size")
    allow = config.file("nfacctd_allow_file")
    if allow is not None:
        found["collector.allowed_exporters"] = _allowed(allow)
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
    return found


def with_overrides(settings: Settings, config: EffectiveConfig | None) -> Settings:
    """Return the settings with what a collector configuration says in their place.

    Raises
    ------
    SettingsError
        As `overrides`, or a value does not fit.
    """
    if config is None:
        return settings
    found = dict(overrides(config))
    if "collector.listen" in found and _is_made_here(settings):
        found["collector.listen"] = [*_listen_with_others(found["collector.listen"], settings)]
    # nfacctd gives up on a file that somebody else writes to at the moment.
    is_locked = settings["collector.engine"] == NFACCTD and is_file(found.get("flows.database"))
    if is_locked or has_own_flow_database(settings):
        found.pop("flows.database", None)
    return settings.with_overrides(config.path, found)


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


def _allowed(path: Path) -> list[str]:
    try:
        lines = read_lines(path)
    except SettingsError as error:
        raise SettingsError(f"nfacctd_allow_file: {error.problem}", file=path) from None
    return [text.strip() for text in lines if not is_comment(text)] or NOBODY
