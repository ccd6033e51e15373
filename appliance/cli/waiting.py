"""How far a question is, on a terminal, where its answer takes a while."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from appliance.cli.sending import progress_bar

if TYPE_CHECKING:
    from appliance.flowlog.query_control import QueryControl

QUIET_SECONDS = 1.0
"""An answer that is there by then shows nothing."""

_PAUSE_SECONDS = 0.2


@contextmanager
def progress_of(control: QueryControl) -> Iterator[None]:
    """Show how much of the log was read while a question is answered."""
    over = threading.Event()

    def show() -> None:
        if over.wait(QUIET_SECONDS):
            return
        with progress_bar("{task.percentage:.0f} % read, Ctrl-C ends it") as bar:
            task = bar.add_task("", total=1.0)
            while not over.wait(_PAUSE_SECONDS):
                bar.update(task, completed=control.share)

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
