"""Makes a report: the query engine is asked for totals, top lists and bins of five minutes.

A report is a dictionary as JSON has it; API, page, mail and terminal show the same one. Totals and
top lists come from roll-ups where those have all that a question needs, which is exact, too.
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
from appliance.plugins.reports.contents import (
    CUSTOMERS_SECTION,
    EVERYTHING,
    INTERFACES,
    Contents,
)
from appliance.plugins.reports.periods import Period, period_text
from appliance.plugins.reports.report_settings import CUSTOMERS, Customer
from appliance.query.address_lists import AddressLists
from appliance.query.engine import QueryEngine, Range, engine_from_settings, whole_bins
from appliance.query.language.duckdb import filter_conditions
from appliance.query.language.parsing import parse_filter
from appliance.query.names import LogNames
from appliance.query.question import MAX_SERIES, SUMS, Provenance, Question
from appliance.services import Services, read_services, service_text
from appliance.web.times import rfc3339

ROWS_BEFORE = 1000
CHART_BINS = 96
FIRST_PARTS = 24
BETWEEN = {"pair": " → ", "conversation": " ↔ "}
PART_BINS = 1440
"""Bins of one question: five days."""

_NAMES = ("_name", "_description")


class ReportMaker:
    """Asks for one period.

    Parameters
    ----------
    engine
        What is asked; None: the flow log of the settings. One that is bound to a part of the flows
        is asked for no customers, who are others.
    contents
        Of which flows, and what about them.
    """

    def __init__(
        self,
        settings: Settings,
        zone: tzinfo,
        now: float,
        engine: QueryEngine | None = None,
        contents: Contents = EVERYTHING,
    ) -> None:
        self._settings, self._zone, self._now = settings, zone, now
        self._contents = contents
        self._engine: QueryEngine = engine or engine_from_settings(settings)
        self._only: tuple[Condition, ...] = ()
        self._services: Services | None = None
        self._is_sampled = self._is_compared = False
        self._complete = (0, 0)

    def make(self, period: Period) -> dict[str, Any]:
        """Return the report.

        Raises
        ------
        QueryError
            A question ran into a limit, or a filter is not understood.
        StorageError
            The log, or a part of the database, cannot be read.
        """
        self._only = self._conditions(self._contents.filter)
        self._is_compared = self._has_before(period)
        totals, tops = self._totals(period), self._tops(period)
        every, _ = self._bins(period, ())
        whole = every.get("", self._zeros(period))
        billing = [*self._interfaces(period), *self._customers(period)]
        complete = [min(max(at, period.since), period.until) for at in self._complete]
        return {
            "name": self._contents.name,
            "filter": self._contents.filter,
            "sections": list(self._contents.sections),
            "kind": period.kind,
            "period": period_text(period, self._zone),
            "since": rfc3339(period.since, self._zone),
            "until": rfc3339(period.until, self._zone),
            "complete_from": rfc3339(complete[0], self._zone),
            "complete_until": rfc3339(complete[1], self._zone),
            "estimated": self._is_sampled,
            "compared": self._is_compared,
            "totals": totals,
            "tops": tops,
            "series": _chart(whole, self.complete_bins(period)),
            "billing": billing,
        }

    def _has_before(self, period: Period) -> bool:
        """Tell whether the period before is known from its beginning on.

        Sums outlive the flows: then traffic in its first part tells.
        """
        if self._engine.stored_from_ms() <= period.before * 1000:
            return True
        part = max((period.since - period.before) // FIRST_PARTS, BIN_SECONDS)
        return self._sums((period.before, period.before + part))["flows"] > 0

    def _change(self, value: float, before: float | None) -> float | None:
        if before is None or not self._is_compared:
            return None
        return change_percent(value, before)

    def _totals(self, period: Period) -> list[dict[str, Any]]:
        now, before = (self._sums(span) for span in _spans(period))
        return [
            {"measure": name, "value": now[name], "before": before[name]}
            | {"change_percent": self._change(now[name], before[name])}
            for name in SUMS
        ]

    def _sums(self, span: tuple[int, int]) -> dict[str, float]:
        answer = self._engine.top(Question((), conditions=self._only, **_milliseconds(span)))
        self._note(answer.provenance)
        return {name: float(answer.total[name]) for name in SUMS}

    def _tops(self, period: Period) -> list[dict[str, Any]]:
        now, before = _spans(period)
        tops = []
        for by in self._contents.tops:
            rows, total = self._largest(by, now, self._contents.rows)
            old, _ = self._largest(by, before, ROWS_BEFORE)
            tops.append({"by": by, "rows": [self._row(*row, total, old) for row in rows.items()]})
        return tops

    def _row(self, key: str, octets: float, total: float, old: dict[str, float]) -> dict[str, Any]:
        share = 100 * octets / total if total else 0.0
        change = self._change(octets, old.get(key))
        return {"key": key, "octets": octets, "share_percent": share, "change_percent": change}

    def _largest(
        self, by: str, span: tuple[int, int], limit: int
    ) -> tuple[dict[str, float], float]:
        answer = self._engine.top(
            Question((by,), conditions=self._only, limit=limit, **_milliseconds(span))
        )
        self._note(answer.provenance)
        rows: dict[str, float] = {}
        for row in answer.rows.to_pylist():
            key = self._label_of(by, row)
            rows[key] = rows.get(key, 0.0) + float(row["octets"])
        return rows, float(answer.total["octets"])

    def _label_of(self, by: str, row: dict[str, Any]) -> str:
        if by != "service":
            # Two addresses with a slash would read as a prefix.
            return _label(row, BETWEEN.get(by, "/"))
        if self._services is None:
            self._services = read_services()
        return service_text(self._services, row["protocol_identifier"], row["service_port"])

    def _interfaces(self, period: Period) -> Iterator[dict[str, Any]]:
        if INTERFACES not in self._contents.sections:
            return
        into, names = self._bins(period, ("ingress_interface",))
        out, more = self._bins(period, ("egress_interface",))
        rows = [
            _bill("interface", key, (into, out), period, self)
            | {"description": {**names, **more}.get(key, "")}
            for key in dict.fromkeys([*into, *out])
        ]
        yield from sorted(rows, key=lambda row: -(row["billed"] or 0))

    def _customers(self, period: Period) -> Iterator[dict[str, Any]]:
        for name, customer in self._customers_shown():
            into, out = (
                {name: self._bins(period, (), self._conditions(text))[0].get("")}
                for text in customer
            )
            sides = [
                {key: bins for key, bins in one.items() if bins is not None} for one in (into, out)
            ]
            yield _bill("customer", name, (sides[0], sides[1]), period, self) | {"description": ""}

    def _customers_shown(self) -> Sequence[tuple[str, Customer]]:
        if self._engine.within or CUSTOMERS_SECTION not in self._contents.sections:
            return []
        known, names = self._settings[CUSTOMERS.name], self._contents.customers
        # One that left the settings is left out: the others are billed all the same.
        return [(name, one) for name, one in known.items() if not names or name in names]

    def _conditions(self, text: str) -> tuple[Condition, ...]:
        return conditions_of(text, self._settings) if text else ()

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
                dimensions, conditions=(*self._only, *conditions), step_ms=BIN_SECONDS * 1000,
                limit=MAX_SERIES, **_milliseconds((since, until)),
            )  # fmt: skip
            answer = self._engine.series(question, int(self._now * 1000))
            self._note(answer.provenance)
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

    def _note(self, provenance: Provenance) -> None:
        provenance.check_complete("a report")
        self._is_sampled |= provenance.method == "sampled"

    def _zeros(self, period: Period) -> AnyArray:
        return np.zeros(-(-(period.until - period.since) // BIN_SECONDS))

    def complete_bins(self, period: Period) -> slice:
        """Return the bins that have all their flows."""
        answered = Range(**_milliseconds((period.since, period.until)))
        return whole_bins(Range(**_milliseconds(self._complete)), answered, BIN_SECONDS * 1000)


def conditions_of(text: str, settings: Settings) -> tuple[Condition, ...]:
    """Return what a filter says, with the names that the flow log knows now.

    Raises
    ------
    QueryError
        It is not understood.
    StorageError
        The names in it cannot be looked up.
    """
    search = FlowSearch(Path(settings["data_directory"]) / FLOW_LOG_FOLDER, may_be_missing=True)
    names = LogNames(search, lists=AddressLists(settings["search.lists"]))
    return tuple(filter_conditions(parse_filter(text, names)))


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


def _key(keys: Any, between: str = "/") -> str:
    """Return what tells a group apart; a dash stands for what its flows do not have."""
    values = [value for name, value in keys.items() if not name.endswith(_NAMES)]
    return between.join("-" if value is None else str(value) for value in values)


def _name(keys: Any) -> str:
    return " ".join(str(v) for n, v in keys.items() if n.endswith(_NAMES) and v)


def _label(row: dict[str, Any], between: str = "/") -> str:
    keys = {n: v for n, v in row.items() if n not in SUMS and not n.endswith("_error")}
    keys.pop("sampled_rows", None)
    name = _name(keys)
    key = _key(keys, between)
    return f"{key} {name}" if name else key


def _chart(bins: AnyArray, complete: slice) -> dict[str, Any]:
    """Return means over as many bins as a picture can show, and what the complete bins say."""
    length = -(-len(bins) // CHART_BINS)
    means = [float(bins[at : at + length].mean()) for at in range(0, len(bins), length)]
    counted = bins[complete]
    return {
        "step_seconds": length * BIN_SECONDS,
        "bits_a_second": means,
        "mean": float(counted.mean()) if len(counted) else None,
        "maximum": float(counted.max()) if len(counted) else None,
    }
