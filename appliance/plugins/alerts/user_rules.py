"""Rules of users who are bound to a filter: a file of each user's own, so that nobody meets the
rules or alerts of others.

A file is known by the number of the account, which no other account ever has. The filter is taken
from the account at each look: without one nothing of the user's is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance import Settings
from appliance.contracts import User
from appliance.plugins.alerts.ready_made import READY_MADE
from appliance.plugins.alerts.rules import HEALTH_MEASURES, Rule, RuleError
from appliance.plugins.alerts.store import SCHEMA, AlertStore, StoreLimits

FOLDER = "alerts_of_users"
MAX_USER_ALERTS = 1000
"""Of each user; the newest are kept."""

MAX_USER_WITH_HISTORY = 2
"""Rules of a user that are on and need hours kept: each hour is a question to the flow log."""

KEPT_SECONDS = 30 * 86_400
"""So long rules and alerts of a deleted user are kept."""

_SCHEMA = SCHEMA.replace("comment TEXT)", "comment TEXT, bound_to TEXT)")
_CANNOT = "so a user who is bound to a filter cannot have it"


@dataclass(frozen=True, slots=True)
class RuleOwner:
    """A user who has rules.

    Attributes
    ----------
    account
        The number of the account.
    user
        None: the account is gone.
    store
        All of the user's rules and alerts, those from under another filter too.
    """

    account: int
    user: User | None
    store: AlertStore

    @property
    def name(self) -> str:
        """The name of the user, or the number of one who is gone."""
        return f"user {self.account}" if self.user is None else self.user.username

    @property
    def bound_to(self) -> str | None:
        """The filter now; None: the rules are not looked at."""
        return None if self.user is None else self.user.filter

    @property
    def problem(self) -> str:
        """Why the rules are not looked at; empty where they are."""
        if self.user is None:
            return f"{self.name} is gone: the rules are not looked at"
        if self.user.filter is None:
            return f"{self.name} is bound to no filter: the rules are not looked at"
        return ""


def check_limitable(rule: Rule) -> None:
    """Check that a rule measures flows, which a filter can limit.

    Raises
    ------
    RuleError
        It is about exporters or whole interfaces.
    """
    if rule.measure in HEALTH_MEASURES:
        raise RuleError(f"measure: {rule.measure} is about exporters, not about flows, {_CANNOT}")
    if rule.condition == "utilisation":
        raise RuleError(f"condition: utilisation is of all flows of an interface, {_CANNOT}")


def _is_for_users(rule: Rule) -> bool:
    is_of_flows = rule.measure not in HEALTH_MEASURES and rule.condition != "utilisation"
    return is_of_flows and rule.by != "exporter" and "@" not in rule.filter


USER_READY_MADE = tuple(rule for rule in READY_MADE if _is_for_users(rule))
"""The rules that come with the appliance for each bound user: without those about exporters, and
without lists of addresses, which bound users do not have."""


def user_store(
    settings: Settings, account: int, most_rules: int, bound_to: str | None = None
) -> AlertStore:
    """Return the rules and alerts of a user.

    Parameters
    ----------
    bound_to
        Only alerts that were found under this filter, and new ones are under it; None: all, for
        administrators.
    """
    limits = StoreLimits(most_rules, MAX_USER_WITH_HISTORY, MAX_USER_ALERTS)
    facts: Mapping[str, str] = {} if bound_to is None else {"bound_to": bound_to}
    path = users_folder(settings) / f"{account}.sqlite"
    return AlertStore(path, limits, USER_READY_MADE, facts, _SCHEMA)


def users_folder(settings: Settings) -> Path:
    """Return where the files of users are."""
    return Path(settings["data_directory"]) / FOLDER


def accounts_with_rules(settings: Settings) -> list[int]:
    """Return the numbers of the accounts that have a file."""
    files = users_folder(settings).glob("*.sqlite")
    return sorted(int(file.stem) for file in files if file.stem.isdecimal())


def rule_owners(
    settings: Settings, users: Sequence[User], *, with_bound: bool = False
) -> list[RuleOwner]:
    """Return those who have rules, of the users that there are, and those who are gone.

    Parameters
    ----------
    with_bound
        Also users who are bound to a filter and have no rules yet.
    """
    known = {user.id: user for user in users}
    accounts = {*accounts_with_rules(settings)}
    if with_bound:
        accounts |= {user.id for user in users if user.filter is not None}
    return [
        RuleOwner(account, known.get(account), user_store(settings, account, 0))
        for account in sorted(accounts)
    ]


def expire_gone(settings: Settings, users: Sequence[User], now: float) -> int:
    """Delete the files of users who are gone for long; return how many."""
    gone = [owner.store.path for owner in rule_owners(settings, users) if owner.user is None]
    old = [path for path in gone if path.stat().st_mtime < now - KEPT_SECONDS]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)
