"""Flows as lines of JSON for other programs: by TCP, TLS or syslog, to a socket or a file.

`loader` follows the flow log, `outlets` are the ways out, `syslog` is their form for syslog. Off
until `stream.targets` names one.
"""

from __future__ import annotations

from typing import Any

import click

from appliance import Check, LogLoader, MetricsCollector, Setting, Settings, hookimpl
from appliance.plugins.stream.stream_settings import SETTINGS, TARGETS


@hookimpl
def register_settings() -> list[Setting[Any]]:
    """Return the settings."""
    return SETTINGS


@hookimpl
def register_loaders(settings: Settings) -> list[LogLoader]:
    """Return what follows the flow log for each target."""
    if not settings[TARGETS]:
        return []
    from appliance.plugins.stream.loader import loaders_of

    return list(loaders_of(settings))


@hookimpl
def register_checks(settings: Settings) -> list[Check]:
    """Return a line for each target."""
    if not settings[TARGETS]:
        return []
    from appliance.plugins.stream.checks import StreamCheck

    return [StreamCheck(settings).findings]


@hookimpl
def register_metrics(settings: Settings) -> list[MetricsCollector]:
    """Return how many flows each target got."""
    if not settings[TARGETS]:
        return []
    from appliance.plugins.stream.metrics import StreamMetrics

    return [StreamMetrics(settings)]


@hookimpl
def register_commands() -> list[click.Command]:
    """Add `appliance stream`."""
    from appliance.plugins.stream.commands import stream

    return [stream]
