"""Follows the flow log to one target, at least once: the place in the log moves on when the other
side has everything before it. While it is away, or slow, the flow log is what waits."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance import ApplianceError, Cursor, FlowLogReader, LoadReport, Settings, StorageError
from appliance.errors import SettingsError
from appliance.flowlog import FLOW_LOG_FOLDER
from appliance.flowlog.kept_place import KeptPlace
from appliance.plugins.stream import syslog
from appliance.plugins.stream.outlets import DatagramOutlet, FileOutlet, Outlet, StreamOutlet
from appliance.plugins.stream.stream_settings import (
    CA_FILE,
    CERTIFICATE_FILE,
    FILE,
    SYSLOG_TCP,
    SYSLOG_TLS,
    SYSLOG_UDP,
    TARGETS,
    TLS,
    UNIX,
    StreamAddress,
)
from appliance.query.flow_lines import FlowLines

BATCH_ROWS = 20_000
"""So many rows are sent before the place moves on; as many may come twice after a crash."""

SLICE_SECONDS = 1.0
"""So long one step works on a batch: other loaders wait meanwhile."""

STALL_SECONDS = 30.0
"""A target that takes nothing for so long is taken for dead."""

_LAST_SLICES = 4

Framing = Callable[[Sequence[bytes], float], list[bytes]]


@dataclass(slots=True)
class _Batch:
    """What is on its way: where the log goes on behind it, and since when nothing moved."""

    after: Cursor
    n_rows: int
    n_lines: int
    progress: int
    moved_at: float


class StreamLoader:
    """Sends flows to one target; see `LogLoader`."""

    def __init__(
        self, outlet: Outlet, framing: Framing, lines: FlowLines, place: KeptPlace, name: str
    ) -> None:
        self.name = name
        self._outlet, self._framing, self._lines = outlet, framing, lines
        self.place, self._reader = place, place.reader
        self._batch: _Batch | None = None

    @property
    def is_sending(self) -> bool:
        """Whether something is on its way."""
        return self._batch is not None

    def load_once(self, now: float) -> LoadReport:
        """Send the next rows, or what is left of those before.

        Raises
        ------
        StorageError
            The target is away or takes nothing; nothing is lost.
        """
        report = LoadReport()
        cursor = self.place.hold(report)
        if not self._reader.directory.is_dir():
            return report
        batch = self._batch or self._begin(cursor, now)
        if batch is not None and self._work(batch):
            self._batch = None
            self.place.keep(batch.after, batch.n_lines)
            if self._outlet.n_left_out:
                n_left_out, self._outlet.n_left_out = self._outlet.n_left_out, 0
                text = f"{self.name}: {n_left_out} flows are too long for a datagram and left out"
                report.warnings.append(text)
            report.rows = batch.n_rows
            report.busy = batch.n_rows >= BATCH_ROWS
        return report

    def finish(self, now: float) -> list[str]:
        """Send what is in the log, for a few slices."""
        for _ in range(_LAST_SLICES):
            if not self.load_once(now).busy:
                break
        return []

    def cursor(self) -> Cursor | None:
        """Return the place behind all that the target has."""
        return self.place.cursor

    def expire(self, now: float) -> int:
        """Delete nothing: what was sent is the target's."""
        return 0

    def close(self) -> None:
        """Let another process send."""
        self._give_up()
        self.place.close()

    def _begin(self, cursor: Cursor, now: float) -> _Batch | None:
        followed = self._reader.follow_spans(cursor, BATCH_ROWS)
        if followed.cursor == cursor:
            return None
        try:
            lines = self._lines.lines(followed.rows) if followed.rows else []
        except StorageError:
            raise
        except ApplianceError as error:
            raise StorageError(f"{self.name}: {error}") from error
        self._outlet.begin(self._framing(lines, now))
        n_rows = sum(rows.n_rows for rows in followed.rows)
        progress = self._outlet.progress()
        self._batch = _Batch(followed.cursor, n_rows, len(lines), progress, time.monotonic())
        return self._batch

    def _work(self, batch: _Batch) -> bool:
        if not batch.n_lines:
            return True
        try:
            is_done = self._outlet.work(SLICE_SECONDS)
            progress = self._outlet.progress()
        except OSError as error:
            self._give_up()
            raise StorageError(f"{self.name}: {problem_text(error)}") from error
        now = time.monotonic()
        if progress != batch.progress:
            batch.progress, batch.moved_at = progress, now
        if not is_done and now - batch.moved_at > STALL_SECONDS:
            self._give_up()
            raise StorageError(f"{self.name}: takes nothing for {STALL_SECONDS:.0f} s")
        return is_done

    def _give_up(self) -> None:
        """Forget what is on its way: it is read from the log again."""
        self._outlet.close()
        self._batch = None


