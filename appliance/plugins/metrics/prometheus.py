"""Figures for Prometheus, made at each scrape.

Names and help stand in `METRICS`, for exporters in `exporter_metrics`, for traffic in `traffic`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance import Answer, ApplianceError, FlowStore, MetricsCollector, Settings, __version__
from appliance.guard import PluginFailures
from appliance.plugins.metrics.exporter_metrics import exporter_metrics
from appliance.plugins.metrics.families import Metric, family
from appliance.plugins.metrics.figures import (
    Json,
    PluginFigure,
    StatusFile,
    disk_figures,
    is_disk_full,
    mapping_at,
    number_at,
    numbers_of,
    plugin_figures,
    store_figures,
)
from appliance.plugins.metrics.traffic import traffic_metrics
from appliance.ratelimit import RateLimited

# Of the process: the same collector fails at each scrape.
log = RateLimited(logging.getLogger(__name__))

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


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
    "appliance_connections": Metric(
        "gauge", "Exporters' connections, of TCP and TLS.", ("connections", "present")
    ),
    "appliance_connection_messages_dropped": Metric(
        "counter",
        "Messages of connections for which there was no time when the collector stopped.",
        ("connections", "messages_dropped"),
    ),
    "appliance_kernel_drops": Metric(
        "counter", "Datagrams that the kernel dropped, the buffer being full.", ("kernel_drops",)
    ),
    "appliance_newcomers": Metric(
        "gauge", "Exporters heard of for less than a minute.", ("newcomers", "present")
    ),
    "appliance_newcomers_forgotten": Metric(
        "counter",
        "Addresses that sent a few datagrams only and gave way to others.",
        ("newcomers", "forgotten"),
    ),
    "appliance_throttled_datagrams": Metric(
        "counter",
        "Datagrams that had to wait because their exporter cost more than its share.",
        ("throttled", "datagrams_waited"),
    ),
    "appliance_throttled_datagrams_dropped": Metric(
        "counter",
        "Datagrams of such exporters that there was no room for.",
        ("throttled", "datagrams_dropped"),
    ),
    "appliance_records_dropped_by_log": Metric(
        "counter",
        "Records that the flow log had no room for, or whose open journal was deleted.",
        ("records_dropped_by_log",),
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
    "appliance_log_files_missing": Metric(
        "counter",
        "Open journals and folders of the flow log that somebody deleted.",
        ("log", "files_missing"),
    ),
    "appliance_receive_buffer_octets": Metric(
        "gauge", "Kernel memory of each listening port.", ("receive_buffer_octets",)
    ),
}


class StatusCollector:
    """Turns the collector's status file into metrics at each scrape."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._clock = settings, clock
        self._status = StatusFile.of(settings)

    def collect(self) -> Iterator[Any]:
        """Yield the metrics there are now."""
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        yield InfoMetricFamily("appliance", "The program.", {"version": __version__})
        status = self._status.fresh(self._clock())
        up = "1 while the collector runs."
        disk = disk_figures(self._settings)
        is_up = status is not None or (
            is_disk_full(disk, self._settings) and self._status.pid() != 0
        )
        yield GaugeMetricFamily("appliance_collector_up", up, float(is_up))
        free = "Free octets on the data directory's disk."
        yield GaugeMetricFamily("appliance_disk_free_octets", free, disk["free_octets"])
        if status is not None:
            yield from _single_metrics(status)
            yield from _counted_metrics(status)
            yield from exporter_metrics(status, self._settings, self._clock())


def _single_metrics(status: Json) -> Iterator[Any]:
    for name, metric in METRICS.items():
        value = number_at(status, metric.path)
        if value is not None:
            yield family(name, metric, [((), value)])


def _counted_metrics(status: Json) -> Iterator[Any]:
    """Yield what is counted by fixed words, and elements that are not known by name."""
    counts = [((str(what),), number) for what, number in numbers_of(status, "counts")]
    help_text = "What decoding met, by kind."
    yield family("appliance_events", Metric("counter", help_text), counts, ["event"])
    events = [
        ((str(what),), number)
        for what, number in numbers_of(mapping_at(status, ("connections",)), "counts")
    ]
    help_text = "Messages and octets of connections, and what became of these, by kind."
    yield family("appliance_connection_events", Metric("counter", help_text), events, ["event"])
    unknown = [((str(name),), number) for name, number in numbers_of(status, "unknown_elements")]
    help_text = "Records with elements that are not known, by element."
    metric = Metric("counter", help_text, ())
    yield family("appliance_unknown_elements", metric, unknown, ["element"])


def scrape(
    metrics: Sequence[MetricsCollector],
    open_store: Callable[[], FlowStore],
    settings: Settings,
    failures: PluginFailures,
    now: float,
) -> Answer:
    """Return the metrics of all plugins and of the store; a plugin that fails is left out."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    families = [one for collector in metrics for one in _families(collector)]
    status = StatusFile.of(settings).fresh(now) or {}
    plugins = _plugin_metrics(plugin_figures(status, settings, failures))
    families += [*_store_metrics(open_store), *traffic_metrics(open_store, settings, now), *plugins]
    registry.register(_Prepared(_without_twins(families)))
    return Answer(generate_latest(registry), content_type=TEXT_FORMAT)


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A collector of metrics that are there already."""

    families: Sequence[Any]

    def collect(self) -> Sequence[Any]:
        return self.families


def _families(collector: MetricsCollector) -> Sequence[Any]:
    try:
        return list(collector.collect())
    # It is counted and logged already; one plugin's metrics must not take the others' away.
    except ApplianceError:
        return []


def _without_twins(families: Sequence[Any]) -> list[Any]:
    """Leave out what has the name of an earlier one: Prometheus would refuse all of it."""
    by_name: dict[str, Any] = {}
    for one in families:
        if by_name.setdefault(one.name, one) is not one:
            log.warning("metric %s is there already and left out", one.name)
    return list(by_name.values())


def _plugin_metrics(figures: Sequence[PluginFigure]) -> list[Any]:
    rows = [((figure.plugin, figure.part, figure.process), figure.failures) for figure in figures]
    metric = Metric("counter", "Failures of plugins since the start of the process.", ())
    return [family("appliance_plugin_failures", metric, rows, ["plugin", "part", "process"])]


def _store_metrics(open_store: Callable[[], FlowStore]) -> list[Any]:
    health = store_figures(open_store)
    metric = Metric("gauge", "1 while the flow database answers.", ())
    found = [family("appliance_database_up", metric, [((), float(health is not None))])]
    numbers = {
        name: value
        for name, value in (health or {}).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    metric = Metric("gauge", "What the flow database says of itself, by figure.", ())
    rows = [((name,), float(value)) for name, value in numbers.items()]
    return [*found, family("appliance_database", metric, rows, ["figure"])]
