"""Filters of rules, with the names that the appliance knows, and the columns that they read."""

from __future__ import annotations

from pathlib import Path

from appliance import Settings
from appliance.flowlog import FLOW_LOG_FOLDER
from appliance.flowlog.conditions import ADDRESSES
from appliance.flows import COLUMN
from appliance.query.language.parsing import parse_filter
from appliance.query.language.tree import RATES, Always, And, Filter, Not, Or

_OF_RATES = (
    "flow_start_milliseconds", "flow_end_milliseconds", "octet_delta_count", "packet_delta_count",
)  # fmt: skip


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


def filter_reads(tree: Filter) -> set[str]:
    """Return the columns of batches that a filter looks at."""
    match tree:
        case Always():
            return set()
        case Not(inner):
            return filter_reads(inner)
        case And(filters) | Or(filters):
            return set().union(*(filter_reads(one) for one in filters))
    reads: set[str] = set()
    for name in tree.columns:
        if name in RATES:
            reads |= set(_OF_RATES)
        elif name in ADDRESSES:
            reads |= {f"{name}_hi", f"{name}_lo"}
        elif name in COLUMN:
            reads.add(name)
    return reads
