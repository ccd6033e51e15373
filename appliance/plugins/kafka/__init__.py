"""Flows in a topic of Kafka, for other programs.

`loader` follows the flow log, `messages` says what a message is. Off until `kafka.servers` names a
broker; needs the package confluent-kafka.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from appliance import Check, LogLoader, Setting, Settings, hookimpl
from appliance.plugins.kafka.configuration import SERVERS, SETTINGS, TOPIC, client_settings

FOLDER = "kafka"
"""In the data directory: how far the topic is."""


@hookimpl
def register_settings() -> list[Setting[Any]]:
    """Return the settings."""
    return SETTINGS


@hookimpl
def register_loaders(settings: Settings) -> list[LogLoader]:
    """Return what publishes flows, where there is a broker."""
    if not settings[SERVERS]:
        return []
    from appliance.flowlog import FLOW_LOG_FOLDER
    from appliance.plugins.kafka.loader import KafkaLoader

    data = Path(settings["data_directory"])
    name = str(settings["collector.name"]) if "collector.name" in settings else ""
    return [
        KafkaLoader(
            client_settings(settings), settings[TOPIC], data / FLOW_LOG_FOLDER, data / FOLDER, name
        )
    ]


@hookimpl
def register_checks(settings: Settings) -> list[Check]:
    """Return a line on the brokers, where there are some."""
    if not settings[SERVERS]:
        return []
    from appliance.plugins.kafka.checks import KafkaCheck

    return [KafkaCheck(client_settings(settings), settings[TOPIC]).findings]
