"""`python -m tests.benchmarks`: run the measurements, print tables, and JSON where asked."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from tests.benchmarks.decode import decode
from tests.benchmarks.highest import highest
from tests.benchmarks.whole import whole

PARTS = ("decode", "whole", "highest")
DECODE_GOALS = {"v5": 10e6, "v9": 4e6, "ipfix": 4e6}
PROBE_SECONDS = 6.0
DECODE_SECONDS = 4.0


@click.command()
@click.argument("part", type=click.Choice([*PARTS, "all"]), default="all")
@click.option("--seconds", default=60.0, help="How long the whole way is sent to.")
@click.option("--rate", default=500_000.0, help="Flows a second on the whole way.")
@click.option("--protocol", default="v9", help="v5, v9, ipfix, or several with commas between.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures here."
)
def main(part: str, seconds: float, rate: float, protocol: str, json_file: Path | None) -> None:
    """Measure decoding alone, the whole way, and the highest rate without loss."""
    console = Console()
    parts = PARTS if part == "all" else (part,)
    report: dict[str, Any] = {"machine": _machine(), "protocol": protocol}
    console.print(f"{report['machine']}, {protocol}")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        if "decode" in parts:
            report["decode"] = decode(DECODE_SECONDS)
            _print_decode(console, report["decode"])
        if "whole" in parts:
            report["whole"] = whole(folder / "whole", protocol, rate, seconds)
            _print_whole(console, report["whole"])
        if "highest" in parts:
            report["highest"] = highest(folder / "highest", protocol, PROBE_SECONDS)
            _print_highest(console, report["highest"])
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


_WHOLE_ROWS = (
    ("flows a second, sent", "sent_flows_per_second", "{:,.0f}"),
    ("flows sent", "sent_flows", "{:,}"),
    ("flows stored", "flows", "{:,}"),
    ("flows lost", "lost_flows", "{:,}"),
    ("datagrams dropped by the kernel", "socket_drops", "{:,}"),
    ("flows a CPU second", "flows_per_cpu_second", "{:,.0f}"),
    ("CPU seconds, all processes", "cpu_seconds", "{:.1f}"),
    ("octets a flow on disk", "octets_per_flow", "{:.2f}"),
    ("files", "files", "{:,}"),
    ("memory, peak octets", "peak_memory_octets", "{:,}"),
    ("memory, last third to second", "memory_growth", "{:.2f}"),
    ("receive buffer granted", "receive_buffer_octets", "{:,}"),
)


def _print_whole(console: Console, report: dict[str, Any]) -> None:
    subjects = [name for name in ("appliance", "nfcapd") if name in report]
    table = Table("whole way", *subjects)
    for title, key, layout in _WHOLE_ROWS:
        values = (report[subject].get(key) for subject in subjects)
        table.add_row(title, *("-" if value is None else layout.format(value) for value in values))
    console.print(table)
    if "nfcapd" in report:
        console.print(
            f"flows a CPU second: {report['ratio_flows_per_cpu_second']:.2f} times nfcapd's"
            f" (goal 0.5, better 1.0); octets a flow: {report['ratio_octets_per_flow']:.2f} times"
            " (goal at most 0.6)"
        )


def _print_highest(console: Console, report: dict[str, Any]) -> None:
    table = Table("highest rate without loss", "flows a second", "receive buffer", "note")
    for name, found in report.items():
        note = "the sender was the limit" if found["sender_limited"] else ""
        buffer = found["receive_buffer_octets"]
        rate = f"{found['flows_per_second']:,.0f}"
        table.add_row(name, rate, "-" if buffer is None else f"{buffer:,}", note)
    console.print(table)


if __name__ == "__main__":
    main()
