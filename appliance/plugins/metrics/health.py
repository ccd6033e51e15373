"""`/api/v1/health`: how the appliance is, for people and probes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from appliance import AccountStore, Answer, FlowStore, Settings, StorageError, __version__
from appliance.guard import PluginFailures
from appliance.plugins.metrics.figures import (
    Json,
    PluginFigure,
    StatusFile,
    disk_figures,
    exporter_figures,
    exporters_of,
    is_disk_full,
    mapping_at,
    number_at,
    numbers_of,
    plugin_figures,
    poller_status,
)
from appliance.plugins.metrics.prometheus import METRICS
from appliance.processes.poller import POLLERS

THROTTLED_SECONDS = 300.0
"""So long an exporter that cost more than its share, or a part that failed, is named."""

MAX_NAMES = 5
"""Exporters that one sentence names."""

FULL = 7 / 8
"""Of the places for exporters: as many at once are freed when there is none left."""

MISSED_ROUNDS = 3
"""So many intervals without a round of a poller are worth a word."""

LAG_SECONDS = 30.0
"""Answers are at most ten seconds old when all is well; three times that is worth a word."""


def health(
    settings: Settings,
    open_store: Callable[[], FlowStore],
    open_accounts: Callable[[], AccountStore],
    failures: PluginFailures,
    now: float,
) -> Answer:
    """Return how the appliance is; 503 when the collector or a database is away."""
    file = StatusFile.of(settings)
    status = file.fresh(now)
    pid = 0 if status is not None else file.pid()
    store, store_failures = _store_health(open_store)
    disk = disk_figures(settings)
    is_full = is_disk_full(disk, settings)
    reasons = [
        *([] if status is not None else _silence(pid, is_full)),
        *unwritable_folder(settings["data_directory"]),
        *store_failures,
        *_account_failures(open_accounts),
    ]
    plugins = plugin_figures(status or {}, settings, failures)
    pollers = mapping_at(poller_status(settings), (POLLERS,)) if status is not None else {}
    hints = _hints(status or {}, store, disk, settings)
    hints += [
        *newcomer_hints(status or {}, now),
        *exporter_list_hints(store or {}),
        *application_hints(store or {}, now),
        *throttling_hints(status or {}, now),
        *implausible_hints(status or {}),
        *daemon_hints(status or {}, now),
        *plugin_hints(plugins, now),
        *poller_hints(pollers, now),
    ]
    word = "failing" if reasons else "degraded" if hints else "ok"
    report = {
        "success": not reasons,
        "message": "; ".join([*reasons, *hints]) or "All is well",
        "status": word,
        "version": __version__,
        "collector": _collector_health(status, pid),
        "loader": {"lag_seconds": None, **store},
        "disk": disk,
        "exporters": [
            exporter_figures(name, facts, settings) for name, facts in exporters_of(status or {})
        ],
        "pollers": pollers,
        "plugin_failures": [figure._asdict() for figure in plugins],
        "unknown_elements": dict(numbers_of(status or {}, "unknown_elements")),
    }
    return Answer(report, 503 if reasons else 200)


def unwritable_folder(folder: Path) -> list[str]:
    """Say that nothing can be kept: a file system that became read-only, or a new owner."""
    if os.access(folder, os.W_OK | os.X_OK):
        return []
    return [f"The data directory {folder} cannot be written: what is received is not kept"]


def _store_health(open_store: Callable[[], FlowStore]) -> tuple[Mapping[str, Any], list[str]]:
    try:
        return open_store().health(), []
    except StorageError as error:
        return {}, [error.sentence or "The flow database does not answer"]


def _silence(pid: int, is_full: bool) -> list[str]:
    """Say why there are no figures; a full disk is said among the hints."""
    if not pid:
        return ["The collector is not running"]
    return [] if is_full else ["The collector runs, but it has written no figures for a while"]


def _account_failures(open_accounts: Callable[[], AccountStore]) -> list[str]:
    try:
        open_accounts().roles()
    except StorageError as error:
        return [error.sentence or "The database of accounts does not answer"]
    return []


def _collector_health(status: Json | None, pid: int) -> Json:
    if status is None:
        return {"running": True, "pid": pid} if pid else {"running": False}
    counters = {name: number_at(status, metric.path) for name, metric in METRICS.items()}
    names = {name.removeprefix("appliance_"): value for name, value in counters.items()}
    feed = {"feed": status["feed"]} if status.get("feed") else {}
    return {
        "running": True,
        **feed,
        "pid": status.get("pid"),
        "listen": status.get("listen"),
        "warnings": status.get("warnings"),
        "datagrams": names.pop("datagrams"),
        "records": names.pop("records_written"),
        "losses": {
            key: names.pop(key)
            for key in ("lost_records", "kernel_drops", "records_dropped_by_log")
        },
        "figures": names,
        "events": dict(numbers_of(status, "counts")),
    }


def _hints(status: Json, store: Mapping[str, Any], disk: Json, settings: Settings) -> list[str]:
    found = []
    if is_disk_full(disk, settings):
        found.append("The disk is full, new records are dropped")
    if (_lag(store) or 0) > LAG_SECONDS:
        found.append(f"Answers are {_lag(store):.0f} seconds behind")
    if store.get("refilling"):
        found.append("Sums are filled again from the flow log, until then answers are incomplete")
    if status.get("warnings"):
        found.append("The collector has warnings")
    return found


def newcomer_hints(status: Json, now: float) -> list[str]:
    """Say that more addresses send than there is room for, and what helps."""
    last_ms = number_at(status, ("newcomers", "last_forgotten_ms")) or 0
    if now - last_ms / 1000 > THROTTLED_SECONDS:
        return []
    forgotten = number_at(status, ("newcomers", "forgotten")) or 0
    return [
        f"{forgotten:.0f} addresses sent a few datagrams only and gave way to others: name your "
        "exporters in collector.allowed_exporters, and nobody else is listened to"
    ]


def exporter_list_hints(store: Mapping[str, Any]) -> list[str]:
    """Say that the list of exporters is full, and what helps."""
    present, places = store.get("exporters"), store.get("exporter_places")
    if not isinstance(present, int) or not isinstance(places, int) or present < FULL * places:
        return []
    return [
        f"The list of exporters is full ({present} of {places}), so those heard least give way to "
        "new ones: name your exporters in collector.allowed_exporters, and forget the others"
    ]


def application_hints(store: Mapping[str, Any], now: float) -> list[str]:
    """Say that exporters give more names of applications than there is room for."""
    figures = dict(store)
    if now - (number_at(figures, ("names_gave_way",)) or 0) > THROTTLED_SECONDS:
        return []
    number = number_at(figures, ("counters", "applications_gave_way")) or 0
    return [
        f"{number:.0f} names of applications gave way to others, those of new exporters that gave "
        "most: name your exporters in collector.allowed_exporters, and nobody else is listened to"
    ]


def throttling_hints(status: Json, now: float) -> list[str]:
    """Name the exporters that cost more than their share not long ago, and say what helps."""
    throttled = mapping_at(status, ("throttled", "exporters"))
    recent = [
        (address, dropped)
        for address, note in throttled.items()
        if now - (number_at(note, ("last_ms",)) or 0) / 1000 <= THROTTLED_SECONDS
        and (dropped := number_at(note, ("dropped",))) is not None
    ]
    if not recent:
        return []
    names = ", ".join(address for address, _ in recent[-MAX_NAMES:])
    more = f" and {len(recent) - MAX_NAMES} more" if len(recent) > MAX_NAMES else ""
    return [
        f"Datagrams of {names}{more} cost more than their share and wait, "
        f"{sum(dropped for _, dropped in recent):.0f} of them were dropped: if these are not your "
        "exporters, name yours in collector.allowed_exporters"
    ]


def implausible_hints(status: Json) -> list[str]:
    """Name the exporters whose records claimed more than any interface carries."""
    counts = {
        address: number
        for address, facts in exporters_of(status)
        if (number := number_at(facts, ("implausible",)) or 0)
    }
    if not counts:
        return []
    largest = sorted(counts, key=lambda address: -counts[address])
    more = f" and {len(largest) - MAX_NAMES} more" if len(largest) > MAX_NAMES else ""
    return [
        f"{sum(counts.values()):.0f} records of {', '.join(largest[:MAX_NAMES])}{more} claim more "
        "than collector.fastest_interface carries and are left out of all sums"
    ]


def daemon_hints(status: Json, now: float) -> list[str]:
    """Say that the engine's daemon ended by itself not long ago, and why."""
    ends = mapping_at(status, ("daemon_ends",))
    last_ms = number_at(ends, ("last_ms",)) or 0
    if now - last_ms / 1000 > THROTTLED_SECONDS:
        return []
    number = number_at(ends, ("number",)) or 0
    return [f"The collector was started again (number {number:.0f}): {ends.get('reason')}"]


