"""`python -m tests.benchmarks`: run the measurements, print tables, and JSON where asked."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from tests.benchmarks.alerting import alerting
from tests.benchmarks.anonymising import anonymising
from tests.benchmarks.api import api
from tests.benchmarks.baselines import baselines
from tests.benchmarks.clickhouse import clickhouse
from tests.benchmarks.clickhouse_week import clickhouse_week
from tests.benchmarks.connections import connections
from tests.benchmarks.console import console
from tests.benchmarks.decode import decode
from tests.benchmarks.drawing import drawing
from tests.benchmarks.enriching import enriching
from tests.benchmarks.explore import explore
from tests.benchmarks.fresh import fresh
from tests.benchmarks.highest import highest
from tests.benchmarks.parquet import parquet
from tests.benchmarks.pmacct import pmacct
from tests.benchmarks.replicate import replicate
from tests.benchmarks.rollups import rollups
from tests.benchmarks.sampling import sampling
from tests.benchmarks.snmp import snmp
from tests.benchmarks.start import start
from tests.benchmarks.streaming import streaming
from tests.benchmarks.tables import (
    WHOLE_ROWS,
    print_alerting,
    print_anonymising,
    print_api,
    print_baselines,
    print_clickhouse,
    print_clickhouse_week,
    print_console,
    print_drawing,
    print_enriching,
    print_explore,
    print_fresh,
    print_pmacct,
    print_replicate,
    print_rollups,
    print_sampling,
    print_snmp,
    print_start,
    print_streaming,
    whole_table,
)
from tests.benchmarks.walk import walk
from tests.benchmarks.whole import whole

PARTS = (
    "decode",
    "enriching",
    "whole",
    "sampling",
    "drawing",
    "highest",
    "rollups",
    "pmacct",
    "api",
    "fresh",
    "start",
    "parquet",
    "walk",
    "explore",
    "console",
    "snmp",
    "alerts",
    "baselines",
    "clickhouse",
    "clickhouse-week",
    "clickhouse-week-cluster",
    "replicate",
    "streaming",
    "anonymising",
    "connections",
)
PMACCT_ROWS = 300_000
DECODE_GOALS = {"v5": 10e6, "v9": 4e6, "ipfix": 4e6}
PROBE_SECONDS = 6.0
DECODE_SECONDS = 4.0
Printer = Callable[[Console, dict[str, Any]], None]


@click.command()
@click.argument("part", type=click.Choice([*PARTS, "all"]), default="all")
@click.option("--seconds", default=60.0, help="How long the whole way is sent to.")
@click.option("--rate", default=500_000.0, help="Flows a second on the whole way.")
@click.option("--protocol", default="v9", help="v5, v9, ipfix, or several with commas between.")
@click.option(
    "--flows",
    default=100_000_000,
    help="Of the 30 days that are asked about.",
)
@click.option(
    "--keep", type=click.Path(path_type=Path), help="Keep those days here, and take them from here."
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here."
)
def main(
    part: str,
    seconds: float,
    rate: float,
    protocol: str,
    flows: int,
    keep: Path | None,
    json_file: Path | None,
) -> None:
    """Measure decoding alone, AS and countries of addresses, the whole way (also into roll-ups),
    what samples cost there and alone, the highest rate without loss, rows into tables of pmacct,
    the answers of the API, the time from a datagram to its answer, a start, Parquet by hand next to
    pyarrow, the way of one block through the code, questions of the query engine, the console in a
    browser, a round of SNMP, rules of alerts and those with baselines, the flow log into
    ClickHouse, a week of flows there, copies of datagrams, flows as lines, addresses replaced, and
    TCP next to UDP.
    """
    terminal = Console()
    parts = PARTS if part == "all" else (part,)
    report: dict[str, Any] = {"machine": _machine(), "protocol": protocol}
    terminal.print(f"{report['machine']}, {protocol}")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        week = (keep or folder).resolve() / "clickhouse-week"
        runs: dict[str, tuple[Callable[[], dict[str, Any]], Printer]] = {
            "decode": (lambda: decode(DECODE_SECONDS), _print_decode),
            "enriching": (
                lambda: enriching(folder / "enriching", protocol, rate, seconds),
                print_enriching,
            ),
            "whole": (lambda: whole(folder / "whole", protocol, rate, seconds), _print_whole),
            "sampling": (
                lambda: sampling(folder / "sampling", protocol, rate, seconds),
                print_sampling,
            ),
            "drawing": (lambda: drawing(folder / "drawing", protocol), print_drawing),
            "highest": (
                lambda: highest(folder / "highest", protocol, PROBE_SECONDS),
                _print_highest,
            ),
            "rollups": (
                lambda: rollups(folder / "rollups", protocol, rate, seconds),
                print_rollups,
            ),
            "pmacct": (lambda: pmacct(folder / "pmacct", PMACCT_ROWS), print_pmacct),
            "api": (lambda: api((keep or folder).resolve() / "api", flows), print_api),
            "fresh": (lambda: fresh(folder / "fresh"), print_fresh),
            "start": (lambda: start(folder / "start"), print_start),
            "parquet": (lambda: parquet(folder / "parquet"), _print_parquet),
            "walk": (walk, _print_walk),
            "explore": (
                lambda: explore((keep or folder).resolve() / "explore", flows),
                print_explore,
            ),
            "console": (
                lambda: console((keep or folder).resolve() / "api", flows),
                print_console,
            ),
            "snmp": (lambda: snmp(folder / "snmp"), print_snmp),
            "alerts": (lambda: alerting(folder / "alerts", min(rate, 200_000.0)), print_alerting),
            "baselines": (lambda: baselines(folder / "baselines"), print_baselines),
            "clickhouse": (lambda: clickhouse(folder / "clickhouse", flows), print_clickhouse),
            "clickhouse-week": (
                lambda: clickhouse_week(week, flows, is_cluster=False),
                print_clickhouse_week,
            ),
            "clickhouse-week-cluster": (
                lambda: clickhouse_week(week, flows, is_cluster=True),
                print_clickhouse_week,
            ),
            "replicate": (
                lambda: replicate(folder / "replicate", protocol, rate, seconds),
                print_replicate,
            ),
            "streaming": (lambda: streaming(folder / "streaming", protocol), print_streaming),
            "anonymising": (anonymising, print_anonymising),
            "connections": (
                lambda: connections(folder / "connections", rate, seconds),
                _print_connections,
            ),
        }
        for chosen in parts:
            run, show = runs[chosen]
            report[chosen] = run()
            show(terminal, report[chosen])
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=2))
    else:
        print(json.dumps(report))


def _machine() -> str:
    return f"{os.cpu_count()} processors, {platform.system()} {platform.release()}, Python " + (
        platform.python_version()
    )


def _print_decode(console: Console, report: dict[str, Any]) -> None:
    table = Table("decoding alone", "million flows a CPU second", "goal")
    for protocol, found in report.items():
        rate = found["flows_per_cpu_second"]
        table.add_row(protocol, f"{rate / 1e6:.1f}", f"{DECODE_GOALS[protocol] / 1e6:.0f}")
    console.print(table)


def _print_whole(console: Console, report: dict[str, Any]) -> None:
    console.print(whole_table("whole way", report, WHOLE_ROWS))
    if "nfcapd" in report:
        console.print(
            f"flows a CPU second: {report['ratio_flows_per_cpu_second']:.2f} times nfcapd's"
            f" (goal 0.5, better 1.0); octets a flow: {report['ratio_octets_per_flow']:.2f} times"
            " (goal at most 0.6)"
        )


def _print_connections(console: Console, report: dict[str, Any]) -> None:
    console.print(whole_table("IPFIX, whole way", report, WHOLE_ROWS))
    ratio = report["ratio_flows_per_cpu_second"]
    console.print(f"flows a CPU second: over TCP {ratio:.2f} times those over UDP")


def _print_highest(console: Console, report: dict[str, Any]) -> None:
    table = Table("highest rate without loss", "flows a second", "receive buffer", "note")
    for name, found in report.items():
        note = "the sender was the limit" if found["sender_limited"] else ""
        buffer = found["receive_buffer_octets"]
        rate = f"{found['flows_per_second']:,.0f}"
        table.add_row(name, rate, "-" if buffer is None else f"{buffer:,}", note)
    console.print(table)


def _print_parquet(console: Console, report: dict[str, Any]) -> None:
    table = Table("a million flows", "", "write, CPU ms", "join, CPU ms", "octets a flow")
    for shape, ways in report.items():
        for name, found in ways.items():
            # Nanoseconds a flow are milliseconds a million.
            cost = (f"{found['write_ns']:.0f}", f"{found['join_ns']:.0f}")
            table.add_row(shape, name, *cost, f"{found['octets']:.1f}")
    console.print(table)


def _print_walk(console: Console, report: dict[str, Any]) -> None:
    table = Table("way of a block", "", "functions", "files", "calls", "changes of file")
    for protocol, parts in report.items():
        for name, figures in parts.items():
            table.add_row(protocol, name, *(str(number) for number in figures.values()))
    console.print(table)


if __name__ == "__main__":
    main()
