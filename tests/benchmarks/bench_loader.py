"""What the roll-ups cost: CPU per flow to make them, and the time of each question.

    python tests/benchmarks/bench_loader.py [MILLIONS]

Flows have unique 5-tuples, 200,000 hosts of which some are far busier than others, ten services and
50 exporters. `load` is measured on pieces of a million flows, everything included that happens when
they come: reading the journal, sums, the largest names, SQL. `hour` is what making the hour of them
costs later. Questions are asked of 30 days made from MILLIONS (100) million flows, and of 365 days
at the same rate.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from appliance.contracts import Selection
from appliance.flowlog import Cursor, FlowLogLimits, FlowLogWriter
from appliance.flows import V4_MAPPED, FlowBatch
from appliance.plugins.rollups.bins import Size, bin_start
from appliance.plugins.rollups.configuration import SETTINGS
from appliance.plugins.rollups.progress import read_progress, write_progress
from appliance.plugins.rollups.store import SqlStore
from appliance.plugins.rollups.work import WorkItem, make_from_smaller
from appliance.settings.file import SettingsFile

START = 1_800_057_600
HOSTS = 200_000
EXPORTERS = 50
DAYS = (30, 365)
DAY = 86400
ASKED = 7
ROUNDS = 40
PIECE_ROWS = 1_000_000


def flows(n: int, at: int, seed: int) -> FlowBatch:
    """Make n flows received at a moment."""
    random = np.random.default_rng(seed)
    hosts = [random.zipf(1.2, n).astype(np.uint64) % np.uint64(HOSTS) for _ in range(2)]
    scattered = [(host * np.uint64(2654435761)) & np.uint64(0xFFFFFFFF) for host in hosts]
    exporters = np.repeat(random.integers(1, EXPORTERS + 1, n // 30 + 1), 30)[:n]
    nothing = np.broadcast_to(np.uint64(0), (n,))
    return FlowBatch(
        n,
        {
            "collection_time_milliseconds": np.broadcast_to(np.int64(at * 1000), (n,)),
            "exporter_address_hi": nothing,
            "exporter_address_lo": exporters.astype("u8") | np.uint64(V4_MAPPED | 0xC0000200),
            "source_address_hi": nothing,
            "source_address_lo": scattered[0] | np.uint64(V4_MAPPED),
            "destination_address_hi": nothing,
            "destination_address_lo": scattered[1] | np.uint64(V4_MAPPED),
            "source_transport_port": random.integers(32768, 65536, n).astype("u2"),
            "destination_transport_port": random.choice(
                np.array([443, 80, 53, 22, 123, 8080, 25, 993, 3306, 5060], "u2"), n
            ),
            "protocol_identifier": random.choice(np.array([6, 17], "u1"), n),
            "octet_delta_count": random.integers(40, 150_000, n).astype("u8"),
            "packet_delta_count": random.integers(1, 100, n).astype("u8"),
        },
    )


def opened(folder: Path, now: list[float]) -> SqlStore:
    """Open a store whose clock is `now`."""
    tree = {"data_directory": str(folder)}
    settings = SettingsFile(None, folder / "conf", tree).settings(SETTINGS)
    return SqlStore("sqlite:flows.sqlite", settings, clock=lambda: now[0])


def written(folder: Path) -> FlowLogWriter:
    """Open a flow log."""
    limits = FlowLogLimits(minimum_free_octets=0, segment_rows=10**9, segment_seconds=10**9)
    writer = FlowLogWriter(folder / "flowlog", limits)
    writer.start()
    return writer


def measure_load(folder: Path, pieces: int = 4) -> dict[str, float]:
    """Measure CPU nanoseconds per flow of loading, and of making the hour."""
    writer, now = written(folder), [float(START)]
    for piece in range(pieces):
        writer.append(flows(PIECE_ROWS, START + 60 * piece, piece))
        writer.flush({}, START * 1000)
    store = opened(folder, now)
    store.loader.piece_rows = PIECE_ROWS
    now[0] = START + 60.0 * pieces
    spent = []
    for _ in range(pieces):
        before = time.process_time()
        store.load_once(now[0])
        spent.append(time.process_time() - before)
    now[0] = START + 4000.0
    before = time.process_time()
    while store.load_once(now[0]).busy:
        pass
    hour = time.process_time() - before
    writer.close()
    store.close()
    return {
        "load_ns_per_flow": round(min(spent) / PIECE_ROWS * 1e9, 1),
        "hour_ns_per_flow": round(hour / PIECE_ROWS / pieces * 1e9, 1),
    }


def fill(folder: Path, millions: float, days: int) -> SqlStore:
    """Make a day of roll-ups through the loader, and the days before it as copies of that day.

    Copies have the hours of all exporters and of the one that is asked for, which is all that the
    questions read; days and quarters are copied in full, months made of the days.
    """
    now = [float(START)]
    store = opened(folder, now)
    per_part = int(millions * 1e6 / days / 24 / 4)
    pool = [flows(4 * per_part, START, seed) for seed in range(8)]
    for hour in range(24):
        writer = written(folder)
        batch = pool[hour % len(pool)]
        for part in range(4):
            at = START + hour * 3600 + part * 900 + 60 * (hour % 15)
            chosen = slice(part * per_part, (part + 1) * per_part)
            columns = {name: column[chosen] for name, column in batch.columns.items()}
            columns["collection_time_milliseconds"] = np.broadcast_to(
                np.int64(at * 1000), (per_part,)
            )
            writer.append(FlowBatch(per_part, columns))
            writer.flush({}, START * 1000)
        writer.close()
        now[0] = START + (hour + 1) * 3600.0
        for moment in (now[0], now[0] + 600):
            while store.load_once(moment).busy:
                pass
        for path in (folder / "flowlog" / "flows").glob("*.journal"):
            path.unlink()
    repeat(store, days)
    running_hour(folder, store, now)
    return store


def repeat(store: SqlStore, days: int) -> None:
    """Copy the day to the days before it."""
    database, first = store.flows, START - (days - 1) * DAY
    columns = "flags, name, octets, packets, flows"
    with database.transaction(write=True):
        database.execute(
            f"CREATE TEMPORARY TABLE copied AS SELECT * FROM appliance_rollup"
            f" WHERE bin_start >= {START} AND bin_start < {START + DAY} AND (size IN (1, 3) OR"
            f" size = 2 AND (dimension < 3 OR exporter IN (0, {ASKED})))"
        )
    for day in range(1, days):
        with database.transaction(write=True):
            database.execute(
                "INSERT INTO appliance_rollup SELECT dimension, size, exporter, direction,"
                f" bin_start - {day * DAY}, {columns} FROM copied"
            )
    months = {bin_start(Size.MONTH, moment) for moment in range(first, START + DAY, DAY)}
    limits = store.limits
    for month in sorted(months):
        item = WorkItem(Size.MONTH, month, Cursor(), Cursor())
        with database.transaction(write=True):
            database.execute(f"DELETE FROM appliance_rollup WHERE size = 4 AND bin_start = {month}")
            database.execute(
                "INSERT INTO appliance_rollup SELECT dimension, 4, exporter, direction, ?, 0, name,"
                " SUM(octets), SUM(packets), SUM(flows) FROM appliance_rollup WHERE size = 3 AND"
                " dimension < 3 AND bin_start >= ? AND bin_start < ?"
                " GROUP BY dimension, exporter, direction, name",
                (month, month, item.end),
            )
            make_from_smaller(database, item, limits)
    with database.transaction(write=True):
        progress = read_progress(database)
        progress.oldest = first
        write_progress(database, progress)
    store.loader.forget()


def running_hour(folder: Path, store: SqlStore, now: list[float]) -> None:
    """Fill 45 minutes of the running hour."""
    writer, start = written(folder), int(now[0]) // 3600 * 3600
    for minute in range(45):
        writer.append(flows(20_000, start + 60 * minute, minute))
        writer.flush({}, START * 1000)
    writer.close()
    now[0] = start + 45 * 60.0
    while store.load_once(now[0]).busy:
        pass


def questions(store: SqlStore, since: int) -> dict[str, Callable[[], Any]]:
    """Return what the two published APIs ask, by name."""
    everything = Selection(since=since)
    one = Selection(since=since, exporter=ASKED)
    days = list(range(since // 86400 * 86400, int(store._clock()) + 1, 86400))
    hours = list(range(since // 3600 * 3600, int(store._clock()) + 1, 3600))
    return {
        "totals": lambda: store.totals(everything),
        "totals_by_exporter": lambda: store.totals_by_exporter(everything),
        "protocols": lambda: store.top("protocol", everything),
        "applications": lambda: store.top("application", everything, "flows", 15),
        "applications of one exporter": lambda: store.top("application", one, limit=15),
        "sources": lambda: store.top("source", everything, limit=15),
        "destinations": lambda: store.top("destination", everything, "packets", 15),
        "sources, all 1000": lambda: store.top("source", everything, limit=1000),
        "ports": lambda: store.top("port", everything, limit=15),
        "sources of one exporter": lambda: store.top("source", one, limit=15),
        "days": lambda: store.series(days, everything),
        "hours": lambda: store.series(hours, everything),
        "days of a zone with half an hour": lambda: store.series(
            [day + 1800 for day in days], everything
        ),
    }


def measure_questions(store: SqlStore, since: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """Measure the first answer, the median and the 95th percentile, in milliseconds."""
    found = {}
    for name, ask in questions(store, since).items():
        spent = []
        for _ in range(rounds):
            before = time.perf_counter()
            ask()
            spent.append((time.perf_counter() - before) * 1000)
        ordered = sorted(spent)
        found[name] = {
            "first_ms": round(spent[0], 1),
            "median_ms": round(ordered[len(ordered) // 2], 1),
            "p95_ms": round(ordered[int(len(ordered) * 0.95)], 1),
        }
    return found


def measure(millions: float = 100, days: tuple[int, ...] = DAYS) -> dict[str, Any]:
    """Run everything; takes some minutes."""
    folder = Path(tempfile.mkdtemp(prefix="bench-loader-"))
    try:
        report: dict[str, Any] = measure_load(folder / "load")
        for length in days:
            store = fill(folder / str(length), millions * length / 30, length)
            since = START - (length - 1) * DAY + 1000
            report[f"{length} days"] = {
                "flows": millions * 1e6 * length / 30,
                "octets": store.flows.octets(),
                "questions": measure_questions(store, since),
            }
            store.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report


if __name__ == "__main__":
    print(json.dumps(measure(float(sys.argv[1]) if sys.argv[1:] else 100), indent=2))
