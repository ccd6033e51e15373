"""Messages of alerts to plain addresses (`mailto:noc@example.com`), which `mail.server` sends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from email.message import EmailMessage

from appliance import Settings
from appliance.mail import mail_server, send_message
from appliance.ratelimit import RateLimited

logger = RateLimited(logging.getLogger(__name__))


def account_sender(
    recipients: Sequence[str], settings: Settings
) -> Callable[[str, str], bool] | None:
    """Return a function that mails a title and a text by `mail.server`; None without recipients.

    It returns whether anybody has it, and raises MailError where the server cannot be spoken to.
    """
    if not recipients:
        return None

    def send(title: str, text: str) -> bool:
        server = mail_server(settings)
        message = EmailMessage()
        message["Subject"] = "".join(letter for letter in title if letter.isprintable())
        message["From"], message["To"] = server.sender, ", ".join(recipients)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834 section 5
        message.set_content(text)
        refusals = send_message(server, message, recipients)
        for who, refusal in refusals.items():
            logger.warning("alerts: %s is refused: %d %s", who, refusal.code, refusal.text)
        return len(refusals) < len(recipients)

    return send
