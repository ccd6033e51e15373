"""The collector: receives, decodes and keeps the journal, until it is told to stop.

One thread does it all, in this order: take a block from the receiver, through the pipeline, and
about once a second flush the journal with the sequence numbers that belong to it. What takes
longer (sealing, merging, SQL) is the loader's, another process.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from appliance.collector.counter_handover import CounterHandover
from appliance.collector.counter_table import CounterTable
from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.fair_share import FairShare
from appliance.collector.memory import (
    few_cycle_searches,
    keep_freed_memory,
    refuse_huge_pages,
)
from appliance.collector.newcomers import exporters_in_settings
from appliance.collector.other_collectors import OtherCollectors
from appliance.collector.parts import CollectorParts
from appliance.collector.paths import CollectorPaths
from appliance.collector.pipeline import Pipeline
from appliance.collector.receiver import Receiver
from appliance.collector.saved_state import load_states, load_templates, save_states
from appliance.collector.sequences import restore_sequences, sequence_changes
from appliance.collector.status import (
    collector_status,
    write_status,
)
from appliance.collector.taps import DatagramTaps
from appliance.collector.tcp.feed import ConnectionFeed, stream_settings
from appliance.collector.tcp.inbox import Inbox
from appliance.collector.tcp.listener import StreamListener
from appliance.contracts import TemplateFile
from appliance.errors import StorageError
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flows import address_text
from appliance.processes.notification import ALIVE, notify
from appliance.ratelimit import RateLimited
from appliance.settings.file import Settings
from appliance.settings.types import ListenAddress

# Of the process, which has one collector.
log = RateLimited(logging.getLogger(__name__))

GATHER_SECONDS = 0.1
"""Datagrams queue up this long, so that blocks are large; far less than the buffer holds."""

RECEIVE_BLOCK_DATAGRAMS = 4096
"""The largest block. Half the time of a flow goes into its block when there are only 400 in it."""

_RECEIVE_SECONDS = 0.2
_WAITING_SECONDS = 0.1
"""So long datagrams that wait for their turn are decoded before new ones are fetched."""

_LAST_SECONDS = 1.0
"""So long they are decoded at the end; the rest is given up and counted."""

_STATUS_SECONDS = 2.0
_EXPIRE_SECONDS = 10.0
_SAVE_SECONDS = 1.0
_SAVE_SHARE = 0.01
"""Saving templates and names may take this part of the time."""


class Collector:
    """Receiver, pipeline and journal of one data directory."""

    def __init__(
        self,
        parts: CollectorParts,
        listen: tuple[ListenAddress, ...] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        settings = parts.settings
        self.failures, self._announce, self._clock = parts.failures, parts.announce, clock
        self.paths = CollectorPaths(settings["data_directory"])
        self.states = ExporterStates(exporter_limits(settings), exporters_in_settings(settings))
        self.writer = FlowLogWriter(
            self.paths.flow_log, flow_log_limits(settings), settings["collector.raw_elements"]
        )
        self.share = FairShare(self.states.is_known)
        self.pipeline = Pipeline(
            parts.decoders,
            self.states,
            self.writer,
            (*parts.enrichers, *parts.redactors),
            share=self.share,
            fastest_bits_per_second=settings["collector.fastest_interface"],
        )
        self.handover = CounterHandover(CounterTable(self.states.is_known), parts.counter_sinks)
        self.pipeline.counters = self.handover.table
        self.receiver = Receiver(
            listen or settings["collector.listen"],
            receive_buffer_octets=settings["collector.receive_buffer"],
            allowed=settings["collector.allowed_exporters"],
            gather_seconds=GATHER_SECONDS,
            block_datagrams=RECEIVE_BLOCK_DATAGRAMS,
        )
        self.taps = DatagramTaps(parts.taps)
        self.connections = self._connection_feed(parts)
        self._template_files = parts.template_files
        self._others = OtherCollectors(self.states, parts.template_files)
        self._before: Mapping[str, int] = {}
        self._stopping = False
        self.started_ms = 0
        self._saved_news = 0
        self._save_seconds = _SAVE_SECONDS
        self._next = dict.fromkeys(("flush", "status", "expire", "save"), 0.0)

    def _connection_feed(self, parts: CollectorParts) -> ConnectionFeed:
        inbox = Inbox()
        listener = StreamListener(
            stream_settings(parts.settings, parts.decoders), inbox, self.receiver.wake
        )
        return ConnectionFeed(listener, inbox, self.pipeline, self.states, self.share)

    def start(self) -> None:
        """Take the data directory over and open the sockets.

        Raises
        ------
        StartupError, StorageError
            An address cannot be bound, or the data directory cannot be used.
        """
        keep_freed_memory()
        refuse_huge_pages()
        now_ms = self.started_ms = self._now_ms()
        try:
            self.paths.data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"data directory {self.paths.data}: {error.strerror}") from error
        with contextlib.ExitStack() as undo:
            self.receiver.start()
            undo.callback(self.receiver.stop)
            undo.callback(self.taps.stop)
            self.taps.start(self.receiver.addresses)
            self.connections.start()
            undo.callback(self.connections.stop)
            saved = self.writer.start()
            undo.pop_all()
        self.handover.start()
        self._load_states(now_ms)
        self._others.read()
        self._before = restore_sequences(self.states, saved, now_ms)
        self._saved_news = self.states.news
        for warning in (*self.receiver.warnings, *self.connections.listener.acceptor.warnings):
            log.warning("%s", warning)
        self._write_status(now_ms)
        self._announce("collector_started", listen=tuple(self.receiver.addresses))

    def announcements(self) -> list[str]:
        """Return what to tell people once it has started."""
        return [
            *(f"receiving on UDP {address}" for address in self.receiver.addresses),
            *(
                f"receiving on {transport.name} {address}"
                for transport, address in self.connections.listener.acceptor.addresses
            ),
        ]

    def run(self) -> None:
        """Work until `stop` is called; then empty the kernel's buffers and close everything."""
        with few_cycle_searches():
            while not self._stopping:
                self._step(_RECEIVE_SECONDS)
        self.receiver.stop_receiving()
        while self._step(0.0):
            pass
        self.connections.finish(self._now_ms())
        self.pipeline.take_waiting(self._now_ms(), time.monotonic() + _LAST_SECONDS)
        self.share.drop_all()
        self._finish()

    def stop(self) -> None:
        """End `run`; safe in a signal handler."""
        self._stopping = True
        self.receiver.wake()

    def _step(self, timeout_seconds: float) -> bool:
        """Handle one block; return False when there was none."""
        waits = self.share.waits
        block = self.receiver.receive(0.0 if waits else timeout_seconds)
        now_ms = self._now_ms()
        if block is not None:
            self.taps.take(block)
            self.pipeline.take(block, now_ms)
        has_messages = self.connections.take(now_ms)
        if waits:
            self.pipeline.take_waiting(now_ms, time.monotonic() + _WAITING_SECONDS)
        if block is not None or has_messages or waits:
            for exporter, version in self.pipeline.appeared:
                self._announce(
                    "exporter_appeared", address=address_text(*exporter), version=version
                )
            self.pipeline.appeared.clear()
        self._housekeeping(now_ms)
        return block is not None

    def _housekeeping(self, now_ms: int) -> None:
        if self.writer.due(now_ms) or (self.states.changed and self._is_time("flush", 1.0)):
            self._flush(now_ms)
        self.writer.roll_if_due(now_ms)
        self.handover.turn(now_ms)
        if self._is_time("status", _STATUS_SECONDS):
            self._write_status(now_ms)
            notify(ALIVE)
        if self._is_time("expire", _EXPIRE_SECONDS):
            self.states.expire(now_ms)
            self._others.read()
        if self.states.news != self._saved_news and self._is_time("save", self._save_seconds):
            self._save_states()

    def _is_time(self, what: str, interval_seconds: float) -> bool:
        now = time.monotonic()
        if now < self._next[what]:
            return False
        self._next[what] = now + interval_seconds
        return True

    def _flush(self, now_ms: int) -> None:
        changes: dict[str, Any] = sequence_changes(self.states)
        changes["counters"] = self.counters()
        if dropped := self.writer.flush(changes, now_ms):
            log.error("flow log cannot be written: %d records dropped", dropped)

    def counters(self) -> dict[str, int]:
        """Return losses that no sequence number shows, since the flow log began."""
        now = {
            "records_dropped_by_log": self.writer.rows_dropped,
            "kernel_drops": self.receiver.counters.kernel_drops,
        }
        return {name: value + self._before.get(name, 0) for name, value in now.items()}

    def _write_status(self, now_ms: int) -> None:
        try:
            write_status(self.paths.status, collector_status(self, now_ms))
        except OSError as error:
            log.warning("status cannot be written: %s", error)

    def _load_states(self, now_ms: int) -> None:
        """Learn what was known before; what cannot be read keeps nobody from starting."""
        if unreadable := load_states(self.states, self.paths.states, now_ms):
            log.warning("%s: %d unreadable entries left out", self.paths.states, unreadable)
        for file in self._template_files:
            learn_templates(self.states, file, now_ms)

    def _save_states(self) -> None:
        """Save what restarts need; the more there is, the more seldom."""
        began = time.monotonic()
        try:
            save_states(self.states, self.paths.states)
            self._saved_news = self.states.news
        except OSError as error:
            log.warning("templates cannot be saved: %s", error)
        self._others.write()
        self._save_seconds = max(_SAVE_SECONDS, (time.monotonic() - began) / _SAVE_SHARE)

    def _finish(self) -> None:
        now_ms = self._now_ms()
        self._flush(now_ms)
        self.taps.stop()
        self.writer.close(now_ms)
        self.handover.stop(now_ms)
        self._save_states()
        self._write_status(now_ms)
        self.connections.stop()
        self.receiver.stop()
        self._announce("collector_stopped")

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def learn_templates(states: ExporterStates, file: TemplateFile, now_ms: int) -> None:
    """Learn what a plugin's file of templates says; warn of what cannot be read."""
    try:
        unreadable = load_templates(states, file, now_ms)
        if unreadable:
            log.warning("%s: %d unreadable lines left out", file.name, unreadable)
    except StorageError as error:
        log.warning("%s", error)


def exporter_limits(settings: Settings) -> ExporterLimits:
    """Take the limits on exporters from the settings."""
    return ExporterLimits(
        exporters=settings["collector.max_exporters"],
        newcomers=settings["collector.max_newcomers"],
        templates=settings["collector.max_templates_per_exporter"],
        waiting_octets=settings["collector.waiting_room_octets"],
        waiting_ms=int(settings["collector.waiting_room_seconds"] * 1000),
        template_ms=int(settings["collector.template_timeout"] * 1000),
    )


def flow_log_limits(settings: Settings) -> FlowLogLimits:
    """Take the limits of the flow log from the settings."""
    return FlowLogLimits(
        segment_rows=settings["flow_log.segment_rows"],
        segment_seconds=settings["flow_log.segment_seconds"],
        flush_seconds=settings["flow_log.flush_seconds"],
        retention_seconds=settings["flow_log.retention_age"],
        retention_octets=settings["flow_log.retention_octets"],
        minimum_free_octets=settings["flow_log.minimum_free_octets"],
    )
