"""Sends what capture files hold to a collector: at the captured pace, a chosen rate, or at once.

The datagrams leave unchanged, from one socket for each session of the capture; their source
addresses cannot be kept, because only the machine that has an address may send from it.
"""

from __future__ import annotations

import struct
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.decoding.messages.block import Datagram, block_of
from appliance.errors import CaptureError
from appliance.settings.types import ListenAddress
from appliance.traffic.captures import CapturedDatagram, CaptureReader
from appliance.traffic.source_sockets import SourceSockets

EXPORT_PORTS = frozenset((2055, 4739, 6343, 9995, 9996))
"""Where exporters commonly send to: NetFlow, IPFIX, sFlow."""

CAPTURE_SUFFIXES = (".pcap", ".pcapng", ".cap", ".dmp", ".ipfix")
TOO_LONG = "too long for UDP"
LONGEST_OCTETS = 65_507
"""Of a datagram over IPv4; a message of a file may be longer."""

NO_MESSAGE = "no IPFIX message"
IPFIX_VERSION, LONGEST_MESSAGE_OCTETS = 10, 65_535

BATCH_DATAGRAMS = 256
LONGEST_SLEEP_SECONDS = 0.2
EARLY_SECONDS = 0.001
"""A datagram may leave so much too early, to share a system call with the one before."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When datagrams leave; with neither figure, as fast as possible.

    Attributes
    ----------
    rate
        Datagrams a second.
    speed
        Times the pace of the capture: 1.0 is real time.
    """

    rate: float | None = None
    speed: float | None = None


@dataclass(slots=True)
class ReplayReport:
    """What was sent so far.

    Attributes
    ----------
    datagrams, octets
        Sent; octets of UDP payload.
    exporters
        Sessions (source address and port in the capture) with a socket of their own.
    refused
        How often the target said that nobody listens there.
    file_octets
        Read from capture files.
    skipped
        Packets that were not sent, by reason.
    warnings
        Sentences about the files.
    """

    datagrams: int = 0
    octets: int = 0
    exporters: int = 0
    refused: int = 0
    file_octets: int = 0
    seconds: float = 0.0
    skipped: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)


def capture_files(path: Path) -> list[Path]:
    """Return the file, or the capture files in the folder and below, by name.

    Raises
    ------
    CaptureError
        There is none.
    """
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if _is_capture(file))
    if not found:
        endings = ", ".join(CAPTURE_SUFFIXES)
        raise CaptureError(path, f"no capture in this folder, expected files ending in {endings}")
    return found


def _is_capture(file: Path) -> bool:
    name = file.name.lower().removesuffix(".gz")
    return name.endswith(CAPTURE_SUFFIXES) and file.is_file()


class Replay:
    """One replay: files, target and pace; `run` does it.

    Attributes
    ----------
    report
        What was sent so far; true after each batch.
    over_tcp
        Whether it goes over connections.
    """

    over_tcp = False

    def __init__(
        self,
        files: Sequence[Path],
        target: ListenAddress,
        *,
        pace: Pace = Pace(),
        ports: Collection[int] | None = EXPORT_PORTS,
        loops: int = 1,
    ) -> None:
        """Store what to do; `ports` are the destination ports that are wanted, None for all."""
        self._files, self._loops = files, loops
        self._target, self._pace, self._ports = target, pace, ports
        self._stopped = False
        self.report = ReplayReport()

    def stop(self) -> None:
        """Let `run` return soon, with the report true; safe in a signal handler."""
        self._stopped = True

    def run(self, progress: Callable[[ReplayReport], None] | None = None) -> ReplayReport:
        """Send everything.

        Parameters
        ----------
        progress
            Called after each batch, from this thread.

        Raises
        ------
        CaptureError
            A file cannot be read; what came before it is sent.
        TargetError
            The network does not take the datagrams.
        """
        start = time.monotonic()
        clock, report = _Clock(self._pace), self.report
        with SourceSockets(self._target, over_tcp=self.over_tcp) as sockets:
            for reader in self._readers():
                read_before = report.file_octets
                for batch in self._batches(reader, clock):
                    _send(sockets, batch)
                    report.datagrams += len(batch)
                    report.octets += sum(len(datagram.payload) for datagram in batch)
                    report.exporters, report.refused = len(sockets), sockets.refused
                    report.file_octets = read_before + reader.octets_read
                    report.seconds = time.monotonic() - start
                    if progress is not None:
                        progress(report)
                report.file_octets = read_before + reader.octets_read
                report.skipped += reader.skipped
                report.warnings += reader.warnings
        return report

    def _obstacle(self, payload: bytes) -> str:
        """Return why something is not sent; "" when it is."""
        return TOO_LONG if len(payload) > LONGEST_OCTETS else ""

    def _readers(self) -> Iterator[CaptureReader]:
        for _ in range(self._loops):
            for file in self._files:
                if self._stopped:
                    return
                yield CaptureReader(file, self._ports)

    def _batches(self, reader: CaptureReader, clock: _Clock) -> Iterator[list[Datagram]]:
        """Yield datagrams in file order, each batch when it is due."""
        batch: list[Datagram] = []
        clock.next_file()
        for captured in reader:
            if reason := self._obstacle(captured.datagram.payload):
                reader.skipped[reason] += 1
                continue
            early = clock.seconds_until(captured)
            if batch and (early > EARLY_SECONDS or len(batch) >= BATCH_DATAGRAMS):
                yield batch
                batch = []
                early = clock.seconds_until(captured)
            while early > EARLY_SECONDS and not self._stopped:
                time.sleep(min(early, LONGEST_SLEEP_SECONDS))
                early = clock.seconds_until(captured)
            if self._stopped:
                return
            clock.count += 1
            batch.append(captured.datagram)
        if batch:
            yield batch


class StreamReplay(Replay):
    """A replay over TCP, a connection for each session; takes IPFIX messages only."""

    over_tcp = True

    def _obstacle(self, payload: bytes) -> str:
        # RFC 7011 section 3.1: version and length begin a message.
        is_whole = payload[:4] == struct.pack("!HH", IPFIX_VERSION, len(payload) & 0xFFFF)
        return "" if is_whole and len(payload) <= LONGEST_MESSAGE_OCTETS else NO_MESSAGE


class _Clock:
    """Says how far ahead of its pace the next datagram is."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._start = time.monotonic()
        self._first_ms: int | None = None
        self.count = 0

    def next_file(self) -> None:
        """Take the first datagram of another file as due now."""
        self._first_ms = None
        if self._pace.speed is not None:
            self._start = time.monotonic()

    def seconds_until(self, captured: CapturedDatagram) -> float:
        """Return when this datagram is due; not positive when that has passed."""
        if self._pace.rate is not None:
            due = self.count / self._pace.rate
        elif self._pace.speed is not None:
            if self._first_ms is None:
                self._first_ms = captured.datagram.received_ms
            due = (captured.datagram.received_ms - self._first_ms) / 1000 / self._pace.speed
        else:
            return 0.0
        return self._start + due - time.monotonic()


def _send(sockets: SourceSockets, batch: list[Datagram]) -> None:
    """Send datagrams of one session together; the order within each is kept."""
    sessions: dict[tuple[tuple[int, int], int], list[Datagram]] = {}
    for datagram in batch:
        session = (datagram.address_hi, datagram.address_lo), datagram.port
        sessions.setdefault(session, []).append(datagram)
    for session, datagrams in sessions.items():
        block = block_of(datagrams)
        sockets.send(session, block.octets, block.lengths)
