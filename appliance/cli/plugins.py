"""`appliance plugins`: what is loaded, in call order, from where, with which hooks; new ones."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from appliance.app import App
from appliance.cli.options import pass_app
from appliance.plugin_manager import loaded_plugins
from appliance.skeletons import EXAMPLES, write_skeleton


@click.group("plugins", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List plugins and their hooks."""
    if ctx.invoked_subcommand is None:
        print_plugins(as_json)


@command.command("new")
@click.option(
    "--kind",
    type=click.Choice(list(EXAMPLES)),
    default="decoder",
    show_default=True,
    help="What the plugin adds.",
)
@click.argument("name")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
def new(kind: str, name: str, folder: Path | None) -> None:
    """Write a plugin to begin with.

    It is called NAME, works as it is, and has a test that passes. DIR is the folder to make, else
    ./appliance-NAME.
    """
    target = Path(f"appliance-{name}") if folder is None else folder
    for file in write_skeleton(kind, name, target):
        click.echo(f"wrote {file}")
    click.echo("\nNext, in the environment of the appliance:\n")
    click.echo(f"    cd {shlex.quote(str(target))} && python -m pytest")
    click.echo("    python -m pip install --no-deps --no-build-isolation --editable .")
    click.echo("    appliance plugins")


@pass_app
def print_plugins(app: App, as_json: bool) -> None:
    """Print the table of plugins, or JSON."""
    rows = loaded_plugins(app.plugins)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("plugin", "from", "hooks", box=None, pad_edge=False)
    for row in rows:
        table.add_row(str(row["name"]), str(row["from"]), ", ".join(row["hooks"]))
    Console().print(table)
    if disabled := app.settings["plugins.disabled"]:
        click.echo(f"disabled: {', '.join(disabled)}")
