"""Mails of users' alerts: to the address of the user's account, and nowhere else.

Only administrators set that address, so a user who is bound to a filter cannot have the appliance
send anything to others. Each user has a queue and a number an hour of their own: nobody's alerts
keep those of others back.
"""

from __future__ import annotations

import logging
from datetime import tzinfo

from appliance import Settings
from appliance.mail import MAIL_SERVER
from appliance.plugins.alerts.account_mails import account_sender
from appliance.plugins.alerts.alert_settings import USER_MAILS
from appliance.plugins.alerts.messages import Messages
from appliance.plugins.alerts.rules import Rule
from appliance.plugins.alerts.store import Alert
from appliance.plugins.alerts.user_rules import RuleOwner
from appliance.ratelimit import RateLimited
from appliance.settings.mail_addresses import is_mail_address

logger = RateLimited(logging.getLogger(__name__))
"""Apart from that of the appliance's own alerts, whose lines users must not crowd out."""


class UserMails:
    """Tells users of their alerts; never waits."""

    def __init__(self, settings: Settings, zone: tzinfo) -> None:
        self._settings, self._zone = settings, zone
        self._messages: dict[tuple[int, str], Messages] = {}

    def tell(self, owner: RuleOwner, rule: Rule, alert: Alert) -> None:
        """Take an alert of a user that begins or ends."""
        state = "over" if alert.ended is not None else alert.severity
        logger.info("alert of %s, %s: %s", owner.name, state, alert.sentence)
        address = mail_address(owner, self._settings)
        if address is None:
            return
        place = (owner.account, address)
        if place not in self._messages:
            self._end_of(owner.account)
            send = account_sender([address], self._settings)
            most = self._settings[USER_MAILS.name]
            self._messages[place] = Messages(send, self._zone, most)
        self._messages[place].tell_by_message(rule, alert)

    def stop(self) -> None:
        """Send what waits, once, and end."""
        for messages in self._messages.values():
            messages.stop()

    def _end_of(self, account: int) -> None:
        """End what sent to the address that the account had before."""
        for place in [one for one in self._messages if one[0] == account]:
            self._messages.pop(place).stop()


def mail_address(owner: RuleOwner, settings: Settings) -> str | None:
    """Return where mails of a user's alerts go; None: nowhere."""
    address = "" if owner.user is None else owner.user.email or ""
    may_send = settings[USER_MAILS.name] > 0 and bool(settings[MAIL_SERVER])
    return address if may_send and is_mail_address(address) else None
