"""Follows the flow log into a topic, at least once: the place in the log moves on when brokers have
acknowledged all before it. While they are away the flow log is what waits."""

from __future__ import annotations

import logging
import socket
import time
from pathlib import Path
from typing import Any

from appliance.contracts import LoadReport
from appliance.errors import StorageError
from appliance.flowlog import Cursor, FlowLogReader
from appliance.flowlog.kept_place import KeptPlace
from appliance.plugins.kafka.messages import messages_of

log = logging.getLogger(__name__)

MISSING = "the package confluent-kafka is missing: pip install netflow-appliance[kafka]"
BATCH_ROWS = 50_000
"""So many rows are published before the place moves on; as many may come twice after a crash."""

_ACKNOWLEDGE_SECONDS = 20.0
_LAST_BATCHES = 8
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
        self._reader = FlowLogReader(log_folder)
        self.place = KeptPlace(folder, self._reader, {"topic": topic}, self.name)
        self._key = collector or socket.gethostname()
        self._producer: Any = None

    def load_once(self, now: float) -> LoadReport:
        """Publish the next rows, and wait until brokers have them.

        Raises
        ------
        StorageError
            No broker takes them; nothing is lost.
        """
        report = LoadReport()
        cursor = self.place.hold(report)
        if not self._reader.directory.is_dir():
            return report
        followed = self._reader.follow_spans(cursor, BATCH_ROWS)
        if followed.rows:
            self._publish(list(messages_of(followed)))
        report.rows = sum(rows.n_rows for rows in followed.rows)
        if followed.cursor != cursor:
            self.place.keep(followed.cursor, report.rows)
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
        return self.place.cursor

    def expire(self, now: float) -> int:
        """Delete nothing: how long a topic is kept, brokers say."""
        return 0

    def close(self) -> None:
        """Let another process publish this log."""
        self.place.close()
        self._producer = None

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
