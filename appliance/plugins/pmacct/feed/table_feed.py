"""Rows of a pmacct table made into flow batches, bin by bin.

A bin counts once nfacctd has written it: its end is longer ago than the purges take.
Each row of the table stands for `flows` flows where that column is there, else for one. Rows
without octets and packets are those of options records and events, and are left out.
"""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from appliance.contracts import COUNTERS, FeedBin
from appliance.errors import SettingsError
from appliance.flows import (
    COLUMN,
    UNKNOWN_PROTOCOL,
    V4_MAPPED,
    AnyArray,
    FlowBatch,
    RecordKind,
    address_halves,
)
from appliance.plugins.pmacct.feed.feed_names import ApplicationNames, application_id
from appliance.plugins.pmacct.feed.source import SourceTable
from appliance.protocols import PROTOCOL_NAMES

STAMP = "stamp_inserted"
NO_ADDRESS = (0, V4_MAPPED)
"""0.0.0.0: the exporter of rows whose table does not say it."""

DEFAULT_BIN_SECONDS = 3600
DEFAULT_MARGIN_SECONDS = 120.0
_BINS_LOOKED_AT = 5
_CLOCK_SECONDS = 5

COLUMNS: Mapping[str, str] = {
    "peer_ip_src": "exporter_address",
    "ip_src": "source_address",
    "ip_dst": "destination_address",
    "src_port": "source_transport_port",
    "port_src": "source_transport_port",
    "dst_port": "destination_transport_port",
    "port_dst": "destination_transport_port",
    "ip_proto": "protocol_identifier",
    "tos": "ip_class_of_service",
    "tcp_flags": "tcp_control_bits",
    "iface_in": "ingress_interface",
    "iface_out": "egress_interface",
    "as_src": "bgp_source_as_number",
    "as_dst": "bgp_destination_as_number",
    "mask_src": "source_prefix_length",
    "mask_dst": "destination_prefix_length",
    "vlan": "vlan_id",
    "sampling_rate": "sampling_rate",
    "flowdir": "flow_direction",
    "direction": "flow_direction",
    "bytes": "octet_delta_count",
    "packets": "packet_delta_count",
    "flows": "delta_flow_count",
}
"""What columns of pmacct's tables hold, by the flow log's name."""

ELEMENTS: Mapping[int, str] = {61: "flow_direction", 95: "application_id"}
"""What custom primitives of some elements hold."""

DIMENSIONS: Mapping[str, tuple[str, str]] = {
    "exporter_address": ("peer_src_ip", "every flow counts as one of the exporter 0.0.0.0"),
    "source_address": ("src_host", "there are no sources"),
    "destination_address": ("dst_host", "there are no destinations"),
    "source_transport_port": ("src_port", "services are found by the destination's port only"),
    "destination_transport_port": ("dst_port", "services are found by the source's port only"),
    "protocol_identifier": ("proto", "there are no protocols"),
    "delta_flow_count": ("flows", "each row of the table counts as one flow"),
}
"""The primitive that is missing when nothing fills a column, and what follows from it."""

Converter = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class FeedPlan:
    """How the rows of a table are read.

    Attributes
    ----------
    roles
        What the site's own columns hold, by name; see `ELEMENTS`.
    bin_seconds
        `sql_history`; 0: found out from the table.
    margin_seconds
        So long after its end a bin is complete.
    zone
        The time zone of the stamps; None: that of the MySQL server, for SQLite of this machine.
    """

    roles: Mapping[str, str] = field(default_factory=dict)
    bin_seconds: int = 0
    margin_seconds: float = DEFAULT_MARGIN_SECONDS
    zone: datetime.tzinfo | None = None


