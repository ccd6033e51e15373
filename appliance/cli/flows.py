"""`appliance flows`: search single flows in the flow log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from appliance.cli.options import Invocation
from appliance.cli.waiting import progress_of
from appliance.flowlog import FLOW_LOG_FOLDER
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.query_control import QueryControl
from appliance.flowlog.questions import ORDERS, FlowQuestion, columns_of_names
from appliance.flowlog.times import time_range
from appliance.query.language.fields import HELP
from appliance.stores import store_factory

if TYPE_CHECKING:
    from appliance.contracts import ExporterRecord
    from appliance.flowlog.search import FlowSearch
    from appliance.query.language.names import FilterNames

MAX_ROWS = 1_000_000
FORMATS = ("table", "csv", "json", "parquet")

Command = TypeVar("Command", bound=Callable[..., Any])

_CONDITION_OPTION = click.option(
    "--where", multiple=True, metavar="CONDITION", help="A condition; repeatable."
)
_FORMAT_OPTION = click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True
)
_COMMON_OPTIONS = (
    click.option("--last", metavar="SPAN", help="The time up to now, such as 15m, 1h or 7d."),
    click.option("--from", "since", metavar="TIME", help="ISO 8601, or seconds since 1970."),
    click.option("--to", "until", metavar="TIME", help="End of the range, not included."),
    click.option(
        "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file."
    ),
    click.option(
        "--directory",
        type=click.Path(file_okay=False, path_type=Path),
        help="Flow log to read; default: flowlog in the data_directory of the settings.",
    ),
    click.option("--memory", type=click.IntRange(16), metavar="MB", help="Limit of memory."),
    click.option("--threads", type=click.IntRange(1, 256), help="Limit of threads."),
    click.option("--timeout", type=click.FloatRange(0.1), metavar="SECONDS", help="Limit of time."),
)


def log_options(command: Command) -> Command:
    """Add the options of every command that asks the flow log: range, format, limits."""
    return _common_options(_FORMAT_OPTION(command))


def search_options(command: Command) -> Command:
    """Add the options that `flows` and `top` share."""
    return log_options(_CONDITION_OPTION(command))


def export_options(command: Command) -> Command:
    """Add the options that `export` shares with `flows`, whose forms are others."""
    return _common_options(_CONDITION_OPTION(command))


def _common_options(command: Command) -> Command:
    for option in reversed(_COMMON_OPTIONS):
        command = option(command)
    return command


@click.command("flows", epilog=HELP)
@click.argument("conditions", nargs=-1, metavar="[CONDITION]...")
@click.option("--limit", type=click.IntRange(1, MAX_ROWS), default=100, show_default=True)
@click.option("--order", type=click.Choice(list(ORDERS)), default="newest", show_default=True)
@click.option("--columns", metavar="NAME,...", help="What to show; all: those of plugins, too.")
@click.option("--wide", is_flag=True, help="All usual columns, times in full, as in a pipe.")
@click.option("--options", "options_records", is_flag=True, help="Options records, not flows.")
@search_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Search single flows.

    Shows the newest that satisfy every CONDITION, such as: appliance flows --last 1h
    host=10.0.0.1 port=443 "octets>1000000"

    A terminal gets the columns that fit, with times in UTC; --wide, pipes and files get all.
    """
    load_plugin_columns(ctx, given["directory"])
    options = given["options_records"]
    columns = columns_from_text(given["columns"] or ("all" if options else None))
    from appliance.flowlog.number_names import with_number_names

    def ask(search: FlowSearch, common: dict[str, Any]) -> Answered:
        question = FlowQuestion(
            **common,
            limit=given["limit"],
            order=given["order"],
            options=options,
            columns=columns,
        )
        table = with_number_names(search.flows(question))
        return Answered(
            table, lambda: _table(table, given, is_usual=columns == FlowQuestion.columns)
        )

    answer(ctx, given, ask)


def columns_from_text(text: str | None) -> tuple[str, ...]:
    """Return the columns of `--columns`: names between commas, `all`, or None for the usual."""
    return columns_of_names([] if text is None else [name.strip() for name in text.split(",")])


def load_plugin_columns(ctx: click.Context, directory: Path | None) -> None:
    """Let plugins bring their columns before words are read that may name one.

    A folder that is named may be of any site, so that its columns are ours only.
    """
    if directory is None:
        ctx.ensure_object(Invocation).app  # noqa: B018 - building it is what adds them


