"""The `appliance` command: its own subcommands from the table, then those of plugins.

A subcommand is imported when it is called. Plugins are loaded only for the help text and for names
that are not in the table; when they cannot be loaded, help says so and shows the rest.
"""

from __future__ import annotations

import copy
import difflib
import importlib
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from appliance.cli import CORE_COMMANDS
from appliance.cli.options import Invocation, conf_path_option, run_command_line
from appliance.cli.version import verbose_option, version_option
from appliance.errors import ApplianceError

if TYPE_CHECKING:
    from appliance.contracts import Registered

UMASK = 0o027
"""What is written is for the owner and the group, 0640 in folders of 0750: flows tell who talked
to whom. Files with secrets are made with 0600 where they are written."""


class CommandLine(click.Group):
    """A click group whose commands come from `CORE_COMMANDS` and from plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the core's commands in the order of the table, then the plugins'."""
        shown = [name for name, command in CORE_COMMANDS.items() if not command.hidden]
        return [*shown, *_plugin_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; each also takes `--conf-path`."""
        core = CORE_COMMANDS.get(cmd_name)
        if core is not None:
            command: click.Command = importlib.import_module(core.module).command
        else:
            entry = _plugin_commands(ctx).get(cmd_name)
            if entry is None:
                return None
            command = _guard_command(entry)
        command = copy.copy(command)
        command.params = [*command.params, conf_path_option(hidden=True)]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a misspelt one fails with the nearest."""
        command = self.get_command(ctx, args[0])
        if command is None and not args[0].startswith("-"):
            nearest = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f", did you mean {nearest[0]}?" if nearest else ""
            raise click.UsageError(f"no such command: {args[0]}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing the core's."""
        rows = [(name, c.help) for name, c in CORE_COMMANDS.items() if not c.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
        try:
            added = _plugin_commands(ctx)
        except ApplianceError as error:
            print(f"appliance: {error}", file=sys.stderr)
            return
        if added:
            with formatter.section("Commands of plugins"):
                rows = [(n, entry.value.get_short_help_str()) for n, entry in added.items()]
                formatter.write_dl(rows)


@click.command(
    cls=CommandLine,
    params=[conf_path_option(), version_option(), verbose_option()],
    context_settings={"help_option_names": ["-h", "--help"], "obj": None},
    epilog="First steps: `appliance check`, then `appliance run`.",
)
@click.pass_context
def group(ctx: click.Context, verbose: bool) -> None:
    """Receive NetFlow, IPFIX and sFlow, keep the flows and answer questions about them."""
    if verbose:
        raise click.UsageError("--verbose goes with --version only", ctx)
    ctx.ensure_object(Invocation)


def main() -> None:
    """Run the command line and exit with its code."""
    # Of the whole process, before its first thread: libraries (SQLite, Arrow) make files as well.
    os.umask(UMASK)
    # numpy's threads for matrices, of which there are none, would spin for a tenth of a second.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(run_command_line(group, sys.argv[1:]))


def _guard_command(entry: Registered[click.Command]) -> click.Command:
    """Return a copy of a plugin's command that names the plugin when it fails."""
    command = copy.copy(entry.value)
    invoke = command.invoke

    def invoke_guarded(ctx: click.Context) -> Any:
        from appliance.guard import PluginFailures

        try:
            return invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, ApplianceError, OSError):
            raise
        # A guard around a plugin; everything above is a command's usual way to end.
        except Exception as error:
            part = f"command {command.name}"
            raise PluginFailures().add(entry.plugin, part, error) from error

    command.invoke = invoke_guarded  # type: ignore[method-assign]
    return command


def _plugin_commands(ctx: click.Context) -> Mapping[str, Registered[click.Command]]:
    from appliance.plugin_manager import build_plugin_manager
    from appliance.registrations import gather_commands
    from appliance.settings.file import read_settings_file

    file = read_settings_file(ctx.ensure_object(Invocation).conf_path)
    manager = build_plugin_manager(file.disabled_plugins())
    return {str(entry.value.name): entry for entry in gather_commands(manager)}
