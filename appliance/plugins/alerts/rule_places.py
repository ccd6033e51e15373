"""Where rules are kept, and which flows they may see: what routes and commands begin with."""

from __future__ import annotations

from typing import NamedTuple

from appliance.plugins.alerts.rules import Rule
from appliance.plugins.alerts.store import AlertStore
from appliance.plugins.alerts.user_rules import check_limitable
from appliance.plugins.alerts.visible_flows import VisibleFlows


class RulePlace(NamedTuple):
    """Where rules are kept, and which flows they may see."""

    store: AlertStore
    flows: VisibleFlows

    @property
    def is_limited(self) -> bool:
        """Whether the rules are those of a user who is bound to a filter."""
        return self.flows.bound_to is not None

    def check(self, rule: Rule) -> None:
        """Check that a rule can be kept here.

        Raises
        ------
        RuleError
            It is about what a user's filter cannot limit.
        FilterError, StorageError
            See `VisibleFlows.rule_filter`.
        """
        if self.is_limited:
            check_limitable(rule)
        self.flows.rule_filter(rule.filter)
