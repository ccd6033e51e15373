"""A store in memory that keeps the protocol, and a client that goes through the WSGI validator."""

from __future__ import annotations

import io
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, NamedTuple
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pluggy

from appliance.contracts import (
    ADMINISTRATOR,
    USER,
    AccountStore,
    ExporterRecord,
    KeyedMeasure,
    Measure,
    Principal,
    Registered,
    Route,
    Selection,
    TopAnswer,
)
from appliance.guard import PluginFailures
from appliance.plugin_manager import build_plugin_manager
from appliance.plugins import (
    alerts,
    analytics,
    auth,
    devices,
    explore,
    metrics,
    names,
    reports,
    users,
)
from appliance.plugins.metrics.prometheus import StatusCollector
from appliance.plugins.sql_accounts import account_store_from_url
from appliance.settings.file import Settings, SettingsFile
from appliance.web.application import build_web
from appliance.web.calls import Services
from appliance.web.cors import Cors
from appliance.web.store_access import StoreAccess

NOW = 1_623_757_576.5  # 2021-06-15T11:46:16.5Z
TOKENS = {
    "user": Principal("somebody", frozenset({USER})),
    "administrator": Principal("root", frozenset({ADMINISTRATOR})),
    "nothing": Principal("nobody", frozenset()),
    "cookie": Principal("root", frozenset({ADMINISTRATOR}), from_cookie=True),
}

COLUMNS = {
    name: {"defaultValue": None, "type": kind, "maxLength": length, "nullable": False}
    for name, kind, length in (
        ("agent_id", "int", None),
        ("ip_src", "char", 15),
        ("src_port", "int", None),
    )
}


@dataclass(frozen=True)
class Flow:
    """Sums that a fake store has."""

    time: float
    octets: int = 0
    packets: int = 0
    flows: int = 1
    exporter: int = 1
    direction: int = 0
    source: str = "192.0.2.1"
    destination: str = "198.51.100.1"
    protocol: str = "6"
    application: str = "http"
    port: str = "tcp/80"


@dataclass
class FakeStore:
    """Answers from a list of flows; counts its calls."""

    flows: list[Flow] = field(default_factory=list)
    records: list[ExporterRecord] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    failure: Exception | None = None
    facts: Mapping[str, Any] = field(default_factory=lambda: {"lag_seconds": 1.5, "rows": 7})
    asked: list[Selection] = field(default_factory=list)
    bin_seconds: int = 60
    error: Measure = field(default_factory=Measure)
    pending: Measure = field(default_factory=Measure)

    def _called(self, name: str, selection: Selection | None = None) -> None:
        self.calls[name] += 1
        if selection is not None:
            self.asked.append(selection)
        if self.failure is not None:
            raise self.failure

    def _selected(self, selection: Selection) -> Iterable[Flow]:
        since = (selection.since or 0) // 60 * 60
        for flow in self.flows:
            if (
                flow.time >= since
                and (selection.until is None or flow.time < selection.until)
                and selection.exporter in (None, flow.exporter)
                and selection.direction in (None, flow.direction)
            ):
                yield flow

    def totals(self, selection: Selection) -> Measure:
        self._called("totals", selection)
        return _sum(self._selected(selection))

    def totals_by_exporter(self, selection: Selection) -> Mapping[int, Measure]:
        self._called("totals_by_exporter", selection)
        by: dict[int, list[Flow]] = {}
        for flow in self._selected(selection):
            by.setdefault(flow.exporter, []).append(flow)
        return {exporter: _sum(flows) for exporter, flows in by.items()}

    def top(self, dimension: str, selection: Selection, by: str = "octets", limit=None):
        self._called("top", selection)
        groups: dict[str, list[Flow]] = {}
        selected = list(self._selected(selection))
        for flow in selected:
            groups.setdefault(getattr(flow, dimension), []).append(flow)
        rows = [KeyedMeasure(key, *_sum(flows)) for key, flows in groups.items()]
        rows.sort(key=lambda row: -getattr(row, by))
        total, shown = _sum(selected), rows[:limit]
        other = Measure(*(t - sum(row[i + 1] for row in shown) for i, t in enumerate(total)))
        return TopAnswer(shown, other, total, self.error, self.pending)

    def series(self, boundaries: Sequence[int], selection: Selection) -> list[Measure]:
        self._called("series", selection)
        assert all(bound % 60 == 0 for bound in boundaries)
        assert list(boundaries) == sorted(set(boundaries))
        selected = list(self._selected(selection))
        return [
            _sum(flow for flow in selected if start <= flow.time < end)
            for start, end in itertools.pairwise(boundaries)
        ]

    def bin_at(self, moment: int, dimension: str = "total", exporter: int | None = None):
        self._called("bin_at")
        start = moment // self.bin_seconds * self.bin_seconds
        return start, start + self.bin_seconds

    def columns(self):
        self._called("columns")
        return COLUMNS

    def exporters(self) -> list[ExporterRecord]:
        self._called("exporters")
        return list(self.records)

    def change_exporter(self, exporter: int, *, name=None, info=None) -> None:
        self._called("change_exporter")
        for index, record in enumerate(self.records):
            if record.id == exporter:
                changes = {"name": name, "info": info}
                given = {key: value for key, value in changes.items() if value is not None}
                self.records[index] = replace(record, **given)
                return
        raise KeyError(exporter)

    def forget_exporter(self, exporter: int) -> None:
        self._called("forget_exporter")
        kept = [record for record in self.records if record.id != exporter]
        if len(kept) == len(self.records):
            raise KeyError(exporter)
        self.records = kept

    def health(self) -> Mapping[str, Any]:
        self._called("health")
        return self.facts

    def load_once(self, now: float):
        raise AssertionError("the loader's")

    cursor = expire = load_once

    def close(self) -> None:
        self.calls["close"] += 1


