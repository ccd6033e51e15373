"""Which flows a rule may see: all of them, or those within the filter that its user is bound to.

Whatever measures, tries or explains a rule begins here, so that nothing of a user's rule is ever
about a flow outside: the loader by `limit` before anything is counted, questions by `engine`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from appliance import Settings
from appliance.accounts.filters import Exporters, account_tree, log_names

if TYPE_CHECKING:
    from appliance.flowlog.conditions import Condition
    from appliance.flowlog.search import FlowSearch
    from appliance.query.engine import QueryEngine
    from appliance.query.language.tree import Filter


@dataclass(frozen=True, slots=True)
class VisibleFlows:
    """The flows of the appliance, or a user's part of them.

    Attributes
    ----------
    bound_to
        The filter that the user is bound to now; None: nothing is hidden.
    exporters
        Returns those that a store knows, for their names in filters of users.
    """

    settings: Settings
    bound_to: str | None = None
    exporters: Exporters = tuple

    def limit(self) -> Filter | None:
        """Return what every flow satisfies that may be seen; None: nothing is hidden.

        Raises
        ------
        InvalidQueryError
            The filter is not understood any more, or leaves nothing out: nothing may be seen.
        StorageError
            The names in it cannot be looked up.
        """
        if self.bound_to is None:
            return None
        return account_tree(self.bound_to, log_names(self._log(), self.settings, self.exporters))

    def rule_filter(self, text: str) -> Filter:
        """Return what a rule's filter says now, within what may be seen: names and lists may say
        something else later.

        Raises
        ------
        FilterError
            It is not understood.
        StorageError
            The names in it cannot be looked up.
        """
        from appliance.query.address_lists import AddressLists
        from appliance.query.language.parsing import parse_filter
        from appliance.query.names import HiddenNames, LogNames

        if self.bound_to is not None:
            return parse_filter(text, HiddenNames(self._log(), self.exporters))
        lists = AddressLists(self.settings["search.lists"])
        return parse_filter(text, LogNames(self._log(), lists=lists))

    def rule_conditions(self, text: str) -> tuple[Condition, ...]:
        """Return the same as conditions of a search; raise as `rule_filter`."""
        from appliance.query.language.duckdb import filter_conditions

        return filter_conditions(self.rule_filter(text))

    def engine(self) -> QueryEngine:
        """Return what answers questions about these flows, and no others; raise as `limit`."""
        from appliance.query.engine import engine_from_settings
        from appliance.query.language.duckdb import filter_conditions

        limit, engine = self.limit(), engine_from_settings(self.settings)
        return engine if limit is None else engine.bound_to(filter_conditions(limit))

    def _log(self) -> FlowSearch:
        from appliance.flowlog import FLOW_LOG_FOLDER
        from appliance.flowlog.search import FlowSearch

        folder = Path(self.settings["data_directory"]) / FLOW_LOG_FOLDER
        return FlowSearch(folder, may_be_missing=True)
