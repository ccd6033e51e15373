"""One flow that several observation points tell of counts once, where a question asks for it.

A packet that crosses three routers is in the flows of all three, and in those of both directions of
one that exports ingress and egress: summed up, traffic is counted as often as it is seen. Nothing
in a flow says that another one is the same, so there are two rules, and every answer names its own.
"""

# ruff: noqa: S608 - names in the SQL come from our own tables.

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from appliance.flowlog.conditions import Condition
from appliance.flows import COLLECTION_TIME
from appliance.query.language.tree import InRanges, Not

Rule = Literal["nearest", "ingress"]
NEAREST: Rule = "nearest"
INGRESS: Rule = "ingress"

PERIOD_MS = 3_600_000
"""Of each flow one observation point counts in so much time; another route may be taken later."""

RULES: Mapping[str, str] = {
    NEAREST: "each flow once: of the same addresses, ports and protocol in an hour, only the"
    " exporter and direction that saw most octets",
    INGRESS: "ingress only: flows that an exporter saw going out are left out",
}
"""What each rule does, as answers say it."""

KEY = (
    *("source_address_hi", "source_address_lo", "destination_address_hi", "destination_address_lo"),
    *("source_transport_port", "destination_transport_port", "protocol_identifier"),
)
"""Flows that are equal in these are the same. Not the type of service: routers change it."""

POINT = ("exporter_address_hi", "exporter_address_lo", "flow_direction")
"""Where a flow is observed; of two that saw as much, the lower exporter and direction counts."""

_EGRESS = 1
_NO_DIRECTION = 255
_WEIGHT = ("octet_delta_count", "sampling_rate")


def dedupe_conditions(rule: str | None) -> tuple[Condition, ...]:
    """Return what a rule asks of single flows."""
    if rule != INGRESS:
        return ()
    # A flow whose direction is not known stays.
    tree = Not(InRanges(("flow_direction",), ((_EGRESS, _EGRESS),)))
    return (Condition(("flow_direction = {0}",), (_EGRESS,), negated=True, filter=tree),)


def dedupe_columns(rule: str | None) -> frozenset[str]:
    """Return the columns that a rule reads of all flows."""
    return frozenset((*KEY, *POINT, *_WEIGHT, COLLECTION_TIME)) if rule == NEAREST else frozenset()


def deduplicate(flows: str, rule: str | None) -> str:
    """Return the SELECT of flows that count, of a SELECT that has `dedupe_columns`.

    The hour is that of receipt: the clocks of exporters differ. Flows are told apart by a hash of
    64 bits: of a hundred million, two are taken for one in one of some thousand questions.
    """
    if rule != NEAREST:
        return flows
    key = f"hash({', '.join(KEY)}, {COLLECTION_TIME} // {PERIOD_MS})"
    keyed = f"{key} AS flow, hash({', '.join(POINT)}) AS point"
    octets = "sum(coalesce(octet_delta_count, 0)::DOUBLE * rate(sampling_rate)) AS octets"
    # Of a point all are equal: the order in which points that saw as much are taken.
    place = ", ".join(
        f"min(coalesce({name}, {_NO_DIRECTION})) AS p{n}" for n, name in enumerate(POINT)
    )
    # Most flows are seen at one point: only those seen at several are sorted.
    return f"""WITH points AS MATERIALIZED (
            SELECT {keyed}, {octets}, {place} FROM ({flows}) GROUP BY ALL),
        several AS (SELECT flow FROM points GROUP BY flow HAVING count(*) > 1),
        left_out AS MATERIALIZED (
            SELECT flow, point FROM points SEMI JOIN several USING (flow)
            QUALIFY row_number() OVER (PARTITION BY flow ORDER BY octets DESC, p0, p1, p2) > 1)
        SELECT seen.* EXCLUDE (flow, point) FROM (SELECT *, {keyed} FROM ({flows})) AS seen
        ANTI JOIN left_out USING (flow, point)"""
