"""Filters of rules, with the names that the appliance knows."""

from __future__ import annotations

from pathlib import Path

from appliance import Settings
from appliance.flowlog import FLOW_LOG_FOLDER
from appliance.query.language.parsing import parse_filter
from appliance.query.language.tree import Filter


def filter_of(text: str, settings: Settings) -> Filter:
    """Return what a filter says now: names and lists may say something else later.

    Raises
    ------
    FilterError
        It is not understood.
    StorageError
        The names in it cannot be looked up.
    """
    from appliance.flowlog.search import FlowSearch
    from appliance.query.address_lists import AddressLists
    from appliance.query.names import LogNames

    search = FlowSearch(Path(settings["data_directory"]) / FLOW_LOG_FOLDER, may_be_missing=True)
    return parse_filter(text, LogNames(search, lists=AddressLists(settings["search.lists"])))
