"""Where commands find rules: those of the appliance, or with `--user` those of a user.

Accounts are opened only where there may be rules of users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from appliance import AccountStore, ApplianceError, ExporterRecord, FlowStore, Settings
from appliance.accounts.commands import accounts_of, user_of_name
from appliance.cli.options import pass_part
from appliance.plugins.alerts.alert_settings import USER_RULES
from appliance.plugins.alerts.rule_places import RulePlace
from appliance.plugins.alerts.store import alert_store
from appliance.plugins.alerts.user_rules import (
    RuleOwner,
    accounts_with_rules,
    rule_owners,
    user_store,
)
from appliance.plugins.alerts.visible_flows import VisibleFlows


@dataclass(frozen=True, slots=True)
class CommandPlaces:
    """What one command needs to find rules."""

    settings: Settings
    open_store: Callable[[], FlowStore]
    open_accounts: Callable[[], AccountStore]

    def place(self, username: str | None, *, looks_at_flows: bool = False) -> RulePlace:
        """Return where the rules of a user are; None: of the appliance.

        Parameters
        ----------
        looks_at_flows
            The command is of no use where the user is bound to no filter.

        Raises
        ------
        ApplianceError
            There is no such user, or the user is bound to no filter.
        """
        if username is None:
            return RulePlace(alert_store(self.settings), VisibleFlows(self.settings))
        with accounts_of(self.open_accounts) as accounts:
            user = user_of_name(accounts, username)
        store = user_store(self.settings, user.id, self.settings[USER_RULES.name])
        owner = RuleOwner(user.id, user, store)
        if looks_at_flows and owner.bound_to is None:
            raise ApplianceError(f"{username} is bound to no filter, so has no rules")
        return self._place_of(owner)

    def of_users(self, username: str | None) -> Iterator[tuple[RuleOwner, RulePlace]]:
        """Yield the users who have rules, or the one of a name, and where these are."""
        if username is None and not accounts_with_rules(self.settings):
            return
        with accounts_of(self.open_accounts) as accounts:
            users = accounts.users()
            wanted = None if username is None else user_of_name(accounts, username)
        if wanted is not None:
            owners = [RuleOwner(wanted.id, wanted, user_store(self.settings, wanted.id, 0))]
        else:
            owners = rule_owners(self.settings, users)
        for owner in owners:
            yield owner, self._place_of(owner)

    def _place_of(self, owner: RuleOwner) -> RulePlace:
        # Of one who is bound to nothing, a filter that nothing satisfies: never everything.
        flows = VisibleFlows(self.settings, owner.bound_to or "", self._exporters)
        return RulePlace(owner.store, flows)

    def _exporters(self) -> Sequence[ExporterRecord]:
        with closing(self.open_store()) as store:
            return store.exporters()


pass_places = pass_part(lambda app: CommandPlaces(app.settings, app.open_store, app.open_accounts))