def _sum(flows: Iterable[Flow]) -> Measure:
    flows = list(flows)
    return Measure(
        sum(flow.octets for flow in flows),
        sum(flow.packets for flow in flows),
        sum(flow.flows for flow in flows),
    )


class Reply(NamedTuple):
    """What a client got."""

    status: int
    headers: dict[str, str]
    body: bytes
    cookies: tuple[str, ...] = ()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Calls a WSGI application as a server would, with the validator in between."""

    web: Any
    environ: dict[str, Any] = field(default_factory=dict)

    def __call__(
        self, method: str, target: str, body: bytes = b"", token: str = "", **environ: Any
    ) -> Reply:
        path, _, query = target.partition("?")
        request: dict[str, Any] = {}
        setup_testing_defaults(request)
        request |= {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_ADDR": "203.0.113.9",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": (errors := io.StringIO()),
            "CONTENT_LENGTH": str(len(body)),
            **self.environ,
            **environ,
        }
        if token:
            request["HTTP_X_APIAUTH"] = f"Bearer {token}"
        found: dict[str, Any] = {}

        def start_response(status, headers, exc_info=None):
            assert exc_info is None, exc_info
            found["status"] = int(status[:3])
            found["headers"] = {name.lower(): value for name, value in headers}
            found["cookies"] = tuple(value for name, value in headers if name == "Set-Cookie")
            return lambda octets: None

        answer = validator(self.web)(request, start_response)
        octets = b"".join(answer)
        answer.close()
        assert not errors.getvalue()
        return Reply(found["status"], found["headers"], octets, found["cookies"])

    def get(self, target: str, token: str = "user", **environ: Any) -> Reply:
        return self("GET", target, token=token, **environ)


def principal_from(environ: Mapping[str, Any]) -> Principal | None:
    return TOKENS.get(str(environ.get("HTTP_X_APIAUTH", "")).removeprefix("Bearer "))


def settings_of(folder: Path, tree: Mapping[str, object] | None = None) -> Settings:
    return SettingsFile(
        None, folder, {"data_directory": str(folder / "var"), **(tree or {})}
    ).settings(
        [
            *metrics.register_settings(),
            *names.register_settings(),
            *alerts.register_settings(),
            *reports.register_settings(),
        ]
    )


def plugin_routes(settings: Settings) -> list[Route]:
    return [
        *analytics.register_routes(),
        *devices.register_routes(),
        *explore.register_routes(),
        *metrics.register_routes(),
        *names.register_routes(settings),
        *alerts.register_routes(),
        *reports.register_routes(),
        *auth.register_routes(),
        *users.register_routes(),
    ]


def accounts_of(settings: Settings) -> StoreAccess[AccountStore]:
    """Return real accounts in a SQLite file of the data directory."""
    return StoreAccess(lambda: account_store_from_url("sqlite:appliance.sqlite", settings))


def web_of(
    store: FakeStore,
    settings: Settings,
    routes: Sequence[Route] | None = None,
    *,
    zone: tzinfo = UTC,
    now: float = NOW,
    cors: Cors | None = None,
    accounts: StoreAccess[AccountStore] | None = None,
    failures: PluginFailures | None = None,
) -> Any:
    services = Services(
        settings=settings,
        stores=StoreAccess(lambda: store),
        clock=lambda: now,
        principal_from=principal_from,
        zone=zone,
        metrics=(StatusCollector(settings, lambda: now),),
        accounts=accounts_of(settings) if accounts is None else accounts,
        failures=PluginFailures() if failures is None else failures,
    )
    table = plugin_routes(settings) if routes is None else routes
    return build_web([Registered("tests", route) for route in table], services, cors)


def without_plugins() -> pluggy.PluginManager:
    return build_plugin_manager(built_in=(), entry_points=())
