"""Writes a manual page for each command, and completion for three shells, from click's own facts.

Runs in the package's own environment, so that it describes exactly the program that is packed.
"""

from __future__ import annotations

import argparse
import gzip
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from appliance import __version__
from appliance.cli.main import group

EPOCH = int(os.environ["SOURCE_DATE_EPOCH"])
DATE = datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%d")
COMPLETIONS = {
    "bash": "bash-completion/completions/appliance",
    "zsh": "zsh/vendor-completions/_appliance",
    "fish": "fish/vendor_completions.d/appliance.fish",
}
EXIT_STATUS = """\
0 when all went well, 1 when something failed, 2 when the command line or the configuration is
wrong, 130 after Ctrl-C. Errors are one sentence on standard error."""
FILES = """\
/etc/netflow-appliance/appliance.yml has the settings, /var/lib/netflow-appliance the data.
`appliance manual` shows the manual."""


def main() -> None:
    """Write everything below the folder that is named (`usr/share` of a package)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("share", type=Path)
    share = parser.parse_args().share
    folder = share / "man" / "man1"
    folder.mkdir(parents=True)
    top = click.Context(group, info_name="appliance")
    for context in contexts(top):
        name = page_name(context)
        text = page(context).encode()
        (folder / f"{name}.1.gz").write_bytes(gzip.compress(text, 9, mtime=0))
    for shell, path in COMPLETIONS.items():
        file = share / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(completion(shell))


def contexts(context: click.Context) -> Iterator[click.Context]:
    """Yield the context of a command and of all below it that help shows."""
    yield context
    if not isinstance(context.command, click.Group):
        return
    for name in context.command.list_commands(context):
        command = context.command.get_command(context, name)
        if command is not None and not command.hidden:
            yield from contexts(click.Context(command, parent=context, info_name=name))


def page(context: click.Context) -> str:
    """Return the manual page of one command."""
    command, name = context.command, page_name(context)
    short = command.get_short_help_str(200).rstrip(".")
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f'.TH "{name.upper()}" 1 {DATE} "netflow-appliance {__version__}" "NetFlow appliance"']
    # Neither hyphens nor wide gaps in what is to be typed.
    lines += [".nh", ".ad l", ".SH NAME", f"{escaped(name)} \\- {escaped(short)}"]
    lines += [".SH SYNOPSIS", f".B {escaped(context.command_path)}", escaped(usage)]
    lines += [".SH DESCRIPTION", *paragraphs(command.help or "")]
    lines += section("OPTIONS", option_records(context))
    if isinstance(command, click.Group):
        lines += section("COMMANDS", command_records(context, command))
    if command.epilog:
        lines += [".SH NOTES", *paragraphs(command.epilog)]
    if context.parent is None:
        lines += [".SH EXIT STATUS", *paragraphs(EXIT_STATUS), ".SH FILES", *paragraphs(FILES)]
    else:
        lines += [".SH SEE ALSO", f".BR {escaped(page_name(context.parent))} (1)"]
    return "\n".join([*lines, ""])


def page_name(context: click.Context) -> str:
    """Return `appliance-user-add`."""
    return context.command_path.replace(" ", "-")


def option_records(context: click.Context) -> Iterator[tuple[str, str]]:
    """Yield options as help shows them."""
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield record


def command_records(context: click.Context, command: click.Group) -> Iterator[tuple[str, str]]:
    """Yield the commands of a group with their first line."""
    for name in command.list_commands(context):
        entry = command.get_command(context, name)
        if entry is not None and not entry.hidden:
            yield f"{context.command_path} {name}", entry.get_short_help_str(200)


def section(title: str, records: Iterator[tuple[str, str]]) -> list[str]:
    """Return a list of terms and what each means; nothing where there is none."""
    lines = [f".SH {title}"]
    for term, text in records:
        lines += [".TP", f".B {escaped(term)}", escaped(" ".join(text.split()))]
    return lines if len(lines) > 1 else []


def paragraphs(text: str) -> list[str]:
    """Return paragraphs; those after a backspace keep their lines, as in click's help."""
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text).split("\f")[0]):
        if paragraph.startswith("\b"):
            kept = paragraph.removeprefix("\b").strip("\n").splitlines()
            lines += [".PP", ".nf", *map(escaped, kept), ".fi"]
        else:
            lines += [".PP", escaped(" ".join(paragraph.split()))]
    return lines[1:]


def escaped(text: str) -> str:
    """Return a line of text as roff reads it: hyphens that can be copied, no request by chance."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga")
    # A list of choices may be longer than a line, which may end after each bar.
    text = text.replace("|", "|\\:")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def completion(shell: str) -> str:
    """Return the script that a shell reads, as click makes it."""
    asked = os.environ | {"_APPLIANCE_COMPLETE": f"{shell}_source"}
    command = [sys.executable, "-m", "appliance"]
    return subprocess.run(command, env=asked, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