def _table(table: Any, given: dict[str, Any], *, is_usual: bool) -> str:
    from appliance.cli.tables import flows_table, terminal_width, utc_now, wide_table
    from appliance.flowlog.output import answer_texts

    width = terminal_width(given["output"])
    if width is None or given["wide"] or not is_usual:
        return wide_table(answer_texts(table))
    return flows_table(table, width, utc_now())


class Answered(NamedTuple):
    """An answer for programs, a pyarrow table, and what makes a text for people of it."""

    table: Any
    text: Callable[[], str]


def answer(
    ctx: click.Context,
    given: dict[str, Any],
    ask: Callable[[FlowSearch, dict[str, Any]], Answered],
) -> None:
    """Ask the flow log and write what it answers.

    Parameters
    ----------
    given
        The values of `log_options`, and the conditions where the command takes some.
    ask
        Called with the fields that questions share.
    """
    from appliance.flowlog.output import write_answer, write_text

    search, common = question_parts(ctx, given)
    if sys.stderr.isatty():
        control = QueryControl()
        search = search.with_limits(search.limits, control)
        with progress_of(control):
            table, tabulate = ask(search, common)
    else:
        table, tabulate = ask(search, common)
    if given["form"] == "table":
        write_text(tabulate(), given["output"])
    else:
        write_answer(table, given["form"], given["output"])
    report_gaps(search, is_empty=not table.num_rows)


def question_parts(ctx: click.Context, given: dict[str, Any]) -> tuple[FlowSearch, dict[str, Any]]:
    """Return what searches the flow log, and the fields that questions share.

    Parameters
    ----------
    given
        As for `answer`.
    """
    now_ms = int(time.time() * 1000)
    since_ms, until_ms = time_range(given["last"], given["since"], given["until"], now_ms)

    from appliance.flowlog.search import FlowSearch
    from appliance.query.language.duckdb import parse_conditions
    from appliance.query.language.words import filter_texts
    from appliance.query.source_search import search_of

    where, limits = where_and_how(ctx, given)
    if given["directory"] is None:
        search = search_of(where, limits, ctx.ensure_object(Invocation).app.settings)
    else:
        search = FlowSearch(where, limits)
    names = filter_names(ctx, given["directory"], search)
    texts = (*filter_texts(given.get("conditions", ()), names), *given.get("where", ()))
    conditions = parse_conditions(texts, names)
    return search, {"since_ms": since_ms, "until_ms": until_ms, "conditions": conditions}


def report_gaps(search: FlowSearch, *, is_empty: bool) -> None:
    """Say why there may be no flows, and what of the log could not be read."""
    if is_empty:
        # With the decoders' modules, a fifth of the time of a question.
        from appliance.cli.nothing import reasons_for_nothing

        for reason in reasons_for_nothing(search.directory):
            click.echo(f"appliance: {reason}", err=True)
    for name in search.missing:
        click.echo(f"appliance: partial: {name} does not answer, its flows are missing", err=True)
    for text in search.damaged:
        click.echo(f"appliance: left out, damaged: {text}", err=True)


def filter_names(ctx: click.Context, directory: Path | None, search: FlowSearch) -> FilterNames:
    """Return what looks up names in filters; of a folder that is named, only those in its log."""
    from appliance.query.address_lists import AddressLists
    from appliance.query.names import LogNames

    if directory is not None:
        return LogNames(search)
    app = ctx.ensure_object(Invocation).app

    def exporters() -> list[ExporterRecord]:
        opener = store_factory(app.stores, app.settings)
        if opener is None:
            return []
        with closing(opener()) as store:
            return list(store.exporters())

    return LogNames(search, exporters, AddressLists(app.settings["search.lists"]))


def where_and_how(ctx: click.Context, given: dict[str, Any]) -> tuple[Path, QueryLimits]:
    """Return the directory and the limits: options first, then the settings."""
    directory, limits = given["directory"], QueryLimits()
    if directory is None:
        settings = ctx.ensure_object(Invocation).app.settings
        directory = Path(settings["data_directory"]) / FLOW_LOG_FOLDER
        limits = QueryLimits(
            settings["search.memory"], settings["search.threads"], settings["search.timeout"]
        )
    memory = given["memory"]
    return directory, QueryLimits(
        limits.memory_octets if memory is None else memory * 10**6,
        given["threads"] or limits.threads,
        given["timeout"] or limits.seconds,
    )
