"""Messages: to a real mail server and a real web server, together, not too many, and again."""

from __future__ import annotations

import json
import re
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import appliance
from appliance.app import open_app
from appliance.errors import SettingsError
from appliance.flows import set_plugin_columns
from appliance.plugins.alerts import messages
from appliance.plugins.alerts.alert_settings import SEND_TO
from appliance.plugins.alerts.messages import Messages, apprise_sender, message_sender
from appliance.plugins.alerts.rules import Rule
from appliance.plugins.alerts.store import Alert
from appliance.settings.types import sample_setting
from tests.mail_servers import mail_server
from tests.web.building import settings_of

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
"""Apprise's on Python 3.11 and 3.12."""

RULE = Rule("SYN <flood>", limit=10, severity="critical", text="call & <b>run</b>")
NOON = 1_800_014_400.0
"""12:00 UTC."""


def alert(number: int = 1, ended: float | None = None) -> Alert:
    sentence = f"SYN <flood>: destination 192.0.2.{number}: 5k flows a second (limit 10)"
    facts = (RULE.name, "", "critical", (), NOON, ended, 1.0, sentence, ())
    return Alert(number, *facts, None, None, None)


@contextmanager
def web_server(*statuses: int) -> Iterator[tuple[int, list[Any]]]:
    """Run a server for webhooks, which answers with these statuses, then 200."""
    received: list[Any] = []
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            octets = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(json.loads(octets))
            self.send_response(left.pop(0) if left else 200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], received
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "GATHER_SECONDS", 0.2)


def new(send: Callable[[str, str], bool] | None, most: int = 60) -> Messages:
    return Messages(send, UTC, most, pauses_seconds=(0.01, 0.01))


def wait_for_counts(told: Messages) -> None:
    deadline = time.monotonic() + 20
    while not told.counts:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_message_when_alerts_begin_together_then_one_mail_with_all_as_text() -> None:
    with mail_server() as (port, received):
        address = f"mailto://127.0.0.1:{port}?from=box@example.com&to=noc@example.com&mode=insecure"
        told = new(apprise_sender([address]))
        for number in range(1, 4):
            told.tell(RULE, alert(number))
        told.stop()
    [mail] = received
    assert mail["To"] == "noc@example.com"
    assert mail["Subject"].startswith("CRITICAL: SYN <flood>: destination 192.0.2.1")
    assert mail["Subject"].endswith("and 2 more")
    text = mail.get_body(("plain", "html")).get_content()
    for number in range(1, 4):
        assert f"12:00:00 CRITICAL: SYN <flood>: destination 192.0.2.{number}" in text
    assert "call & <b>run</b>" in text
    assert told.counts == {"sent": 1}


def test_message_when_to_a_plain_address_then_by_the_account_of_the_appliance(
    tmp_path: Path,
) -> None:
    with mail_server() as (port, received), web_server(500) as (web_port, posted):
        account = f"mailto://127.0.0.1:{port}?from=box@example.com&mode=insecure"
        settings = settings_of(tmp_path, {"mail": {"server": account}})
        addresses = ["mailto:noc@example.com", f"json://127.0.0.1:{web_port}/hook"]
        told = new(message_sender(addresses, settings))
        told.tell(RULE, alert())
        wait_for_counts(told)
        told.stop()
    # The other way failed at first, and the mail was not sent again.
    [mail] = received
    assert (mail["To"], mail["From"]) == ("noc@example.com", "box@example.com")
    assert mail["Subject"].startswith("CRITICAL: SYN <flood>: destination 192.0.2.1")
    assert "call & <b>run</b>" in mail.get_content()
    assert (len(posted), told.counts) == (2, {"sent": 1})


def test_message_when_mail_server_is_not_set_then_failed_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = new(message_sender(["mailto:noc@example.com"], settings_of(tmp_path)))
    told.tell(RULE, alert())
    wait_for_counts(told)
    told.stop()
    assert told.counts == {"failed": 1}
    assert "mail.server is not set" in caplog.text


def test_message_when_the_service_fails_then_tried_again() -> None:
    with web_server(500, 503) as (port, received):
        told = new(apprise_sender([f"json://127.0.0.1:{port}/hook"]))
        told.tell(RULE, alert())
        wait_for_counts(told)
        told.stop()
    assert told.counts == {"sent": 1}
    assert len(received) == 3
    assert all("192.0.2.1" in one["message"] for one in received)


def test_message_when_nobody_answers_then_given_up_and_counted() -> None:
    tries: list[str] = []

    def broken(title: str, text: str) -> bool:
        tries.append(text)
        raise OSError("away")

    told = new(broken)
    told.tell(RULE, alert())
    wait_for_counts(told)
    told.stop()
    assert (len(tries), told.counts) == (3, {"failed": 1})


def test_messages_when_there_are_too_many_then_the_next_says_how_many() -> None:
    sent: list[str] = []
    told = new(lambda title, text: sent.append(text) or True, most=1)
    for _ in range(3):
        told.tell(RULE, alert())
        threading.Event().wait(0.4)
    told._sent_at.clear()  # an hour later
    told.tell(RULE, alert(9, ended=NOON + 60))
    told.stop()
    assert len(sent) == 2
    assert "12:01:00 Over: SYN <flood>: destination 192.0.2.9" in sent[1]
    assert "2 earlier ones were not sent" in sent[1]
    assert told.counts == {"sent": 2, "dropped": 2}


def test_message_when_the_hour_is_quiet_then_none() -> None:
    sent: list[str] = []
    told = new(lambda title, text: sent.append(text) or True)
    quiet = Rule("r", limit=1, quiet="11:00-13:00")
    told.tell(quiet, alert())
    told.tell(RULE, alert())
    told.stop()
    assert len(sent) == 1
    assert sent[0].count("\n") == 0


def test_messages_when_very_many_wait_then_dropped_and_never_waited_for() -> None:
    gate = threading.Event()
    told = new(lambda title, text: gate.wait(10))
    for _ in range(messages.MOST_WAITING + 200):
        told.tell(RULE, alert())
    assert told.counts["dropped"] >= 100
    gate.set()
    told.stop()


def test_addresses_when_shown_then_without_what_is_secret() -> None:
    raw = ["mailtos://user:secret@example.com", "slack://T0/B0/key"]
    text = sample_setting(SEND_TO.type, raw)
    assert "mailtos://***" in text
    for word in ("user", "secret", "T0", "key"):
        assert word not in text


def test_setting_when_written_as_in_the_manual_then_read(conf: Callable[[str], Path]) -> None:
    manual = (Path(appliance.__file__).parent / "manual" / "alerts.md").read_text()
    block, _traps = re.findall(r"^    alerts:\n(?:     .*\n)+", manual, re.MULTILINE)
    found = open_app(conf(textwrap.dedent(block))).settings
    assert [one.partition(":")[0] for one in found[SEND_TO.name]] == ["mailtos", "json"]
    assert found["alerts.most_messages_an_hour"] == 60
    set_plugin_columns(())


@pytest.mark.parametrize("address", ["noc-secret@example.com", "mailto:noc-secret"])
def test_setting_when_it_is_no_address_then_refused_without_it(
    conf: Callable[[str], Path], address: str
) -> None:
    folder = conf(f"alerts:\n  send_to: ['{address}']\n")
    with pytest.raises(SettingsError) as problem:
        open_app(folder)
    assert "address 1: expected a list of addresses" not in str(problem.value)
    assert "secret" not in str(problem.value)
