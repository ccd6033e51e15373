"""`appliance top`: who and what made the most traffic."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.flows import answer, load_plugin_columns, search_options
from appliance.errors import QueryError, StorageError
from appliance.flowlog.conditions import HELP
from appliance.flowlog.questions import DIMENSIONS, MEASURES, TopQuestion, dimensions

if TYPE_CHECKING:
    from appliance.flowlog.search import FlowSearch

MAX_GROUPS = 100_000


@click.command("top", epilog=f"DIMENSION is one of: {', '.join(DIMENSIONS)}.\n\n{HELP}")
@click.argument("dimension", default="source")
@click.argument("conditions", nargs=-1, metavar="[CONDITION]...")
@click.option("--limit", type=click.IntRange(1, MAX_GROUPS), default=10, show_default=True)
@click.option("--order", type=click.Choice(MEASURES), default="octets", show_default=True)
@click.option("--other", is_flag=True, help="Add a row with all the rest.")
@click.option("--raw", is_flag=True, help="Do not scale by the sampling rate.")
@click.option("--raw-numbers", is_flag=True, help="Plain numbers in the table, no kB or MB.")
@search_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Show who and what made the most traffic.

    Groups the flows that satisfy every CONDITION by DIMENSION, such as: appliance top service
    --last 1h exporter=192.0.2.1

    With host, port, interface and as, a flow counts for both its sides. The total counts each
    flow once. CSV, JSON and Parquet have plain numbers, and neither share nor total.
    """
    load_plugin_columns(ctx, given["directory"])
    if given["dimension"] not in dimensions() and "=" in given["dimension"]:
        given["conditions"] = (given["dimension"], *given["conditions"])
        given["dimension"] = "source"
    question = TopQuestion(
        given["dimension"],
        limit=given["limit"],
        order=given["order"],
        other=given["other"],
        total=given["form"] == "table",
        raw=given["raw"],
    )
    answer(
        ctx,
        given,
        lambda search, common: _groups(search, replace(question, **common)),
        lambda table: _table(table, question, given),
    )


def _groups(search: FlowSearch, question: TopQuestion) -> Any:
    """Return the groups, with names as far as they can be had."""
    from appliance.flowlog.option_names import with_names

    groups = search.top(question)
    try:
        return with_names(search, groups)
    except (QueryError, StorageError) as error:
        click.echo(f"appliance: without names: {error}", err=True)
        return groups


def _table(table: Any, question: TopQuestion, given: dict[str, Any]) -> str:
    from appliance.cli.tables import terminal_width, top_table

    width = terminal_width(given["output"])
    return top_table(table, question, width, raw_numbers=given["raw_numbers"])
