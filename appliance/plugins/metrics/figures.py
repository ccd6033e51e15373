"""What is known of the appliance: the collector's status file, its exporters, sampling, the disk.

The status file is another process's and read as untrusted: what is not a number where one belongs
is left out.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from appliance import FlowStore, Settings, StorageError
from appliance.collector.exporter_rows import exporter_sampling, is_current, mapping
from appliance.collector.status import (
    LOADER_STATUS_FILE,
    PLUGIN_FAILURES,
    POLLER_STATUS_FILE,
    STATUS_FILE,
    read_status,
)
from appliance.guard import PluginFailures
from appliance.processes.supervision.choice import pid_file_path
from appliance.processes.supervision.pid_file import PidFile

log = logging.getLogger(__name__)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StatusFile:
    """The collector's figures, as other processes see them.

    Attributes
    ----------
    pid_file
        Its lock tells at once when the collector has gone.
    """

    path: Path
    pid_file: PidFile

    @classmethod
    def of(cls, settings: Settings) -> StatusFile:
        """Return that of the configured collector."""
        return cls(settings["data_directory"] / STATUS_FILE, PidFile(pid_file_path(settings)))

    def fresh(self, now: float) -> Json | None:
        """Return the figures; None when no collector runs here, or one that hangs."""
        if not self.pid():
            return None
        status = read_status(self.path)
        return status if is_current(status, now) else None

    def pid(self) -> int:
        """Return the collector's process, 0 when there is none; a full disk leaves the lock."""
        try:
            return self.pid_file.status().pid
        except StorageError as error:
            log.debug("the collector's pid file: %s", error)
            return 0


def is_disk_full(disk: Json, settings: Settings) -> bool:
    """Tell whether the collector has stopped writing for lack of room."""
    return bool(disk["free_octets"] < settings["flow_log.minimum_free_octets"])


def exporter_figures(address: str, facts: Json, settings: Settings) -> Json:
    """Return what is known of one exporter."""
    numbers = {k: v for k, v in facts.items() if isinstance(v, int | float)}
    fixed = ("last_seen_ms", "clock_skew_ms", "templates", "waiting_octets")
    others = ("applications", "interfaces")
    return {
        "address": address,
        "last_seen": numbers.get("last_seen_ms", 0) / 1000,
        "clock_skew_seconds": numbers.get("clock_skew_ms", 0) / 1000,
        "templates": numbers.get("templates", 0),
        "waiting_octets": numbers.get("waiting_octets", 0),
        **{name: numbers.get(name, 0) for name in others},
        "sampling": exporter_sampling(address, facts, settings),
        "counts": {k: v for k, v in numbers.items() if k not in (*fixed, *others)},
    }


def store_figures(open_store: Callable[[], FlowStore]) -> Mapping[str, Any] | None:
    """Return what the store says of itself; None when it does not answer."""
    try:
        return open_store().health()
    except StorageError as error:
        log.debug("the store does not answer: %s", error)
        return None


def disk_figures(settings: Settings) -> Json:
    """Return the room on the disk of the data directory, in octets."""
    folder: Path = settings["data_directory"]
    there = next(place for place in (folder, *folder.parents) if place.exists())
    usage = shutil.disk_usage(there)
    return {"free_octets": usage.free, "used_octets": usage.used, "total_octets": usage.total}


def number_at(status: Json, path: Sequence[str]) -> float | None:
    """Return the number at the end of a path of names, None when there is none."""
    value: object = status
    for name in path:
        value = mapping(value).get(name)
    return value if isinstance(value, int | float) else None


def mapping_at(status: Json, path: Sequence[str]) -> Json:
    """Return the group at the end of a path of names, an empty one when there is none."""
    value: object = status
    for name in path:
        value = mapping(value).get(name)
    return mapping(value)


class PluginFigure(NamedTuple):
    """How often a part of a plugin failed in one process, and when last (seconds since 1970)."""

    plugin: str
    part: str
    process: str
    failures: float
    last: float


def plugin_figures(
    status: Json, settings: Settings, failures: PluginFailures
) -> list[PluginFigure]:
    """Return the failures of plugins in the collector, its helpers and this web server."""
    loader = read_status(settings["data_directory"] / LOADER_STATUS_FILE) or {}
    reports = (
        ("collector", mapping(status.get(PLUGIN_FAILURES))),
        ("loader", mapping(loader.get(PLUGIN_FAILURES))),
        ("poller", mapping(poller_status(settings).get(PLUGIN_FAILURES))),
        ("web", failures.report()),
    )
    return [
        PluginFigure(
            *(plugin, part, process),
            number_at(facts, ("count",)) or 0,
            (number_at(facts, ("last_ms",)) or 0) / 1000,
        )
        for process, report in reports
        for plugin, parts in report.items()
        for part, facts in mapping(parts).items()
    ]


def poller_status(settings: Settings) -> Json:
    """Return what the poller wrote last; nothing where there is none."""
    return read_status(settings["data_directory"] / POLLER_STATUS_FILE) or {}


def numbers_of(status: Json, name: str) -> list[tuple[str, float]]:
    """Return the numbers of a group with their names."""
    return [(k, v) for k, v in mapping(status.get(name)).items() if isinstance(v, int | float)]


def exporters_of(status: Json) -> list[tuple[str, Json]]:
    """Return the exporters with what the collector says of each."""
    return [(name, mapping(facts)) for name, facts in mapping(status.get("exporters")).items()]
