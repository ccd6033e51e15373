"""Makes a report: the query engine is asked for totals, top lists and bins of five minutes.

A report is a dictionary as JSON has it; API, page, mail and terminal show the same one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any

import numpy as np

from appliance import Settings
from appliance.flowlog import FLOW_LOG_FOLDER
from appliance.flowlog.conditions import Condition
from appliance.flowlog.search import FlowSearch
from appliance.flows import AnyArray
from appliance.plugins.reports.billing import BIN_SECONDS, bill_of
from appliance.plugins.reports.periods import Period, period_text
from appliance.plugins.reports.report_settings import CUSTOMERS
from appliance.query.address_lists import AddressLists
from appliance.query.engine import QueryEngine, Range, engine_from_settings, whole_bins
from appliance.query.language.duckdb import filter_conditions
from appliance.query.language.parsing import parse_filter
from appliance.query.names import LogNames
from appliance.query.question import MAX_SERIES, SUMS, Question
from appliance.web.times import rfc3339

TOPS = ("source", "destination", "service", "exporter")
TOP_ROWS, ROWS_BEFORE = 10, 1000
CHART_BINS = 96
PART_BINS = 1440
"""Bins of one question: five days."""

_NAMES = ("_name", "_description")


class ReportMaker:
    """Asks for one period.

    Parameters
    ----------
    engine
        What is asked; None: all flows that the settings have. One that is bound to a part of them
        is asked for no customers, who are others.
    """

    def __init__(
        self, settings: Settings, zone: tzinfo, now: float, engine: QueryEngine | None = None
    ) -> None:
        self._settings, self._zone, self._now = settings, zone, now
        self._engine: QueryEngine = engine or engine_from_settings(settings)
        self._is_sampled = False
        self._complete = (0, 0)

    def make(self, period: Period) -> dict[str, Any]:
        """Return the report.

        Raises
        ------
        QueryError
            A question ran into a limit, or the filter of a customer is not understood.
        StorageError
            The log cannot be read.
        """
        totals, tops = self._totals(period), self._tops(period)
        every, _ = self._bins(period, ())
        whole = every.get("", self._zeros(period))
        billing = [*self._interfaces(period), *self._customers(period)]
        complete = [min(max(at, period.since), period.until) for at in self._complete]
        return {
            "kind": period.kind,
            "period": period_text(period, self._zone),
            "since": rfc3339(period.since, self._zone),
            "until": rfc3339(period.until, self._zone),
            "complete_from": rfc3339(complete[0], self._zone),
            "complete_until": rfc3339(complete[1], self._zone),
            "estimated": self._is_sampled,
            "totals": totals,
            "tops": tops,
            "series": _chart(period, whole),
            "billing": billing,
        }

    def _totals(self, period: Period) -> list[dict[str, Any]]:
        now, before = (self._sums(span) for span in _spans(period))
        return [
            {"measure": name, "value": now[name], "before": before[name]}
            | {"change_percent": change_percent(now[name], before[name])}
            for name in SUMS
        ]

    def _sums(self, span: tuple[int, int]) -> dict[str, float]:
        answer = self._engine.top(Question((), **_milliseconds(span)))
        self._is_sampled |= answer.provenance.method == "sampled"
        return {name: float(answer.total[name]) for name in SUMS}

    def _tops(self, period: Period) -> list[dict[str, Any]]:
        now, before = _spans(period)
        tops = []
        for by in TOPS:
            rows, total = self._largest(by, now, TOP_ROWS)
            old, _ = self._largest(by, before, ROWS_BEFORE)
            tops.append({"by": by, "rows": [_row(*row, total, old) for row in rows.items()]})
        return tops

    def _largest(
        self, by: str, span: tuple[int, int], limit: int
    ) -> tuple[dict[str, float], float]:
        answer = self._engine.top(Question((by,), limit=limit, **_milliseconds(span)))
        self._is_sampled |= answer.provenance.method == "sampled"
        rows = {_label(row): float(row["octets"]) for row in answer.rows.to_pylist()}
        return rows, float(answer.total["octets"])

    def _interfaces(self, period: Period) -> Iterator[dict[str, Any]]:
        into, names = self._bins(period, ("ingress_interface",))
        out, more = self._bins(period, ("egress_interface",))
        rows = [
            _bill("interface", key, (into, out), period, self)
            | {"description": {**names, **more}.get(key, "")}
            for key in dict.fromkeys([*into, *out])
        ]
        yield from sorted(rows, key=lambda row: -(row["billed"] or 0))

    def _customers(self, period: Period) -> Iterator[dict[str, Any]]:
        customers = {} if self._engine.within else self._settings[CUSTOMERS.name]
        for name, customer in customers.items():
            into, out = (
                {name: self._bins(period, (), self._conditions(text))[0].get("")}
                for text in customer
            )
            sides = [
                {key: bins for key, bins in one.items() if bins is not None} for one in (into, out)
            ]
            yield _bill("customer", name, (sides[0], sides[1]), period, self) | {"description": ""}

    def _conditions(self, text: str) -> tuple[Condition, ...]:
        log = Path(self._settings["data_directory"]) / FLOW_LOG_FOLDER
        lists = AddressLists(self._settings["search.lists"])
        names = LogNames(FlowSearch(log, may_be_missing=True), lists=lists)
        return tuple(filter_conditions(parse_filter(text, names)))

    def _bins(
        self, period: Period, dimensions: tuple[str, ...], conditions: Sequence[Condition] = ()
    ) -> tuple[dict[str, AnyArray], dict[str, str]]:
        """Return bits a second of each group in bins of five minutes, and what it is called."""
        bins: dict[str, AnyArray] = {}
        names: dict[str, str] = {}
        for first in range(0, len(self._zeros(period)), PART_BINS):
            since = period.since + first * BIN_SECONDS
            until = min(since + PART_BINS * BIN_SECONDS, period.until)
            question = Question(
                dimensions, conditions=tuple(conditions), step_ms=BIN_SECONDS * 1000,
                limit=MAX_SERIES, **_milliseconds((since, until)),
            )  # fmt: skip
            answer = self._engine.series(question, int(self._now * 1000))
            self._is_sampled |= answer.provenance.method == "sampled"
            # Each part tells of itself only: the log begins in the last that is not whole.
            begin = answer.complete_from_ms // 1000
            is_cut = begin > since or not first
            oldest = begin if is_cut else self._complete[0]
            self._complete = (oldest, answer.complete_until_ms // 1000)
            for row in answer.rows:
                if not row.is_other:
                    key = _key(row.keys)
                    names.setdefault(key, _name(row.keys))
                    values = np.array(row.values) * 8 / BIN_SECONDS
                    own = bins.setdefault(key, self._zeros(period))
                    own[first : first + len(values)] = values
        return bins, names

    def _zeros(self, period: Period) -> AnyArray:
        return np.zeros(-(-(period.until - period.since) // BIN_SECONDS))

    def complete_bins(self, period: Period) -> slice:
        """Return the bins that have all their flows."""
        answered = Range(**_milliseconds((period.since, period.until)))
        return whole_bins(Range(**_milliseconds(self._complete)), answered, BIN_SECONDS * 1000)


def change_percent(value: float, before: float) -> float | None:
    """Return how much more there is than before; None of nothing."""
    return 100 * (value - before) / before if before else None


def _bill(
    kind: str,
    name: str,
    sides: tuple[dict[str, AnyArray], dict[str, AnyArray]],
    period: Period,
    maker: ReportMaker,
) -> dict[str, Any]:
    whole, zeros = maker.complete_bins(period), maker._zeros(period)
    bill = bill_of(*(side.get(name, zeros)[whole] for side in sides))
    return {"kind": kind, "name": name, **bill._asdict()}


def _spans(period: Period) -> tuple[tuple[int, int], tuple[int, int]]:
    return (period.since, period.until), (period.before, period.since)


def _milliseconds(span: tuple[int, int]) -> dict[str, Any]:
    return {"since_ms": span[0] * 1000, "until_ms": span[1] * 1000}


def _row(key: str, octets: float, total: float, old: dict[str, float]) -> dict[str, Any]:
    before = old.get(key)
    change = None if before is None else change_percent(octets, before)
    share = 100 * octets / total if total else 0.0
    return {"key": key, "octets": octets, "share_percent": share, "change_percent": change}


def _key(keys: Any) -> str:
    """Return what tells a group apart; a dash stands for what its flows do not have."""
    values = [value for name, value in keys.items() if not name.endswith(_NAMES)]
    return "/".join("-" if value is None else str(value) for value in values)


def _name(keys: Any) -> str:
    return " ".join(str(v) for n, v in keys.items() if n.endswith(_NAMES) and v)


def _label(row: dict[str, Any]) -> str:
    keys = {n: v for n, v in row.items() if n not in SUMS and not n.endswith("_error")}
    keys.pop("sampled_rows", None)
    name = _name(keys)
    return f"{_key(keys)} {name}" if name else _key(keys)


def _chart(period: Period, bins: AnyArray) -> dict[str, Any]:
    """Return means over as many bins as a picture can show."""
    length = -(-len(bins) // CHART_BINS)
    means = [float(bins[at : at + length].mean()) for at in range(0, len(bins), length)]
    return {"step_seconds": length * BIN_SECONDS, "bits_a_second": means}
