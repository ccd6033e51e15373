"""Tables of the parts that measure roll-ups, the API and freshness."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.alerting import GOAL_SECONDS as MESSAGE_SECONDS
from tests.benchmarks.enriching import GOAL as ENRICHING_GOAL
from tests.benchmarks.rollups import LAG_GOAL_SECONDS
from tests.benchmarks.snmp import GOAL_CORE, GOAL_SECONDS

WHOLE_ROWS = (
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
ROLLUP_ROWS = (
    ("flows in roll-ups", "rollup_flows", "{:,}"),
    ("largest lag while sending, seconds", "lag_largest_seconds", "{:.1f}"),
    ("lag at the end of sending, seconds", "lag_at_end_seconds", "{:.1f}"),
    ("everything rolled up after, seconds", "lag_zero_after_seconds", "{:.1f}"),
    ("octets of the flow database", "database_octets", "{:,}"),
)


def whole_table(
    title: str, report: dict[str, Any], rows: tuple[tuple[str, str, str], ...]
) -> Table:
    """Put both collectors side by side."""
    subjects = [name for name in ("appliance", "nfcapd", "udp", "tcp") if name in report]
    table = Table(title, *subjects)
    for text, key, layout in rows:
        values = (report[subject].get(key) for subject in subjects)
        table.add_row(text, *("-" if value is None else layout.format(value) for value in values))
    return table


def print_enriching(console: Console, report: dict[str, Any]) -> None:
    """Print what AS and countries of addresses cost, beside decoding and the whole way."""
    table = Table("AS and countries", "ns a flow without", "ns a flow more", "part")
    for name, costs in report.items():
        if isinstance(costs, dict):
            before, more = costs.get("before_ns"), costs["enriching_ns"]
            figures = ("-", "-") if before is None else (f"{before:.0f}", f"{more / before:.1%}")
            table.add_row(name, figures[0], f"{more:.1f}", figures[1])
    console.print(table)
    console.print(
        f"goal: at most {ENRICHING_GOAL:.0%} of the whole way; "
        f"the table of the whole internet takes {report['table_seconds']:.1f} s to make"
    )


def print_rollups(console: Console, report: dict[str, Any]) -> None:
    """Print the whole way into roll-ups."""
    console.print(whole_table("whole way into roll-ups", report, WHOLE_ROWS + ROLLUP_ROWS))
    ours = report["appliance"]
    verdict = "are equal" if ours["agree"] else "DIFFER"
    console.print(f"flows sent, stored and in roll-ups (with their packets and octets) {verdict}")
    took = ours["lag_zero_after_seconds"]
    console.print(f"lag back to zero after {took:.1f} s (goal at most {LAG_GOAL_SECONDS:.0f})")
    if "nfcapd" in report:
        ratio = report["ratio_flows_per_cpu_second"]
        console.print(f"flows a CPU second: {ratio:.2f} times nfcapd's, which makes no roll-ups")


def print_sampling(console: Console, report: dict[str, Any]) -> None:
    """What samples cost."""
    table = Table("CPU ns a flow", "", "without samples", "with", "more (goal at most 5 %)")
    for way, parts in report.items():
        for part, label in {"all_ns": "all", "later_ns": "after the first seconds"}.items():
            before, after = (parts[part][name] for name in ("without", "with"))
            table.add_row(way, label, f"{before:.0f}", f"{after:.0f}", f"{after / before - 1:.1%}")
    console.print(table)


def print_drawing(console: Console, report: dict[str, Any]) -> None:
    """What samples cost alone."""
    table = Table(f"samples of {report['flows'] / 1e6:.0f} million flows of an hour", "CPU")
    table.add_row("all with writing once, ns a flow", f"{report['all_ns']:.0f}")
    table.add_row("the last third, ns a flow", f"{report['later_ns']:.0f}")
    table.add_row("writing the hour, seconds", f"{report['writing_seconds']:.2f}")
    console.print(table)


def print_start(console: Console, report: dict[str, float]) -> None:
    """What a start takes, next to what it may."""
    table = Table("a start, median", "", "goal")
    for label, key, goal in (
        ("appliance --help, CPU seconds", "help_cpu_seconds", "0.06"),
        ("appliance top on an empty flow log, CPU seconds", "top_cpu_seconds", "0.5"),
        ("appliance run: collector bound, seconds", "collector_seconds", "1"),
        ("appliance run: API open, seconds", "api_seconds", "2"),
    ):
        table.add_row(label, f"{report[key]:.2f}", goal)
    megabytes = report["memory_octets"] / 1e6
    table.add_row("memory without traffic, proportional MB", f"{megabytes:.0f}", "200")
    console.print(table)


def print_api(console: Console, report: dict[str, Any]) -> None:
    """Print a table for each history."""
    ratios = report["growth"]
    for name, found in report.items():
        if name == "growth":
            continue
        built = found["built"]
        title = f"{name}, {built['flows']:,} flows, {built['octets'] / 1e6:,.0f} MB of roll-ups"
        headings = ("route", "p50 ms", "p95 ms", "first ms", "max ms", "slowest case", "its p95")
        table = Table(*headings, "growth", title=title)
        for route, times in found["routes"].items():
            table.add_row(
                route.removeprefix("/api/v1/netflow/").removeprefix("/v1/api/device/get/"),
                *(f"{times[key]:.1f}" for key in ("p50_ms", "p95_ms", "first_ms", "max_ms")),
                times["slowest_case"],
                f"{times['slowest_case_p95_ms']:.1f}",
                f"{ratios[route]:.2f}" if name == "30 days" else "",
                style="red" if route in found["missed"] else "",
            )
        console.print(table)
        missed = len(found["missed"])
        console.print(f"goal: p95 below {found['goal_ms']:.0f} ms, {missed} routes miss it")


def print_explore(console: Console, report: dict[str, Any]) -> None:
    """Print how long questions take, and how far estimates are off."""
    cost = report["samples"]
    title = (
        f"{report['flows']:,} flows; samples: {cost['ns']:.0f} ns a flow,"
        f" {cost['octets'] / 1e6:,.0f} MB"
    )
    headings = (
        "question",
        "exact s",
        "estimated s",
        "rows read",
        "error",
        "largest",
        "within",
        "of 15",
        "nfdump s",
        "times",
    )
    table = Table(*headings, title=title)
    for name, found in report["questions"].items():
        table.add_row(
            name,
            *(
                f"{found[m]['median']:.2f} ({found[m]['largest']:.2f})"
                for m in ("exact", "sampled")
            ),
            f"{found['rows_scanned']:,}",
            *(f"{found[key]:.1%}" for key in ("error_median", "error_largest", "within")),
            str(found["top_15_kept"]),
            *(
                (f"{found['nfdump']:.2f}", f"{found['nfdump'] / found['exact']['median']:.1f}")
                if "nfdump" in found
                else ("", "")
            ),
        )
    console.print(table)
    table = Table("estimates by", "groups", "median error", "p95", "within 1.96 standard errors")
    for name, found in report["errors"].items():
        errors = (f"{found[key]:.2%}" for key in ("median", "p95", "within"))
        table.add_row(name, f"{found['groups']:,}", *errors)
    console.print(table)
    for name, seconds in report["absent"].items():
        console.print(f"{name}, over all: {seconds:.2f} s (goal 1)")


def print_console(console: Console, report: dict[str, Any]) -> None:
    """Print what a browser measured."""
    headings = ("page", "paint ms", "data ms", "slowest request ms", "kB", "requests", "long tasks")
    table = Table(*headings, title=f"console, 30 days of {report['flows']:,} flows")
    for name, figures in report["pages"].items():
        tasks, longest = figures["long_tasks"]["median"], figures["longest_task_ms"]["largest"]
        times = (figures[key] for key in ("first_paint_ms", "data_ms", "slowest_request_ms"))
        table.add_row(
            name,
            *(f"{figure['median']:.0f} ({figure['largest']:.0f})" for figure in times),
            f"{figures['octets']['median'] / 1e3:.0f}",
            f"{figures['requests']['median']:.0f}",
            f"{tasks:.0f} ({longest:.0f} ms)",
        )
    console.print(table)
    live = report["live"]
    console.print(
        f"heap {live['heap_first'] / 1e6:.1f} MB, after {live['refreshes']} live refreshes"
        f" {live['heap_last'] / 1e6:.1f} MB; {live['elements']} elements"
    )


def print_fresh(console: Console, report: dict[str, Any]) -> None:
    """Print how long flows took to show."""
    table = Table("datagram to answer", "median s", "largest s", "goal s")
    for name in ("new_exporter", "known_exporter"):
        found = report[name]
        numbers = (found["median"], found["largest"], report["goal_seconds"])
        table.add_row(name.replace("_", " "), *(f"{number:.1f}" for number in numbers))
    console.print(table)


def print_pmacct(console: Console, report: dict[str, Any]) -> None:
    """Print rows a second into tables of pmacct."""
    table = Table(
        *("rows a second", "appliance", "nfacctd, best", "its sql_multi_values", "ratio", "goal"),
        title=f"tables of pmacct, {report['rows']:,} rows",
    )
    for kind in ("sqlite3", "mysql"):
        if (found := report.get(kind)) is None:
            continue
        peer = (found.get("nfacctd"), found.get("sql_multi_values"), found.get("ratio"))
        texts = [
            layout.format(n) if n is not None else "-"
            for layout, n in zip(("{:,.0f}", "{:,}", "{:.1f}"), peer, strict=True)
        ]
        table.add_row(kind, f"{found['appliance']:,.0f}", *texts, f"{found['goal']:.0f}")
    console.print(table)


def print_alerting(console: Console, report: dict[str, Any]) -> None:
    """Print what rules cost, and how long a message takes."""
    table = Table(f"{report['rate']:,.0f} flows/s", "CPU seconds", "datagrams dropped")
    for name in ("without rules", "with all rules"):
        table.add_row(name, f"{report[name]['cpu_seconds']:.1f}", f"{report[name]['drops']:,.0f}")
    console.print(table)
    seconds = report["message"]["seconds"]
    told = "no message came" if seconds is None else f"its message came after {seconds:.1f} s"
    console.print(f"a flood beside it: {told}; goal {MESSAGE_SECONDS:.0f} s")


def print_baselines(console: Console, report: dict[str, Any]) -> None:
    """Print what rules that compare with the weeks before cost."""
    n_rules, seconds = report["rules"], report["seconds"]
    table = Table(f"{report['hour_flows']:,} flows an hour, {n_rules} rules", "CPU seconds")
    each = report["question_cpu_seconds"]
    table.add_row("an hour of one rule, asked for once", f"{each:.2f}")
    table.add_row(f"an hour of {n_rules} rules", f"{each * n_rules:.1f}")
    for name, used in report["looking_cpu_seconds"].items():
        table.add_row(f"looking for {seconds} s, {name}", f"{used:.2f}")
    console.print(table)
    console.print(f"share of one processor for the hours: {report['core_share']:.2%}")


def print_snmp(console: Console, report: dict[str, Any]) -> None:
    """Print the rounds of SNMP beside their goal."""
    table = Table("a round of SNMP", "exporters", "interfaces", "seconds", "CPU seconds", "MB")
    for name, figures in report.items():
        table.add_row(
            *(name, str(figures["exporters"]), str(figures["interfaces"])),
            *(f"{figures['seconds']:.1f}", f"{figures['cpu_seconds']:.1f}"),
            f"{figures['octets_on_disk'] / 1e6:.1f}",
        )
    console.print(table)
    console.print(
        f"goal: at most {GOAL_SECONDS:.0f} s, and {GOAL_SECONDS * GOAL_CORE:.0f} CPU seconds"
    )


def print_clickhouse(console: Console, report: dict[str, Any]) -> None:
    """Print how fast the flow log goes into ClickHouse, and how large it is there."""
    table = Table("into ClickHouse", "rows a second", "rows a CPU second", "octets a flow", "sums")
    for name, figures in report.items():
        rates = [figures.get(f"rows_per_{unit}") for unit in ("second", "cpu_second")]
        sums = figures.get("sum_octets_per_flow")
        table.add_row(
            *(name, *("-" if rate is None else f"{rate:,.0f}" for rate in rates)),
            *(f"{figures['octets_per_flow']:.1f}", "-" if sums is None else f"{sums:.2f}"),
        )
    console.print(table)
    answers = Table("answers in seconds", *report)
    for question in report["flow log"]["answer_seconds"]:
        seconds = (figures["answer_seconds"][question] for figures in report.values())
        answers.add_row(question, *(f"{each:.2f}" for each in seconds))
    console.print(answers)


def print_clickhouse_week(console: Console, report: dict[str, Any]) -> None:
    """Print how a week of flows goes into ClickHouse, and what answers cost there."""
    octets = ", ".join(f"{name} {size:.2f}" for name, size in report["octets_per_flow"].items())
    console.print(
        f"{report['rows']:,} flows in {report['seconds']:,.0f} s: {report['rows_per_second']:,.0f}"
        f" a second, {report['rows_per_cpu_second']:,.0f} a CPU second of the writer"
    )
    console.print(f"octets a flow: {octets}")
    table = Table("question", "exact s", "estimated s", "rows read", "error", "within", "of 15")
    for name, figures in report["questions"].items():
        table.add_row(
            name,
            *(f"{figures[method]:.2f}" for method in ("exact", "sampled")),
            f"{figures['rows_scanned']:,}" if figures["method"] == "sampled" else "exact",
            *(f"{figures[key]:.1%}" for key in ("error_median", "within")),
            str(figures["top_15_kept"]),
        )
    console.print(table)


def print_replicate(console: Console, report: dict[str, Any]) -> None:
    """Print what copies of datagrams cost, and how many are lacking."""
    table = Table(
        "copies", "datagrams a second", "CPU us a datagram", "flows lost", "copies lacking"
    )
    for name, figures in report.items():
        has_copies = "copies" in name or "-R" in name
        table.add_row(
            name,
            f"{figures['datagrams_per_second']:,.0f}",
            f"{figures['us_per_datagram']:.1f}",
            f"{figures['lost_flows']:,}",
            f"{figures['copies_lacking']:,}" if has_copies else "-",
        )
    console.print(table)


def print_streaming(console: Console, report: dict[str, Any]) -> None:
    """Print how fast flows go out as lines."""
    table = Table("flows as lines", "flows a second", "CPU us a flow")
    for name, figures in report.items():
        rate, cost = figures["flows_per_second"], figures["us_per_flow"]
        table.add_row(name, f"{rate:,.0f}", f"{cost:.2f}")
    console.print(table)


def print_anonymising(console: Console, report: dict[str, Any]) -> None:
    """Print what replacing all addresses of a flow costs."""
    table = Table("addresses replaced", "decoding, ns a flow", "replacing, ns a flow")
    for name, figures in report.items():
        before = f"{figures['before_ns']:.0f}" if "before_ns" in figures else "-"
        table.add_row(name, before, f"{figures['anonymising_ns']:.0f}")
    console.print(table)
