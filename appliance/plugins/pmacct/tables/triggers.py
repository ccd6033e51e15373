"""Programs that run after each purge: `sql_trigger_exec` and `print_trigger_exec`.

They run without a shell and without arguments, as the user of the loader and beside it; what
environment they get is in pmacct's docs/TRIGGER_VARS.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MOST_RUNNING = 10
"""So many of one plugin run at a time, as `sql_max_writers` has it in nfacctd."""


@dataclass(slots=True)
class PurgeCounts:
    """What a purge did: rows that waited, were written, were new and were added to."""

    total: int = 0
    effective: int = 0
    inserted: int = 0
    updated: int = 0


@dataclass(frozen=True, slots=True)
class Trigger:
    """A program, and what it is told besides the counts of a purge."""

    program: Path
    environment: Mapping[str, str] = field(default_factory=dict)


class TriggerRunner:
    """Starts the program of one plugin, and never waits for it."""

    def __init__(self, trigger: Trigger) -> None:
        self.trigger = trigger
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, environment: Mapping[str, str]) -> str | None:
        """Run the program; return why it does not run, or failed before."""
        failures = [p.returncode for p in self._running if p.poll()]
        self._running = [p for p in self._running if p.returncode is None]
        program = self.trigger.program
        if len(self._running) >= MOST_RUNNING:
            return f"{program}: not run, {MOST_RUNNING} of it have not ended yet"
        try:
            process = subprocess.Popen(
                [program],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.trigger.environment, **environment},
                start_new_session=True,
            )
        except OSError as error:
            return f"{program}: {(error.strerror or str(error)).lower()}"
        self._running.append(process)
        return f"{program}: ended with {failures[0]}" if failures else None


def counts_environment(counts: PurgeCounts, seconds: float) -> dict[str, str]:
    """Return the counts of a purge as an environment has them."""
    return {
        "TOTAL_ELEM_NUMBER": str(counts.total),
        "EFFECTIVE_ELEM_NUMBER": str(counts.effective),
        "INSERT_QUERIES_NUMBER": str(counts.inserted),
        "UPDATE_QUERIES_NUMBER": str(counts.updated),
        "ELAPSED_TIME": str(int(seconds)),
        # This one alone writes.
        "SQL_ACTIVE_WRITERS": "0",
    }
