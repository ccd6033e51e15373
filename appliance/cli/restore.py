"""`appliance restore`: what a backup holds, put back."""

from __future__ import annotations

from pathlib import Path

import click

from appliance.app import App
from appliance.cli.options import pass_app


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--with-settings", is_flag=True, help="Also the configuration folder, as it was saved."
)
@pass_app
def command(app: App, file: Path, with_settings: bool) -> int:
    """Put back what a backup holds.

    Collector and API must be stopped. All of the file is read and checked before anything is
    changed. The settings stay as they are unless asked for: where the databases are differs from
    machine to machine. Accounts and passwords are those of the backup.
    """
    from appliance.backups.making import restore

    restored = restore(app, file, with_settings=with_settings)
    manifest = restored.manifest
    click.echo(f"{len(manifest.files)} files of {manifest.made} are back")
    if restored.log_aside is not None:
        click.echo(f"the flow log that was here is in {restored.log_aside}")
    if with_settings:
        click.echo("the settings are those of the backup: see `appliance check --settings`")
    return 0
