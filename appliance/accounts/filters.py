"""Filters that accounts are bound to: read when one is set, and at each request of who is bound.

A filter that is not understood, or that leaves nothing out, is none: whoever is bound to it is
answered nothing, never everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.contracts import ExporterRecord, FlowStore
from appliance.errors import InvalidQueryError
from appliance.settings.file import Settings

if TYPE_CHECKING:
    from appliance.flowlog.conditions import Condition
    from appliance.flowlog.search import FlowSearch
    from appliance.query.language.names import FilterNames
    from appliance.query.language.tree import Filter
    from appliance.query.names import LogNames

EXAMPLE = "ip in [192.0.2.0/24, 2001:db8:17::/48]"

Exporters = Callable[[], Sequence[ExporterRecord]]
CheckFilter = Callable[[str], str]
"""Returns a filter as it is kept, or raises as `check_account_filter`."""


def account_conditions(text: str, names: FilterNames) -> tuple[Condition, ...]:
    """Return the conditions of a filter that an account is bound to.

    Raises
    ------
    InvalidQueryError
        It is not understood, or every flow satisfies it.
    QueryError, StorageError
        Names cannot be looked up.
    """
    from appliance.query.language.duckdb import filter_conditions

    return filter_conditions(account_tree(text, names))


def account_tree(text: str, names: FilterNames) -> Filter:
    """Return a filter that an account is bound to as a tree; raise as `account_conditions`."""
    from appliance.query.language.parsing import parse_filter

    tree = parse_filter(text, names)
    if not _leaves_out(tree):
        raise InvalidQueryError(
            f"expected a filter that leaves flows out, such as {EXAMPLE}: every flow satisfies this"
        )
    return tree


def check_account_filter(text: str, settings: Settings, open_store: Callable[[], FlowStore]) -> str:
    """Return a filter as it is kept, when an account can be bound to it; raise as
    `account_conditions` otherwise.
    """
    from appliance.flowlog import FLOW_LOG_FOLDER
    from appliance.flowlog.search import FlowSearch

    kept = text.strip()
    log = FlowSearch(Path(settings["data_directory"]) / FLOW_LOG_FOLDER, may_be_missing=True)
    account_conditions(kept, log_names(log, settings, lambda: open_store().exporters()))
    return kept


def log_names(search: FlowSearch, settings: Settings, exporters: Exporters) -> LogNames:
    """Return what finds numbers for names in the log, and the lists of addresses in the settings.

    Parameters
    ----------
    exporters
        Returns those that a store knows, for their names.
    """
    from appliance.query.address_lists import AddressLists
    from appliance.query.names import LogNames

    return LogNames(search, exporters, AddressLists(settings["search.lists"]))


def _leaves_out(tree: Filter) -> bool:
    """Tell whether there may be a flow that does not satisfy a filter, as far as it is written."""
    from appliance.query.language.tree import Always, And, Or

    match tree:
        case Always():
            return False
        case And(parts):
            return any(_leaves_out(part) for part in parts)
        case Or(parts):
            return all(_leaves_out(part) for part in parts)
        case _:
            return True
