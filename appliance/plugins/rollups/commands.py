"""`appliance rebuild`: fill the flow database again from the flow log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from appliance.cli.options import pass_settings
from appliance.settings import Settings
from appliance.stores import DATABASE_SETTING

if TYPE_CHECKING:
    from appliance.plugins.rollups.store import SqlStore

_PAUSE_SECONDS = 0.5


@click.command("rebuild")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@pass_settings
def rebuild(settings: Settings, yes: bool) -> None:
    """Fill the flow database again from the flow log.

    Sums of the time that the log reaches back are dropped and made again, older ones stay, as do
    the identifiers and names of exporters. The collector may run meanwhile; answers are incomplete
    until it is done.
    """
    from appliance.plugins.rollups.store import SqlStore

    if not yes:
        click.confirm("Drop and fill again all sums that the flow log can bring back?", abort=True)
    store = SqlStore(settings[DATABASE_SETTING], settings)
    try:
        click.echo(store.rebuild(time.time()))
        _show(store)
        click.echo(f"{store.health()['rows']} rows in {store.flows.name}")
    finally:
        store.close()


def _show(store: SqlStore) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("segments of the flow log"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("", total=None)
        for done, total in _steps(store):
            progress.update(task, completed=done, total=total)


def _steps(store: SqlStore) -> Iterator[tuple[int, int]]:
    """Load until nothing is left; a running loader may do it instead, then only watch."""
    from appliance.plugins.rollups.loading import ChangedByOther

    end = store.last_segment()
    busy = True
    while busy:
        try:
            busy = store.load_once(time.time()).busy
        except ChangedByOther:
            time.sleep(_PAUSE_SECONDS)
        at = min(store.loader.position().segment, end)
        yield at, end
