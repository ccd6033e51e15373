"""`appliance top`: who and what made the most traffic."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.flows import Answered, answer, load_plugin_columns, search_options
from appliance.cli.options import Invocation
from appliance.errors import InvalidQueryError
from appliance.flowlog import SAMPLES_FOLDER
from appliance.query.deduplication import RULES
from appliance.query.dimensions import DIMENSIONS, is_dimension
from appliance.query.language.fields import HELP
from appliance.query.question import DISTINCT, MEANS, SUMS, Question, TopAnswer

if TYPE_CHECKING:
    from appliance.contracts import FlowStore
    from appliance.flowlog.search import FlowSearch
    from appliance.query.engine import QueryEngine

MAX_GROUPS = 100_000
MEASURES = (*MEANS, *DISTINCT)
EXACT_ROWS = 20_000_000
"""Of a flow log that is named, whose settings are not known."""


def engine_options(command: Any) -> Any:
    """Add the options of commands that ask the query engine."""
    for option in (
        click.option("--exact", is_flag=True, help="Read every flow, however long it takes."),
        click.option("--raw", is_flag=True, help="Do not scale by the sampling rate."),
        click.option(
            "--dedupe",
            type=click.Choice(list(RULES)),
            help="Count the same flow once: where most of it was seen, or at ingress only.",
        ),
    ):
        command = option(command)
    return command


@click.command("top", epilog=f"DIMENSION is one of: {', '.join(DIMENSIONS)}.\n\n{HELP}")
@click.argument("words", nargs=-1, metavar="[DIMENSION]... [CONDITION]...")
@click.option("--limit", type=click.IntRange(1, MAX_GROUPS), default=10, show_default=True)
@click.option("--order", type=click.Choice([*SUMS, *MEASURES]), default="octets", show_default=True)
@click.option(
    "--measure",
    "measures",
    multiple=True,
    type=click.Choice(MEASURES),
    help="Show this too; repeatable. Numbers of sources and the like are approximate.",
)
@click.option("--other", is_flag=True, help="Add a row with all the rest.")
@click.option("--rate", is_flag=True, help="Bits, packets and flows a second, not sums.")
@click.option("--raw-numbers", is_flag=True, help="Plain numbers in the table, no kB or MB.")
@engine_options
@search_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Show who and what made the most traffic.

    Groups the flows that satisfy every CONDITION by up to three DIMENSIONs (default: source), such
    as: appliance top source service --last 1h exporter=192.0.2.1

    Addresses can be cut to prefixes: source/24, pair/16. With host, port, interface, vrf and as, a
    flow counts for both its sides. The total counts each flow once. Of very many flows the figures
    are estimated from samples, and the table says how exactly. CSV, JSON and Parquet have plain
    sums, and neither share nor total.
    """
    load_plugin_columns(ctx, given["directory"])
    dimensions, given["conditions"] = split_words(given["words"])

    def ask(search: FlowSearch, common: dict[str, Any]) -> Answered:
        if given["rate"]:
            common["until_ms"] = min(common["until_ms"], int(time.time() * 1000))
        question = Question(
            dimensions or ("source",),
            tuple(dict.fromkeys([*given["measures"], *_measure_of(given["order"])])),
            order=given["order"],
            limit=given["limit"],
            other=given["other"],
            raw=given["raw"],
            exact=given["exact"],
            dedupe=given["dedupe"],
            **common,
        )
        if given["rate"] and not question.since_ms:
            raise InvalidQueryError("a rate needs a range: give --last or --from")
        top = engine_of(ctx, search, given["directory"]).top(question)
        return Answered(_rows(top), lambda: _table(top, question, given))

    answer(ctx, given, ask)


def engine_of(ctx: click.Context, search: FlowSearch, directory: Path | None) -> QueryEngine:
    """Return what answers questions about a flow log and the samples beside it."""
    from appliance.query.engine import QueryEngine

    samples = search.directory.parent / SAMPLES_FOLDER
    if directory is not None:
        return QueryEngine(search, samples, EXACT_ROWS)
    app = ctx.ensure_object(Invocation).app

    def open_store() -> FlowStore:
        store = app.open_store()
        ctx.call_on_close(store.close)
        return store

    return QueryEngine(search, samples, app.settings["search.exact_rows"], open_store)


def split_words(words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the dimensions that words begin with, and the conditions that follow.

    A single word that is neither is a dimension that is not known.
    """
    place = 0
    while place < len(words) and is_dimension(words[place]):
        place += 1
    if len(words) == 1 and not place and not any(sign in words[0] for sign in "=<>~ "):
        place = 1
    return tuple(words[:place]), tuple(words[place:])


def _measure_of(order: str) -> tuple[str, ...]:
    return (order,) if order in MEASURES else ()


def _rows(top: TopAnswer) -> Any:
    """Return the groups, and the rest as a row without keys."""
    import pyarrow as pa

    if top.other is None:
        return top.rows
    field = top.rows.schema.field
    rest = {name: pa.array([value], field(name).type) for name, value in top.other.items()}
    return pa.concat_tables([top.rows, pa.table(rest)], promote_options="default")


def _table(top: TopAnswer, question: Question, given: dict[str, Any]) -> str:
    from appliance.cli.tables import terminal_width
    from appliance.cli.top_tables import top_table

    width = terminal_width(given["output"])
    return top_table(top, question, width, raw_numbers=given["raw_numbers"], is_rate=given["rate"])
