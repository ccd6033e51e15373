"""The evaluator: looks at flows as the loader reads them, and measures what rules ask for.

It stays at the end of the log: what it cannot keep up with is left out and told, for an alert about
an hour ago helps nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance import FlowBatch, LoadReport, Settings, StorageError
from appliance.errors import InvalidQueryError
from appliance.flowlog import FLOW_LOG_FOLDER, Cursor, FlowLogReader, batch_from_rows
from appliance.flowlog.names import list_files
from appliance.flows import address_halves, address_text
from appliance.interface_history import interface_history
from appliance.plugins.alerts.baseline_keeper import BaselineKeeper, HistoryNeed
from appliance.plugins.alerts.baseline_store import BaselineStore
from appliance.plugins.alerts.comparing import History
from appliance.plugins.alerts.health import HealthWindow
from appliance.plugins.alerts.messages import Messages
from appliance.plugins.alerts.rule_sets import Account, RuleSet, RuleSets, UserParts
from appliance.plugins.alerts.rules import GROUPS, HEALTH_MEASURES, Rule, RuleError
from appliance.plugins.alerts.store import alert_store
from appliance.plugins.alerts.tracking import MAX_OPEN, Measured, Tracker
from appliance.plugins.alerts.visible_flows import VisibleFlows
from appliance.plugins.alerts.windows import GroupValues, Window, places_of, scale_counter
from appliance.query.language.masks import filter_mask, mask_columns
from appliance.query.language.tree import Filter
from appliance.web.times import local_zone

PIECE_ROWS, PIECES = 400_000, 4
"""So many rows are read at a time, and so often in one round; with more to read, it is behind."""

RULES_SECONDS, FILTERS_SECONDS = 5.0, 60.0
"""So often rules are read again, and filters with the names and lists in them."""

LATE_SECONDS = 5
MAX_CANDIDATES = 1000
"""Groups of a rule that may begin an alert at a time: invented ones must not cost more."""

MAX_KNOWN = 10_000
"""Groups that a rule about what is missing remembers."""

EVIDENCE_ROWS = 5
_COUNTERS = (
    "collection_time_milliseconds", "record_kind", "octet_delta_count", "packet_delta_count",
    "delta_flow_count", "sampling_rate",
)  # fmt: skip
_ENDS = (
    "source_address_hi", "source_address_lo", "destination_address_hi", "destination_address_lo",
    "destination_transport_port", "protocol_identifier",
)  # fmt: skip


@dataclass(slots=True)
class _Watched:
    """A rule at work.

    Attributes
    ----------
    whose
        The set that it belongs to, with the flows that it may see.
    since
        When it began, seconds UTC: a window later it knows what is missing.
    known
        Groups that had flows, where what is missing counts.
    recent
        What was read last and fits, for evidence.
    history
        Of a rule that compares with the weeks before.
    """

    whose: RuleSet
    rule: Rule
    tree: Filter
    window: Window | HealthWindow
    tracker: Tracker
    since: float
    known: dict[tuple[int, ...], None] = field(default_factory=dict)
    recent: list[tuple[FlowBatch, NDArray[np.intp]]] = field(default_factory=list)
    history: History | None = None


class AlertLoader:
    """Follows the flow log for the rules that are on."""

    name = "alerts"

    def __init__(
        self,
        settings: Settings,
        messages: Messages,
        keeper: BaselineKeeper | None = None,
        users: UserParts | None = None,
    ) -> None:
        self._settings, self._messages = settings, messages
        self.store = alert_store(settings)
        self._zone = local_zone(settings["timezone"])
        self._keeper = keeper or BaselineKeeper()
        own = RuleSet(None, None, None, "", self.store, VisibleFlows(settings), messages.tell)
        self._sets = RuleSets(own, users)
        self._log = Path(settings["data_directory"]) / FLOW_LOG_FOLDER
        self._reader = FlowLogReader(self._log)
        self._cursor: Cursor | None = None
        self._watched: dict[tuple[Account, str], _Watched] = {}
        self._rules_at = self._filters_at = 0.0
        self._until = 0
        self._speeds: Mapping[tuple[int, ...], int] = {}

    def load_once(self, now: float) -> LoadReport:
        """Look at what is new, then at the windows of all rules."""
        report = LoadReport()
        self._read_rules(now, report)
        if self._cursor is None or not self._watched:
            self._cursor = self._end_of_log()
            return report
        self._keeper.keep_up(self._history_needs(), now)
        for watched in self._watched.values():
            watched.recent.clear()
        newest = self._read_flows(now, report)
        # Never back, though nothing may come for a while; and not ahead of a clock set back.
        self._until = min(max(self._until, newest + 1, int(now) - LATE_SECONDS), int(now) + 1)
        for watched in self._watched.values():
            try:
                self._evaluate(watched, now)
            except StorageError as error:
                if watched.whose.account is None:
                    raise
                report.warnings.append(f"alerts of {watched.whose.name} are not kept: {error}")
        return report

    def finish(self, now: float) -> list[str]:
        """End what sends messages; alerts are kept as they begin."""
        self._keeper.stop()
        self._messages.stop()
        self._sets.stop()
        return []

    def cursor(self) -> tuple[int, int] | None:
        """Return the end of what was looked at."""
        return self._cursor or self._end_of_log()

    def expire(self, now: float) -> int:
        """Delete what users left who are gone for long; the number of alerts is bounded."""
        return self._sets.expire(now)

    def _end_of_log(self) -> Cursor:
        if not (self._log / "flows").is_dir():
            return Cursor()
        files = list_files(self._log, options=False)[0]
        return Cursor(max(file.last for file in files), 0) if files else Cursor()

    def _read_rules(self, now: float, report: LoadReport) -> None:
        if now < self._rules_at:
            return
        self._rules_at = now + RULES_SECONDS
        is_all = now >= self._filters_at
        if is_all:
            self._filters_at = now + FILTERS_SECONDS
            speeds = interface_history(self._settings).interfaces_with_speed()
            self._speeds = {(*address_halves(s.exporter), s.number): s.speed for s in speeds}
        sets = self._sets.read(now, is_all, report)
        wanted = {(own.account, rule.name): (own, rule) for own, rules in sets for rule in rules}
        current = {own.account: own for own, _ in sets}
        for place, watched in list(self._watched.items()):
            if current.get(watched.whose.account) != watched.whose:
                # It may see other flows now, or nobody knows which: it begins anew, if at all.
                del self._watched[place]
            elif place not in wanted or wanted[place][1] != watched.rule:
                self._watched.pop(place).tracker.close_all(now)
        for place, (whose, rule) in wanted.items():
            there = self._watched.get(place)
            if there is not None and not is_all:
                continue
            try:
                tree = whose.filter_of(rule)
            except (InvalidQueryError, StorageError) as error:
                report.warnings.append(f"{whose.words}rule {rule.name}: filter: {error}")
                continue
            except RuleError as error:
                report.warnings.append(f"{whose.words}rule {rule.name}: {error}")
                continue
            if there is not None:
                there.tree = tree
            else:
                self._watched[place] = self._begin(whose, rule, tree, now)

    def _begin(self, whose: RuleSet, rule: Rule, tree: Filter, now: float) -> _Watched:
        """Take a rule up, with the alerts that were open when a process before this one ended."""
        before = whose.store.alerts(only_open=True, limit=MAX_OPEN * 100)
        own = [alert for alert in before if alert.rule == rule.name]
        tracker = Tracker(rule, whose.store, whose.tell, own)
        is_health = rule.measure in HEALTH_MEASURES
        window = HealthWindow(rule, self._settings) if is_health else Window(rule)
        watched = _Watched(whose, rule, tree, window, tracker, now)
        if rule.needs_history:
            watched.history = History(rule, self._hours_of(whose))
        watched.known.update(dict.fromkeys(tracker.open_keys))
        return watched

    def _hours_of(self, whose: RuleSet) -> BaselineStore:
        return BaselineStore(whose.store, self._zone, whose.flows.bound_to)

    def _history_needs(self) -> list[HistoryNeed]:
        """Return what rules need hours, those of the appliance first."""
        needy = [one for one in self._watched.values() if one.history is not None]
        needy.sort(key=lambda one: one.whose.account is not None)
        return [HistoryNeed(w.rule, w.whose.flows, self._hours_of(w.whose)) for w in needy]

    def _read_flows(self, now: float, report: LoadReport) -> int:
        """Read on to the end of the log; return the newest second there was."""
        reads = {*_COUNTERS, *_ENDS}
        for watched in self._watched.values():
            reads |= {*watched.window.reads, *GROUPS[watched.rule.by], *mask_columns(watched.tree)}
            if watched.whose.limit is not None:
                reads |= mask_columns(watched.whose.limit)
        columns, newest = sorted(reads), 0
        for _ in range(PIECES):
            found, self._cursor = self._reader.follow_rows(
                self._cursor or Cursor(), PIECE_ROWS, False, columns
            )
            for rows in found:
                if rows.n_rows:
                    newest = max(newest, self._add(batch_from_rows(rows)))
            if sum(rows.n_rows for rows in found) < PIECE_ROWS:
                return min(newest, int(now))
        if newest < now - 2 * LATE_SECONDS:
            self._cursor = self._end_of_log()
            report.warnings.append(
                f"alerts are {now - newest:.0f} s behind: what came meanwhile is left out"
            )
        return min(newest, int(now))

    def _add(self, batch: FlowBatch) -> int:
        # What a rule may not see never comes near it: neither its sums nor its evidence.
        visible: dict[Account, tuple[FlowBatch, NDArray[np.bool_]]] = {}
        for watched in self._watched.values():
            account = watched.whose.account
            if account not in visible:
                part = _within(watched.whose.limit, batch)
                visible[account] = part, part.column("record_kind") == 0
            seen, is_flow = visible[account]
            if not seen.n_records:
                continue
            chosen = np.flatnonzero(filter_mask(watched.tree, seen) & is_flow)
            watched.window.add(seen, chosen)
            watched.recent.append((seen, chosen))
        return int(batch.column("collection_time_milliseconds").max()) // 1000

    def _evaluate(self, watched: _Watched, now: float) -> None:
        rule, found = watched.rule, watched.window.values(self._until)
        measured: Iterable[Measured]
        if watched.history is not None:
            # A window that began with the process has too little of what is compared.
            is_whole = now >= watched.since + rule.window
            open_keys = watched.tracker.open_keys
            measured = watched.history.measured(found, open_keys, now, is_whole)
        elif rule.condition == "below":
            if now < watched.since + rule.window:
                return
            measured = self._with_missing(watched, found)
        else:
            measured = self._largest(watched, found)
        watched.tracker.judge(measured, now, lambda keys: _evidence(watched, keys))

    def _largest(self, watched: _Watched, found: GroupValues) -> Iterator[Measured]:
        """Yield the largest groups above where an alert ends, and all that are in alert."""
        rule, values = watched.rule, found.values
        if rule.condition == "utilisation":
            keys = map(tuple, found.keys.tolist())
            speeds = np.array([self._speeds.get(key, 0) for key in keys], np.float64)
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.where(speeds > 0, 100 * values / speeds, 0.0)
        above = np.flatnonzero(values >= rule.clear_at)
        largest = above[np.argsort(-values[above])][:MAX_CANDIDATES]
        in_alert = places_of(found, watched.tracker.open_keys)
        for place in [*largest.tolist(), *np.setdiff1d(in_alert, largest).tolist()]:
            yield Measured(found.keys[place].tolist(), float(values[place]))

    def _with_missing(self, watched: _Watched, found: GroupValues) -> Iterator[Measured]:
        """Yield every group that had flows once, the smallest first."""
        keys = [tuple(key) for key in found.keys.tolist()]
        values = dict(zip(keys, found.values.tolist(), strict=True))
        for key in keys if GROUPS[watched.rule.by] else [()]:
            if len(watched.known) < MAX_KNOWN:
                watched.known.setdefault(key)
        for key in sorted(watched.known, key=lambda key: values.get(key, 0.0)):
            yield Measured(key, values.get(key, 0.0))


def _within(limit: Filter | None, batch: FlowBatch) -> FlowBatch:
    """Return the flows of a batch that satisfy a limit."""
    if limit is None:
        return batch
    places = np.flatnonzero(filter_mask(limit, batch))
    columns = {name: values[places] for name, values in batch.columns.items()}
    return FlowBatch(len(places), columns)


def _evidence(watched: _Watched, keys: Sequence[int]) -> list[dict[str, Any]]:
    """Return the largest flows of a group in what was read last."""
    rows: list[dict[str, Any]] = []
    for batch, chosen in watched.recent:
        fits = np.ones(len(chosen), bool)
        for name, value in zip(GROUPS[watched.rule.by], keys, strict=True):
            column = batch.column(name)
            fits &= column[chosen] == column.dtype.type(value)
        places = chosen[fits]
        octets = scale_counter(batch, "octet_delta_count", places)
        for place in np.argsort(-octets)[:EVIDENCE_ROWS].tolist():
            ends = [int(batch.column(name)[places[place]]) for name in _ENDS]
            rows.append(
                {
                    "source": address_text(*ends[:2]),
                    "destination": address_text(*ends[2:4]),
                    "destination_port": ends[4],
                    "protocol": ends[5],
                    "octets": float(octets[place]),
                }
            )
    return sorted(rows, key=lambda row: -row["octets"])[:EVIDENCE_ROWS]
