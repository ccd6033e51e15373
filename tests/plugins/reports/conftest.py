"""The web application over a flow log, and a sender of reports with a clock and a mail server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from appliance.errors import StorageError
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.plugins.reports.named_reports import NamedReport
from appliance.plugins.reports.report_store import Delivery, ReportStore
from appliance.plugins.reports.sending import ReportSender
from tests.mail_servers import mail_server
from tests.plugins.alerts.conftest import flows
from tests.web.building import settings_of
from tests.web.conftest import client, client_of, store

__all__ = ["client", "client_of", "store"]

HOUR, DAY = 3600, 86_400
MONDAY = 1_769_990_400
"""2026-02-02T00:00:00Z."""


def no_store() -> Any:
    """Stand for an appliance whose roll-ups are away."""
    raise StorageError("there are no roll-ups")


@dataclass
class World:
    """A sender over flows of ten days, its clock, and what a mail server does and gets.

    Attributes
    ----------
    answers
        Of the server, by recipient.
    data_answer
        To a mail.
    """

    settings: Any
    received: list[Any]
    answers: dict[str, str] = field(default_factory=dict)
    data_answer: str = "250 OK"
    now: float = MONDAY - 5 * HOUR

    def __post_init__(self) -> None:
        self.sender = self.new_sender()

    def new_sender(self) -> ReportSender:
        """Return a sender as a process that begins now has it."""
        return ReportSender(self.settings, no_store, lambda: self.now)

    @property
    def store(self) -> ReportStore:
        return self.sender.store

    def put(self, **values: Any) -> NamedReport:
        """Set a report, by default a weekly one to two people."""
        facts = {"name": "weekly", "to": ("noc@example.com", "ops@example.org"), **values}
        facts["name"] = "NOC" if facts["name"] == "weekly" else facts["name"]
        report = NamedReport(**facts)
        self.store.put(report, self.now)
        return report

    def work(self, until: float, step: float = 600) -> None:
        """Let time pass, and the sender work."""
        while self.now < until:
            self.now = min(self.now + step, until)
            while self.sender.work_once():
                pass

    def delivery(self, name: str = "NOC") -> Delivery:
        return self.store.deliveries()[name]


@pytest.fixture
def world(tmp_path: Any) -> Iterator[World]:
    answers: dict[str, str] = {}
    worlds: list[World] = []
    with mail_server(lambda to: answers.get(to, "250 OK"), lambda: worlds[0].data_answer) as (
        port,
        received,
    ):
        address = f"mailto://127.0.0.1:{port}?from=box@example.com&mode=insecure"
        customers = {"Acme <b>&co</b>": ["10.0.0.0/8"], "=1+1": ["192.0.2.0/24"]}
        tree = {"mail": {"server": address}, "reports": {"customers": customers, "kept": 3}}
        settings = settings_of(tmp_path, {**tree, "timezone": "UTC"})
        log = settings["data_directory"] / "flowlog"
        writer = FlowLogWriter(log, FlowLogLimits(minimum_free_octets=0))
        writer.start()
        for at in range(MONDAY - 15 * DAY, MONDAY, HOUR):
            facts = {"ingress_interface": 7, "destination_transport_port": 443}
            writer.append(flows(1, at + 60, octet_delta_count=1_000_000, **facts))
        writer.flush({}, MONDAY * 1000)
        writer.close(MONDAY * 1000)
        worlds.append(World(settings, received, answers))
        yield worlds[0]