def problem_text(error: OSError) -> str:
    """Return what is wrong, in small letters."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return str(error.strerror or error).lower()


def loaders_of(settings: Settings) -> Iterator[StreamLoader]:
    """Yield a loader for each target; nothing is opened but the files of certificates.

    Raises
    ------
    SettingsError
        A column is unknown, or a certificate cannot be read.
    """
    log_folder = Path(settings["data_directory"]) / FLOW_LOG_FOLDER
    host = str(settings["collector.name"]) if "collector.name" in settings else ""
    for target in settings[TARGETS]:
        name = f"stream to {target.to}"
        place = KeptPlace(
            target.folder(settings),
            FlowLogReader(log_folder),
            {"target": str(target.to)},
            name,
            from_newest=not target.history,
        )
        lines = lines_of(settings, target.filter, target.columns)
        yield StreamLoader(
            outlet_of(target.to, settings), framing_of(target.to, host), lines, place, name
        )


def lines_of(settings: Settings, text: str, columns: Sequence[str]) -> FlowLines:
    """Return what makes lines of the rows of the flow log.

    Raises
    ------
    SettingsError
        A column is unknown.
    """
    log_folder = Path(settings["data_directory"]) / FLOW_LOG_FOLDER
    try:
        return FlowLines(log_folder, text, columns, settings["search.lists"])
    except ApplianceError as error:
        raise SettingsError(str(error), file=settings.file, key=TARGETS.name) from error


def outlet_of(to: StreamAddress, settings: Settings) -> Outlet:
    """Return the way to a target.

    Raises
    ------
    SettingsError
        A certificate cannot be read.
    """
    if to.scheme == FILE:
        return FileOutlet(to.path)
    if to.scheme == UNIX:
        return StreamOutlet(to.path)
    if to.scheme == SYSLOG_UDP:
        return DatagramOutlet(to.host, to.port)
    tls = tls_context(settings) if to.scheme in (TLS, SYSLOG_TLS) else None
    return StreamOutlet((to.host, to.port), tls)


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Return how targets are known by TLS, and this machine by them.

    Raises
    ------
    SettingsError
        A file cannot be read, or has no certificate.
    """
    setting = CA_FILE
    try:
        context = ssl.create_default_context(cafile=settings[CA_FILE])
        setting = CERTIFICATE_FILE
        if (certificate := settings[CERTIFICATE_FILE]) is not None:
            context.load_cert_chain(certificate)
    except OSError as error:
        problem = f"{settings[setting]}: {str(error.strerror or error).lower()}"
        raise SettingsError(problem, file=settings.file, key=setting.name) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def framing_of(to: StreamAddress, host: str) -> Framing:
    """Return a function that gives lines the form of a target."""
    if to.scheme == SYSLOG_UDP:
        return lambda lines, now: syslog.messages(lines, host, now)
    if to.scheme in (SYSLOG_TCP, SYSLOG_TLS):
        return lambda lines, now: syslog.counted(syslog.messages(lines, host, now))
    return lambda lines, _now: [line + b"\n" for line in lines]
