"""The same questions get the same answers of the flow log and of each kind of ClickHouse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.collector.tcp.splitting import MessageSplitter
from appliance.errors import InvalidQueryError, QueryCancelledError, QueryError
from appliance.flowlog.exports import FlowExport
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.pages import flow_page
from appliance.flowlog.query_control import QueryControl
from appliance.flowlog.questions import FlowQuestion
from appliance.plugins.ipfix import FRAMING
from appliance.query.dimensions import DIMENSIONS
from appliance.query.engine import QueryEngine
from appliance.query.language.duckdb import filter_conditions, parse_conditions
from appliance.query.language.tree import (
    And,
    Filter,
    HasBits,
    InNetworks,
    InRanges,
    Not,
    Or,
)
from appliance.query.question import DISTINCT, MEANS, SUMS
from tests.decoding.building import decode
from tests.plugins.clickhouse import questions_world as world
from tests.plugins.clickhouse.questions_world import SINCE_MS, UNTIL_MS, question, top_answer
from tests.plugins.clickhouse.world import LogOfFlows, Place, place_of_kind

V4 = 0xFFFF_0000_0000 | 0x0A00_0000
FILTERS = (
    "host 10.0.0.3",
    "src net 2001:db8::/32 and not dst ip 2001:db8::2",
    "not host 2001:db8::/48",
    "ip in [10.0.0.1 10.0.0.2 10.0.0.128/25]",
    "ip version 4",
    "port 200",
    "not port in [200, 400-800]",
    "src port > 300 and dst port <= 600",
    "proto tcp or proto 255",
    "proto != 17",
    "flags S and not flags F",
    "not (flags S or tos 40)",
    "tos 0",
    "if 2",
    "in if 0",
    "bytes > 100k and packets < 500",
    "duration > 100s",
    "not duration < 10s",
    "bps > 20k",
    "not pps > 1",
    "bpp < 100",
    "as 64500",
    "exporter 0.0.0.2",
    "sampling_rate = 100",
    "sampling_rate != 100",
    "kind event",
    "flow_direction = 0",
    "vlan 0",
    "not vlan 3",
    "octets >= 18446744073709551615",
)


class Both(NamedTuple):
    """The flow log, and ClickHouse with the same flows."""

    local: QueryEngine
    remote: QueryEngine
    place: Place
    folder: Path

    def some(self, cases: Sequence[str]) -> Sequence[str]:
        """Return all cases, of a cluster some: a single server has its dialect."""
        return cases[::4] if self.place.cluster else cases

    def same_top(self, asked: Any) -> dict[str, Any]:
        """Return what both answer."""
        answer = top_answer(self.local, asked)
        assert top_answer(self.remote, asked) == answer, asked
        return answer


@pytest.fixture(scope="module", params=["single", "cluster", "current"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """Each kind of ClickHouse in turn, filled from a log."""
    place = place_of_kind(request)
    folder = tmp_path_factory.mktemp("data")
    log = LogOfFlows(folder)
    world.write_flows(log)
    log.seal()
    world.fill(place, folder)
    return Both(world.local_engine(folder), world.source_engine(place, folder), place, folder)


class TestTop:
    """Top lists."""

    def test_top_when_by_each_dimension_then_the_same(self, both: Both):
        for dimension in both.some((*DIMENSIONS, "source/24", "pair/20", "host/40")):
            both.same_top(question(dimension))

    def test_top_when_several_dimensions_then_the_same(self, both: Both):
        both.same_top(question("source", "service", "exporter"))
        both.same_top(question("interface", "port"))
        both.same_top(question("host", "as", "protocol"))

    def test_top_when_cut_then_the_rest_and_total_are_the_same(self, both: Both):
        for order in SUMS:
            answer = both.same_top(question("pair", limit=7, order=order, other=True))
            assert answer["other"]
            assert len(answer["rows"]) == 7
        assert both.same_top(question("protocol", limit=1000, other=True))["other"] is None

    def test_top_when_no_dimension_or_no_flow_then_the_total_is_the_same(self, both: Both):
        both.same_top(question())
        assert both.same_top(question("source", where="port 7"))["rows"] == []
        both.same_top(question("source", since_ms=0, until_ms=1000))
        both.same_top(question("source", since_ms=0, until_ms=2**62))

    def test_top_when_filtered_then_the_same(self, both: Both):
        for where in both.some(FILTERS):
            both.same_top(question("pair", where=where))

    def test_top_when_the_range_cuts_a_period_then_the_same(self, both: Both):
        for shift in (1, 137_001, 299_999, 300_000):
            span = {"since_ms": SINCE_MS + shift, "until_ms": UNTIL_MS - 3 * shift}
            both.same_top(question("source", **span))

    def test_top_when_raw_or_with_means_then_the_same(self, both: Both):
        both.same_top(question("source", raw=True))
        for dimension in ("protocol", "host", "duration"):
            both.same_top(question(dimension, measures=tuple(MEANS), order="mean_duration"))

    @pytest.mark.parametrize("rule", ["nearest", "ingress"])
    def test_top_when_each_flow_counts_once_then_the_same(self, both: Both, rule: str):
        for dimension in ("exporter", "host", "direction"):
            both.same_top(question(dimension, dedupe=rule, where="not port 0"))

    def test_top_when_numbers_of_different_values_then_about_the_same(self, both: Both):
        asked = question("exporter", measures=tuple(DISTINCT))
        local, remote = both.local.top(asked), both.remote.top(asked)
        for one, other in zip(local.rows.to_pylist(), remote.rows.to_pylist(), strict=True):
            for name in DISTINCT:
                assert other[name] == pytest.approx(one[name], rel=0.1)
        # Exact where there are few.
        assert remote.total["ports"] == 6

    def test_top_when_answered_then_it_says_how_many_rows_there_are(self, both: Both):
        provenance = both.remote.top(question("source")).provenance
        assert (provenance.method, provenance.missing) == ("exact", ())
        assert provenance.rows_in_range == world.N_FLOWS

    def test_top_when_unknown_dimension_then_the_same_error(self, both: Both):
        with pytest.raises(InvalidQueryError, match="cannot group by 'colour'"):
            both.remote.top(question("colour"))
        with pytest.raises(InvalidQueryError, match="there is no other row"):
            both.remote.top(question("host", other=True))


class TestSeries:
    """Traffic over time."""

    @pytest.mark.parametrize("dimensions", [(), ("protocol",), ("host",), ("interface", "as")])
    @pytest.mark.parametrize("step_ms", [1000 * 60, 1000 * 900])
    def test_series_when_asked_then_the_same(
        self, both: Both, dimensions: tuple[str, ...], step_ms: int
    ):
        for more in ({}, {"where": "not port 200", "order": "flows"}, {"dedupe": "nearest"}):
            asked = question(*dimensions, step_ms=step_ms, **{"limit": 4, **more})
            local = both.local.series(asked, UNTIL_MS)
            remote = both.remote.series(asked, UNTIL_MS)
            assert (remote.starts_ms, remote.complete_until_ms) == (
                local.starts_ms,
                local.complete_until_ms,
            )
            assert [(row.keys, row.is_other) for row in remote.rows] == [
                (row.keys, row.is_other) for row in local.rows
            ]
            for one, other in zip(local.rows, remote.rows, strict=True):
                assert other.values == pytest.approx(one.values, rel=1e-6, abs=1e-3)


class TestFlows:
    """Single flows."""

    def listed(self, engine: QueryEngine, asked: FlowQuestion) -> list[tuple[Any, ...]]:
        """Return rows in an order that does not depend on ties."""
        rows = engine.search.flows(asked).to_pylist()
        return [tuple(row.values()) for row in rows]

    @pytest.mark.parametrize("order", ["newest", "octets", "duration"])
    def test_flows_when_ordered_then_the_same(self, both: Both, order: str):
        asked = FlowQuestion(SINCE_MS, UNTIL_MS, order=order, limit=None, columns=())
        local, remote = (self.listed(engine, asked) for engine in (both.local, both.remote))
        assert sorted(local, key=repr) == sorted(remote, key=repr)
        cut = replace(asked, columns=("octets", "packets", "collection_time_milliseconds"))
        cut = replace(cut, columns=tuple(map(_stored, cut.columns)), limit=100)
        local, remote = (self.listed(engine, cut) for engine in (both.local, both.remote))
        place = {"octets": 0, "newest": 2}.get(order)
        if place is not None:
            assert [row[place] for row in local] == [row[place] for row in remote]

    def test_flows_when_filtered_then_the_same(self, both: Both):
        conditions = parse_conditions(["src port > 300 and not (tos 40 or in if 0)"])
        asked = FlowQuestion(SINCE_MS, UNTIL_MS, conditions, limit=None)
        local, remote = (self.listed(engine, asked) for engine in (both.local, both.remote))
        assert sorted(local, key=repr) == sorted(remote, key=repr)

    def test_flows_when_read_page_by_page_then_each_once(self, both: Both):
        asked = FlowQuestion(SINCE_MS, UNTIL_MS, parse_conditions(["not port 200"]), limit=137)
        pages = []
        for engine in (both.local, both.remote):
            rows, cursor = [], None
            while True:
                page = flow_page(engine.search, asked, cursor)
                rows += page.rows.to_pylist()
                cursor = page.cursor
                if cursor is None:
                    break
            pages.append(rows)
        assert pages[0] == pages[1]
        assert len(pages[0]) > 2 * 137

    @pytest.mark.parametrize("form", ["csv", "json", "parquet", "ipfix"])
    def test_export_when_read_then_the_same_flows(self, both: Both, form: str):
        asked = FlowQuestion(SINCE_MS, UNTIL_MS, parse_conditions(["proto < 100"]), limit=None)
        exports = []
        for engine in (both.local, both.remote):
            export = FlowExport(engine.search, asked, form)
            octets = b"".join(export.pieces())
            if form == "ipfix":
                messages, _ = MessageSplitter({10: FRAMING}).messages(octets)
                exports.append(sorted(map(str, decode(*messages).rows)))
            else:
                exports.append(octets if form == "parquet" else sorted(octets.splitlines()))
            assert export.n_rows > 100
        if form != "parquet":
            assert exports[0] == exports[1]

    def test_export_when_limited_or_empty_then_so_many(self, both: Both):
        asked = FlowQuestion(SINCE_MS, UNTIL_MS, limit=123)
        export = FlowExport(both.remote.search, asked, "csv")
        assert len(b"".join(export.pieces()).splitlines()) == 124
        nothing = replace(asked, since_ms=0, until_ms=1)
        export = FlowExport(both.remote.search, nothing, "csv")
        assert len(b"".join(export.pieces()).splitlines()) == 1


def _stored(name: str) -> str:
    return {"octets": "octet_delta_count", "packets": "packet_delta_count"}.get(name, name)


_RANGES = st.tuples(st.none() | st.integers(0, 900), st.integers(0, 900)) | st.tuples(
    st.integers(0, 900), st.none()
)
_COLUMNS = st.sampled_from(
    [
        "source_transport_port",
        "protocol_identifier",
        "vlan_id",
        "ingress_interface",
        "bps",
        "bpp",
        "duration",
        "flow_direction",
        "octet_delta_count",
        "flow_start_milliseconds",
        "sampling_rate",
    ]
)
_ENDS = st.sampled_from(["source_address", "destination_address", "ip_next_hop_address"])


def _network(first: int, bits: int) -> tuple[int, int]:
    return first >> bits << bits, first >> bits << bits | (1 << bits) - 1


_NETWORKS = st.builds(
    _network,
    st.integers(V4, V4 + 600)
    | st.integers(0, 2**128 - 1)
    | st.integers(0, 9).map(lambda n: 0x20010DB8 << 96 | n),
    st.integers(0, 128),
) | st.tuples(st.integers(V4, V4 + 20), st.integers(V4 + 20, V4 + 40))
_LEAVES = st.one_of(
    st.builds(
        InRanges,
        st.lists(_COLUMNS, min_size=1, max_size=2, unique=True).map(tuple),
        st.lists(_RANGES, max_size=3).map(tuple),
    ),
    st.builds(
        InNetworks,
        st.lists(_ENDS, min_size=1, max_size=2, unique=True).map(tuple),
        st.lists(_NETWORKS, max_size=20).map(tuple),
    ),
    st.builds(
        HasBits,
        st.just(("tcp_control_bits",)),
        st.lists(st.integers(0, 63), min_size=1, max_size=2).map(tuple),
    ),
)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(tree=_TREES)
def test_filters_when_any_tree_then_the_same_flows(both: Both, tree: Filter):
    asked = replace(question(), conditions=filter_conditions(tree))
    both.same_top(asked)


@pytest.mark.parametrize(
    "text",
    ["' OR 1=1 --", "\\", "\\'", "'; DROP TABLE flows; --", "\x00'", "é'\\x27", "{0}", "$f0"],
)
def test_filters_when_hostile_text_then_only_a_value(both: Both, text: str):
    from appliance.plugins.clickhouse.http import literal

    server = both.place.server()
    ((same,),) = server.rows(f"SELECT {literal(text)} = unhex('{text.encode().hex()}')")
    assert same == 1
    assert server.rows(f"SELECT count() FROM {both.place.database}.flows")[0][0] == world.N_FLOWS


def test_limits_when_too_little_memory_then_one_sentence(both: Both):
    limits = QueryLimits(memory_octets=1000, seconds=30)
    engine = world.source_engine(both.place, both.folder, limits)
    with pytest.raises(QueryError, match="needs more than 1000 octets of memory"):
        engine.top(question("pair"))


def test_cancel_when_cancelled_before_then_nothing_is_asked(both: Both):
    control = QueryControl()
    control.cancel()
    engine = both.remote.with_limits(world.LIMITS, control)
    with pytest.raises(QueryCancelledError):
        engine.top(question("source"))
