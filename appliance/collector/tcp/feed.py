"""Brings the messages of connections to the pipeline, in the collector's thread.

An exporter that is behind in its share is not taken from, so its messages wait in the inbox and in
the end at the exporter. That a connection is over counts when all of its messages are decoded.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from appliance.collector.exporters import ExporterStates
from appliance.collector.fair_share import FairShare
from appliance.collector.pipeline import Pipeline
from appliance.collector.tcp.acceptor import StreamSettings
from appliance.collector.tcp.admission import ConnectionLimits
from appliance.collector.tcp.inbox import Inbox
from appliance.collector.tcp.listener import StreamListener
from appliance.collector.tcp.tls import tls_files_of
from appliance.decoding.templates.timeline import Session
from appliance.guard import GuardedDecoder
from appliance.settings.file import Settings

LAST_SECONDS = 3.0
"""So long a stop decodes what has come; the rest is given up and counted."""

TAKE_SECONDS = 0.1
"""So long blocks of connections are decoded before datagrams are looked at again."""


class ConnectionFeed:
    """The connections of a collector; without addresses to listen on it does nothing.

    Attributes
    ----------
    messages_dropped
        Those for which there was no time when the collector stopped.
    """

    def __init__(
        self,
        listener: StreamListener,
        inbox: Inbox,
        pipeline: Pipeline,
        states: ExporterStates,
        share: FairShare,
    ) -> None:
        self.listener, self._inbox, self._pipeline = listener, inbox, pipeline
        self._states, self._share = states, share
        self._ended: list[Session] = []
        self._is_on = False
        self.messages_dropped = 0

    def start(self) -> None:
        """Listen, where there is an address to listen on.

        Raises
        ------
        StartupError
            An address or the certificate cannot be used.
        """
        if self.listener.is_wanted:
            self.listener.start()
            self._is_on = True

    def stop(self) -> None:
        """Close all connections."""
        if self._is_on:
            self._is_on = False
            self.listener.stop()

    def take(self, now_ms: int) -> bool:
        """Decode what has come, for a while; return whether there was anything."""
        if not self._is_on:
            return False
        until = time.monotonic() + TAKE_SECONDS
        has_taken = False
        while True:
            delivery = self._inbox.take(self._share.is_behind)
            self._ended += delivery.ended
            if delivery.block is not None:
                self._pipeline.take(delivery.block, now_ms)
                has_taken = True
            self._close_not_understood()
            self._end_sessions()
            if delivery.block is None or time.monotonic() >= until:
                break
        if has_taken:
            self.listener.wake()
        return has_taken

    def figures(self) -> dict[str, Any]:
        """Return how many connections there are and what happened to them, for the status."""
        listener = self.listener
        return {
            "listen": [f"{t.name.lower()} {address}" for t, address in listener.acceptor.addresses],
            "present": listener.n_connections,
            "waiting_octets": self._inbox.octets,
            "messages_dropped": self.messages_dropped,
            "counts": dict(listener.counts),
        }

    def finish(self, now_ms: int) -> None:
        """Take what has come already, and no more."""
        if not self._is_on:
            return
        self.listener.drain()
        until = time.monotonic() + LAST_SECONDS
        while (self.listener.is_alive or self._inbox.octets) and time.monotonic() < until:
            if self.take(now_ms):
                continue
            if self._share.waits:
                self._pipeline.take_waiting(now_ms, time.monotonic() + TAKE_SECONDS)
            else:
                self.listener.join(_MOMENT_SECONDS)
        self.messages_dropped += self._inbox.drop_all()

    def _close_not_understood(self) -> None:
        for _, _, number in self._pipeline.not_understood:
            self.listener.close_session(number)
        self._pipeline.not_understood.clear()

    def _end_sessions(self) -> None:
        """Forget what connections told that are over, unless messages of theirs still wait."""
        waiting = []
        for session in self._ended:
            if self._share.is_queued(session[:2]):
                waiting.append(session)
            else:
                self._states.end_session(session)
        self._ended = waiting


_MOMENT_SECONDS = 0.01


def stream_settings(settings: Settings, decoders: Sequence[GuardedDecoder]) -> StreamSettings:
    """Take what concerns connections from the settings.

    Raises
    ------
    SettingsError
        TLS without a certificate or a key.
    """
    return StreamSettings(
        tcp=settings["collector.listen_tcp"],
        tls=settings["collector.listen_tls"],
        framings={d.version: d.framing for d in decoders if d.framing is not None},
        limits=ConnectionLimits(
            settings["collector.max_connections"],
            settings["collector.max_connections_per_exporter"],
            settings["collector.connection_idle_timeout"],
        ),
        allowed=settings["collector.allowed_exporters"],
        tls_files=tls_files_of(settings) if settings["collector.listen_tls"] else None,
    )
