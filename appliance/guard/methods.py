"""What the methods of plugins' objects return: the tables that `GuardedObject` reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from appliance.contracts import (
    FAIL,
    HINT,
    OK,
    Answer,
    ApiToken,
    AuditEntry,
    ExporterRecord,
    FeedBin,
    Finding,
    LoadReport,
    Measure,
    Overrides,
    PollReport,
    Principal,
    SourceColumn,
    SourceGroups,
    SourceRows,
    SourceSample,
    SourceSums,
    TopAnswer,
    User,
)
from appliance.guard.batches import checked_batch
from appliance.guard.guards import Contract
from appliance.guard.values import (
    all_exactly,
    instance,
    list_of,
    mapping,
    nothing,
    number,
    of_type,
    optional,
    pair_of_ints,
    whole,
)
from appliance.settings.file import EffectiveSetting

_texts = list_of(str)


def _load_report(value: object) -> LoadReport:
    report = of_type(value, LoadReport)
    whole(report.rows)
    of_type(report.busy, bool)
    _texts(report.warnings)
    return report


def in_json(value: object) -> Mapping[str, Any]:
    """Return a mapping that JSON knows.

    Raises
    ------
    TypeError, ValueError
        It is no mapping, or something in it is unknown to JSON.
    """
    table = mapping(value)
    json.dumps(table, allow_nan=False)
    return cast(Mapping[str, Any], table)


def _top_answer(value: object) -> TopAnswer:
    answer = of_type(value, TopAnswer)
    for name in ("other", "total", "error", "pending"):
        of_type(getattr(answer, name), Measure)
    return answer


def _feed_bin(value: object) -> FeedBin:
    feed_bin = of_type(value, FeedBin)
    of_type(feed_bin.position, str)
    whole(feed_bin.start_ms)
    whole(feed_bin.end_ms)
    for batch in of_type(feed_bin.batches, list):
        checked_batch(batch)
    return feed_bin


def _exporters(value: object) -> list[ExporterRecord]:
    records = list_of(ExporterRecord)(value)
    for record in records:
        whole(record.id)
        all_exactly((record.address, record.name, record.info), str)
    return records


def checked_principal(value: object) -> Principal:
    """Return who makes a request.

    Raises
    ------
    TypeError
        It is no principal, or its name, roles, filter or owner are none.
    """
    principal = of_type(value, Principal)
    of_type(principal.name, str)
    all_exactly(of_type(principal.roles, frozenset), str)
    of_type(principal.from_cookie, bool)
    if principal.filter is not None:
        of_type(principal.filter, str)
    if principal.owner is not None:
        of_type(principal.owner, int)
    return principal


def checked_answer(value: object) -> Answer:
    """Return what a handler returned as an answer that can be sent.

    Raises
    ------
    TypeError, ValueError
        JSON does not know it, or its status or a header cannot be sent.
    """
    answer = value if isinstance(value, Answer) else Answer(value)
    if not 200 <= whole(answer.status) <= 599:
        raise ValueError(f"expected a status from 200 to 599, found {answer.status}")
    fields_of_header = [answer.content_type, *answer.headers, *answer.headers.values()]
    all_exactly((*fields_of_header, *of_type(answer.cookies, tuple)), str, "in a header, ")
    if any(not text.isprintable() for text in (*fields_of_header, *answer.cookies)):
        raise ValueError("a header with a line break or another control character")
    if isinstance(answer.body, bytes | Iterator):
        return answer
    body = json.dumps(answer.body, allow_nan=False, separators=(",", ":")).encode("ascii")
    return replace(answer, body=body)


_FILLED = {"load_once": _load_report, "cursor": optional(pair_of_ints), "expire": whole}

STORE = Contract(
    {
        **_FILLED,
        "totals": instance(Measure),
        "totals_by_exporter": mapping,
        "top": _top_answer,
        "series": list_of(Measure),
        "bin_at": pair_of_ints,
        "columns": in_json,
        "exporters": _exporters,
        "change_exporter": nothing,
        "forget_exporter": nothing,
        "health": in_json,
        "close": nothing,
    },
    passes={"change_exporter": KeyError, "forget_exporter": KeyError},
)
"""`appliance.contracts.FlowStore`."""


def _source_columns(columns: object) -> None:
    lengths = set()
    for name, column in mapping(columns).items():
        of_type(name, str)
        checked = of_type(column, SourceColumn)
        nulls = checked.nulls
        lengths.add(len(of_type(checked.values, np.ndarray)))
        if nulls is not None and of_type(nulls, np.ndarray).dtype != bool:
            raise TypeError(f"expected a mask, found {nulls.dtype}")
        if nulls is not None:
            lengths.add(len(nulls))
    if len(lengths) > 1:
        raise ValueError("columns of different lengths")


def _source_sample(value: SourceSample | None) -> None:
    if value is not None:
        all_exactly((of_type(value, SourceSample).rows_scanned, value.rows_in_range), int)


def _source_rows(value: object) -> SourceRows:
    rows = of_type(value, SourceRows)
    _source_sample(rows.sample)
    _source_columns(rows.columns)
    all_exactly(of_type(rows.missing, tuple), str)
    return rows


def _source_groups(value: object) -> SourceGroups:
    answer = of_type(value, SourceGroups)
    _source_sample(answer.sample)
    _source_columns(answer.groups)
    for name, figure in mapping(answer.total).items():
        of_type(name, str)
        number(figure)
    of_type(answer.has_more, bool)
    all_exactly(of_type(answer.missing, tuple), str)
    return answer


def _source_sums(value: object) -> SourceSums:
    sums = of_type(value, SourceSums)
    _source_columns(sums.columns)
    for name in ("octets", "packets", "flows"):
        of_type(sums.columns[name], SourceColumn)
    all_exactly(of_type(sums.missing, tuple), str)
    return sums


QUERY_SOURCE = Contract(
    {
        "rows_between": whole,
        "oldest_ms": optional(whole),
        "top": _source_groups,
        "series": _source_rows,
        "flows": _source_rows,
        "sums": _source_sums,
    },
    iterators={"stream": _source_rows},
    optional={
        "range_of_samples_alone": optional(pair_of_ints),
        "estimate_top": optional(_source_groups),
        "estimate_series": optional(_source_rows),
    },
)
"""`appliance.contracts.QuerySource`, and `EstimatingSource`."""

LOADER = Contract({**_FILLED, "finish": _texts}, attributes={"name": instance(str)})
"""`appliance.contracts.LogLoader`."""


def _poll_report(value: object) -> PollReport:
    report = of_type(value, PollReport)
    whole(report.answered)
    _texts(report.silent)
    _texts(report.warnings)
    return report


def _interval(value: object) -> float:
    seconds = number(value)
    if not 1 <= seconds < 1 << 31:
        raise ValueError(f"expected an interval of a second at least, found {seconds}")
    return seconds


POLLER = Contract(
    {"poll": _poll_report},
    attributes={"name": instance(str), "interval_seconds": _interval},
)
"""`appliance.contracts.Poller`."""

FEED = Contract(
    {
        "check": _texts,
        "bin": optional(_feed_bin),
        "names": optional(checked_batch),
        "close": nothing,
    },
    iterators={"bins": _feed_bin},
    attributes={"source": instance(str)},
)
"""`appliance.contracts.FlowFeed`."""


def _tap_figures(value: object) -> dict[str, dict[str, int]]:
    return {
        of_type(of, str): {of_type(w, str): whole(n) for w, n in mapping(counts).items()}
        for of, counts in mapping(value).items()
    }


DATAGRAM_TAP = Contract(
    {"start": _texts, "take": nothing, "figures": _tap_figures, "stop": nothing},
    attributes={"name": instance(str)},
)
"""`appliance.contracts.DatagramTap`."""

COUNTER_SINK = Contract({"keep": nothing}, attributes={"name": instance(str)})
"""`appliance.contracts.CounterSink`."""

DAEMON = Contract({"start": nothing, "check": nothing, "stop": nothing})
"""`appliance.contracts.Daemon`."""

ACCOUNTS = Contract(
    {
        "users": list_of(User),
        "user": optional(instance(User)),
        "user_named": optional(instance(User)),
        "roles": _texts,
        "create_user": whole,
        "create_first": optional(whole),
        "change_user": nothing,
        "replace_hash": nothing,
        "delete_user": instance(User),
        "create_token": whole,
        "tokens": list_of(ApiToken),
        "token_of": optional(instance(ApiToken)),
        "delete_token": instance(ApiToken),
        "knows_client": instance(bool),
        "remember_client": nothing,
        "attempts_wait": number,
        "begin_attempts": number,
        "end_attempts": nothing,
        "record": whole,
        "complete": nothing,
        "audit": list_of(AuditEntry),
        "expire_audit": whole,
        "close": nothing,
    }
)
"""`appliance.contracts.AccountStore`."""

BACKUP = Contract({"save": nothing, "restore": nothing}, attributes={"name": instance(str)})
"""`appliance.contracts.BackupPart`."""


def _overrides(value: object) -> list[Overrides]:
    overrides = list_of(Overrides)(value)
    for each in overrides:
        of_type(each.file, Path)
        all_exactly(mapping(each.values), str)
    return overrides


OVERRIDES = Contract(
    {
        "active": _overrides,
        "upcoming": _overrides,
        "activate": nothing,
        "version": instance(str),
        "lines": list_of(EffectiveSetting),
        "hints": _texts,
    }
)
"""`appliance.contracts.OverridingFile`."""


def _metric_families(value: object) -> list[Any]:
    """Return the families of a Prometheus collector as a list; they can be written."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import Metric

    families: list[Any] = list(value)  # type: ignore[call-overload]
    for family in families:
        of_type(family, Metric)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(families))
    generate_latest(registry)
    return families


class _Collected:
    def __init__(self, families: list[Any]) -> None:
        self._families = families

    def collect(self) -> list[Any]:
        return self._families


METRICS = Contract({"collect": _metric_families})
"""A collector as of `prometheus_client`."""


def checked_findings(value: object) -> list[Finding]:
    """Return lines of `appliance check`: a status that there is, and two texts."""
    findings = list_of(Finding)(value)
    for finding in findings:
        if finding.status not in (OK, HINT, FAIL):
            raise ValueError(f"expected {OK}, {HINT} or {FAIL}, found {finding.status!r}")
        of_type(finding.what, str)
        of_type(finding.text, str)
    return findings
