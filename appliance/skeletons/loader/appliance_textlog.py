"""A loader: follows the flow log and writes each flow as a line of text.

What one step reads becomes one line of JSON with the position behind it: a crash at any point
leaves a last line that is cut off, which is not counted and written again.
"""

from __future__ import annotations

import json
from pathlib import Path

from appliance import (
    Cursor,
    FlowBatch,
    FlowLogReader,
    LoadReport,
    LogLoader,
    Settings,
    StorageError,
    address_text,
    batch_from_rows,
    hookimpl,
)

MAX_ROWS = 10_000
SHOWN = ("source_transport_port", "destination_transport_port", "octet_delta_count")


class TextLog:
    """Writes a file beside the flow log."""

    name = "text log"

    def __init__(self, folder: Path) -> None:
        self._file, self._log = folder / "flows.txt", FlowLogReader(folder / "flowlog")
        self._cursor = Cursor()
        self._end: int | None = None

    def load_once(self, now: float) -> LoadReport:
        """Write what is new."""
        self._recover()
        rows, after = self._log.follow_rows(self._cursor, MAX_ROWS)
        texts = [text for part in rows for text in texts_of(batch_from_rows(part))]
        if after != self._cursor:
            self._write(json.dumps({"cursor": after, "flows": texts}) + "\n")
            self._cursor = after
        return LoadReport(rows=len(texts), busy=len(texts) >= MAX_ROWS)

    def finish(self, now: float) -> list[str]:
        """Write nothing: nothing waits."""
        return []

    def cursor(self) -> tuple[int, int]:
        """Return the position behind the last whole line."""
        self._recover()
        return self._cursor

    def expire(self, now: float) -> int:
        """Delete nothing."""
        return 0

    def _recover(self) -> None:
        """Find the last whole line of a former process."""
        if self._end is not None:
            return
        lines = self._file.read_bytes().splitlines(True) if self._file.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]
        self._end = sum(map(len, whole))
        if whole:
            self._cursor = Cursor(*json.loads(whole[-1])["cursor"])

    def _write(self, line: str) -> None:
        try:
            with self._file.open("ab") as file:
                file.truncate(self._end)
                file.write(line.encode())
            self._end = self._file.stat().st_size
        except OSError as error:
            raise StorageError(f"{self._file} cannot be written: {error}") from error


def texts_of(batch: FlowBatch) -> list[str]:
    """Return each flow as exporter, ports and octets."""
    halves = (batch.column(f"exporter_address_{half}").tolist() for half in ("hi", "lo"))
    exporters = [address_text(hi, lo) for hi, lo in zip(*halves, strict=True)]
    columns = [batch.column(name).tolist() for name in SHOWN]
    rows = zip(exporters, *columns, strict=True)
    return [" ".join(map(str, row)) for row in rows]


@hookimpl
def register_loaders(settings: Settings) -> list[LogLoader]:
    """Register the loader."""
    return [TextLog(settings["data_directory"])]
