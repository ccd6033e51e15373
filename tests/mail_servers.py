"""A real server for mail on a free port of loopback, which refuses what a test says."""

from __future__ import annotations

import email
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import policy
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from tests.benchmarks.served import free_tcp_port

PASSWORD = "pa55:w@rd/?"
"""Of every user, with what addresses of accounts must quote."""

Answer = Callable[[str], str]


class Handler:
    """Takes mail, and answers to a recipient or to the data as it is told."""

    def __init__(self, to_recipient: Answer, to_data: Callable[[], str]) -> None:
        self.received: list[Any] = []
        self._to_recipient, self._to_data = to_recipient, to_data

    async def handle_RCPT(
        self, _server: SMTP, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        answer = self._to_recipient(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Any) -> str:
        answer = self._to_data()
        if answer.startswith("250"):
            mail = email.message_from_bytes(envelope.content, policy=policy.default)
            mail.envelope_to = list(envelope.rcpt_tos)
            self.received.append(mail)
        return answer


def authenticator(_server: Any, _session: Any, _envelope: Any, _how: str, data: Any) -> AuthResult:
    """Let in who knows the password."""
    is_known = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
    return AuthResult(success=is_known, handled=False)


@contextmanager
def mail_server(
    to_recipient: Answer = lambda _: "250 OK",
    to_data: Callable[[], str] = lambda: "250 OK",
    **options: Any,
) -> Iterator[tuple[int, list[Any]]]:
    """Run a server for mail; yield its port, and what it has received.

    Parameters
    ----------
    options
        Of aiosmtpd's `SMTP`, such as a TLS context.
    """
    handler = Handler(to_recipient, to_data)
    port = free_tcp_port()
    controller = Controller(handler, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield port, handler.received
    finally:
        controller.stop()
