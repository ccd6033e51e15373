"""A store of flows: sums by minute in a file of JSON, opened by `flows.database: plainstore:FILE`.

It keeps every name, so it is for small networks; the file and the position in the flow log are
replaced together, so that a crash repeats or loses nothing.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from appliance import (
    Cursor,
    Dimension,
    ExporterRecord,
    FlowBatch,
    FlowLogReader,
    KeyedMeasure,
    LoadReport,
    Measure,
    MeasureName,
    RecordKind,
    Selection,
    Settings,
    StorageError,
    StoreFactory,
    TopAnswer,
    address_text,
    batch_from_rows,
    hookimpl,
)

MAX_ROWS = 10_000
Row = tuple[int, int, int, str, str]
"""Minute (seconds UTC), exporter, direction, dimension, key."""


class PlainStore:
    """Sums over flows in a file; the loader writes it, the web server reads it."""

    def __init__(self, url: str, settings: Settings) -> None:
        folder: Path = settings["data_directory"]
        self._file, self._log = folder / url.partition(":")[2], FlowLogReader(folder / "flowlog")
        self._read_at = -1
        self._cursor = Cursor()
        self._exporters: list[ExporterRecord] = []
        self._sums: dict[Row, Measure] = {}

    # The loader process alone calls these.

    def load_once(self, now: float) -> LoadReport:
        """Take over what is new in the flow log."""
        self._read()
        parts, after = self._log.follow_rows(self._cursor, MAX_ROWS)
        rows = 0
        for part in parts:
            batch = batch_from_rows(part)
            rows += batch.n_records
            for key, measure in self._rows_of(batch, now):
                self._sums[key] = _plus(self._sums.get(key, Measure()), measure)
        if after != self._cursor:
            self._cursor = after
            self._write()
        return LoadReport(rows=rows, busy=rows >= MAX_ROWS)

    def cursor(self) -> tuple[int, int]:
        """Return the position up to which flows are counted."""
        self._read()
        return self._cursor

    def expire(self, now: float) -> int:
        """Keep everything."""
        return 0

    def _rows_of(self, batch: FlowBatch, now: float) -> Iterator[tuple[Row, Measure]]:
        names = (
            *("record_kind", "collection_time_milliseconds", "flow_direction", "sampling_rate"),
            *("exporter_address_hi", "exporter_address_lo"),
            *("source_address_hi", "source_address_lo"),
            *("destination_address_hi", "destination_address_lo"),
            *("protocol_identifier", "source_transport_port", "destination_transport_port"),
            *("octet_delta_count", "packet_delta_count", "delta_flow_count"),
        )
        for row in zip(*(batch.column(name).tolist() for name in names), strict=True):
            kind, time_ms, way, rate = row[:4]
            if kind != RecordKind.FLOW:
                continue
            exporter = self._exporter(address_text(*row[4:6]), now)
            protocol, port = row[10], min(row[11:13])
            measure = Measure(*(int(count * (rate or 1)) for count in row[13:16]))
            for dimension, key in (
                ("total", ""),
                ("protocol", str(protocol)),
                ("application", "unknown"),
                ("source", address_text(*row[6:8])),
                ("destination", address_text(*row[8:10])),
                ("port", f"{protocol}/{port}"),
            ):
                yield (time_ms // 60_000 * 60, exporter, int(way == 1), dimension, key), measure

    def _exporter(self, address: str, now: float) -> int:
        for record in self._exporters:
            if record.address == address:
                return record.id
        number = 1 + max((record.id for record in self._exporters), default=0)
        self._exporters.append(ExporterRecord(number, address, address, "", now, now))
        return number

    # The API and commands call these.

    def totals(self, selection: Selection) -> Measure:
        """Return the sums of everything selected."""
        return _sum(measure for _, measure in self._select("total", selection))

    def totals_by_exporter(self, selection: Selection) -> Mapping[int, Measure]:
        """Return the sums for each exporter."""
        sums: dict[int, Measure] = {}
        for row, measure in self._select("total", selection):
            sums[row[1]] = _plus(sums.get(row[1], Measure()), measure)
        return sums

    def top(
        self,
        dimension: Dimension,
        selection: Selection,
        by: MeasureName = "octets",
        limit: int | None = None,
    ) -> TopAnswer:
        """Return the largest keys of a dimension, exactly."""
        sums: dict[str, Measure] = {}
        for row, measure in self._select(dimension, selection):
            sums[row[4]] = _plus(sums.get(row[4], Measure()), measure)
        keys = sorted(sums, key=lambda key: -getattr(sums[key], by))
        other = _sum(sums[key] for key in keys[limit:]) if limit is not None else Measure()
        rows = [KeyedMeasure(key, *sums[key]) for key in keys[:limit]]
        return TopAnswer(rows, other, _sum(sums.values()), Measure())

    def series(self, boundaries: Sequence[int], selection: Selection) -> list[Measure]:
        """Return the sums between neighbouring boundaries."""
        rows = list(self._select("total", selection))
        return [
            _sum(measure for row, measure in rows if start <= row[0] < end)
            for start, end in itertools.pairwise(boundaries)
        ]

    def bin_at(
        self, moment: int, dimension: Dimension = "total", exporter: int | None = None
    ) -> tuple[int, int]:
        """Return the minute."""
        return moment // 60 * 60, moment // 60 * 60 + 60

    def columns(self) -> Mapping[str, Mapping[str, object]]:
        """Describe no table: there is none."""
        return {}

    def exporters(self) -> list[ExporterRecord]:
        """Return every exporter that sent a flow."""
        self._read()
        return list(self._exporters)

    def change_exporter(
        self, exporter: int, *, name: str | None = None, info: str | None = None
    ) -> None:
        """Refuse: the loader alone writes the file."""
        raise StorageError("exporters of a plain store have no names")

    def forget_exporter(self, exporter: int) -> None:
        """Refuse, likewise."""
        raise StorageError("a plain store forgets nobody")

    def health(self) -> Mapping[str, object]:
        """Return what an operator wants to know."""
        self._read()
        return {
            "name": f"plainstore {self._file.name}",
            "lag_seconds": 0.0,
            "rows": len(self._sums),
        }

    def close(self) -> None:
        """Close nothing."""

    def _select(self, dimension: str, selection: Selection) -> Iterator[tuple[Row, Measure]]:
        self._read()
        since = (selection.since or 0) // 60 * 60
        for row, measure in list(self._sums.items()):
            minute, exporter, direction, of_dimension, _ = row
            if (
                of_dimension == dimension
                and minute >= since
                and (selection.until is None or minute < selection.until)
                and selection.exporter in (None, exporter)
                and selection.direction in (None, direction)
            ):
                yield row, measure

    def _read(self) -> None:
        """Read the file when it is another one than before."""
        try:
            changed = self._file.stat().st_mtime_ns
            if changed == self._read_at:
                return
            tree = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise StorageError(f"{self._file} cannot be read: {error}") from error
        self._cursor = Cursor(*tree["cursor"])
        self._exporters = [ExporterRecord(*record) for record in tree["exporters"]]
        self._sums = {tuple(row): Measure(*measure) for row, measure in tree["sums"]}
        self._read_at = changed

    def _write(self) -> None:
        records = [[r.id, r.address, r.name, r.info, r.created, r.updated] for r in self._exporters]
        tree = {"cursor": self._cursor, "exporters": records, "sums": list(self._sums.items())}
        beside = self._file.with_suffix(".new")
        try:
            beside.write_text(json.dumps(tree), encoding="utf-8")
            os.replace(beside, self._file)
            self._read_at = self._file.stat().st_mtime_ns
        except OSError as error:
            # What could not be written is read again.
            self._read_at, self._cursor = -1, Cursor()
            self._exporters, self._sums = [], {}
            raise StorageError(f"{self._file} cannot be written: {error}") from error


def _plus(one: Measure, other: Measure) -> Measure:
    return Measure(*(a + b for a, b in zip(one, other, strict=True)))


def _sum(measures: Iterable[Measure]) -> Measure:
    total = Measure()
    for measure in measures:
        total = _plus(total, measure)
    return total


@hookimpl
def register_stores() -> dict[str, StoreFactory]:
    """Open `plainstore:` URLs."""
    return {"plainstore": PlainStore}
