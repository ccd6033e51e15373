"""`appliance clickhouse`: the history into ClickHouse, and whether all of it is there."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from appliance import ApplianceError, Settings, SettingsError
from appliance.cli.options import conf_path_option, pass_settings
from appliance.cli.sending import progress_bar
from appliance.plugins.clickhouse.configuration import ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.flowlog import Cursor
    from appliance.flowlog.reader import Span
    from appliance.plugins.clickhouse.totals import DayComparison, LogTotals
    from appliance.plugins.clickhouse.writer import ClickHouseLoader

_PAUSE_SECONDS = 1.0


@click.group("clickhouse")
def clickhouse() -> None:
    """Move the flow log to ClickHouse, and compare both."""


@clickhouse.command("fill", params=[conf_path_option(hidden=True)])
@pass_settings
def fill(settings: Settings) -> None:
    """Write the history, or watch it, and compare.

    Writes the flow log from its oldest flow on; ends when all is there that is in it now. It may be
    interrupted and called again: it goes on where it was, and no flow is written twice. While a
    collector runs that writes to ClickHouse itself, this shows how far that is.
    """
    with closing(_loader(settings)) as loader:
        spans = _spans(loader)
        _fill(loader, spans)
        _compare(loader, spans)


@clickhouse.command("compare", params=[conf_path_option(hidden=True)])
@pass_settings
def compare(settings: Settings) -> None:
    """Compare flows and octets of each day.

    What the collector has not written yet is missing there; exit status 1 where anything differs.
    """
    with closing(_loader(settings)) as loader:
        _compare(loader, _spans(loader))


def _loader(settings: Settings) -> ClickHouseLoader:
    from appliance.plugins.clickhouse import loader_of

    if not settings[ADDRESSES]:
        raise SettingsError("no server is named", file=settings.file, key=ADDRESSES.name)
    return loader_of(settings)


def _spans(loader: ClickHouseLoader) -> list[Span]:
    spans = [span for span in loader.reader.spans() if span.n_rows]
    if not spans:
        raise ApplianceError("the flow log is empty: there is nothing to write")
    return spans


def _end(spans: Sequence[Span]) -> Cursor:
    from appliance.flowlog import Cursor

    return Cursor(spans[-1].segment, spans[-1].n_rows)


def _fill(loader: ClickHouseLoader, spans: Sequence[Span]) -> None:
    from appliance.plugins.clickhouse.filling import Filling

    def tell(text: str) -> None:
        click.echo(f"appliance: {text}", err=True)

    total = sum(span.n_rows for span in spans)
    columns = ("{task.completed:,.0f} of {task.total:,.0f} flows", "{task.fields[speed]}")
    with progress_bar(*columns) as progress:
        task = progress.add_task("", total=total, speed="")
        begun, rows_before = time.monotonic(), -1
        for place in Filling(loader, _end(spans), tell).positions():
            rows = _rows_before(spans, place)
            rows_before = rows if rows_before < 0 else rows_before
            speed = (rows - rows_before) / (time.monotonic() - begun + 1e-9)
            progress.update(task, completed=rows, speed=f"{speed:,.0f}/s")


def _rows_before(spans: Sequence[Span], place: Cursor) -> int:
    before = sum(span.n_rows for span in spans if span.segment < place.segment)
    here = sum(span.n_rows for span in spans if span.segment == place.segment)
    return before + min(place.row, here)


def _compare(loader: ClickHouseLoader, spans: Sequence[Span]) -> None:
    from appliance.plugins.clickhouse.totals import compare_days

    log = _read_log(loader, spans)
    first_kept = loader.first_kept_days(time.time())
    days = compare_days(
        loader.cluster, loader.collector, log, first_kept, lambda: time.sleep(_PAUSE_SECONDS)
    )
    click.echo(_table(days), nl=False)
    n_past = len(log.by_day) - len(days)
    if n_past:
        click.echo(f"{n_past} more days are past clickhouse.days, and not kept there")
    click.echo(_verdict(loader, days))


def _read_log(loader: ClickHouseLoader, spans: Sequence[Span]) -> LogTotals:
    from appliance.plugins.clickhouse.totals import log_totals

    total = sum(span.n_rows for span in spans)
    with progress_bar("comparing: {task.completed:,.0f} of {task.total:,.0f} flows") as progress:
        task = progress.add_task("", total=total)
        return log_totals(
            loader.reader, _end(spans), lambda rows: progress.update(task, completed=rows)
        )


def _verdict(loader: ClickHouseLoader, days: Sequence[DayComparison]) -> str:
    """Return the last line where all is equal.

    Raises
    ------
    ApplianceError
        Something differs.
    """
    n_other = sum(not day.is_equal for day in days)
    if n_other:
        which = "1 day differs" if n_other == 1 else f"{n_other} days differ"
        problems = [str(problem) for problem in loader.cluster.problems.values()]
        raise ApplianceError("; ".join([f"{which} from the flow log", *problems]))
    flows, octets = (sum(day.log[i] for day in days) for i in (0, 1))
    return (
        f"done: {flows:,} flows, {octets:,} octets of {loader.collector} are in ClickHouse,"
        " equal to the flow log's"
    )


def _table(days: Sequence[DayComparison]) -> str:
    from rich.table import Table
    from rich.text import Text

    from appliance.cli.tables import table_text
    from appliance.plugins.clickhouse.schema import DAY_SECONDS

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("day (UTC)", "flows", "octets", "in ClickHouse"):
        table.add_column(heading, justify="right" if heading in ("flows", "octets") else "left")
    for day in days:
        date = datetime.fromtimestamp(day.day * DAY_SECONDS, UTC)
        cells = (f"{date:%Y-%m-%d}", f"{day.log.rows:,}", f"{day.log.octets:,}", _state(day))
        table.add_row(*map(Text, cells))
    return table_text(table, None)


def _state(day: DayComparison) -> str:
    if day.is_equal:
        return "the same"
    if day.log == day.stored:
        return f"the same, but {abs(day.unsummed):,} flows not as in its sums"
    return f"{day.stored.rows:,} flows, {day.stored.octets:,} octets"
