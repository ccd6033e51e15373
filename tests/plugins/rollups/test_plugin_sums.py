"""Sums by columns of plugins: the same answers as of the flows, whenever a plugin came or went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from appliance import Column
from appliance.flows import COLUMN, FlowBatch, set_plugin_columns
from appliance.plugins import explore
from appliance.plugins.names.columns import COLUMNS
from appliance.plugins.rollups.bins import Size
from appliance.plugins.rollups.budget import most_rows
from appliance.settings.own_networks import name_number
from tests.plugins.rollups.test_column_sums import ask, assert_same
from tests.plugins.rollups.world import HOUR, START, World, check_command_line
from tests.web.building import Client, web_of

COLOUR = Column("colour", np.dtype("u1"), sums_kept=3)
AT, DE = (ord(a) << 8 | ord(b) for a, b in ("AT", "DE"))
VIENNA, GRAZ = name_number("vienna"), name_number("graz")
OF_PLUGINS = "dimension >= 32"


@pytest.fixture(autouse=True)
def no_columns_afterwards() -> Iterator[None]:
    yield
    set_plugin_columns(())


def load_plugin(world: World, *columns: Column) -> None:
    """Begin anew with these columns, as a restart does."""
    world.restart()
    set_plugin_columns(columns)


def located(world: World, n: int, at: float, colours: int = 4) -> FlowBatch:
    """Make flows with what the loaded plugins know of addresses, some without."""
    random = np.random.default_rng(int(at) % 7919 + world.seed)
    known: dict[str, Any] = {
        "source_country": random.choice([0, AT, DE], n),
        "destination_country": random.choice([0, AT], n),
        "source_site": random.choice([0, VIENNA, GRAZ], n),
        "destination_network": np.uint32(VIENNA),
        "traffic_direction": random.integers(0, 5, n),
        "colour": random.integers(0, colours, n),
    }
    return world.flows(n, at, **{name: known[name] for name in known if name in COLUMN})


def fill(world: World, hours: range) -> None:
    """Write and load flows of some hours after `START`; seal now and then."""
    for hour in hours:
        for minute in (0, 14, 59):
            at = START + hour * HOUR + minute * 60 + 0.25
            world.write(located(world, 15, at))
        if hour % 8 == 0:
            world.seal()
        world.load(START + (hour + 1) * HOUR)
    world.seal()


QUESTIONS: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (("country",), {}),
    (("source_country", "destination_country"), {"order": "packets"}),
    (("destination_country",), {"where": ["src country DE"]}),
    (("site",), {"order": "flows"}),
    (("network",), {}),
    (("role",), {}),
    (("traffic_direction",), {}),
    (("colour",), {"where": ["not colour=2"]}),
]
RANGES: list[dict[str, Any]] = [
    {},
    {"since_ms": (START + 840) * 1000 + 300, "until_ms": (START + 26 * HOUR + 841) * 1000},
]


def test_top_when_by_columns_of_plugins_then_of_rollups_and_the_same_as_of_the_flows(
    world: World,
) -> None:
    load_plugin(world, *COLUMNS, COLOUR)
    fill(world, range(28))
    for dimensions, fields in QUESTIONS:
        for span in RANGES:
            assert_same(ask(world, *dimensions, **fields, **span))


def test_top_when_by_columns_that_are_not_summed_together_then_of_the_flows(
    sqlite_world: World,
) -> None:
    load_plugin(sqlite_world, *COLUMNS)
    fill(sqlite_world, range(3))
    assert_same(ask(sqlite_world, "country", "site"), "exact")
    assert_same(ask(sqlite_world, "country", where=["src port 50000"]), "exact")


def test_top_when_the_plugin_came_later_then_rollups_from_the_next_whole_hour_on(
    sqlite_world: World,
) -> None:
    world = sqlite_world
    fill(world, range(2))
    world.write(world.flows(9, START + 2 * HOUR + 60))
    world.load()
    load_plugin(world, *COLUMNS)
    world.write(located(world, 9, START + 2 * HOUR + 900))
    world.load()
    fill(world, range(3, 6))
    assert_same(ask(world, "country"))
    (since,) = {row[0] for row in world.stored("SELECT since FROM appliance_rollup_column")}
    assert since == START + 3 * HOUR
    for file in sorted((world.log / "flows").glob("*.parquet"))[:2]:
        file.unlink()
    later = {"since_ms": (START + 3 * HOUR) * 1000}
    assert_same(ask(world, "country"), "exact")
    assert_same(ask(world, "country", **later))


def test_top_when_the_plugin_was_away_then_rollups_from_its_return_on(sqlite_world: World) -> None:
    world = sqlite_world
    load_plugin(world, *COLUMNS)
    fill(world, range(2))
    load_plugin(world)
    fill(world, range(2, 4))
    before = world.stored(f"SELECT count(*) FROM appliance_rollup WHERE {OF_PLUGINS}")
    load_plugin(world, COLOUR, *COLUMNS)
    fill(world, range(4, 7))
    names = world.stored("SELECT name, dimension, since FROM appliance_rollup_column ORDER BY 2")
    assert [name for name, *_ in names][-1] == "colour"
    assert {since for *_, since in names} == {START + 4 * HOUR}
    assert world.stored(f"SELECT count(*) FROM appliance_rollup WHERE {OF_PLUGINS}") > before
    assert_same(ask(world, "country"))
    assert_same(ask(world, "country", since_ms=(START + 5 * HOUR) * 1000))


def test_rebuild_when_the_plugin_came_later_then_sums_of_all_that_the_log_has(
    world: World,
) -> None:
    fill(world, range(3))
    load_plugin(world, *COLUMNS)
    fill(world, range(3, 5))
    world.store.rebuild(world.now)
    world.load()
    sinces = {row[0] for row in world.stored("SELECT since FROM appliance_rollup_column")}
    assert sinces == {START + HOUR}
    assert_same(ask(world, "country", since_ms=(START + HOUR) * 1000))


def test_rebuild_when_the_log_begins_in_a_day_then_sums_of_the_day_stay_whole(
    sqlite_world: World,
) -> None:
    world = sqlite_world
    load_plugin(world, *COLUMNS)
    fill(world, range(8))
    sums = f"SELECT * FROM appliance_rollup WHERE {OF_PLUGINS} ORDER BY 1, 2, 3, 4, 5, 6, 7"
    before = world.stored(sums)
    min((world.log / "flows").glob("*.parquet")).unlink()
    world.store.rebuild(world.now)
    world.load()
    assert world.stored(sums) == before


def test_sums_when_there_are_more_values_than_kept_then_one_sum_and_of_the_flows(
    sqlite_world: World,
) -> None:
    world = sqlite_world
    load_plugin(world, COLOUR)
    world.write(located(world, 50, START + 5))
    world.load(START + 60)
    load_plugin(world, COLOUR)
    world.write(located(world, 100, START + HOUR, colours=9), located(world, 1, START + 2 * HOUR))
    world.load(START + 2 * HOUR)
    names = world.stored(f"SELECT DISTINCT name FROM appliance_rollup WHERE {OF_PLUGINS}")
    assert {name for (name,) in names} == {"", "0", "1", "2", "3"}
    assert_same(ask(world, "colour"), "exact")
    assert_same(ask(world, "colour", until_ms=(START + HOUR) * 1000))


def test_sums_when_past_their_time_then_deleted(sqlite_world: World) -> None:
    world = sqlite_world
    world.limit(kept_seconds={Size.HOUR: 3 * HOUR})
    load_plugin(world, *COLUMNS)
    fill(world, range(6))
    world.store.expire(world.now)
    (first,) = world.stored(
        f"SELECT min(bin_start) FROM appliance_rollup WHERE {OF_PLUGINS} AND size = 2"
    )
    assert first == (START + 3 * HOUR,)


def test_sums_when_the_database_is_salvaged_then_those_of_before_the_log_stay(
    sqlite_world: World,
) -> None:
    world = sqlite_world
    load_plugin(world, *COLUMNS)
    fill(world, range(10))
    whole = ask(world, "country", until_ms=(START + 9 * HOUR) * 1000)[0]
    min((world.log / "flows").glob("*.parquet")).unlink()
    world.restart()
    with (world.folder / "flows.sqlite").open("r+b") as file:
        file.write(b"no database")
    world.load()
    after = ask(world, "country", until_ms=(START + 9 * HOUR) * 1000)[0]
    assert after.provenance.method == "rollups"
    assert after.rows == whole.rows


def test_budget_when_plugins_want_sums_then_with_theirs() -> None:
    limits = World.__dataclass_fields__["limits"].default_factory()  # type: ignore[misc]
    asked = {"exporters": 1, "protocols": 3, "applications": 10}
    before = most_rows(limits, **asked)
    set_plugin_columns([COLOUR])
    assert most_rows(limits, **asked) > before


def test_top_by_country_over_the_web_when_rollups_have_it_then_says_so(
    sqlite_world: World,
) -> None:
    load_plugin(sqlite_world, *COLUMNS)
    fill(sqlite_world, range(5))
    now = START + 5 * HOUR
    routes = explore.register_routes()
    client = Client(web_of(sqlite_world.store, sqlite_world.settings, routes, now=now))
    asked = f"/api/v1/explore/top?by=country&from={START}&to={now}&limit=50"
    sums, exact = (client.get(f"{asked}{more}").json for more in ("", "&exact=true"))
    assert (sums["method"], exact["method"]) == ("rollups", "exact")
    assert (sums["rows"], sums["total"]) == (exact["rows"], exact["total"])
    assert {row["country"] for row in sums["rows"]} == {"AT", "DE", None}


def test_top_by_country_on_the_command_line_when_rollups_have_it_then_says_so(
    sqlite_world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    load_plugin(sqlite_world, *COLUMNS)
    fill(sqlite_world, range(3))
    check_command_line(sqlite_world, "country", capsys)
