"""Mail: the account that sends it, and one message handed to its server (RFC 5321).

Messages are made by others. `mail.server` is an address in apprise's form, so that it is written
like the addresses of alerts, and its table of well-known providers is used.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING, NamedTuple

from appliance.errors import ApplianceError
from appliance.settings.mail_addresses import EXPECTED, is_mail_address

if TYPE_CHECKING:
    from appliance.settings.file import Settings

MAIL_SERVER = "mail.server"
PATIENCE_SECONDS = 30.0
"""So long one answer of a server may take."""

SSL, STARTTLS, INSECURE = "ssl", "starttls", "insecure"
_PERMANENT = 500


class MailError(ApplianceError):
    """A message could not be handed over to anybody.

    Attributes
    ----------
    is_permanent
        The server said that another try is of no use (RFC 5321 section 4.2.1).
    """

    def __init__(self, text: str, *, is_permanent: bool = False) -> None:
        self.is_permanent = is_permanent
        super().__init__(text)


class Refusal(NamedTuple):
    """What a server says of a recipient that it does not take."""

    code: int
    text: str

    @property
    def is_permanent(self) -> bool:
        """Whether another try is of no use; 4xx is said by servers that want one."""
        return self.code >= _PERMANENT


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where messages are handed over, and by whom.

    Attributes
    ----------
    security
        `SSL`, `STARTTLS` or `INSECURE`.
    sender
        The address that messages come from.
    verifies
        Whether the certificate of the server must be valid.
    """

    host: str
    port: int
    security: str
    user: str
    password: str
    sender: str
    verifies: bool = True

    def __repr__(self) -> str:
        # Without the password, which a traceback or a log line could show.
        return f"MailServer({self.host}:{self.port}, {self.security})"


def mail_server(settings: Settings) -> MailServer:
    """Return what `mail.server` names.

    Raises
    ------
    MailError
        It names nothing, or is not understood.
    """
    address = str(settings[MAIL_SERVER])
    if not address:
        raise MailError(f"{MAIL_SERVER} is not set, expected {EXPECTED}")
    # Its library takes a third of a second, which only those wait for who send.
    from apprise import Apprise
    from apprise.plugins.email import NotifyEmail

    account = Apprise.instantiate(address)
    sender = str(account.from_addr[1]) if isinstance(account, NotifyEmail) else ""
    # In the header From a letter beyond ASCII would need a server with SMTPUTF8 (RFC 6531).
    is_usable = is_mail_address(sender) and sender.isascii()
    if not isinstance(account, NotifyEmail) or not is_usable:
        raise MailError(f"{MAIL_SERVER} is not understood, expected {EXPECTED}")
    return MailServer(
        account.smtp_host,
        int(account.port or 25),
        str(account.secure_mode),
        account.user or "",
        account.password or "",
        sender,
        bool(account.verify_certificate),
    )


def send_message(
    server: MailServer, message: EmailMessage, recipients: Sequence[str]
) -> Mapping[str, Refusal]:
    """Hand a message over; return which recipients the server does not take.

    Parameters
    ----------
    recipients
        Of the envelope, whatever the header says.

    Raises
    ------
    MailError
        Nobody gets it; the text holds no password.
    """
    try:
        with _session(server) as session:
            refused = session.send_message(message, server.sender, recipients)
            return {who: _refusal(*answer) for who, answer in refused.items()}
    except smtplib.SMTPRecipientsRefused as error:
        refusals = {who: _refusal(*answer) for who, answer in error.recipients.items()}
        return {who: refusals.get(who, Refusal(451, "not tried")) for who in recipients}
    except smtplib.SMTPResponseException as error:
        refusal = _refusal(error.smtp_code, error.smtp_error)
        raise MailError(_sentence(server, refusal), is_permanent=refusal.is_permanent) from None
    # Of an expired certificate, of no route, of a server that hangs up.
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise MailError(
            f"mail server {server.host}:{server.port}: {_one_line(str(error))}"
        ) from None


@contextlib.contextmanager
def _session(server: MailServer) -> Iterator[smtplib.SMTP]:
    context = ssl.create_default_context()
    if not server.verifies:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = (server.host, server.port)
    if server.security == SSL:
        session: smtplib.SMTP = smtplib.SMTP_SSL(
            *address, timeout=PATIENCE_SECONDS, context=context
        )
    else:
        session = smtplib.SMTP(*address, timeout=PATIENCE_SECONDS)
    try:
        if server.security == STARTTLS:
            session.starttls(context=context)
        if server.user and server.password:
            session.login(server.user, server.password)
        yield session
    finally:
        # What the server has taken it has taken, however it says goodbye.
        with contextlib.suppress(smtplib.SMTPException, OSError):
            session.quit()
        session.close()


def _refusal(code: int, text: bytes | str) -> Refusal:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return Refusal(code, _one_line(said))


def _sentence(server: MailServer, refusal: Refusal) -> str:
    return f"mail server {server.host}:{server.port} says {refusal.code} {refusal.text}".rstrip()


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return "".join(letter for letter in line if letter.isprintable())[:200] or "no answer"


def message_octets(message: EmailMessage) -> bytes:
    """Return a message as it is sent, and as a file with the suffix .eml holds it."""
    return message.as_bytes(policy=SMTP)
