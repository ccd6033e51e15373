"""`appliance report`: reports that were set, shown, sent and written to a file."""

from __future__ import annotations

import email
import json
import time
from datetime import UTC
from email import policy
from pathlib import Path
from typing import Any

import pytest

from appliance.app import open_app
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flows import set_plugin_columns
from appliance.plugins.reports.periods import last_period
from appliance.process_parts import plugin_findings
from tests.mail_servers import mail_server
from tests.plugins.alerts.conftest import flows

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
"""Apprise's on Python 3.11 and 3.12."""


@pytest.fixture
def run(conf: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs `appliance report` beside a mail server; its output follows."""
    answers: dict[str, str] = {}
    with mail_server(lambda to: answers.get(to, "250 OK")) as (port, received):
        folder = conf(
            f"data_directory: {tmp_path}/data\ntimezone: UTC\n"
            f"mail.server: 'mailto://127.0.0.1:{port}?from=box@example.com&mode=insecure'\n"
        )

        def call(*words: str, code: int = 0) -> str:
            capsys.readouterr()
            arguments = ["-confPath", f"{folder}/", "report", *words]
            assert run_command_line(group, arguments) == code, capsys.readouterr().err
            captured = capsys.readouterr()
            return captured.err if code else f"{captured.out}{captured.err}"

        call.received, call.answers, call.folder = received, answers, folder  # type: ignore[attr-defined]
        yield call
        set_plugin_columns(())


def log_of_yesterday(folder: Path) -> None:
    period = last_period("daily", time.time(), UTC)
    log = open_app(folder).settings["data_directory"] / "flowlog"
    writer = FlowLogWriter(log, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    for at in range(period.since, period.until, 3600):
        writer.append(flows(1, at + 60, octet_delta_count=1_000_000))
    writer.flush({}, period.until * 1000)
    writer.close(period.until * 1000)


def test_report_when_set_then_listed_shown_and_deleted(run: Any) -> None:
    log_of_yesterday(run.folder)
    said = run("set", "day by day", "--kind", "daily", "--to", "noc@example.com", "--rows", "5")
    assert said == "day by day is on: daily, at 06:00, by mail to noc@example.com\n"
    run("set", "day by day", "--filter", "proto tcp", "--section", "totals")
    assert "day by day  daily" in run("list")
    [state] = json.loads(run("list", "--json"))
    assert (state["filter"], state["sections"], state["rows"]) == ("proto tcp", ["totals"], 5)
    shown = run("day by day")
    assert "only flows of: proto tcp" in shown
    assert "24.0 MB" in shown
    assert "source" not in shown
    # An empty text takes back what was said.
    run("set", "day by day", "--filter", "", "--to", "")
    [state] = json.loads(run("list", "--json"))
    assert (state["filter"], state["to"]) == ("", [])
    assert run("kept") == "no report is kept yet\n"
    assert run("delete", "day by day") == "day by day is deleted\n"
    assert "no report was set" in run("list")


def test_report_when_sent_by_hand_then_to_whom_it_is_said(run: Any) -> None:
    run("set", "r", "--kind", "daily", "--to", "noc@example.com")
    assert run("send", "r", "--to", "boss@example.com") == "sent to boss@example.com\n"
    [mail] = run.received
    assert mail.envelope_to == ["boss@example.com"]
    run.answers["noc@example.com"] = "550 no such user"
    said = run("send", "r", code=1)
    assert "noc@example.com was refused: 550 no such user" in said
    assert "not sent to 1 of 1" in said
    run("set", "r", "--to", "")
    assert "r has no recipients" in run("send", "r", code=1)
    assert "'nobody' is no address" in run("send", "r", "--to", "nobody", code=1)


def test_report_when_written_to_a_file_then_nothing_is_sent(run: Any, tmp_path: Path) -> None:
    run("set", "r", "--kind", "daily", "--to", "noc@example.com")
    file = tmp_path / "r.eml"
    assert "nothing was sent" in run("send", "r", "--dry-run", str(file))
    mail = email.message_from_bytes(file.read_bytes(), policy=policy.default)
    assert mail["To"] == "noc@example.com"
    assert mail.get_body(("html",)) is not None
    assert run.received == []
    gone = tmp_path / "gone" / "r.eml"
    assert f"{gone}: No such file" in run("send", "r", "--dry-run", str(gone), code=1)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("yearly",), "no report is called 'yearly', expected daily, weekly, monthly"),
        (("send", "x"), "no report is called 'x'"),
        (("delete", "x"), "no report is called 'x'"),
        (("kept", "x"), "no report is called 'x'"),
        (("set", "x", "--to", "noc"), "to: 'noc' is no address such as noc@example.com"),
        (("set", "x", "--customer", "Acme"), "customers: no 'Acme', expected none"),
        (("set", "daily"), "name: daily is a word of appliance report itself"),
    ],
)
def test_report_when_wrong_then_one_sentence(run: Any, words: Any, text: str) -> None:
    said = run(*words, code=1)
    assert text in said
    assert said.count("\n") == 1


def test_check_when_reports_cannot_be_sent_then_a_line_says_so(run: Any) -> None:
    def lines() -> list[str]:
        app = open_app(run.folder)
        return [f.text for f in plugin_findings(app) if f.what == "reports"]

    assert lines() == []
    run("set", "r", "--to", "noc@example.com")
    assert lines() == ["1 go by mail"]
    file = run.folder / "appliance.yml"
    file.write_text(file.read_text().split("mail.server")[0])
    assert lines() == ["r is to be sent, and mail.server is not set"]
    assert "but s is to be sent, and mail.server" in run("set", "s", "--to", "noc@example.com")
