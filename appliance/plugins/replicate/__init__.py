"""Copies of received datagrams for other collectors.

`replicator` is the tap that gets every block, `target_sender` the thread of one target,
`original_source` makes packets that keep the exporter's address. Off until `replicate.targets`
names a collector.
"""

from __future__ import annotations

from typing import Any

import click

from appliance import Check, DatagramTap, MetricsCollector, Setting, Settings, hookimpl
from appliance.plugins.replicate.replicate_settings import (
    KEEP_SOURCE,
    QUEUE,
    SETTINGS,
    TARGETS,
)


@hookimpl
def register_settings() -> list[Setting[Any]]:
    """Return the settings."""
    return SETTINGS


@hookimpl
def register_datagram_taps(settings: Settings) -> list[DatagramTap]:
    """Return the replicator, where there is a target."""
    if not settings[TARGETS]:
        return []
    from appliance.plugins.replicate.replicator import Replicator

    return [
        Replicator(
            settings[TARGETS], keep_source=settings[KEEP_SOURCE], queue_octets=settings[QUEUE]
        )
    ]


@hookimpl
def register_checks(settings: Settings) -> list[Check]:
    """Return a line for each target."""
    if not settings[TARGETS]:
        return []
    from appliance.plugins.replicate.checks import ReplicationCheck

    return [ReplicationCheck(settings).findings]


@hookimpl
def register_metrics(settings: Settings) -> list[MetricsCollector]:
    """Return what each target got and lacks, where there is one."""
    if not settings[TARGETS]:
        return []
    from appliance.plugins.replicate.metrics import ReplicationMetrics

    return [ReplicationMetrics(settings["data_directory"])]


@hookimpl
def register_commands() -> list[click.Command]:
    """Add `appliance replication`."""
    from appliance.plugins.replicate.commands import replication

    return [replication]
