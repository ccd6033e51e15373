"""Whose rules are looked at now: those of the appliance, and of each user within the user's filter.

The filter is taken from the account each time that rules are read. Where it is gone, not understood
or cannot be read, nothing of that user is looked at: it is never widened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from appliance import (
    AccountStore,
    ExporterRecord,
    FlowStore,
    LoadReport,
    Settings,
    StorageError,
)
from appliance.contracts import User
from appliance.errors import QueryError
from appliance.plugins.alerts.alert_settings import USER_RULES
from appliance.plugins.alerts.rules import Rule
from appliance.plugins.alerts.store import Alert, AlertStore
from appliance.plugins.alerts.tracking import Tell
from appliance.plugins.alerts.user_mails import UserMails
from appliance.plugins.alerts.user_rules import (
    RuleOwner,
    accounts_with_rules,
    check_limitable,
    expire_gone,
    rule_owners,
    user_store,
)
from appliance.plugins.alerts.visible_flows import VisibleFlows
from appliance.query.language.tree import Filter

AWAY_SECONDS = 60.0
"""So long accounts that cannot be read are not asked again."""

Account = int | None
"""The number of a user's account; None: the appliance."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules that see the same flows; equal while whose they are and what they see stay.

    Attributes
    ----------
    bound_to
        What the user is bound to.
    limit
        What that says now; None: nothing is hidden.
    name
        Of the user; empty for the appliance.
    """

    account: Account
    bound_to: str | None
    limit: Filter | None
    name: str = field(compare=False)
    store: AlertStore = field(compare=False)
    flows: VisibleFlows = field(compare=False)
    tell: Tell = field(compare=False)

    @property
    def words(self) -> str:
        """What begins a sentence about a rule of these."""
        return f"{self.name}: " if self.name else ""

    def filter_of(self, rule: Rule) -> Filter:
        """Return the filter of a rule.

        Raises
        ------
        RuleError
            It measures what cannot be limited.
        FilterError, StorageError
            See `VisibleFlows.rule_filter`.
        """
        if self.account is not None:
            check_limitable(rule)
        return self.flows.rule_filter(rule.filter)


@dataclass(frozen=True, slots=True)
class UserParts:
    """What users' rules need: their accounts, the store for names of exporters, and mails."""

    settings: Settings
    open_store: Callable[[], FlowStore]
    open_accounts: Callable[[], AccountStore]
    mails: UserMails

    def users(self) -> list[User]:
        """Return all users; StorageError: the accounts cannot be read."""
        with closing(self.open_accounts()) as accounts:
            return accounts.users()

    def exporters(self) -> Sequence[ExporterRecord]:
        """Return the exporters that the store knows."""
        with closing(self.open_store()) as store:
            return store.exporters()


class RuleSets:
    """Reads the rules of the appliance and of its users.

    Parameters
    ----------
    users
        None: only the appliance has rules.
    """

    def __init__(self, own: RuleSet, users: UserParts | None) -> None:
        self._own, self._users = own, users
        self._owners: dict[int, RuleOwner] = {}
        self._limits: dict[Account, tuple[str, Filter]] = {}
        self._again_at = 0.0

    def read(
        self, now: float, is_all: bool, report: LoadReport
    ) -> list[tuple[RuleSet, list[Rule]]]:
        """Return the sets whose rules are looked at, each with the rules that are on.

        Parameters
        ----------
        is_all
            Read what the names in filters stand for again.

        Raises
        ------
        StorageError
            The rules of the appliance cannot be read.
        """
        sets = [(self._own, _rules_on(self._own.store))]
        self._owners = {}
        if self._users is None or not accounts_with_rules(self._users.settings):
            return sets
        if now < self._again_at:
            return sets
        try:
            owners = rule_owners(self._users.settings, self._users.users())
        except StorageError as error:
            # A server that does not answer holds up whoever asks.
            self._again_at = now + AWAY_SECONDS
            report.warnings.append(f"rules of users wait: {error}")
            return sets
        for owner in owners:
            try:
                sets += self._read_user(owner, now, is_all, report)
            except StorageError as error:
                self._limits.pop(owner.account, None)
                report.warnings.append(f"rules of {owner.name} wait: {error}")
        return sets

    def _read_user(
        self, owner: RuleOwner, now: float, is_all: bool, report: LoadReport
    ) -> list[tuple[RuleSet, list[Rule]]]:
        """Return the set of a user; none, and no alert goes on, where nothing may be looked at.

        Raises
        ------
        StorageError
            Its rules cannot be read, or names in the filter not be looked up.
        """
        rules, own = _rules_on(owner.store), None
        # Where the last rule was switched off just now, its alerts are to end.
        if rules or owner.account in self._limits:
            try:
                own = self._set_of(owner, is_all)
            except QueryError as error:
                report.warnings.append(f"{owner.name} is bound to no usable filter: {error}")
        if own is None or not rules:
            self._limits.pop(owner.account, None)
        if own is None:
            owner.store.end_others(now)
            return []
        # What was found under another filter may be outside this one.
        own.store.end_others(now)
        self._owners[owner.account] = owner
        return [(own, rules)]

    def expire(self, now: float) -> int:
        """Delete the files of users who are gone for long; return how many."""
        if self._users is None or not accounts_with_rules(self._users.settings):
            return 0
        try:
            return expire_gone(self._users.settings, self._users.users(), now)
        except StorageError:
            # Who is gone is known again later; the appliance's alerts do not wait for that.
            return 0

    def stop(self) -> None:
        """End what sends mails."""
        if self._users is not None:
            self._users.mails.stop()

    def _set_of(self, owner: RuleOwner, is_all: bool) -> RuleSet | None:
        """Return the set of a user; None: the user is gone, or bound to nothing.

        Raises
        ------
        InvalidQueryError
            The filter is not understood any more.
        StorageError
            The names in it cannot be looked up.
        """
        users, text = self._users, owner.bound_to
        if users is None or text is None or not users.settings[USER_RULES.name]:
            return None
        flows = VisibleFlows(users.settings, text, users.exporters)
        before = self._limits.get(owner.account)
        if is_all or before is None or before[0] != text:
            self._limits[owner.account] = (text, _limit_of(flows))
        store = user_store(users.settings, owner.account, 0, text)
        limit, tell = self._limits[owner.account][1], partial(self._tell, owner.account)
        return RuleSet(owner.account, text, limit, owner.name, store, flows, tell)

    def _tell(self, account: int, rule: Rule, alert: Alert) -> None:
        owner = self._owners.get(account)
        if owner is not None and self._users is not None:
            self._users.mails.tell(owner, rule, alert)


def _rules_on(store: AlertStore) -> list[Rule]:
    return [rule for rule in store.rules() if rule.is_on]


def _limit_of(flows: VisibleFlows) -> Filter:
    limit = flows.limit()
    if limit is None:
        raise RuntimeError("a user who is bound has a limit")
    return limit
