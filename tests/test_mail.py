"""Mail handed to a real server: with and without TLS and password, refused, and by nobody."""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import appliance
from appliance.app import open_app
from appliance.errors import SettingsError
from appliance.mail import (
    MailError,
    Refusal,
    mail_server,
    message_octets,
    send_message,
)
from appliance.settings.core import CORE_SETTINGS
from appliance.settings.mail_addresses import is_mail_address
from appliance.settings.types import sample_setting
from appliance.web.api_server import TlsFiles
from appliance.web.certificates import make_pair
from tests.benchmarks.served import free_tcp_port
from tests.mail_servers import PASSWORD, authenticator
from tests.mail_servers import mail_server as running_server
from tests.web.building import settings_of

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
"""Apprise's on Python 3.11 and 3.12."""

TO = ("noc@example.com", "ops@example.org")


def message() -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"], mail["To"], mail["From"] = "hello", ", ".join(TO), "box@example.com"
    mail.set_content("grüße")
    return mail


def account(tmp_path: Path, address: str) -> Any:
    return mail_server(settings_of(tmp_path, {"mail": {"server": address}}))


def plain(tmp_path: Path, port: int) -> Any:
    return account(tmp_path, f"mailto://127.0.0.1:{port}?from=box@example.com&mode=insecure")


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = TlsFiles(tmp_path / "mail.crt", tmp_path / "mail.key")
    make_pair(pair, ["127.0.0.1"], 30, datetime.now(UTC))
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def test_message_when_sent_then_there_for_every_recipient(tmp_path: Path) -> None:
    with running_server() as (port, received):
        assert send_message(plain(tmp_path, port), message(), TO) == {}
    [mail] = received
    assert mail.envelope_to == list(TO)
    assert mail.get_content().strip() == "grüße"
    assert mail["From"] == "box@example.com"


def test_message_when_one_recipient_is_refused_then_the_others_have_it(tmp_path: Path) -> None:
    answers = {"noc@example.com": "450 4.2.0 greylisted", "gone@example.com": "550 5.1.1 no user"}
    with running_server(lambda to: answers.get(to, "250 OK")) as (port, received):
        refusals = send_message(plain(tmp_path, port), message(), (*TO, "gone@example.com"))
    assert refusals == {
        "noc@example.com": Refusal(450, "4.2.0 greylisted"),
        "gone@example.com": Refusal(550, "5.1.1 no user"),
    }
    assert [one.is_permanent for one in refusals.values()] == [False, True]
    assert received[0].envelope_to == ["ops@example.org"]


def test_message_when_all_recipients_are_refused_then_each_says_why(tmp_path: Path) -> None:
    with running_server(lambda to: f"550 {to} is unknown") as (port, received):
        refusals = send_message(plain(tmp_path, port), message(), TO)
    assert {who: one.text for who, one in refusals.items()} == {to: f"{to} is unknown" for to in TO}
    assert received == []


@pytest.mark.parametrize(("answer", "is_permanent"), [("451 later", False), ("554 spam", True)])
def test_message_when_refused_then_the_server_s_words(
    tmp_path: Path, answer: str, is_permanent: bool
) -> None:
    with (
        running_server(to_data=lambda: answer) as (port, _),
        pytest.raises(MailError, match=f"says {answer}") as problem,
    ):
        send_message(plain(tmp_path, port), message(), TO)
    assert problem.value.is_permanent == is_permanent


def test_message_when_nobody_listens_then_one_sentence(tmp_path: Path) -> None:
    port = free_tcp_port()
    with pytest.raises(MailError, match=rf"mail server 127.0.0.1:{port}: .*refused"):
        send_message(plain(tmp_path, port), message(), TO)


def test_message_when_the_server_wants_a_password_then_sent_over_tls(
    tmp_path: Path, certificate: ssl.SSLContext
) -> None:
    options = {
        "tls_context": certificate, "require_starttls": True, "auth_required": True,
        "authenticator": authenticator, "auth_require_tls": True,
    }  # fmt: skip
    where = "127.0.0.1:{}?from=box@example.com&mode=starttls"
    with running_server(**options) as (port, received):
        address = where.format(port)
        server = account(tmp_path, f"mailtos://box:{quote(PASSWORD, safe='')}@{address}&verify=no")
        assert send_message(server, message(), TO) == {}
        wrong = account(tmp_path, f"mailtos://box:secret@{address}&verify=no")
        with pytest.raises(MailError, match="says 535") as problem:
            send_message(wrong, message(), TO)
        # A certificate of our own making is nobody's.
        strict = account(tmp_path, f"mailtos://box:{quote(PASSWORD, safe='')}@{address}")
        with pytest.raises(MailError, match="certificate verify failed"):
            send_message(strict, message(), TO)
    assert len(received) == 1
    assert "secret" not in f"{problem.value!r} {wrong!r}"


def test_message_when_the_goodbye_fails_then_sent_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: smtplib.SMTP) -> None:
        raise smtplib.SMTPServerDisconnected("gone")

    monkeypatch.setattr(smtplib.SMTP, "quit", fail)
    with running_server() as (port, received):
        assert send_message(plain(tmp_path, port), message(), TO) == {}
    assert len(received) == 1


def test_server_when_not_set_or_not_understood_then_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(MailError, match=r"mail.server is not set, expected an address such as"):
        account(tmp_path, "")
    with pytest.raises(MailError, match=r"mail.server is not understood") as problem:
        account(tmp_path, "mailtos://user:hush@?from=nonsense")
    assert "hush" not in str(problem.value)
    with pytest.raises(MailError, match=r"mail.server is not understood"):
        account(tmp_path, "mailto://127.0.0.1?from=jörg@example.com")


def test_setting_when_it_is_no_account_then_refused_without_it(
    conf: Callable[[str], Path],
) -> None:
    with pytest.raises(SettingsError, match=r"mail.server.*mailtos://user:password") as problem:
        open_app(conf("mail.server: 'smtp://hush@example.com'\n"))
    assert "hush" not in str(problem.value)


def test_setting_when_written_as_in_the_manual_then_understood(tmp_path: Path) -> None:
    manual = (Path(appliance.__file__).parent / "manual" / "reports.md").read_text()
    [address] = re.findall(r'^    mail:\n      server: "(.*)"$', manual, re.MULTILINE)
    server = account(tmp_path, address)
    assert (server.host, server.port, server.security) == ("mail.example.com", 587, "starttls")
    assert (server.user, server.sender) == ("netflow", "netflow@example.com")


def test_setting_when_shown_then_without_password() -> None:
    [setting] = [one for one in CORE_SETTINGS if one.name == "mail.server"]
    text = sample_setting(setting.type, "mailtos://user:hush@example.com")
    assert "mailtos://***" in text
    assert "hush" not in text


@given(st.text(max_size=80) | st.from_regex(r"[a-z\r\n,<> ]+@[a-z.\r\n,<> ]+", fullmatch=True))
def test_address_when_any_text_then_never_more_than_one_recipient(text: str) -> None:
    if not is_mail_address(text):
        return
    mail = EmailMessage()
    # Of the library: not every address with letters beyond ASCII can be in a header.
    with contextlib.suppress(ValueError):
        mail["To"] = text
        assert len(mail["To"].addresses) == 1
        assert message_octets(mail).count(b"\n") <= 3


@pytest.mark.parametrize("text", ["noc@example.com", "a.b+c@x-y.example", "jörg@example.com"])
def test_address_when_plain_then_taken(text: str) -> None:
    assert is_mail_address(text)
