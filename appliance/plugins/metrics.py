"""`/metrics` for Prometheus and `/api/v1/health` for people and probes.

Both tell the same facts: what the collector wrote to its status file, what the store says of
itself, and the disk. The names and help of all metrics stand in `METRICS`.
"""

from __future__ import annotations

import ipaddress
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from appliance import __version__
from appliance.collector.status import read_status
from appliance.contracts import SIGNED_IN, Answer, Route
from appliance.errors import StorageError
from appliance.hookspecs import hookimpl
from appliance.settings import Settings
from appliance.stores import FlowStore
from appliance.web.openapi import operation

log = logging.getLogger(__name__)

STATUS_FILE = "collector.json"
STALE_SECONDS = 10.0
"""The collector writes its figures every two seconds; older ones are of one that is gone."""

LAG_SECONDS = 30.0
"""Answers are at most ten seconds old when all is well; three times that is worth a word."""

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
Json = dict[str, Any]


class Metric(NamedTuple):
    """A metric: its kind (`counter` or `gauge`), its help, and the way to it in the status."""

    kind: str
    help: str
    path: tuple[str, ...]


METRICS: Mapping[str, Metric] = {
    "appliance_datagrams": Metric("counter", "Datagrams received.", ("datagrams",)),
    "appliance_received_octets": Metric("counter", "Octets in datagrams received.", ("octets",)),
    "appliance_refused_datagrams": Metric(
        "counter", "Datagrams of exporters that are not allowed.", ("refused_datagrams",)
    ),
    "appliance_truncated_datagrams": Metric(
        "counter", "Datagrams larger than any exporter sends.", ("truncated_datagrams",)
    ),
    "appliance_lost_records": Metric(
        "counter", "Losses on the way, by the exporters' sequence numbers.", ("lost",)
    ),
    "appliance_kernel_drops": Metric(
        "counter", "Datagrams that the kernel dropped, the buffer being full.", ("kernel_drops",)
    ),
    "appliance_records_dropped_by_log": Metric(
        "counter", "Records that the flow log had no room for.", ("records_dropped_by_log",)
    ),
    "appliance_records_written": Metric(
        "counter", "Records written to the flow log.", ("log", "records_written")
    ),
    "appliance_log_octets_written": Metric(
        "counter", "Octets written to the flow log.", ("log", "octets_written")
    ),
    "appliance_log_write_errors": Metric(
        "counter", "Failed writes of the flow log.", ("log", "write_errors")
    ),
    "appliance_receive_buffer_octets": Metric(
        "gauge", "Kernel memory of each listening port.", ("receive_buffer_octets",)
    ),
}

EXPORTER_METRICS: Mapping[str, Metric] = {
    "appliance_exporter_templates": Metric("gauge", "Templates known.", ("templates",)),
    "appliance_exporter_clock_skew_seconds": Metric(
        "gauge", "By how much the exporter's clock is ahead.", ("clock_skew_ms",)
    ),
    "appliance_exporter_last_seen_seconds": Metric(
        "gauge", "When its last datagram came, seconds since 1970.", ("last_seen_ms",)
    ),
    "appliance_exporter_waiting_octets": Metric(
        "gauge", "Data that waits for its template.", ("waiting_octets",)
    ),
    "appliance_exporter_sampling_rate": Metric("gauge", "One packet in so many.", ()),
}


@dataclass(frozen=True, slots=True)
class StatusFile:
    """The collector's figures, as other processes see them."""

    path: Path

    def fresh(self, now: float) -> Json | None:
        """Return the figures; None when no collector runs here."""
        found = read_status(self.path)
        if found is None or not isinstance(found.get("time_ms"), int):
            return None
        return found if now - found["time_ms"] / 1000 <= STALE_SECONDS else None


