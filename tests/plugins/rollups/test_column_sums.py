"""Questions about interfaces, AS pairs and exporters, answered by roll-ups as by the flows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from appliance.flowlog import FlowSearch
from appliance.flows import FlowBatch
from appliance.plugins import explore
from appliance.plugins.rollups.column_sums import ColumnSums
from appliance.query.dimensions import find_dimension
from appliance.query.engine import QueryEngine
from appliance.query.language.duckdb import parse_conditions
from appliance.query.question import Question, TopAnswer
from tests.plugins.rollups.world import HOUR, START, World, check_command_line
from tests.web.building import Client, web_of

HOURS = 28
"""A day and a month end meanwhile."""


def routed(world: World, n: int, at: float, **columns: Any) -> FlowBatch:
    """Make flows with interfaces and AS numbers, some without."""
    random = np.random.default_rng(int(at) % 7919 + world.seed)
    return world.flows(
        n,
        at,
        ingress_interface=random.integers(0, 5, n),
        egress_interface=random.choice([0, 7, 501_000], n),
        bgp_source_as_number=random.choice([0, 64_500, 4_200_000_000], n),
        bgp_destination_as_number=random.choice([0, 64_501], n),
        **columns,
    )


def fill(world: World, hours: int = HOURS) -> None:
    """Write and load hours of flows, of a quarter of an hour each; seal now and then."""
    for hour in range(hours):
        for minute in (0, 14, 59):
            at = START + hour * HOUR + minute * 60 + 0.25
            world.write(routed(world, 20, at), routed(world, 5, at + 30, sampling_rate=100.0))
        if hour % 8 == 0:
            world.seal()
        world.load(START + (hour + 1) * HOUR)
    world.seal()


def ask(world: World, *dimensions: str, **fields: Any) -> tuple[TopAnswer, TopAnswer]:
    """Return the answers with a store's sums, and of the flows alone."""
    texts = fields.pop("where", ())
    other = not any(find_dimension(name).has_both_sides for name in dimensions)
    question = Question(
        dimensions, conditions=parse_conditions(texts), other=other, limit=5, **fields
    )
    search = FlowSearch(world.log)
    engine = QueryEngine(search, None, 10**6, lambda: world.store)
    return engine.top(question), QueryEngine(search).top(question)


def assert_same(answers: tuple[TopAnswer, TopAnswer], method: str = "rollups") -> None:
    """Check that two answers have the same figures, and how the first was found."""
    first, second = answers
    assert first.provenance.method == method
    assert first.rows.to_pylist() == second.rows.to_pylist()
    assert first.other == second.other
    assert first.total == second.total
    assert second.total["flows"] > 0


RANGES = {
    "everything": {},
    "cut hours": {
        "since_ms": (START + 840) * 1000 + 300,
        "until_ms": (START + 28 * HOUR + 841) * 1000,
    },
    "until now": {"since_ms": (START + 2 * HOUR + 1) * 1000},
}
QUESTIONS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "interfaces in": (("ingress_interface",), {}),
    "interfaces out by packets": (("egress_interface",), {"order": "packets"}),
    "one exporter's": (("ingress_interface",), {"where": ["exporter=192.0.2.1"]}),
    "one interface": ((), {"where": ["in if 3 and exporter 192.0.2.2"]}),
    "all but one interface": (("exporter",), {"where": ["not out if 501000"]}),
    "AS pairs": (("source_as", "destination_as"), {}),
    "sources' AS": (("source_as",), {"measures": ("mean_packet_size",)}),
    "either AS": (("source_as",), {"where": ["as 64501"]}),
    "exporters": (("exporter",), {"order": "flows"}),
    "protocols of an exporter": (("protocol",), {"where": ["exporter=192.0.2.1"]}),
    "total": ((), {}),
}


def test_top_when_rollups_have_it_then_the_same_as_of_the_flows(world: World) -> None:
    fill(world)
    for dimensions, fields in QUESTIONS.values():
        for span in RANGES.values():
            assert_same(ask(world, *dimensions, **fields, **span))


