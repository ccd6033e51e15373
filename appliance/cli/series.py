"""`appliance series`: traffic over time, as a chart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.flows import Answered, answer, load_plugin_columns, search_options
from appliance.cli.top import engine_of, engine_options, split_words
from appliance.errors import InvalidQueryError
from appliance.flowlog.times import span
from appliance.query.dimensions import DIMENSIONS
from appliance.query.language.fields import HELP
from appliance.query.question import MAX_BINS, MAX_SERIES, SUMS, Question, SeriesAnswer
from appliance.query.steps import fitting_step_ms

if TYPE_CHECKING:
    from appliance.flowlog.search import FlowSearch


@click.command("series", epilog=f"DIMENSION is one of: {', '.join(DIMENSIONS)}.\n\n{HELP}")
@click.argument("words", nargs=-1, metavar="[DIMENSION]... [CONDITION]...")
@click.option("--limit", type=click.IntRange(1, MAX_SERIES), default=5, show_default=True)
@click.option("--order", type=click.Choice(SUMS), default="octets", show_default=True)
@click.option(
    "--step",
    metavar="SPAN",
    help=f"Length of a bin, such as 5m; at most {MAX_BINS} bins. Default: what fits the range.",
)
@engine_options
@search_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Draw traffic over time.

    Draws the flows that satisfy every CONDITION by up to three DIMENSIONs, of the last hour if no
    range is given, such as: appliance series application --last 1d interface=3

    A flow's octets are spread evenly over the time that it lasted. Below the chart are mean,
    largest and last rate and the 95th percentile. CSV, JSON and Parquet have the sum of each bin.
    """
    load_plugin_columns(ctx, given["directory"])
    dimensions, given["conditions"] = split_words(given["words"])
    if given["last"] is None and given["since"] is None:
        given["last"] = "1h"
    now_ms = int(time.time() * 1000)

    def ask(search: FlowSearch, common: dict[str, Any]) -> Answered:
        common["until_ms"] = min(common["until_ms"], now_ms)
        if common["since_ms"] >= common["until_ms"]:
            raise InvalidQueryError("the time range lies ahead of now")
        length_ms = common["until_ms"] - common["since_ms"]
        step_ms = span(given["step"]) if given["step"] else fitting_step_ms(length_ms)
        question = Question(
            dimensions,
            order=given["order"],
            step_ms=step_ms,
            limit=given["limit"],
            raw=given["raw"],
            exact=given["exact"],
            dedupe=given["dedupe"],
            **common,
        )
        series = engine_of(ctx, search, given["directory"]).series(question, now_ms)
        return Answered(_rows(series, given["order"]), lambda: _text(series, question, given))

    answer(ctx, given, ask)


def _rows(series: SeriesAnswer, order: str) -> Any:
    """Return a row for each bin of each line, without those where nothing was."""
    import pyarrow as pa

    rows = [
        {
            "time": start,
            **row.keys,
            order: round(value),
            **({"error": error} if series.provenance.method == "sampled" else {}),
            "is_other": row.is_other,
        }
        for row in series.rows
        for start, value, error in zip(series.starts_ms, row.values, row.errors, strict=True)
        if value
    ]
    table = pa.Table.from_pylist(rows)
    if rows:
        place = table.schema.get_field_index("time")
        times = table.column("time").cast(pa.timestamp("ms"))
        table = table.set_column(place, "time", times)
    return table


def _text(series: SeriesAnswer, question: Question, given: dict[str, Any]) -> str:
    from appliance.cli.charts import chart, statistics_table
    from appliance.cli.tables import terminal_width

    width = terminal_width(given["output"])
    table = statistics_table(series, question.order, width)
    return chart(series, question.order, width) + table if series.rows else table
