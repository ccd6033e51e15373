"""Metrics of traffic: of each exporter, and of its largest interfaces.

They are the sums of the roll-ups since midnight, UTC, scaled by sampling: counters that begin again
once a day, as `rate()` and `increase()` expect of counters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from appliance import FlowStore, Selection, Settings, StorageError
from appliance.contracts import Direction, InterfaceMeasure, SumsByInterface
from appliance.interface_history import interface_history
from appliance.plugins.metrics.families import Metric, family

_DAY_SECONDS = 86_400
_MEASURES = ("octets", "packets", "flows")
_DIRECTIONS = {Direction.INGRESS: "in", Direction.EGRESS: "out"}


def traffic_metrics(
    open_store: Callable[[], FlowStore], settings: Settings, now: float
) -> Iterator[Any]:
    """Yield the traffic of the day; nothing while the database is away."""
    midnight = int(now) // _DAY_SECONDS * _DAY_SECONDS
    try:
        store = open_store()
        addresses = {record.id: record.address for record in store.exporters()}
        exporters = store.totals_by_exporter(Selection(since=midnight))
        interfaces = _interface_sums(store, midnight, settings["metrics.interfaces"])
    except StorageError:
        return
    for place, measure in enumerate(_MEASURES):
        rows = [
            ((addresses[number],), float(sums[place]))
            for number, sums in exporters.items()
            if number in addresses
        ]
        metric = Metric("counter", f"Traffic of an exporter since midnight UTC: {measure}.")
        yield family(f"appliance_exporter_traffic_{measure}", metric, rows, ["exporter"])
    for measure in _MEASURES:
        of_interface = [
            ((one.exporter, str(one.interface), _DIRECTIONS[one.direction]), getattr(one, measure))
            for one in interfaces
        ]
        metric = Metric("counter", f"Traffic of an interface since midnight UTC: {measure}.")
        labels = ["exporter", "interface", "direction"]
        yield family(f"appliance_interface_{measure}", metric, of_interface, labels)
    yield _interface_info(interfaces, settings, now)


def _interface_info(interfaces: Sequence[InterfaceMeasure], settings: Settings, now: float) -> Any:
    """Return the name of each of these interfaces, for joins: its number where it has none."""
    keys = sorted({(one.exporter, one.interface) for one in interfaces})
    now_ms = int(now * 1000)
    names = interface_history(settings).interface_names(keys, now_ms, now_ms) if keys else {}
    rows = []
    for key in keys:
        known = names.get(key)
        name = next(filter(None, (known.own, *known.names) if known else ()), f"if {key[1]}")
        rows.append(((key[0], str(key[1]), name), 1.0))
    metric = Metric("gauge", "What an interface is called, by people or by SNMP; always 1.")
    return family("appliance_interface_info", metric, rows, ["exporter", "interface", "name"])


def _interface_sums(store: FlowStore, since: int, limit: int) -> list[InterfaceMeasure]:
    # Not every store keeps them, and behind a guard only its methods tell.
    read: SumsByInterface | None = getattr(store, "sums_by_interface", None)
    return [] if read is None or not limit else list(read(since, limit))