@pytest.mark.parametrize(
    "fields",
    [
        {"dimensions": ("ingress_interface", "source")},
        {"dimensions": ("ingress_interface", "hour")},
        {"dimensions": ("ingress_interface",), "where": ["octets>1000"]},
        {"dimensions": ("ingress_interface",), "exact": True},
        {"dimensions": ("ingress_interface",), "raw": True},
        {"dimensions": ("ingress_interface",), "dedupe": "ingress"},
        {"dimensions": ("ingress_interface",), "dedupe": "nearest"},
        {"dimensions": ("ingress_interface",), "until_ms": (START + 1800) * 1000},
    ],
)
def test_top_when_rollups_lack_something_then_of_the_flows(
    sqlite_world: World, fields: dict[str, Any]
) -> None:
    fill(sqlite_world, 3)
    fields = dict(fields)
    assert_same(ask(sqlite_world, *fields.pop("dimensions"), **fields), "exact")


def test_top_when_the_loader_is_behind_then_the_rest_is_of_the_flows(sqlite_world: World) -> None:
    fill(sqlite_world, 5)
    sqlite_world.write(routed(sqlite_world, 50, START + 5 * HOUR + 5))
    assert_same(ask(sqlite_world, "ingress_interface"))


def test_top_when_the_start_of_the_range_is_gone_from_the_log_then_not_of_half_a_bin(
    sqlite_world: World,
) -> None:
    fill(sqlite_world, 6)
    oldest = min((sqlite_world.log / "flows").glob("*.parquet"))
    oldest.unlink()
    cut, _ = ask(sqlite_world, "ingress_interface", since_ms=(START + 60) * 1000)
    whole, flows = ask(sqlite_world, "ingress_interface")
    assert cut.provenance.method == "exact"
    assert whole.provenance.method == "rollups"
    assert whole.total["flows"] > flows.total["flows"]


def test_top_when_sums_began_later_than_the_log_then_of_the_flows(sqlite_world: World) -> None:
    fill(sqlite_world, 5)
    with sqlite_world.store.flows.transaction(write=True):
        sqlite_world.store.flows.execute(
            "DELETE FROM appliance_rollup WHERE dimension = 6 AND bin_start < ?",
            (START + 2 * HOUR,),
        )
    later = {"since_ms": (START + 2 * HOUR) * 1000}
    assert_same(ask(sqlite_world, "ingress_interface"), "exact")
    assert_same(ask(sqlite_world, "egress_interface"))
    assert_same(ask(sqlite_world, "ingress_interface", **later))


def test_rebuild_when_sums_of_interfaces_are_new_then_filled_from_the_log(world: World) -> None:
    fill(world, 8)
    with world.store.flows.transaction(write=True):
        world.store.flows.execute("DELETE FROM appliance_rollup WHERE dimension > 5")
    assert_same(ask(world, "ingress_interface"), "exact")
    world.store.rebuild(world.now)
    world.load()
    # Of its first hour the log may have a part only: that stays as it was.
    rebuilt = {"since_ms": (START + HOUR) * 1000}
    assert_same(ask(world, "ingress_interface", **rebuilt))
    assert_same(ask(world, "source_as", "destination_as", **rebuilt))


def test_rebuild_when_the_log_begins_in_a_day_then_the_day_is_whole(sqlite_world: World) -> None:
    fill(sqlite_world, 8)
    before = sqlite_world.stored(CAPPED)
    min((sqlite_world.log / "flows").glob("*.parquet")).unlink()
    sqlite_world.store.rebuild(sqlite_world.now)
    sqlite_world.load()
    assert sqlite_world.stored(CAPPED) == before


CAPPED = """SELECT dimension, size, exporter, direction, bin_start, name, octets, packets, flows
    FROM appliance_rollup WHERE dimension > 5 ORDER BY 1, 2, 3, 4, 5, 6"""