class TableFeed:
    """The flows of one table."""

    def __init__(
        self,
        source: SourceTable,
        plan: FeedPlan | None = None,
        names: ApplicationNames | None = None,
    ) -> None:
        self.table, self.plan, self._names = source, plan or FeedPlan(), names
        self._exporters: set[tuple[int, int]] = set()
        self._columns: dict[str, str] = {}
        self._bin_seconds = self.plan.bin_seconds

    @property
    def source(self) -> str:
        """Name the table."""
        return f"table {self.table.name}"

    def check(self) -> list[str]:
        """Look at the table; return sentences on what the answers will lack.

        Raises
        ------
        SettingsError
            There is no such table, or it has no stamps.
        StorageError
            The database is away.
        """
        there = self.table.columns()
        name = self.table.name
        if STAMP not in there:
            raise SettingsError(
                f"table {name} has no column {STAMP}: without sql_history nobody can tell when"
                " its rows were counted"
            )
        known = {**COLUMNS, **self.plan.roles}
        self._columns = {column: known[column] for column in there if column in known}
        filled = set(self._columns.values())
        if filled.isdisjoint(COUNTERS):
            raise SettingsError(f"table {name} has neither bytes nor packets")
        lacks = [
            f"table {name} lacks the primitive {primitive}: {effect}"
            for column, (primitive, effect) in DIMENSIONS.items()
            if column not in filled
        ]
        engine = self.table.engine()
        if engine in ("myisam", "aria", "memory", "csv", "archive"):
            lacks.append(
                f"table {name} is kept by {engine}, which knows no transactions: a bin that is"
                " read while nfacctd writes it would be counted in part"
            )
        self._bin_seconds = self.plan.bin_seconds or self._guess_bin_seconds()
        if self._bin_seconds > 60:
            lacks.append(
                f"table {name} has bins of {self._bin_seconds} s: answers are no finer, and no"
                " newer, than that"
            )
        return lacks + self._clock_problems(time.time())

    def _clock_problems(self, now: float) -> list[str]:
        """Return sentences on clocks and zones by which stamps could be misread."""
        name, problems = self.table.name, []
        clock = self.table.clock()
        if clock is not None:
            ahead, here = round(clock.second - now), time.localtime(now).tm_gmtoff
            if abs(ahead) > _CLOCK_SECONDS:
                side = "ahead of" if ahead > 0 else "behind"
                problems.append(
                    f"the server of table {name} is {abs(ahead)} s {side} this machine's clock"
                )
            if self.plan.zone is None and clock.offset != here:
                problems.append(
                    f"the server of table {name} is in the time zone {_offset_text(clock.offset)},"
                    f" this machine in {_offset_text(here)}: stamps are read in the server's"
                )
        future = max((self._second(*pair) for pair in self.table.newest_stamps(1)), default=0) - now
        if future > self._bin_seconds + _CLOCK_SECONDS:
            problems.append(
                f"the newest bin of table {name} begins {round(future)} s from now: its stamps are"
                " of another time zone, which flows.pmacct_time_zone can say"
            )
        return problems

    def bins(self, position: str, now: float) -> Iterator[FeedBin]:
        """Yield every complete bin behind a position.

        Raises
        ------
        StorageError
            The database is away.
        """
        if not self._columns:
            self.check()
        newest = self.table.newest_stamps(1)
        if not newest:
            return
        numeric = isinstance(newest[0][0], int)
        last = math.floor(now - self._bin_seconds - self.plan.margin_seconds)
        after: str | int = int(position or 0) if numeric else position or "0000-00-00 00:00:00"
        until: str | int = last if numeric else self._text(last)
        yield from self._between(after, until)

    def bin(self, position: str) -> FeedBin | None:
        """Return a bin once more; None when it is gone.

        Raises
        ------
        StorageError
            The database is away.
        """
        if position.isdecimal():
            return next(self._between(int(position) - 1, int(position)), None)
        before = _parse_time(position) - datetime.timedelta(seconds=1)
        return next(self._between(str(before), position), None)

    def _between(self, after: str | int, until: str | int) -> Iterator[FeedBin]:
        """Yield the bins behind one stamp, up to another."""
        names = [STAMP, *self._columns]
        rows = itertools.chain.from_iterable(self.table.rows(names, after, until))
        for (stamp, second), group in itertools.groupby(rows, key=lambda row: (row[0], row[-1])):
            start_ms = self._second(stamp, second) * 1000
            end_ms = start_ms + self._bin_seconds * 1000
            yield FeedBin(str(stamp), start_ms, end_ms, self._batches(start_ms, list(group)))

    def names(self, now: float) -> FlowBatch | None:
        """Return the applications' names for every exporter, when there are new ones.

        Raises
        ------
        StorageError
            The database is away.
        """
        return None if self._names is None else self._names.news(self._exporters, now)

    def close(self) -> None:
        """Close the connection."""
        self.table.close()
        if self._names is not None:
            self._names.source.close()

    def _guess_bin_seconds(self) -> int:
        """Return the smallest distance of the newest bins; an hour where there is only one."""
        stamps = sorted(self._second(*pair) for pair in self.table.newest_stamps(_BINS_LOOKED_AT))
        distances = [late - early for early, late in itertools.pairwise(stamps)]
        return min((d for d in distances if d > 0), default=DEFAULT_BIN_SECONDS)

    def _second(self, stamp: Any, second: Any) -> int:
        """Return the start of a bin, seconds since 1970, by its stamp and the server's word."""
        if isinstance(stamp, int):
            return stamp
        when = stamp if isinstance(stamp, datetime.datetime) else _parse_time(str(stamp))
        if self.plan.zone is None and second is not None:
            return int(second)
        return int(when.replace(tzinfo=self.plan.zone).timestamp())

    def _text(self, second: int) -> str:
        if self.plan.zone is None and self.table.is_mysql:
            return self.table.server_text(second)
        moment = datetime.datetime.fromtimestamp(second, self.plan.zone)
        return moment.strftime("%Y-%m-%d %H:%M:%S")

    def _batches(self, start_ms: int, rows: Sequence[tuple[Any, ...]]) -> list[FlowBatch]:
        """Turn the rows of one bin into flows."""
        found: dict[str, AnyArray] = {}
        for place, role in enumerate(self._columns.values(), 1):
            found.update(_column(role, [row[place] for row in rows]))
        traffic = np.flatnonzero(sum(found[name] > 0 for name in COUNTERS if name in found))
        if not len(traffic):
            return []
        found = {name: values[traffic] for name, values in found.items()}
        if "delta_flow_count" in found:
            found["delta_flow_count"] = np.maximum(found["delta_flow_count"], 1)
        for name, value in self._constants(start_ms, found).items():
            found[name] = np.broadcast_to(np.array(value, COLUMN[name].dtype), (len(traffic),))
        self._exporters |= _exporters(found)
        return [FlowBatch(len(traffic), found)]

    def _constants(self, start_ms: int, found: Mapping[str, AnyArray]) -> dict[str, int]:
        constants = {
            "collection_time_milliseconds": start_ms,
            "flow_start_milliseconds": start_ms,
            "flow_end_milliseconds": start_ms + self._bin_seconds * 1000 - 1,
            "record_kind": int(RecordKind.FLOW),
        }
        if "exporter_address_lo" not in found:
            constants["exporter_address_hi"], constants["exporter_address_lo"] = NO_ADDRESS
        return constants


