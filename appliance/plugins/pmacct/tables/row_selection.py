"""Which rows of the flow log a table takes, with which tags, and what is resolved before.

Filters and tags look at the flows as they came; what files put in place of columns comes after.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from appliance.flowlog import Rows
from appliance.flows import RecordKind
from appliance.plugins.pmacct.filters.selection import Selection
from appliance.plugins.pmacct.maps.pre_tag_map import UNSET, Tags
from appliance.plugins.pmacct.maps.resolution import FILE
from appliance.plugins.pmacct.tables.plan import TablePlan
from appliance.plugins.pmacct.tables.values import HALVES, Value, column_of

_IP_VERSIONS, _TOS = (4, 6), "ip_class_of_service"
_AS_NUMBERS = ("bgp_source_as_number", "bgp_destination_as_number")


def resolve_rows(rows: Rows, plan: TablePlan) -> Rows:
    """Return rows with what the configuration puts in place of their columns."""
    changed = plan.resolution.resolve(lambda name: column_of(rows, name), rows.n_rows)
    return _replace_columns(rows, changed) if changed else rows


def with_set_tos(rows: Rows, tags: Tags | None) -> Rows:
    """Return rows with the class of service that rules have set in place of their own."""
    if tags is None or not np.any(tags.tos != UNSET):
        return rows
    tos = np.where(tags.tos != UNSET, tags.tos, column_of(rows, _TOS)).astype(np.uint8)
    return _replace_columns(rows, {_TOS: tos})


def _replace_columns(rows: Rows, changed: Mapping[str, Value]) -> Rows:
    arrays = rows.arrays | {name: pa.array(values) for name, values in changed.items()}
    constants = {name: value for name, value in rows.constants.items() if name not in changed}
    return Rows(rows.n_rows, arrays, constants)


def tags_of(rows: Rows, resolved: Rows, plan: TablePlan) -> Tags | None:
    """Try the rules of `pre_tag_map` on rows; None where no tag is needed.

    They look at the flows as they came, but for AS numbers that a file always gives.
    """
    if not plan.needs_tags:
        return None
    kind, octets, packets = (
        np.asarray(column_of(rows, name))
        for name in ("record_kind", "octet_delta_count", "packet_delta_count")
    )
    # To nfacctd a record that has no octets is an event, although it may count packets.
    event = (kind == RecordKind.FLOW) & (octets == 0) & (packets > 0)
    kind = np.where(event, np.uint8(RecordKind.EVENT), kind)
    by_file = _AS_NUMBERS if plan.resolution.as_method == FILE else ()

    def column(name: str) -> Value:
        if name == "record_kind":
            return kind
        return column_of(resolved if name in by_file else rows, name)

    return plan.rules.tags(column, rows.n_rows)


def rows_of_plugin(rows: Rows, plan: TablePlan, tags: Tags | None, options: bool) -> Value:
    """Return which rows the plugin of a table takes."""
    mask = rows_of_nfacctd(rows, options)
    if plan.selection != Selection():
        mask = mask & plan.selection.mask(lambda name: column_of(rows, name), tags or Tags.none())
    return mask


def rows_of_nfacctd(rows: Rows, options: bool) -> Value:
    """Return which rows nfacctd accounts: no reverse halves, and no flows without any address.

    A record without addresses is kept when it tells its IP version, or is an event to nfacctd:
    has no octets, or is of a NAT. Those that claim more than any interface carries are left out
    too, which nfacctd keeps.
    """
    if options:
        return True
    present = np.asarray(column_of(rows, "reverse")) == 0
    present &= np.asarray(column_of(rows, "record_kind")) != RecordKind.IMPLAUSIBLE
    there = np.isin(np.asarray(column_of(rows, "ip_version")), _IP_VERSIONS)
    there = there | (np.asarray(column_of(rows, "octet_delta_count")) == 0)
    there = there | (np.asarray(column_of(rows, "nat_event")) > 0)
    for side in ("source", "destination"):
        for half in HALVES:
            there = there | (np.asarray(column_of(rows, f"{side}_address_{half}")) != 0)
    return present & there


def flow_counts(rows: Rows) -> Value:
    """Return how many flows each row stands for; an event for none."""
    traffic = np.asarray(column_of(rows, "record_kind")) == RecordKind.FLOW
    return np.where(traffic, np.asarray(column_of(rows, "delta_flow_count")), 0)
