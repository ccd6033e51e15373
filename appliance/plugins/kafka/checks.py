"""A line of `appliance check`: whether a broker answers and has the topic."""

from __future__ import annotations

from typing import Any

from appliance.contracts import FAIL, HINT, OK, Finding
from appliance.plugins.kafka.loader import MISSING

WHAT = "Kafka"
_PATIENCE_SECONDS = 5.0


class KafkaCheck:
    """Asks the brokers what they have; changes nothing."""

    def __init__(self, client: dict[str, Any], topic: str) -> None:
        self._client, self._topic = client, topic

    def findings(self) -> list[Finding]:
        """Return one line."""
        try:
            from confluent_kafka import KafkaException
            from confluent_kafka.admin import AdminClient
        except ImportError:
            return [Finding(FAIL, WHAT, MISSING)]
        servers = self._client["bootstrap.servers"]
        try:
            # Its own lines would come between those of the check.
            client = AdminClient({**self._client, "log_level": 0})
            known = client.list_topics(timeout=_PATIENCE_SECONDS)
        except KafkaException as error:
            text = f"{servers}: {error.args[0].str()}; the flow log keeps what is to be published"
            return [Finding(FAIL, WHAT, text)]
        if self._topic not in known.topics:
            text = f"{servers} has no topic {self._topic} yet"
            return [Finding(HINT, WHAT, text)]
        n = len(known.topics[self._topic].partitions)
        return [Finding(OK, WHAT, f"{servers} has the topic {self._topic}, {n} partitions")]
