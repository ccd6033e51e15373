"""`appliance sql`: questions to the flow log in DuckDB's SQL."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.flows import Answered, answer, load_plugin_columns, log_options

if TYPE_CHECKING:
    from appliance.flowlog.search import FlowSearch

EPILOG = """\b
Views:
  flows     what counts as traffic; octets, packets and flows scaled
            by the sampling rate
  records   all but options; kind says flow, event or implausible
  options   what options records told

`appliance sql "describe flows"` shows the columns of a view.
"""


@click.command("sql", epilog=EPILOG)
@click.argument("statement", required=False)
@log_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Ask the flow log in SQL.

    The dialect is DuckDB's, such as: appliance sql "select source_address, sum(octets) from flows
    group by all order by 2 desc limit 10" --last 1h

    Addresses are text, times are timestamps in UTC. Without STATEMENT it is read from standard
    input.
    """
    load_plugin_columns(ctx, given["directory"])
    statement = given["statement"]
    if statement is None:
        if sys.stdin.isatty():
            raise click.UsageError('missing STATEMENT, such as "select count(*) from flows"', ctx)
        statement = sys.stdin.read()

    def ask(search: FlowSearch, common: dict[str, Any]) -> Answered:
        table = search.sql(statement, common["since_ms"], common["until_ms"])
        return Answered(table, lambda: _table(table))

    answer(ctx, given, ask)


def _table(table: Any) -> str:
    from appliance.cli.tables import wide_table
    from appliance.flowlog.output import answer_texts

    return wide_table(answer_texts(table), heading=str)
