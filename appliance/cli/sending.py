"""What the commands that send flows share: option types, progress, and the word about refusals."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from appliance.settings.types import ListenAddress

if TYPE_CHECKING:
    from rich.progress import Progress

HIGHEST_PORT = 65535
DEFAULT_TARGET = "127.0.0.1:2055"


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def target_option(help_text: str) -> Decorator:
    """Return the `--to` option, which gives a `ListenAddress`."""
    return click.option(
        "--to",
        "target",
        metavar="HOST:PORT",
        callback=_target,
        default=DEFAULT_TARGET,
        show_default=True,
        help=help_text,
    )


def _target(ctx: click.Context, param: click.Parameter, value: str) -> ListenAddress:
    host, _, port = value.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host.startswith("[") and host.endswith("]")
    number = int(port) if port.isascii() and port.isdigit() else 0
    if not bare or (":" in bare) != bracketed or not 1 <= number <= HIGHEST_PORT:
        raise click.BadParameter(f"expected HOST:PORT or [IPV6]:PORT, found {value!r}", ctx, param)
    return ListenAddress(bare, number)


def rate_of(ctx: click.Context, param: click.Parameter, value: str) -> float | None:
    """Return the number that an option gives, or None for `max`; a click callback."""
    if value.lower() == "max":
        return None
    try:
        rate = float(value)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise click.BadParameter(
            f"expected a number above zero, or max, found {value!r}", ctx, param
        )
    return rate


@contextlib.contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Turn the first Ctrl-C (or SIGTERM) into a call of `stop`; a second one interrupts as usual.

    Raises
    ------
    KeyboardInterrupt
        At the end, when there was one.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.signal(number, before[number] or signal.SIG_DFL)
        stop()

    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
    if came:
        raise KeyboardInterrupt


def progress_bar(*columns: str) -> Progress:
    """Return a progress display on standard error, silent when that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    return Progress(
        BarColumn(),
        *(TextColumn(column) for column in columns),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def warn_of_refusals(target: ListenAddress, refused: int) -> int:
    """Say that nobody listens, when so; return the exit code."""
    if not refused:
        return 0
    click.echo(
        f"appliance: nobody listens on {target}: {refused:,} refusals; start the collector, or"
        " give its address with --to",
        err=True,
    )
    return 1


def per_second(n: int, seconds: float) -> str:
    """Write a rate for people."""
    return f"{n / seconds:,.0f}" if seconds > 0 else "-"
