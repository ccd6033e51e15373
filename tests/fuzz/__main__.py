"""`make fuzz`: let a fuzzer go through every reader of octets, and say what it found."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from rich.table import Table

from tests.fuzz.targets import TARGETS

_INPUTS = r"number_of_executed_units: (\d+)"


class Run(NamedTuple):
    """One target's run: its process, and the file that it writes to."""

    name: str
    process: subprocess.Popen[bytes]
    output: Path

    def figure(self, pattern: str) -> str:
        """Return the last number behind a word in the output."""
        found = re.findall(pattern, self.output.read_text(errors="replace"))
        return found[-1] if found else ""


@click.command()
@click.option("--minutes", default=13.0, show_default=True, help="For all targets together.")
@click.option("--jobs", default=2, show_default=True, help="Targets at the same time.")
@click.option(
    "--folder",
    default=Path("build/fuzz"),
    type=click.Path(path_type=Path),
    show_default=True,
    help="Keeps the corpus for the next time, and what made a target fail.",
)
@click.argument("targets", nargs=-1, type=click.Choice(sorted(TARGETS)))
def main(minutes: float, jobs: int, folder: Path, targets: tuple[str, ...]) -> None:
    """Fuzz TARGETS, or all of them; exits with 1 when one fails."""
    names = deque(targets or sorted(TARGETS))
    seconds = max(int(minutes * 60 * jobs / len(names)), 1)
    folder.mkdir(parents=True, exist_ok=True)
    console, running, ended = Console(), [], []
    console.print(f"{len(names)} targets, {seconds} s each, {jobs} at a time, in {folder}")
    while names or running:
        while names and len(running) < jobs:
            running.append(_start(names.popleft(), seconds, folder))
        run = running.pop(0)
        run.process.wait()
        ended.append(run)
        verdict = "ok" if run.process.returncode == 0 else f"FAILED, see {run.output}"
        console.print(f"{run.name}: {run.figure(_INPUTS)} inputs, {verdict}")
    console.print(_table(ended))
    sys.exit(any(run.process.returncode for run in ended))


def _start(name: str, seconds: int, folder: Path) -> Run:
    output = folder / f"{name}.log"
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(seconds), str(folder)]
    with output.open("wb") as file:
        return Run(name, subprocess.Popen(command, stdout=file, stderr=file), output)


def _table(ended: list[Run]) -> Table:
    table = Table("target", "inputs", "a second", "branches", "corpus", "result")
    for run in ended:
        table.add_row(
            run.name,
            run.figure(_INPUTS),
            run.figure(r"average_exec_per_sec:\s+(\d+)"),
            run.figure(r"cov: (\d+)"),
            run.figure(r"corp: (\d+)"),
            "ok" if run.process.returncode == 0 else "failed",
        )
    return table


if __name__ == "__main__":
    main()
