"""`appliance backup`: databases, accounts, secrets and settings in one file."""

from __future__ import annotations

import time
from pathlib import Path

import click

from appliance.app import App
from appliance.cli.options import pass_app


@click.command("backup")
@click.argument("file")
@click.option("--samples", is_flag=True, help="Also the samples of the flow log.")
@click.option("--flow-log", is_flag=True, help="Also the flow log, by far the largest part.")
@click.option(
    "--keep",
    type=click.IntRange(1),
    metavar="N",
    help="FILE is a folder: delete all but the newest N backups that were made into it.",
)
@pass_app
def command(app: App, file: str, flow_log: bool, samples: bool, keep: int | None) -> int:
    """Save databases, accounts, secrets and settings to a file.

    Collector and API may run. FILE is a tar file compressed with zstd. Where it is a folder, or
    ends in a slash, the backup gets a name of its own in it; a folder that is missing is made. It
    holds passwords and the secret of tokens, and is readable for its owner only.
    """
    from appliance.backups.making import backup, delete_old
    from appliance.environment import octets_text

    target = Path(file)
    if file.endswith("/"):
        # For its owner only, as what comes into it is.
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
    if keep is not None and not target.is_dir():
        raise click.UsageError(f"--keep needs a folder, such as {file}/")
    made, manifest = backup(app, target, flow_log=flow_log, samples=samples, now=time.time())
    size = octets_text(made.stat().st_size)
    click.echo(f"{made}: {len(manifest.files)} files, {size}")
    for old in delete_old(target, keep) if keep is not None else ():
        click.echo(f"{old}: deleted")
    return 0
