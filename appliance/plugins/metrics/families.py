"""Metrics as prometheus_client writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Metric(NamedTuple):
    """A metric: its kind (`counter` or `gauge`), its help, and the way to it in the status."""

    kind: str
    help: str
    path: tuple[str, ...] = ()


def family(
    name: str,
    metric: Metric,
    rows: Sequence[tuple[tuple[str, ...], float]],
    labels: Sequence[str] = (),
) -> Any:
    """Return a metric with its values, each behind the values of its labels."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    made = kind(name, metric.help, labels=list(labels))
    for label_values, value in rows:
        made.add_metric(list(label_values), float(value))
    return made
