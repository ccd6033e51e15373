"""Any text as the filter of a bound user: never a flow outside, nor one that the filter does not
fit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import InvalidQueryError
from appliance.query.language.parsing import parse_filter
from tests.web.two_tenants import FILTER, N_FLOWS, OCTETS, Tenants, made_tenants

EXPLORE = "/api/v1/explore"
CONDITIONS = (
    *("any", "ip 10.2.0.0/16", "ip 10.1.0.3", "src ip 10.2.0.1", "exporter 192.0.2.2", "ipv4"),
    *("dst ip 203.0.113.77", "in if 2", "if 1", "port 443", "bytes > 1k", "app 13:80", "proto tcp"),
    *("bps >= 0", "duration < 2s", "kind flow", "vrf 22", "net 10.0.0.0/8", "packets 2"),
)
WORDS = (
    *("(", ")", "and", "or", "not", "!", "&&", "||", "#", "\n", '"', "\\", "'", ";", "--", "/*"),
    *(",", "[", "]", "in", "=", "!=", "{0}", "{}", "$c0_0", "%s", "TRUE", "UNION ALL", "\x00"),
)
SOUP = st.lists(st.sampled_from((*CONDITIONS, *WORDS)), max_size=8).map(" ".join)
VALID = st.recursive(
    st.sampled_from(CONDITIONS),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
        ),
        inner.map(lambda text: f"not ({text})"),
    ),
    max_leaves=5,
)
BOUNDS = (
    FILTER,
    "src ip 10.1.0.0/16 or dst ip 10.1.0.0/16",
    "exporter 192.0.2.1 and if [1, 11]",
    'exporter "router-a"',
    "not ip 10.2.0.0/16",
    'in if "uplink-a"',
)


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenants]:
    made = made_tenants(tmp_path_factory.mktemp("tenants"))
    yield made
    made.appliance.close()


@pytest.fixture(scope="module")
def bound(tenants: Tenants) -> dict[str, str]:
    """Return a token by the filter that its user is bound to; each is the first tenant's flows."""
    return {text: tenants.add_bound(f"bound{n}", text) for n, text in enumerate(BOUNDS)}


@given(text=SOUP | st.text(max_size=40) | VALID, after=SOUP, by=st.sampled_from(["", "source"]))
@settings(max_examples=150, deadline=None)
def test_filter_when_any_text_then_no_flow_outside(
    tenants: Tenants, text: str, after: str, by: str
) -> None:
    for own in (text, f"{text}) or (any", f"{text}\n or {after}"):
        reply = tenants.get(f"{EXPLORE}/top", by=by, filter=own)
        if reply.status == 400:
            continue
        assert reply.status == 200
        answer = reply.json
        assert answer["total"]["octets"] <= N_FLOWS * OCTETS
        assert all(row.get("source_address", "10.1.").startswith("10.1.") for row in answer["rows"])
        break
    body = json.dumps({"filter": text}).encode()
    reply = tenants.post(f"{EXPLORE}/flows", body)
    assert reply.status in (200, 400)
    flows = reply.json["flows"] if reply.status == 200 else []
    assert all(flow["source_address"].startswith("10.1.") for flow in flows)


@given(text=VALID, limit=st.sampled_from(BOUNDS))
@settings(max_examples=80, deadline=None)
def test_filter_when_understood_then_what_satisfies_both(
    tenants: Tenants, bound: dict[str, str], text: str, limit: str
) -> None:
    def sources(token: str, own: str) -> list[str]:
        reply = tenants.get(f"{EXPLORE}/export", token, filter=own, columns="source,destination")
        assert reply.status == 200
        rows = csv.DictReader(io.StringIO(reply.body.decode()))
        return [row["source_address"] for row in rows]

    both = sources(tenants.appliance.admin, f"({limit}) and ({text})")
    assert sources(bound[limit], text) == both
    assert all(address.startswith("10.1.") for address in both)


def test_filters_when_made_for_this_then_all_are_understood() -> None:
    for text in CONDITIONS:
        parse_filter(text)
    with pytest.raises(InvalidQueryError):
        parse_filter("any) or (any")
