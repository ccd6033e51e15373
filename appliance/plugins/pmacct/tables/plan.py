"""What a table of pmacct holds and where it is: one plan for each SQL plugin of a configuration.

What the plugin `print` writes is such a table as well, only that its place is a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.plugins.pmacct.configuration.aggregates import (
    BOTH_WAYS,
    BUILT_IN,
    STITCHED,
    BuiltIn,
    Kind,
    column_name,
    is_bgp_table,
    version_primitives,
)
from appliance.plugins.pmacct.configuration.config import PluginName
from appliance.plugins.pmacct.configuration.effective import EffectiveConfig
from appliance.plugins.pmacct.configuration.keys import PRINT, PRINT_OUTPUTS
from appliance.plugins.pmacct.configuration.overrides import database_url
from appliance.plugins.pmacct.configuration.preprocess import Preprocess
from appliance.plugins.pmacct.configuration.primitives import Primitive
from appliance.plugins.pmacct.configuration.time_slots import (
    History,
    parse_history,
    unknown_roundoffs,
)
from appliance.plugins.pmacct.filters.selection import Selection
from appliance.plugins.pmacct.maps.pre_tag_map import TagRules
from appliance.plugins.pmacct.maps.resolution import Resolution
from appliance.plugins.pmacct.tables.time_format import TimeFormat
from appliance.plugins.pmacct.tables.triggers import MOST_RUNNING, Trigger
from appliance.sql.addresses import DatabaseAddress, database_address

DEFAULT_REFRESH_SECONDS = 60
NEWEST_VERSION = 9
DEFAULT_UMASK = 0o077
MOST_ROWS = 1_000_000
"""So many rows wait in memory before they are purged ahead of time."""

STAMPS = ("stamp_inserted", "stamp_updated")
_DUMMIES = {
    Kind.MAC: "0:0:0:0:0:0",
    Kind.ADDRESS: "0.0.0.0",  # noqa: S104 - what nfacctd writes for no address
    Kind.PROTOCOL: "0",
}


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """One column of a table.

    Attributes
    ----------
    name
        In SQL.
    custom
        The primitive that a site has defined; None for one that nfacctd has by itself.
    filler
        What stands in a column that only the version of the table asks for; None: it is filled.
    """

    name: str
    kind: Kind
    sql_type: str
    built_in: BuiltIn | None = None
    custom: Primitive | None = None
    filler: str | int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """How the plugin `print` writes.

    Attributes
    ----------
    format
        One of `PRINT_OUTPUTS`.
    folder
        Where relative files are.
    markers
        Lines around the rows of a purge.
    latest
        The name of a link to the newest file, perhaps with variables; empty: none.
    umask
        The bits of permission that new files and folders lack.
    """

    format: str
    folder: Path
    separator: str = ","
    append: bool = False
    markers: bool = False
    latest: str = ""
    umask: int = DEFAULT_UMASK


@dataclass(frozen=True, slots=True)
class TablePlan:
    """A table, as one plugin asks for it.

    Attributes
    ----------
    place
        The database, or how the plugin `print` writes.
    table
        Its name, perhaps with variables; of `print` the file's, empty for standard output.
    columns
        What the rows are told apart by, TCP flags and flows where asked for, and the earliest start
        and the latest end of the flows in a row (`nfacctd_stitching`).
    own
        The table is the site's own; else it has the columns of pmacct's, with its primary key.
    post_tags
        What stands in place of tag and second tag; None: what the rules gave.
    responder_octets
        A firewall's flow has the octets of its responder in place of packets (`tmp_asa_bi_flow`).
    mirror
        What is counted a second time in place of the only column (`sum_host` and the like).
    """

    plugin: str
    place: DatabaseAddress | Output
    table: str
    schema: Path | None
    columns: tuple[ColumnPlan, ...]
    own: bool
    history: History | None
    roundoff: str
    refresh_seconds: int
    startup_delay: int
    arrival_time: bool
    options: bool
    renormalize: bool
    update: bool
    multi_values: int
    most_rows: int
    numeric_hosts: bool
    numeric_protocols: bool
    whole_seconds: bool
    times: TimeFormat
    rules: TagRules
    selection: Selection
    resolution: Resolution
    post_tags: tuple[int | None, int | None]
    responder_octets: bool = False
    preprocess: Preprocess = field(default_factory=Preprocess)
    trigger: Trigger | None = None
    mirror: BuiltIn | None = None

    @property
    def database(self) -> DatabaseAddress | None:
        """Return where the table is; None for the plugin `print`."""
        return None if isinstance(self.place, Output) else self.place

    @property
    def keys(self) -> tuple[ColumnPlan, ...]:
        """Return the columns that flows are told apart by."""
        others = (Kind.FLAGS, Kind.FLOWS)
        return tuple(c for c in self.columns if c.kind not in others and c.built_in not in STITCHED)

    @property
    def is_stitched(self) -> bool:
        """Whether rows have the earliest start and the latest end of their flows."""
        return any(c.built_in in STITCHED for c in self.columns)

    @property
    def ways(self) -> tuple[TablePlan, ...]:
        """Return the plan, and the one by which each flow counts a second time."""
        if self.mirror is None:
            return (self,)
        others = tuple(
            replace(column, built_in=self.mirror)
            if column.filler is None and column in self.keys
            else column
            for column in self.columns
        )
        return (self, replace(self, columns=others, mirror=None))

    @property
    def needs_tags(self) -> bool:
        """Whether rows are told apart, or taken, by what rules give them."""
        kinds = (Kind.TAG, Kind.LABEL)
        kept = any(
            c.kind in kinds or (self.rules.set_tos and c.built_in is BUILT_IN["tos"])
            for c in self.keys
            if c.filler is None
        )
        return self.selection.needs_tags or (kept and bool(self.rules.rules))

    @property
    def has_flags(self) -> bool:
        """Whether TCP flags are kept."""
        return any(c.kind is Kind.FLAGS and c.filler is None for c in self.columns)

    @property
    def has_flows(self) -> bool:
        """Whether flows are counted."""
        return any(c.kind is Kind.FLOWS and c.filler is None for c in self.columns)


def table_plans(config: EffectiveConfig) -> tuple[list[TablePlan], list[str]]:
    """Return the tables that a configuration asks for, and sentences about what it should know.

    Raises
    ------
    SettingsError
        nfacctd would not start with it.
    """
    config.raise_errors()
    plans, warnings = [], []
    for plugin in config.filled_plugins:
        if plugin.type == PRINT and _output(config, plugin.name).format not in PRINT_OUTPUTS:
            continue
        plan, problems = _plan(config, plugin)
        plans.append(plan)
        warnings += [f"plugin {plugin.name}: {problem}" for problem in problems]
    return plans, warnings


def _plan(config: EffectiveConfig, plugin: PluginName) -> tuple[TablePlan, list[str]]:
    name = plugin.name
    names = config.aggregate(name)
    printed = plugin.type == PRINT
    keys = "print" if printed else "sql"
    version = NEWEST_VERSION if printed else config.number("sql_table_version", name, 1)
    own = printed or config.flag("sql_optimize_clauses", name)
    bgp = is_bgp_table(config.text("sql_table_type", name), names)
    offset = config.number(f"{keys}_history_offset", name)
    history, unit_problem = parse_history(config.text(f"{keys}_history", name), offset)
    roundoff = config.text(f"{keys}_history_roundoff", name)
    problems = [unit_problem] if unit_problem else []
    problems += [f"ignoring unknown round off value: {x}" for x in unknown_roundoffs(roundoff)]
    table = config.text("sql_table", name) or _default_table(version, bgp)
    place = (
        database_address(database_url(config, plugin), config.path.parent) if not printed else None
    )
    plan = TablePlan(
        plugin=name,
        place=place or _output(config, name),
        table=config.text("print_output_file", name) if printed else table,
        schema=config.file("sql_table_schema", name),
        columns=(*_columns(config, names, version, bgp, own), *_stitching_columns(config, name)),
        own=own,
        history=history,
        roundoff=roundoff,
        refresh_seconds=config.number(f"{keys}_refresh_time", name, DEFAULT_REFRESH_SECONDS),
        startup_delay=config.number(f"{keys}_startup_delay", name),
        arrival_time=config.flag("nfacctd_time_new"),
        options=config.flag("nfacctd_account_options"),
        renormalize=config.flag("nfacctd_renormalize"),
        update=not config.flag("sql_dont_try_update", name),
        multi_values=config.number("sql_multi_values", name),
        most_rows=config.number(f"{keys}_cache_entries", name, MOST_ROWS),
        numeric_hosts=not printed and config.flag("sql_num_hosts", name),
        numeric_protocols=config.flag(f"{keys}_num_protos", name),
        whole_seconds=config.flag("timestamps_secs", name),
        times=_time_format(config, plugin),
        rules=config.tag_rules(name),
        selection=config.selection(name),
        resolution=config.resolution(name)[0],
        post_tags=(_post_tag(config, "post_tag", name), _post_tag(config, "post_tag2", name)),
        responder_octets=config.flag("tmp_asa_bi_flow", name),
        preprocess=config.preprocess(plugin)[0],
        trigger=_trigger(config, name, keys),
        mirror=BUILT_IN[both[1]] if (both := _both_ways(names)) is not None else None,
    )
    return plan, problems


def _post_tag(config: EffectiveConfig, key: str, name: str) -> int | None:
    return config.number(key, name) if config.is_set(key, name) else None


def _output(config: EffectiveConfig, name: str) -> Output:
    separator = config.text("print_output_separator", name, ",").replace("\\t", "\t")
    return Output(
        format=config.text("print_output", name, PRINT_OUTPUTS[0]).lower(),
        folder=config.path.parent,
        separator=separator if len(separator) == 1 else ",",
        append=config.flag("print_output_file_append", name),
        markers=config.flag("print_markers", name),
        latest=config.text("print_latest_file", name),
        umask=_umask(config.text("files_umask", name)),
    )


def _umask(text: str) -> int:
    return int(text, 8) & 0o777 if text else DEFAULT_UMASK


def _trigger(config: EffectiveConfig, name: str, keys: str) -> Trigger | None:
    program = config.file(f"{keys}_trigger_exec", name)
    if program is None:
        return None
    if keys == "print":
        return Trigger(program)
    told = {
        "SQL_DB": config.text("sql_db", name),
        "SQL_TABLE": config.text("sql_table", name),
        "SQL_HOST": config.text("sql_host", name),
        "SQL_USER": config.text("sql_user", name),
        "SQL_REFRESH_TIME": str(config.number("sql_refresh_time", name, DEFAULT_REFRESH_SECONDS)),
        "SQL_MAX_WRITERS": str(config.number("sql_max_writers", name, MOST_RUNNING)),
        "SAMPLING_RATE": config.text("sampling_rate", name),
    }
    return Trigger(program, {key: value for key, value in told.items() if value})


def _time_format(config: EffectiveConfig, plugin: PluginName) -> TimeFormat:
    epoch = config.flag("timestamps_since_epoch", plugin.name)
    return TimeFormat(
        epoch=epoch,
        utc=config.flag("timestamps_utc", plugin.name),
        rfc3339=plugin.type == PRINT and config.flag("timestamps_rfc3339", plugin.name),
        by_server=plugin.type == "mysql" and not epoch,
    )


def _default_table(version: int, bgp: bool) -> str:
    if bgp:
        return "acct_bgp"
    return f"acct_v{version}" if 2 <= version <= 8 else "acct"


def _columns(
    config: EffectiveConfig, names: tuple[str, ...], version: int, bgp: bool, own: bool
) -> Iterator[ColumnPlan]:
    """Yield the columns: those of nfacctd in its order, those of the site, then what it counts."""
    wanted = dict.fromkeys(names)
    both = _both_ways(names)
    if both is not None:
        wanted = {both[0]: None}
    fixed = () if own else version_primitives(version, bgp)
    taken: set[str] = set()
    last = ("tag", "tag2", "label", "class")
    order = [n for n in BUILT_IN if n not in last]
    customs = [custom for n in wanted if (custom := config.custom(n)) is not None]
    for name in (*order, *last):
        built_in = BUILT_IN[name]
        if name == last[0]:
            yield from (_custom_column(custom) for custom in customs)
        if not built_in.column or (name not in wanted and name not in fixed):
            continue
        column = column_name(built_in, version, bgp)
        filler = None if name in wanted else _filler(built_in)
        if filler is not None and column in taken:
            continue
        if filler is not None and _is_wanted_later(column, wanted, version, bgp):
            continue
        taken.add(column)
        host = BUILT_IN["src_host"].sql_type
        kind = host if column in ("ip_src", "ip_dst") else built_in.sql_type
        yield ColumnPlan(column, built_in.kind, kind, built_in, filler=filler)


def _stitching_columns(config: EffectiveConfig, name: str) -> Iterator[ColumnPlan]:
    for built_in in STITCHED if config.flag("nfacctd_stitching", name) else ():
        yield ColumnPlan(built_in.column, built_in.kind, built_in.sql_type, built_in)


def _both_ways(names: tuple[str, ...]) -> tuple[str, str] | None:
    return next((pair for name, pair in BOTH_WAYS.items() if name in names), None)


def _is_wanted_later(column: str, wanted: dict[str, None], version: int, bgp: bool) -> bool:
    """Tell whether an AS number takes the place of an address, as before version 6."""
    others = (BUILT_IN[n] for n in wanted if n in ("src_as", "dst_as"))
    return any(column_name(other, version, bgp) == column for other in others)


def _custom_column(custom: Primitive) -> ColumnPlan:
    length = custom.length
    if custom.semantics == "u_int":
        kind = "BIGINT UNSIGNED"
    elif custom.semantics in ("ip", "mac"):
        kind = "CHAR(45)" if custom.semantics == "ip" else "CHAR(17)"
    else:
        octets = {"raw": 3, "hex": 2}.get(custom.semantics, 1)
        kind = f"VARCHAR({min(length * octets, 1024) if length else 255})"
    return ColumnPlan(custom.name, Kind.CUSTOM, kind, custom=custom)


def _filler(built_in: BuiltIn) -> str | int:
    if built_in.name == "class":
        return "unknown"
    if built_in.kind in _DUMMIES:
        return _DUMMIES[built_in.kind]
    return "" if "CHAR" in built_in.sql_type else 0
