"""Where the plugin `print` writes: files, or standard output.

How far the log is written is in a file of its own, after the rows: what a crash comes between is
written once more, and never lost.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.errors import StorageError
from appliance.plugins.sql_store.pmacct.destination import Position
from appliance.plugins.sql_store.pmacct.plan import Output, TablePlan
from appliance.plugins.sql_store.pmacct.print_formats import closing, header, lines, opening
from appliance.plugins.sql_store.pmacct.tables import Target
from appliance.whole_files import replacing

POSITIONS = "pmacct-print.json"


class PrintDestination:
    """The output of one plugin.

    Parameters
    ----------
    positions
        The file that says how far each plugin is.
    """

    def __init__(self, output: Output, positions: Path) -> None:
        self.output, self._positions = output, positions

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do nothing: reading a file needs none."""
        yield

    def position(self, plugin: str) -> Position | None:
        """Return how far a plugin is; None when it never wrote."""
        content: Any = self._read().get(plugin)
        try:
            return Position.of(content)
        except (TypeError, KeyError):
            return None

    def purge(self, plan: TablePlan, targets: Sequence[Target], position: Position) -> list[str]:
        """Write rows, then the cursor behind them.

        Raises
        ------
        StorageError
            A file cannot be written; what was written of the purge comes once more.
        """
        try:
            for target in targets:
                self._write(plan, target)
            positions = self._read() | {plan.plugin: position.content()}
            with replacing(self._positions) as file:
                file.write(json.dumps(positions).encode())
        except OSError as error:
            problem = error.strerror or str(error)
            raise StorageError(f"plugin {plan.plugin}: {error.filename}: {problem}") from error
        return []

    def close(self) -> None:
        """Close nothing: files are closed after each purge."""

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._positions.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, plan: TablePlan, target: Target) -> None:
        if not target.name:
            sys.stdout.writelines(f"{line}\n" for line in self._lines(plan, target, True))
            sys.stdout.flush()
            return
        path = self.output.folder / target.name
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self.output.append or not path.exists() or not path.stat().st_size
        with path.open("a" if self.output.append else "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in self._lines(plan, target, is_new))

    def _lines(self, plan: TablePlan, target: Target, is_new: bool) -> Iterator[str]:
        output = self.output
        if output.markers:
            yield opening(output.format, plan.plugin)
        above = header(plan, output.format, output.separator)
        if above and is_new:
            yield above
        yield from lines(target.columns, plan, output.format, output.separator)
        if output.markers:
            yield closing(output.format, plan.plugin, target.n_rows)