def plugin_hints(figures: Sequence[PluginFigure], now: float) -> list[str]:
    """Name the plugins that failed not long ago."""
    return [
        f"Plugin {figure.plugin} failed {figure.failures:.0f} times ({figure.part}, in the"
        f" {figure.process}): the log says why"
        for figure in figures
        if now - figure.last <= THROTTLED_SECONDS
    ]


def poller_hints(pollers: Json, now: float) -> list[str]:
    """Name the exporters that give no answer to a poller, and a poller that has come to a halt."""
    hints = []
    for name in pollers:
        facts = mapping_at(pollers, (name,))
        names = facts.get("silent_exporters")
        addresses = [str(one) for one in names[:MAX_NAMES]] if isinstance(names, list) else []
        if silent := number_at(facts, ("silent",)) or 0:
            more = f" and {silent - len(addresses):.0f} more" if silent > len(addresses) else ""
            hints.append(f"{name}: no answer from {', '.join(addresses)}{more}")
        age = now - (number_at(facts, ("time_ms",)) or 0) / 1000
        if age > MISSED_ROUNDS * (number_at(facts, ("interval_seconds",)) or now):
            hints.append(f"{name}: exporters were last asked {age / 60:.0f} minutes ago")
    return hints


def _lag(store: Mapping[str, Any]) -> float | None:
    lag = store.get("lag_seconds")
    return float(lag) if isinstance(lag, int | float) else None