class StatusCollector:
    """Turns the collector's status file into metrics at each scrape."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._clock = settings, clock
        self._status = StatusFile(settings["data_directory"] / STATUS_FILE)

    def collect(self) -> Iterator[Any]:
        """Yield the metrics there are now."""
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        yield InfoMetricFamily("appliance", "The program.", {"version": __version__})
        status = self._status.fresh(self._clock())
        up = "1 while the collector runs."
        yield GaugeMetricFamily("appliance_collector_up", up, float(status is not None))
        disk = _disk(self._settings)
        free = "Free octets on the data directory's disk."
        yield GaugeMetricFamily("appliance_disk_free_octets", free, disk["free_octets"])
        if status is not None:
            yield from _single_metrics(status)
            yield from _counted_metrics(status)
            yield from _exporter_metrics(status, self._settings)


def _single_metrics(status: Json) -> Iterator[Any]:
    for name, metric in METRICS.items():
        value = _at(status, metric.path)
        if value is not None:
            yield _family(name, metric, [((), value)])


def _counted_metrics(status: Json) -> Iterator[Any]:
    """Yield what is counted by fixed words, and elements that are not known by name."""
    counts = [((str(what),), number) for what, number in _items(status, "counts")]
    help_text = "What decoding met, by kind."
    yield _family("appliance_events", Metric("counter", help_text, ()), counts, ["event"])
    unknown = [((str(name),), number) for name, number in _items(status, "unknown_elements")]
    help_text = "Records with elements that are not known, by element."
    metric = Metric("counter", help_text, ())
    yield _family("appliance_unknown_elements", metric, unknown, ["element"])


def _exporter_metrics(status: Json, settings: Settings) -> Iterator[Any]:
    exporters = [exporter_health(name, facts, settings) for name, facts in _exporters(status)]
    fields: Mapping[str, Callable[[Json], float]] = {
        "appliance_exporter_templates": lambda e: e["templates"],
        "appliance_exporter_clock_skew_seconds": lambda e: e["clock_skew_seconds"],
        "appliance_exporter_last_seen_seconds": lambda e: e["last_seen"],
        "appliance_exporter_waiting_octets": lambda e: e["waiting_octets"],
        "appliance_exporter_sampling_rate": lambda e: e["sampling"]["rate"],
    }
    for name, metric in EXPORTER_METRICS.items():
        rows = [((exporter["address"],), fields[name](exporter)) for exporter in exporters]
        yield _family(name, metric, rows, ["exporter"])
    counts = [
        ((exporter["address"], what), number)
        for exporter in exporters
        for what, number in exporter["counts"].items()
    ]
    metric = Metric("counter", "Datagrams, records and faults of an exporter, by kind.", ())
    yield _family("appliance_exporter_events", metric, counts, ["exporter", "event"])


def _family(
    name: str,
    metric: Metric,
    rows: Sequence[tuple[tuple[str, ...], float]],
    labels: Sequence[str] = (),
) -> Any:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(name, metric.help, labels=list(labels))
    for label_values, value in rows:
        family.add_metric(list(label_values), float(value))
    return family


def scrape(metrics: Sequence[Any], open_store: Callable[[], FlowStore]) -> Answer:
    """Return the metrics of all plugins and of the store; one that fails is left out."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    for collector in (*metrics, _Prepared(_store_metrics(open_store))):
        registry.register(_Prepared(_guarded(collector)))
    return Answer(generate_latest(registry), content_type=TEXT_FORMAT)


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A collector of metrics that are there already."""

    families: Sequence[Any]

    def collect(self) -> Sequence[Any]:
        return self.families


def _guarded(collector: Any) -> list[Any]:
    try:
        return list(collector.collect())
    # One plugin's metrics must not take the others' away.
    except Exception:
        log.exception("metrics of %r are left out", collector)
        return []


def _store_metrics(open_store: Callable[[], FlowStore]) -> list[Any]:
    health = _store_health(open_store)
    metric = Metric("gauge", "1 while the flow database answers.", ())
    found = [_family("appliance_database_up", metric, [((), float(health is not None))])]
    numbers = {
        name: value
        for name, value in (health or {}).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    metric = Metric("gauge", "What the flow database says of itself, by figure.", ())
    rows = [((name,), float(value)) for name, value in numbers.items()]
    return [*found, _family("appliance_database", metric, rows, ["figure"])]


def health(settings: Settings, open_store: Callable[[], FlowStore], now: float) -> Answer:
    """Return how the appliance is; 503 when the collector or the database is away."""
    status = StatusFile(settings["data_directory"] / STATUS_FILE).fresh(now)
    store, disk = _store_health(open_store), _disk(settings)
    failures = [
        *([] if status is not None else ["The collector is not running"]),
        *([] if store is not None else ["The flow database does not answer"]),
    ]
    hints = _hints(status or {}, store or {}, disk, settings)
    word = "failing" if failures else "degraded" if hints else "ok"
    report = {
        "success": not failures,
        "message": "; ".join([*failures, *hints]) or "All is well",
        "status": word,
        "version": __version__,
        "collector": _collector_health(status),
        "loader": {"lag_seconds": None, **(store or {})},
        "disk": disk,
        "exporters": [
            exporter_health(name, facts, settings) for name, facts in _exporters(status or {})
        ],
        "unknown_elements": dict(_items(status or {}, "unknown_elements")),
    }
    return Answer(report, 503 if failures else 200)


def exporter_health(address: str, facts: Json, settings: Settings) -> Json:
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
        "sampling": sampling_of(address, facts.get("sampling"), settings),
        "counts": {k: v for k, v in numbers.items() if k not in (*fixed, *others)},
    }


def sampling_of(address: str, told: object, settings: Settings) -> Json:
    """Return an exporter's sampling rate and who says so.

    The order is the decoders': what the exporter told, then the setting for it, then the default.
    """
    by_domain = _mapping(told).get("by_domain")
    rates = [rate for rate in _mapping(by_domain).values() if isinstance(rate, int | float)]
    if rates and max(rates) > 0:
        return {"rate": max(rates), "source": "exporter", "by_domain": _mapping(by_domain)}
    if any(_mapping(told).get(name) for name in ("selectors", "interfaces")):
        return {"rate": 0, "source": "exporter, by selector or interface"}
    for network, rate in settings["collector.sampling_overrides"].items():
        if _is_in(address, network):
            return {"rate": rate, "source": "collector.sampling_overrides"}
    default = settings["collector.default_sampling_rate"]
    if default:
        return {"rate": default, "source": "collector.default_sampling_rate"}
    return {"rate": 1, "source": "assumed"}


def _collector_health(status: Json | None) -> Json:
    if status is None:
        return {"running": False}
    counters = {name: _at(status, metric.path) for name, metric in METRICS.items()}
    names = {name.removeprefix("appliance_"): value for name, value in counters.items()}
    return {
        "running": True,
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
        "events": dict(_items(status, "counts")),
    }


def _hints(status: Json, store: Mapping[str, Any], disk: Json, settings: Settings) -> list[str]:
    found = []
    if disk["free_octets"] < settings["flow_log.minimum_free_octets"]:
        found.append("The disk is full, new records are dropped")
    if (_lag(store) or 0) > LAG_SECONDS:
        found.append(f"Answers are {_lag(store):.0f} seconds behind")
    if status.get("warnings"):
        found.append("The collector has warnings")
    return found


def _lag(store: Mapping[str, Any]) -> float | None:
    lag = store.get("lag_seconds")
    return float(lag) if isinstance(lag, int | float) else None


def _store_health(open_store: Callable[[], FlowStore]) -> Mapping[str, Any] | None:
    try:
        return open_store().health()
    except StorageError as error:
        log.debug("the store does not answer: %s", error)
        return None


def _disk(settings: Settings) -> Json:
    folder: Path = settings["data_directory"]
    there = next(place for place in (folder, *folder.parents) if place.exists())
    usage = shutil.disk_usage(there)
    return {"free_octets": usage.free, "used_octets": usage.used, "total_octets": usage.total}


def _at(status: Json, path: Sequence[str]) -> float | None:
    value: object = status
    for name in path:
        value = _mapping(value).get(name)
    return value if isinstance(value, int | float) else None


def _items(status: Json, name: str) -> list[tuple[str, float]]:
    return [(k, v) for k, v in _mapping(status.get(name)).items() if isinstance(v, int | float)]


def _exporters(status: Json) -> list[tuple[str, Json]]:
    return [(name, _mapping(facts)) for name, facts in _mapping(status.get("exporters")).items()]


def _mapping(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _is_in(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False


@hookimpl
def register_metrics(settings: Settings) -> list[Any]:
    """Return what the collector counts."""
    return [StatusCollector(settings)]


@hookimpl
def register_routes() -> list[Route]:
    """Return `/metrics` and `/api/v1/health`."""
    example = {"success": True, "message": "All is well", "status": "ok"}
    return [
        Route(
            "GET",
            "/metrics",
            scrape,
            role=SIGNED_IN,
            schema=operation("Figures for Prometheus", content_type="text/plain", tag="Appliance"),
            open_from_loopback=True,
        ),
        Route(
            "GET",
            "/api/v1/health",
            health,
            role=SIGNED_IN,
            schema=operation("How the appliance is", example, tag="Appliance"),
            open_from_loopback=True,
        ),
    ]
