"""`appliance rebuild`: fill the flow database, or make the samples, again from the flow log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.options import pass_settings
from appliance.flowlog import FLOW_LOG_FOLDER, SAMPLES_FOLDER
from appliance.settings.file import Settings
from appliance.stores import DATABASE_SETTING

if TYPE_CHECKING:
    from appliance.plugins.rollups.store import SqlStore

_PAUSE_SECONDS = 0.5


@click.command("rebuild")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@click.option("--samples", is_flag=True, help="Make the samples anew, not the flow database.")
@pass_settings
def rebuild(settings: Settings, yes: bool, samples: bool) -> None:
    """Fill the flow database again from the flow log.

    Sums of the time that the log reaches back are dropped and made again, older ones stay, as do
    the identifiers and names of exporters. The collector may run meanwhile; answers are incomplete
    until it is done.

    With --samples the samples of every hour in the log, and of the days and months that it is in,
    are drawn again with the sizes that the settings say. They are good at every moment, also when
    this is interrupted.
    """
    if samples:
        _rebuild_samples(settings, yes)
    else:
        _rebuild_database(settings, yes)


def _rebuild_samples(settings: Settings, yes: bool) -> None:
    from appliance.flowlog.samples.files import list_samples
    from appliance.flowlog.samples.keeper import sample_limits
    from appliance.flowlog.samples.rebuilding import rebuild_samples
    from appliance.plugins.rollups.rebuild import last_segment

    if not settings["samples.hour_rows"]:
        raise click.UsageError("samples.hour_rows is 0: no samples are kept")
    if not yes:
        click.confirm("Draw all samples that the flow log can bring back again?", abort=True)
    data: Path = settings["data_directory"]
    log, folder = data / FLOW_LOG_FOLDER, data / SAMPLES_FOLDER
    if not (log / "flows").is_dir():
        click.echo("the flow log is empty: nothing to rebuild from")
        return
    limits = sample_limits(settings)
    _show(rebuild_samples(log, folder, limits, last_segment(log), time.time()))
    click.echo(f"{len(list_samples(folder))} samples in {folder}")


def _rebuild_database(settings: Settings, yes: bool) -> None:
    from appliance.plugins.rollups.store import SqlStore

    if not yes:
        click.confirm("Drop and fill again all sums that the flow log can bring back?", abort=True)
    store = SqlStore(settings[DATABASE_SETTING], settings)
    try:
        click.echo(store.rebuild(time.time()))
        _show(_steps(store))
        click.echo(f"{store.health()['rows']} rows in {store.flows.name}")
    finally:
        store.close()


def _show(steps: Iterable[tuple[int, int]]) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("segments of the flow log"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("", total=None)
        for done, total in steps:
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
