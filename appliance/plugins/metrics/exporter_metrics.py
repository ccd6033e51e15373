"""Metrics of each exporter: what came of it, and its health.

There are at most as many exporters as the collector knows (`collector.max_exporters` and
`collector.max_newcomers`), so labels are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from appliance import Settings
from appliance.collector.exporter_health import ExporterHealth, exporter_health
from appliance.plugins.metrics.families import Metric, family
from appliance.plugins.metrics.figures import Json, exporter_figures, exporters_of

_LABELS = ("exporter",)

EXPORTER_METRICS: Mapping[str, tuple[Metric, Callable[[Json], float]]] = {
    "appliance_exporter_templates": (
        Metric("gauge", "Templates known."),
        lambda figures: figures["templates"],
    ),
    "appliance_exporter_clock_skew_seconds": (
        Metric("gauge", "By how much the exporter's clock is ahead."),
        lambda figures: figures["clock_skew_seconds"],
    ),
    "appliance_exporter_last_seen_seconds": (
        Metric("gauge", "When its last datagram came, seconds since 1970."),
        lambda figures: figures["last_seen"],
    ),
    "appliance_exporter_waiting_octets": (
        Metric("gauge", "Data that waits for its template."),
        lambda figures: figures["waiting_octets"],
    ),
    "appliance_exporter_sampling_rate": (
        Metric("gauge", "One packet in so many; 0 where it differs from record to record."),
        lambda figures: figures["sampling"]["rate"],
    ),
}

HEALTH_METRICS: Mapping[str, tuple[Metric, Callable[[ExporterHealth], float | None]]] = {
    "appliance_exporter_lost_ratio": (
        Metric("gauge", "Largest share that a session lost, by sequence numbers, since the start."),
        lambda health: health.lost_percent / 100,
    ),
    "appliance_exporter_flows_per_second": (
        Metric("gauge", "Flow records a second, over about a minute."),
        lambda health: sum(session.flows_per_second or 0 for session in health.sessions),
    ),
    "appliance_exporter_silent_seconds": (
        Metric("gauge", "How long nothing came."),
        lambda health: health.silent_seconds,
    ),
    "appliance_exporter_missing_templates": (
        Metric("gauge", "Templates that data waits for; 16 at most are counted."),
        lambda health: len(health.missing_templates),
    ),
    "appliance_exporter_template_age_seconds": (
        Metric("gauge", "How long ago the template was announced that was longest ago."),
        lambda health: _largest(health, "template_age_seconds"),
    ),
    "appliance_exporter_unknown_elements": (
        Metric("gauge", "Elements of its templates that are not known; 32 at most are counted."),
        lambda health: len(health.unknown_elements),
    ),
    "appliance_exporter_active_timeout_seconds": (
        Metric("gauge", "The longest duration that is usual among its flow records."),
        lambda health: _largest(health, "active_timeout_seconds"),
    ),
}

_OWN_TOTALS = {
    "sent": "What an exporter says that it sent since the collector heard it, by unit.",
    "received": "What came of that, by unit.",
}
_UNITS = ("octets", "messages", "flow_records")


def exporter_metrics(status: Json, settings: Settings, now: float) -> Iterator[Any]:
    """Yield the metrics of all exporters."""
    figures = [exporter_figures(name, facts, settings) for name, facts in exporters_of(status)]
    for name, (metric, read) in EXPORTER_METRICS.items():
        rows = [((one["address"],), read(one)) for one in figures]
        yield family(name, metric, rows, _LABELS)
    counts = [
        ((one["address"], what), number)
        for one in figures
        for what, number in one["counts"].items()
    ]
    metric = Metric("counter", "Datagrams, records and faults of an exporter, by kind.")
    yield family("appliance_exporter_events", metric, counts, ["exporter", "event"])
    reports = (exporter_health(one["address"], status, settings, now) for one in figures)
    yield from _health_metrics([report for report in reports if report is not None])


def _health_metrics(reports: list[ExporterHealth]) -> Iterator[Any]:
    for name, (metric, read) in HEALTH_METRICS.items():
        values = [(report.address, read(report)) for report in reports]
        rows = [((address,), value) for address, value in values if value is not None]
        yield family(name, metric, rows, _LABELS)
    for what, text in _OWN_TOTALS.items():
        sums = [
            ((report.address, unit), sum(numbers))
            for report in reports
            for unit in _UNITS
            if (numbers := [total[unit][what] for total in report.totals if unit in total])
        ]
        name = f"appliance_exporter_own_total_{what}"
        yield family(name, Metric("gauge", text), sums, ["exporter", "unit"])


def _largest(health: ExporterHealth, figure: str) -> float | None:
    values = (getattr(session, figure) for session in health.sessions)
    return max((value for value in values if value is not None), default=None)