def _exporters(columns: Mapping[str, AnyArray]) -> set[tuple[int, int]]:
    hi, lo = (columns[f"exporter_address_{half}"].tolist() for half in ("hi", "lo"))
    return set(zip(hi, lo, strict=True))


def _column(role: str, values: list[Any]) -> dict[str, AnyArray]:
    """Convert one column of the table."""
    if role.endswith("_address"):
        halves = [_halves(value) for value in values]
        return {
            f"{role}_hi": np.array([hi for hi, _ in halves], np.uint64),
            f"{role}_lo": np.array([lo for _, lo in halves], np.uint64),
        }
    dtype = COLUMN[role].dtype
    convert: Converter = _CONVERTERS.get(role, _number)
    largest = np.iinfo(dtype).max if dtype.kind == "u" else 2**53
    return {role: np.array([min(convert(value), largest) for value in values], dtype)}


@lru_cache(maxsize=262_144)
def _halves(value: Any) -> tuple[int, int]:
    """Read an address: text, a number (IPv4), or its octets."""
    try:
        if isinstance(value, bytes) and len(value) in (4, 16):
            return address_halves(str(ipaddress.ip_address(value)))
        if isinstance(value, int):
            return address_halves(str(ipaddress.IPv4Address(value)))
        text = value.decode() if isinstance(value, bytes) else str(value or "")
        return address_halves(text.rstrip("\0")) if text else NO_ADDRESS
    except ValueError:
        return NO_ADDRESS


def _number(value: Any) -> int:
    try:
        return max(int(value or 0), 0)
    except ValueError:
        return 0


_NUMBERS = {name: number for number, name in PROTOCOL_NAMES.items()} | {"ip": 0}


@lru_cache(maxsize=1024)
def _protocol(value: Any) -> int:
    """Read a protocol: nfacctd's name or a number. It writes 0 where it was told none."""
    text = str(value or "").strip().lower()
    number = int(text) if text.isdecimal() else _NUMBERS.get(text, 0)
    return number or UNKNOWN_PROTOCOL


_DIRECTIONS = {"0": 0, "1": 1, "i": 0, "in": 0, "e": 1, "out": 1}


def _direction(value: Any) -> int:
    return _DIRECTIONS.get(str(value if value is not None else "").strip().lower(), 255)


_CONVERTERS: Mapping[str, Converter] = {
    "protocol_identifier": _protocol,
    "flow_direction": _direction,
    "application_id": application_id,
}


def _offset_text(seconds: int) -> str:
    hours, rest = divmod(abs(seconds), 3600)
    return f"UTC{'-' if seconds < 0 else '+'}{hours:02}:{rest // 60:02}"


def _parse_time(text: str) -> datetime.datetime:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{STAMP} {text[:40]}: expected a time") from None
