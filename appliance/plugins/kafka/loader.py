"""Follows the flow log into a topic, at least once: the place in the log moves on when brokers have
acknowledged all before it. While they are away the flow log is what waits."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

from appliance.atomic_files import PRIVATE, atomic_write
from appliance.contracts import LoadReport
from appliance.errors import StorageError
from appliance.flowlog import Cursor, FlowLogReader
from appliance.plugins.kafka.messages import messages_of

log = logging.getLogger(__name__)

MISSING = "the package confluent-kafka is missing: pip install netflow-appliance[kafka]"
BATCH_ROWS = 50_000
"""So many rows are published before the place moves on; as many may come twice after a crash."""

_ACKNOWLEDGE_SECONDS = 20.0
_LAST_BATCHES = 8
_FILE = "position.json"
_LONGEST_FILE = 4096
_PRODUCER = {
    "acks": "all",
    "enable.idempotence": True,
    "message.timeout.ms": int(_ACKNOWLEDGE_SECONDS * 1000),
    "queue.buffering.max.kbytes": 65_536,
    "linger.ms": 5,
}


class KafkaLoader:
    """Publishes flows; see `LogLoader`.

    Parameters
    ----------
    client
        How brokers are reached, in librdkafka's names.
    folder
        Where the place in the log is kept.
    collector
        Its name, the key of each message; empty: that of the host.
    """

    name = "Kafka"

    def __init__(
        self, client: dict[str, Any], topic: str, log_folder: Path, folder: Path, collector: str
    ) -> None:
        self._client, self._topic = client, topic
        self._reader, self._folder = FlowLogReader(log_folder), folder
        self._key = collector or socket.gethostname()
        self._producer: Any = None
        self._cursor: Cursor | None = None
        self._lock = -1

    def load_once(self, now: float) -> LoadReport:
        """Publish the next rows, and wait until brokers have them.

        Raises
        ------
        StorageError
            No broker takes them; nothing is lost.
        """
        report = LoadReport()
        cursor = self._hold(report)
        if not self._reader.directory.is_dir():
            return report
        followed = self._reader.follow_spans(cursor, BATCH_ROWS)
        if followed.rows:
            self._publish(list(messages_of(followed)))
        if followed.cursor != cursor:
            self._keep(followed.cursor)
        report.rows = sum(rows.n_rows for rows in followed.rows)
        report.busy = report.rows >= BATCH_ROWS
        return report

    def finish(self, now: float) -> list[str]:
        """Publish what is in the log, up to some batches."""
        for _ in range(_LAST_BATCHES):
            if not self.load_once(now).busy:
                break
        return []

    def cursor(self) -> Cursor | None:
        """Return the place behind all that brokers have acknowledged."""
        return self._cursor

    def expire(self, now: float) -> int:
        """Delete nothing: how long a topic is kept, brokers say."""
        return 0

    def close(self) -> None:
        """Let another process publish this log."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock, self._cursor, self._producer = -1, None, None

    def _publish(self, messages: list[bytes]) -> None:
        errors: list[str] = []

        def told(error: Any, message: Any) -> None:
            if error is not None:
                errors.append(str(error.str()))

        producer = self._open()
        end = time.monotonic() + _ACKNOWLEDGE_SECONDS
        for octets in messages:
            self._produce(producer, octets, told, end)
        n_waiting = producer.flush(max(end - time.monotonic(), 0.1))
        if n_waiting or errors:
            self._give_up(producer)
            reason = errors[0] if errors else "brokers do not answer in time"
            raise StorageError(f"Kafka {self._client['bootstrap.servers']}: {reason}")

    def _produce(self, producer: Any, octets: bytes, told: Any, end: float) -> None:
        while True:
            try:
                producer.produce(self._topic, octets, self._key, on_delivery=told)
            except BufferError:
                # As much waits as may; what is acknowledged makes room.
                producer.poll(0.1)
                if time.monotonic() < end:
                    continue
                self._give_up(producer)
                text = f"Kafka {self._client['bootstrap.servers']}: brokers do not answer in time"
                raise StorageError(text) from None
            producer.poll(0)
            return

    def _give_up(self, producer: Any) -> None:
        """Forget what waits: it is read from the log again."""
        producer.purge()
        producer.flush(0.1)
        self._producer = None

    def _open(self) -> Any:
        if self._producer is None:
            try:
                from confluent_kafka import KafkaException, Producer
            except ImportError as error:
                raise StorageError(MISSING) from error
            try:
                self._producer = Producer({**self._client, **_PRODUCER}, logger=log)
            except KafkaException as error:
                raise StorageError(f"Kafka: {error.args[0].str()}") from error
        return self._producer

    def _hold(self, report: LoadReport) -> Cursor:
        """Take the lock and read the place, unless this process has both."""
        if self._cursor is not None:
            return self._cursor
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._lock < 0:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                lock = os.open(self._folder / "lock", flags, PRIVATE)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BaseException:
                    os.close(lock)
                    raise
                self._lock = lock
            self._cursor = self._stored(report)
        except BlockingIOError as error:
            raise StorageError("another process publishes this flow log to Kafka") from error
        except OSError as error:
            raise StorageError(f"{self._folder} cannot be read: {error.strerror}") from error
        return self._cursor

    def _stored(self, report: LoadReport) -> Cursor:
        """Return the place in the file; the beginning where it is of another topic or log."""
        try:
            with (self._folder / _FILE).open("rb") as file:
                content = json.loads(file.read(_LONGEST_FILE))
            place = Cursor(int(content["segment"]), int(content["row"]))
            topic = content["topic"]
        except (FileNotFoundError, ValueError, TypeError, KeyError, RecursionError):
            return Cursor()
        newest = max((span.segment for span in self._reader.spans()), default=0)
        if topic != self._topic or place.segment > newest + 1:
            report.warnings.append("Kafka: another topic or flow log: going on at its beginning")
            return Cursor()
        return place

    def _keep(self, cursor: Cursor) -> None:
        content = {"topic": self._topic, "segment": cursor.segment, "row": cursor.row}
        try:
            with atomic_write(self._folder / _FILE, durable=True) as file:
                file.write(json.dumps(content).encode())
        except OSError as error:
            self._cursor = None
            raise StorageError(f"{self._folder} cannot be written: {error.strerror}") from error
        self._cursor = cursor
