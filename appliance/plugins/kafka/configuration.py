"""The settings of Kafka: where its brokers are, how to sign in, and the topic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.settings.file import Setting, Settings
from appliance.settings.raw_values import scalar_text
from appliance.settings.types import Boolean, OptionalFilePath, SecretText, Text, TextList


@dataclass(frozen=True, slots=True)
class TopicName:
    """The name of a topic, as brokers allow it."""

    expected: str = "1 to 249 letters, digits, dots, - and _"

    def parse(self, raw: object, folder: Path) -> str:
        """Return the name."""
        name = scalar_text(raw)
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name) or name in (".", ".."):
            raise ValueError(raw)
        return name


SERVERS = Setting(
    "kafka.servers",
    TextList(),
    [],
    "Brokers of Kafka that every flow is published to as well: [kafka1:9092]. Some of a cluster do."
    " Needs the package confluent-kafka. Empty: none.",
)
TOPIC = Setting(
    "kafka.topic", TopicName(), "flows", "The topic; it must be there, unless brokers make topics."
)
USER = Setting("kafka.user", Text(), "", "Who signs in there (SASL/PLAIN). Empty: nobody.")
PASSWORD = Setting("kafka.password", SecretText(), "", "The password of kafka.user.")
TLS = Setting("kafka.tls", Boolean(), False, "Whether the brokers speak TLS.")
CA_FILE = Setting(
    "kafka.ca_file",
    OptionalFilePath(),
    "",
    "With kafka.tls: certificates (PEM) that a broker's own must be signed by. Empty: those that"
    " this machine trusts.",
)
SETTINGS: list[Setting[Any]] = [SERVERS, TOPIC, USER, PASSWORD, TLS, CA_FILE]


def client_settings(settings: Settings) -> dict[str, Any]:
    """Return how brokers are reached, in librdkafka's names."""
    user = settings[USER]
    security = ("sasl_" if user else "") + ("ssl" if settings[TLS] else "plaintext")
    wanted: dict[str, Any] = {
        "bootstrap.servers": ",".join(settings[SERVERS]),
        "client.id": "netflow-appliance",
        "security.protocol": security,
    }
    if user:
        signing_in = {"sasl.mechanism": "PLAIN", "sasl.username": user}
        wanted |= {**signing_in, "sasl.password": settings[PASSWORD]}
    if settings[TLS] and settings[CA_FILE]:
        wanted["ssl.ca.location"] = str(settings[CA_FILE])
    return wanted
