"""The `appliance` command: its own subcommands from the table, then those of plugins.

A subcommand is imported when it is called. Those of built-in plugins are in a table of their own;
where other plugins are installed, all are loaded for the help text and for names that are not the
core's. When they cannot be loaded, help says so and shows the rest.
"""

from __future__ import annotations

import copy
import difflib
import importlib
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from appliance.cli import CORE_COMMANDS
from appliance.cli.options import Invocation, conf_path_option, run_command_line
from appliance.cli.version import verbose_option, version_option
from appliance.errors import ApplianceError
from appliance.known_plugins import (
    BUILT_IN_COMMANDS,
    BUILT_IN_PLUGINS,
    BuiltInCommand,
    installed_plugins,
    name_import_failure,
)
from appliance.settings.location import find_settings_file

UMASK = 0o027
"""What is written is for the owner and the group, 0640 in folders of 0750: flows tell who talked
to whom. Files with secrets are made with 0600 where they are written."""

_COMMENT = re.compile(rb"^ *#.*\n", re.MULTILINE)
_DISABLES = re.compile(rb"disabled(?!: \[\]$)", re.MULTILINE)
_QUOTED = re.compile(rb"(?<=[ \[{,])(\"[^\"\n]*\"|'[^'\n]*')(?=[],}:]|$)", re.MULTILINE)

HELP_LETTERS = 80
"""So much of the first sentence of a plugin's command is shown in the list of commands."""


class _PluginCommand(NamedTuple):
    plugin: str
    help: str
    load: Callable[[], click.Command]


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
            added = _plugin_commands(ctx).get(cmd_name)
            if added is None:
                return None
            command = _guard_command(added)
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

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return commands and options that begin so; no command is imported for it."""
        known = {name: c.help for name, c in CORE_COMMANDS.items() if not c.hidden}
        known |= {name: command.help for name, command in _plugin_commands(ctx).items()}
        items = [CompletionItem(n, help=h) for n, h in known.items() if n.startswith(incomplete)]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

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
                formatter.write_dl([(name, command.help) for name, command in added.items()])


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


def _guard_command(added: _PluginCommand) -> click.Command:
    """Return a copy of a plugin's command that names the plugin when it fails."""
    command = copy.copy(added.load())
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
            raise PluginFailures().add(added.plugin, part, error) from error

    command.invoke = invoke_guarded  # type: ignore[method-assign]
    return command


def _disabled_plugins(folder: Path | None) -> Collection[str]:
    """Return the plugins that the settings' file disables. To read it takes as long as all the rest
    of a help text, so that one which cannot disable any is only looked through."""
    path = find_settings_file(folder)
    with suppress(OSError):
        if path is None or not _may_disable(path.read_bytes()):
            return ()
    from appliance.settings.file import read_settings_file

    return read_settings_file(folder).disabled_plugins()


def _may_disable(text: bytes) -> bool:
    """Tell whether a file may disable plugins; all that is hard to tell without a parser may."""
    if not text.isascii() or b"\r" in text or b"\\" in text:
        return True
    code = _COMMENT.sub(b"", text)
    # A quotation that goes on in the next line can hold what looks like a comment.
    return bool(_DISABLES.search(code) or {*b"\"'"} & {*_QUOTED.sub(b"", code)})


def _plugin_commands(ctx: click.Context) -> Mapping[str, _PluginCommand]:
    disabled = _disabled_plugins(ctx.ensure_object(Invocation).conf_path)
    built_in = {module.rpartition(".")[2] for module in BUILT_IN_PLUGINS}
    if installed_plugins() or not built_in.issuperset(disabled):
        return _registered_commands(disabled)
    return {
        name: _PluginCommand(command.plugin, command.help, partial(_import, command))
        for name, command in BUILT_IN_COMMANDS.items()
        if command.plugin not in disabled
    }


def _import(command: BuiltInCommand) -> click.Command:
    name = f"appliance.plugins.{command.plugin}.{command.module}"
    with name_import_failure(command.plugin, name):
        found: click.Command = getattr(importlib.import_module(name), command.attribute)
    return found


def _registered_commands(disabled: Collection[str]) -> Mapping[str, _PluginCommand]:
    """Return what all plugins register, which imports them all."""
    from appliance.plugin_manager import build_plugin_manager
    from appliance.registrations import gather_commands

    return {
        str(entry.value.name): _PluginCommand(
            entry.plugin,
            entry.value.get_short_help_str(HELP_LETTERS),
            partial(getattr, entry, "value"),
        )
        for entry in gather_commands(build_plugin_manager(disabled))
    }
