"""How much a record counts, and whether it is traffic or only an event.

Exporters count by delta, total, initiator or reverse direction. Firewalls and translators also
export records about a flow's life (firewallEvent 233, natEvent 230). The rule, for the tests that
are named after quirk 13:

- Counters of the element's own name (1, 2, 23, 24, 352) are deltas (RFC 7012 section 5.10): what
  they count is counted nowhere else, so the record is traffic whatever its event says.
- Totals (85, 86) and the counters of the ASA (231, 232, 298, 299) tell of one flow several times:
  an update counts since the update before, the deletion counts the whole flow, its last update
  included (Cisco ASA NetFlow Implementation Guide, "Flow Update Events"; captures in nfdump #116
  and ntopng #1359). Only the deletion is there for every flow, short ones and those of releases
  without updates too, so it is what counts.
- A record that counts nothing and tells of an event is no traffic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.records.groups import RecordGroup
from appliance.decoding.templates.decode_plan import DecodePlan
from appliance.decoding.templates.template import REVERSE_PEN
from appliance.flows import COLUMN, RecordKind, constant

Columns = dict[str, NDArray[Any]]
Counter = NDArray[Any] | None

_OCTETS, _PACKETS = (COLUMN[f"{unit}_delta_count"].elements for unit in ("octet", "packet"))
_CUMULATIVE = frozenset((85, 86, 231, 298))
"""Totals and the counters of the ASA's initiator; the others of these are deltas."""

_DELTAS = frozenset((*_OCTETS, *_PACKETS)) - _CUMULATIVE
_FLOWS = 3
_REVERSE_OCTETS, _REVERSE_PACKETS = (1, 85), (2, 86)
_FIREWALL_EVENT_V9 = 40005
"""What ASA called element 233 before IANA numbered it."""

_NO_EVENT, _FIREWALL_DELETED = 0, 2
_EVENT = np.array([RecordKind.EVENT], np.uint8)


def counter_columns(group: RecordGroup) -> Columns:
    """Fill octets and packets of the forward direction, and how many flows a record stands for."""
    columns: Columns = {}
    for name in ("octet_delta_count", "packet_delta_count"):
        values = group.first_unsigned(COLUMN[name].elements)
        if values is not None:
            columns[name] = values.astype(np.uint64, copy=False)
    flows = group.unsigned(_FLOWS)
    if flows is not None:
        # A record of no flow is none: some exporters leave the field empty, and mean one.
        columns["delta_flow_count"] = np.maximum(flows, 1).astype(np.uint64, copy=False)
    return columns


def kind_columns(group: RecordGroup, columns: Columns) -> Columns:
    """Tell traffic from events, by the rule above."""
    counters = [columns.get(name) for name in ("octet_delta_count", "packet_delta_count")]
    if all(counter is None for counter in counters):
        return {"record_kind": constant(_EVENT, group.n_records)}
    firewall, nat = _firewall_event(group, columns), columns.get("nat_event")
    if firewall is None and nat is None:
        return {}
    counters += reverse_counters(group)
    traffic = np.logical_or.reduce([c > 0 for c in counters if c is not None])
    found: Columns = {}
    if firewall is None:
        traffic |= nat == _NO_EVENT
    else:
        found["firewall_event"] = firewall
        if not group.plan.recall(_has_deltas):
            traffic &= (firewall == _NO_EVENT) | (firewall == _FIREWALL_DELETED)
    kind = np.where(traffic, np.uint8(RecordKind.FLOW), np.uint8(RecordKind.EVENT))
    return {**found, "record_kind": kind}


def reverse_counters(group: RecordGroup) -> tuple[Counter, Counter]:
    """Return octets and packets of the other direction: RFC 5103, ASA's responder, v9's OUT_BYTES.

    Both are None when the layout has but one direction.
    """
    octets = group.first_unsigned(_REVERSE_OCTETS, REVERSE_PEN)
    packets = group.first_unsigned(_REVERSE_PACKETS, REVERSE_PEN)
    if octets is None and packets is None and group.index(231) is not None:
        octets, packets = group.unsigned(232), group.unsigned(299)
    if octets is None and packets is None and group.index(1) is not None:
        octets, packets = group.unsigned(23), group.unsigned(24)
    return octets, packets


def has_only_totals(plan: DecodePlan) -> bool:
    """Tell whether octets are counted since the flow began (85, 86) and in no other way."""
    octets = next((e for e in _OCTETS if plan.index(e) is not None), None)
    return octets == 85


def _has_deltas(plan: DecodePlan) -> bool:
    return not plan.elements.isdisjoint(_DELTAS)


def _firewall_event(group: RecordGroup, columns: Columns) -> NDArray[Any] | None:
    event = columns.get("firewall_event")
    if event is None and group.plan.version == 9:
        event = group.unsigned(_FIREWALL_EVENT_V9)
    return None if event is None else event.astype(np.uint8, copy=False)
