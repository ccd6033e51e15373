"""`appliance plugins`: what is loaded, in call order, from where, and each one's hooks."""

from __future__ import annotations

import json

import click
import pluggy

from appliance.app import App
from appliance.cli.options import pass_app
from appliance.plugin_manager import plugin_origin


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@pass_app
def command(app: App, as_json: bool) -> None:
    """List plugins and their hooks."""
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


def loaded_plugins(manager: pluggy.PluginManager) -> list[dict[str, str | list[str]]]:
    """Return name, origin and hooks of each plugin, in the order they are asked to register."""
    return [
        {
            "name": name,
            "from": plugin_origin(manager, name),
            "hooks": sorted(caller.name for caller in manager.get_hookcallers(plugin) or ()),
        }
        for name, plugin in manager.list_name_plugin()
        if plugin is not None
    ]
