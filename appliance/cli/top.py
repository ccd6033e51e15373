"""`appliance top`: who and what made the most traffic."""

from __future__ import annotations

from typing import Any

import click

from appliance.cli.flows import answer, search_options
from appliance.flowlog.conditions import HELP
from appliance.flowlog.questions import DIMENSIONS, MEASURES, TopQuestion

MAX_GROUPS = 100_000


@click.command("top", epilog=f"DIMENSION is one of: {', '.join(DIMENSIONS)}.\n\n{HELP}")
@click.argument("dimension", default="source")
@click.argument("conditions", nargs=-1, metavar="[CONDITION]...")
@click.option("--limit", type=click.IntRange(1, MAX_GROUPS), default=10, show_default=True)
@click.option("--order", type=click.Choice(MEASURES), default="octets", show_default=True)
@click.option("--other", is_flag=True, help="Add a row with all the rest, its keys left empty.")
@click.option("--raw", is_flag=True, help="Do not scale by the sampling rate.")
@search_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Show who and what made the most traffic.

    Groups the flows that satisfy every CONDITION by DIMENSION, such as: appliance top service
    --last 1h exporter=192.0.2.1
    """
    if given["dimension"] not in DIMENSIONS and "=" in given["dimension"]:
        given["conditions"] = (given["dimension"], *given["conditions"])
        given["dimension"] = "source"
    answer(
        ctx,
        given,
        lambda search, common: search.top(
            TopQuestion(
                given["dimension"],
                **common,
                limit=given["limit"],
                order=given["order"],
                other=given["other"],
                raw=given["raw"],
            )
        ),
    )
