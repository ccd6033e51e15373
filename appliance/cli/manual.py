"""`appliance manual`: the chapters of the manual in the terminal."""

from __future__ import annotations

import difflib
import io
import shutil
import sys

import click

from appliance.manual import INDEX, LINK, PICTURE, chapter_text, chapters

MAX_WIDTH = 100
"""Lines of prose that are longer are hard to read."""


@click.command("manual")
@click.argument("chapter", required=False)
def command(chapter: str | None) -> None:
    """Read the manual.

    Shows its list of chapters, or CHAPTER.

    The same is at /manual/ of the web server.
    """
    names = [each.name for each in chapters()]
    if chapter not in (None, *names):
        near = difflib.get_close_matches(str(chapter), names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(names)}"
        raise click.UsageError(f"the manual has no chapter {chapter}, {hint}")
    text = as_terminal_text(chapter_text(chapter or INDEX))
    if sys.stdout.isatty():
        click.echo_via_pager(text)
    else:
        click.echo(text, nl=False)


def as_terminal_text(text: str) -> str:
    """Return a chapter as lines of the terminal; links name the command that shows the other."""
    from rich.console import Console
    from rich.markdown import Markdown

    prose = PICTURE.sub("", text)
    spelled = LINK.sub(lambda match: f"{match['text']} (`{_command(match['name'])}`)", prose)
    width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
    file = io.StringIO()
    is_terminal = sys.stdout.isatty()
    console = Console(file=file, width=width, force_terminal=is_terminal, no_color=not is_terminal)
    console.print(Markdown(spelled, hyperlinks=False, code_theme="ansi_light"))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def _command(name: str) -> str:
    return "appliance manual" if name == INDEX else f"appliance manual {name}"
