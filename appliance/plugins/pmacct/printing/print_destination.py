"""Where the plugin `print` writes: files, or standard output.

How far the log is written is in a file of its own, after the rows: what a crash comes between is
written once more, and never lost.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.atomic_files import atomic_write
from appliance.errors import StorageError
from appliance.plugins.pmacct.printing.print_formats import closing, header, lines, opening
from appliance.plugins.pmacct.tables.destination import Position
from appliance.plugins.pmacct.tables.plan import Output, TablePlan
from appliance.plugins.pmacct.tables.sql_tables import Target, expand_variables
from appliance.plugins.pmacct.tables.triggers import PurgeCounts

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
        self.counts = PurgeCounts()

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
        self.counts = PurgeCounts()
        try:
            for target in targets:
                self._write(plan, target)
            positions = self._read() | {plan.plugin: position.content()}
            with atomic_write(self._positions) as file:
                file.write(json.dumps(positions).encode())
        except OSError as error:
            problem = error.strerror or str(error)
            raise StorageError(f"plugin {plan.plugin}: {error.filename}: {problem}") from error
        return []

    def missing_names(self, names: Iterable[str]) -> set[str]:
        """Return which of these files are not there."""
        return {name for name in names if name and not (self.output.folder / name).exists()}

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
        self._make_folders(path.parent)
        is_new = not self.output.append or not path.exists() or not path.stat().st_size
        mode = "a" if self.output.append else "w"
        with open(path, mode, encoding="utf-8", opener=self._opener) as file:
            file.writelines(f"{line}\n" for line in self._lines(plan, target, is_new))
        self._link_latest(plan, target, path)

    def _opener(self, path: str, flags: int) -> int:
        """Open a file; a new one has the permissions that `files_umask` leaves."""
        try:
            handle = os.open(path, flags | os.O_EXCL, 0o600)
        except FileExistsError:
            return os.open(path, flags)
        os.fchmod(handle, 0o666 & ~self.output.umask)
        return handle

    def _make_folders(self, folder: Path) -> None:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            path.chmod(0o777 & ~self.output.umask)

    def _link_latest(self, plan: TablePlan, target: Target, path: Path) -> None:
        """Let `print_latest_file` lead to a file, unless it leads to one of a greater name."""
        if not self.output.latest:
            return
        name = expand_variables(self.output.latest, plan, target.moment, target.row_variables)
        link = self.output.folder / name
        if link.is_symlink():
            if str(link.readlink()) >= str(path):
                return
        elif link.exists():
            raise FileExistsError(errno.EEXIST, "is there and is no link", str(link))
        self._make_folders(link.parent)
        # Readers find the old file or the new one at every moment.
        beside = link.with_name(f".{link.name}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        beside.symlink_to(path)
        beside.replace(link)

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