def test_interfaces_when_more_than_the_limit_then_first_ones_stay_and_the_rest_is_one_sum(
    sqlite_world: World,
) -> None:
    world = sqlite_world
    world.limit(interfaces=3, as_pairs=4)
    world.write(world.flows(9, START, ingress_interface=np.arange(9) % 3 + 1))
    world.load(START + 10)
    world.restart()
    world.write(
        world.flows(40, START + HOUR, ingress_interface=np.arange(40) + 3),
        world.flows(60, START + HOUR, bgp_source_as_number=np.arange(60)),
    )
    world.load(START + 2 * HOUR)
    names = world.stored(
        "SELECT DISTINCT exporter, name FROM appliance_rollup WHERE dimension = 6 AND exporter = 1"
    )
    assert {name for _, name in names} <= {"", "0", "1", "2", "3"}
    pairs = world.stored("SELECT DISTINCT name FROM appliance_rollup WHERE dimension = 8")
    assert len({name for (name,) in pairs} - {"", "0>0"}) == 4
    totals = {n: world.stored(SUM_OF, n)[0] for n in (0, 6, 7, 8)}
    assert totals[6] == totals[7] == totals[8]
    assert totals[6][2] == 109


SUM_OF = """SELECT SUM(octets), SUM(packets), SUM(flows) FROM appliance_rollup
    WHERE dimension = ? AND size = 3"""


def test_top_when_an_exporter_is_forgotten_then_of_the_flows(sqlite_world: World) -> None:
    fill(sqlite_world, 4)
    sqlite_world.store.forget_exporter(1)
    sqlite_world.load()
    assert_same(ask(sqlite_world, "ingress_interface"), "exact")
    assert_same(ask(sqlite_world, "source_as", "destination_as"))


def test_sums_when_the_database_is_empty_then_none(sqlite_world: World) -> None:
    answer: ColumnSums | None = sqlite_world.store.sums_by_columns(frozenset(), 0, 2**40)
    assert answer is None


def test_top_over_the_web_when_rollups_have_it_then_says_so_and_equals_the_exact_answer(
    sqlite_world: World,
) -> None:
    fill(sqlite_world, 5)
    now = START + 5 * HOUR
    routes = explore.register_routes()
    client = Client(web_of(sqlite_world.store, sqlite_world.settings, routes, now=now))
    asked = f"/api/v1/explore/top?by=ingress_interface,exporter&from={START}&to={now}&limit=50"
    sums, exact = (client.get(f"{asked}{more}").json for more in ("", "&exact=true"))
    assert (sums["method"], exact["method"]) == ("rollups", "exact")
    assert sums["rows_scanned"] <= exact["rows_scanned"] == sums["rows_in_range"]
    assert (sums["rows"], sums["total"]) == (exact["rows"], exact["total"])


def test_top_on_the_command_line_when_rollups_have_it_then_says_so(
    sqlite_world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(sqlite_world, 3)
    check_command_line(sqlite_world, "ingress_interface", capsys)


@pytest.mark.parametrize(
    ("within", "method"),
    [
        ("exporter 192.0.2.1 and in if 3", "rollups"),
        ("not in if 3", "rollups"),
        ("not out if 501000", "exact"),
        ("as 64501", "exact"),
        ("src ip 198.51.100.0/29", "exact"),
        ("in if 3 and bytes > 1k", "exact"),
        ("in if 3 and duration >= 0s", "exact"),
    ],
)
def test_top_when_bound_to_a_filter_then_from_sums_only_where_these_can_say_it(
    sqlite_world: World, within: str, method: str
) -> None:
    fill(sqlite_world, 5)
    conditions = parse_conditions([within])
    with_sums = QueryEngine(
        FlowSearch(sqlite_world.log), None, 10**6, lambda: sqlite_world.store
    ).bound_to(conditions)
    flows = QueryEngine(FlowSearch(sqlite_world.log))
    for own in ("", "exporter 192.0.2.1", "any or in if 4"):
        question = Question(("ingress_interface",), conditions=parse_conditions([own]), other=True)
        both = parse_conditions([within, own])
        first = with_sums.top(question)
        second = flows.top(Question(("ingress_interface",), conditions=both, other=True))
        assert first.provenance.method == method
        assert first.provenance.rows_scanned is None
        assert first.rows.to_pylist() == second.rows.to_pylist()
        assert (first.other, first.total) == (second.other, second.total)
