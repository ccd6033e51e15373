"""Where messages of alerts go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance import Setting
from appliance.plugins.alerts.trap_addresses import is_trap_address, trap_receiver
from appliance.settings.mail_addresses import is_mail_address
from appliance.settings.raw_values import list_items, scalar_text
from appliance.settings.types import Integer, UnfitSettingError

_SCHEME = "mailto:"


def plain_recipient(address: str) -> str | None:
    """Return whom an address without an account names; None: it is another address."""
    is_plain = address.lower().startswith(_SCHEME) and not address[len(_SCHEME) :].startswith("//")
    return address[len(_SCHEME) :] if is_plain else None


def plain_recipients(addresses: Sequence[str]) -> list[str]:
    """Return whom all addresses without an account name."""
    return [who for address in addresses if (who := plain_recipient(address)) is not None]


@dataclass(frozen=True, slots=True)
class MessageAddresses:
    """Addresses as apprise has them; they hold passwords and tokens, and are shown to nobody."""

    expected: str = "a list of addresses such as mailto://user:password@example.com"

    def parse(self, raw: object, folder: Path) -> tuple[str, ...]:
        """Return the addresses.

        Raises
        ------
        UnfitSettingError
            One has no scheme.
        """
        addresses = tuple(scalar_text(item).strip() for item in list_items(raw))
        for number, address in enumerate(addresses, 1):
            recipient = plain_recipient(address)
            if recipient is not None:
                if not is_mail_address(recipient):
                    raise UnfitSettingError(f"address {number}: expected mailto:noc@example.com")
            elif "://" not in address:
                raise UnfitSettingError(f"address {number}: expected {self.expected[10:]}")
            if is_trap_address(address):
                _check_trap(number, address)
        return addresses

    def mask(self, raw: object) -> object:
        """Return the scheme of each address, which says what it is for."""
        if not raw:
            return raw
        try:
            return [f"{scalar_text(item).partition(':')[0][:20]}://***" for item in list_items(raw)]
        except ValueError:
            return "***"


def _check_trap(number: int, address: str) -> None:
    try:
        trap_receiver(address)
    except ValueError as error:
        raise UnfitSettingError(f"address {number}: {error}") from None


SEND_TO = Setting(
    "alerts.send_to",
    MessageAddresses(),
    [],
    "Where messages of alerts go: mailto:noc@example.com by mail.server, or in apprise's form:"
    " mailtos://user:password@example.com?to=noc@example.com, slack://..., json://host/path,"
    " rsyslog://host; snmp2c://community@host and snmp3://user:password@host for traps. Every alert"
    " is in the console and the log anyway.",
)
MOST_AN_HOUR = Setting(
    "alerts.most_messages_an_hour",
    Integer(1, 3600),
    60,
    "Further alerts are kept and counted, and the next message says how many there were.",
)
USER_RULES = Setting(
    "alerts.most_rules_of_user",
    Integer(0, 200),
    10,
    "So many rules a user who is bound to a filter can have; 0: none. Each is looked at as flows"
    " come in.",
)
USER_MAILS = Setting(
    "alerts.most_mails_of_user_an_hour",
    Integer(0, 3600),
    10,
    "Of alerts of such rules, by mail.server to the email of the user's account, which only"
    " administrators set; 0: none. They are never sent to alerts.send_to.",
)
ALERT_SETTINGS: list[Setting[object]] = [SEND_TO, MOST_AN_HOUR, USER_RULES, USER_MAILS]
