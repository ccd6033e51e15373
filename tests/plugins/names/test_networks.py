"""The operator's networks: what the setting takes, and what flows, questions and filters have."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import appliance
from appliance import Column, FlowBatch, PluginHarness, ValueNames, ipfix_message
from appliance.contracts import Registered
from appliance.errors import InvalidQueryError, SettingsError
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flowlog.questions import FlowQuestion
from appliance.flowlog.search import FlowSearch
from appliance.flows import set_plugin_columns
from appliance.guard import PluginFailures
from appliance.plugins.names.networks import read_kept_names
from appliance.plugins.names.routes import configured_names
from appliance.process_parts import plugin_findings
from appliance.query.engine import QueryEngine
from appliance.query.language.completion import complete
from appliance.query.language.duckdb import parse_conditions
from appliance.query.question import Question
from appliance.settings.file import SettingsFile
from appliance.settings.own_networks import LocalNetworks
from appliance.settings.types import UnfitSettingError
from appliance.value_names import set_value_names
from tests.web.building import Client, FakeStore, settings_of, web_of

ODD = "O'Brien's {0} $1 \\ 100%"
NETWORKS = [
    {"name": "campus", "prefixes": ["10.0.0.0/8", "2001:db8::/32"], "site": "Vienna"},
    {"name": "servers", "prefixes": ["10.1.0.0/16"], "site": "Graz", "role": "data center"},
    {"name": ODD, "prefixes": ["10.1.2.3"], "site": "Graz", "role": ODD},
]
FLOWS = [
    ("10.2.0.1", "203.0.113.1", 1),
    ("203.0.113.1", "10.1.0.1", 10),
    ("10.1.2.3", "10.1.2.4", 100),
    ("203.0.113.1", "198.51.100.1", 1000),
    # Inside by `local_networks`, which has no name for it.
    ("192.168.1.1", "203.0.113.1", 10_000),
]
V6_FLOWS = [("2001:db8::1", "2001:db9::1", 100_000)]


def harness(folder: Path, networks: Any) -> PluginHarness:
    return PluginHarness(folder, ModuleType("nothing"), {"networks": networks})


@pytest.fixture
def made(tmp_path: Path) -> Iterator[PluginHarness]:
    """An appliance that was sent flows between its networks and others."""
    made = harness(tmp_path / "var", NETWORKS)
    made.receive(message(8, 12, FLOWS), message(27, 28, V6_FLOWS))
    made.receive(ipfix_message([(1, 4)], (1_000_000).to_bytes(4)))
    yield made
    set_plugin_columns(())
    set_value_names((), PluginFailures())


def message(source: int, destination: int, flows: list[tuple[str, str, int]]) -> bytes:
    records = b"".join(
        ip_address(a).packed + ip_address(b).packed + octets.to_bytes(4) for a, b, octets in flows
    )
    length = len(ip_address(flows[0][0]).packed)
    return ipfix_message([(source, length), (destination, length), (1, 4)], records)


@pytest.fixture
def search(made: PluginHarness, tmp_path: Path) -> FlowSearch:
    return FlowSearch(tmp_path / "var" / "flowlog")


def test_flows_when_networks_are_nested_then_the_longest_prefix_names_them(
    made: PluginHarness,
) -> None:
    names = [f"{side}_{kind}" for side in ("source", "destination") for kind in ("network", "site")]
    assert made.flows("octet_delta_count", *names, "source_role", "traffic_direction") == [
        (1, "campus", "Vienna", None, None, None, "outbound"),
        (10, None, None, "servers", "Graz", None, "inbound"),
        (100, ODD, "Graz", "servers", "Graz", ODD, "internal"),
        (1000, None, None, None, None, None, "through"),
        (10_000, None, None, None, None, None, "outbound"),
        (100_000, "campus", "Vienna", None, None, None, "outbound"),
        (1_000_000, *[None] * 6),
    ]


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        ("source_network", {"campus": 100_001, ODD: 100}),
        ("site", {"Vienna": 100_001, "Graz": 110}),
        ("traffic_direction", {"outbound": 110_001, "inbound": 10, "internal": 100}),
    ],
)
def test_top_when_by_networks_then_by_their_names(
    search: FlowSearch, dimension: str, expected: dict[str, int]
) -> None:
    rows = QueryEngine(search).top(Question((dimension,))).rows
    key = rows.schema.names[0]
    assert rows.schema.names[1] == "octets"
    sums = {row[key]: row["octets"] for row in rows.to_pylist()}
    assert len(sums) == rows.num_rows
    assert {name: sums[name] for name in expected} == expected
    assert set(sums) <= {*expected, "through", None}


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("network campus", {1, 100_000}),
        ("src network CAMPUS", {1, 100_000}),
        ("dst site Graz and not src site Graz", {10}),
        ('role "data center"', {10, 100}),
        (f'network "{ODD}"', {100}),
        ("traffic_direction=inbound", {10}),
        ("traffic_direction in [inbound, internal]", {10, 100}),
        ("source_network in [campus, servers]", {1, 100_000}),
    ],
)
def test_filter_when_it_names_a_network_then_its_flows(
    search: FlowSearch, text: str, octets: set[int]
) -> None:
    question = FlowQuestion(conditions=parse_conditions([text]), columns=("octet_delta_count",))
    assert set(search.flows(question)["octet_delta_count"].to_pylist()) == octets


def test_filter_when_no_network_has_the_name_then_one_sentence(search: FlowSearch) -> None:
    with pytest.raises(InvalidQueryError, match="expected a name"):
        parse_conditions(["network nowhere"])


def test_completion_when_a_network_comes_next_then_the_names(made: PluginHarness) -> None:
    texts = [one.text for one in complete("src network ca", 14).suggestions]
    assert texts[0] == '"campus"'


def test_sql_when_it_reads_networks_then_names(search: FlowSearch) -> None:
    sql = "SELECT source_network, octets FROM flows WHERE source_role IS NOT NULL"
    assert search.sql(sql).to_pylist() == [{"source_network": ODD, "octets": 100}]


def test_explore_when_asked_then_networks_in_fields_groups_and_single_flows(
    made: PluginHarness, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, {})
    client = Client(web_of(FakeStore(), settings, now=time.time()))
    dimensions = client.get("/api/v1/explore/fields").json["dimensions"]
    assert {"network", "source_site", "destination_role", "traffic_direction"} <= set(dimensions)
    rows = client.get("/api/v1/explore/top?last=1h&by=traffic_direction").json["rows"]
    assert rows[0]["traffic_direction"] is None
    assert rows[1]["traffic_direction"] == "outbound"
    (flow,) = client.get("/api/v1/explore/flows?last=1h&filter=octets%3D100").json["flows"]
    assert (flow["source_network"], flow["destination_site"]) == (ODD, "Graz")


def test_names_when_a_network_is_renamed_then_flows_of_before_keep_theirs(
    made: PluginHarness, tmp_path: Path
) -> None:
    renamed = harness(tmp_path / "var", [NETWORKS[0] | {"name": "headquarters"}])
    renamed.receive(message(8, 12, [("10.2.0.1", "10.3.0.1", 5)]))
    assert set(renamed.flows("source_network")) == {
        *(("campus",), (ODD,), ("headquarters",), (None,)),
    }
    assert read_kept_names(tmp_path / "var" / "names")["network"] == {
        *("campus", "servers", ODD, "headquarters"),
    }
    (tmp_path / "var" / "names" / "networks.json").write_text(
        '{"network": 5, "site": [7, "\\ud800"]}'
    )
    assert ("headquarters",) in renamed.flows("source_network")


def test_networks_when_none_is_set_then_flows_have_none(tmp_path: Path) -> None:
    made = harness(tmp_path / "var", [])
    assert made.app.enrichers == ()
    made.receive(message(8, 12, FLOWS))
    assert set(made.flows("source_network", "traffic_direction")) == {(None, None)}
    set_plugin_columns(())


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([{"prefixes": ["10.0.0.0/8"]}], "network 1: has no name"),
        ([{"name": "a"}], "network a: has no prefixes"),
        ([{"name": "a", "prefixes": []}], "network a: has no prefixes"),
        (
            [{"name": "a", "prefixes": ["10.0.0.1/8"]}],
            "network a: expected a prefix, found '10.0.0.1/8', did you mean 10.0.0.0/8?",
        ),
        (
            [{"name": "a", "prefixes": ["office"]}],
            "network a: expected a prefix, found 'office', such as 192.0.2.0/24",
        ),
        (
            [{"name": "a", "prefix": ["10.0.0.0/8"]}],
            "network a: prefix: unknown key, did you mean prefixes?",
        ),
        (
            [{"name": "a", "prefixes": "10.0.0.0/8"}, {"name": "a", "prefixes": "10.1.0.0/16"}],
            "network a: is there twice",
        ),
        (
            [{"name": "a", "prefixes": "10.0.0.0/8"}, {"name": "b", "prefixes": "10.0.0.0/8"}],
            "network b: 10.0.0.0/8 is there twice",
        ),
        (
            [{"name": "a\nb", "prefixes": "10.0.0.0/8"}],
            "network 1: name: expected up to 64 characters in a line, found 'a\\nb'",
        ),
        (
            [{"name": "a", "prefixes": "10.0.0.0/8", "site": "the\tsite"}],
            "network a: site: expected up to 64 characters in a line, found 'the\\tsite'",
        ),
        # Their checksums are the same.
        (
            [
                {"name": n, "prefixes": p}
                for n, p in (("plumless", "::/8"), ("buckeroo", "10::/16"))
            ],
            "plumless: has the number of another name, change one letter of it",
        ),
    ],
)
def test_setting_when_a_network_does_not_fit_then_one_sentence(value: Any, problem: str) -> None:
    with pytest.raises(UnfitSettingError) as caught:
        LocalNetworks().parse(value, Path("/"))
    assert str(caught.value) == problem


@pytest.mark.parametrize("value", ["office", {"a": 1}, [5], [["a"]], [{"name": ["a"]}], 5])
def test_setting_when_it_is_no_list_of_networks_then_what_is_expected(value: Any) -> None:
    file = SettingsFile(None, Path("/"), {"networks": value})
    with pytest.raises(SettingsError, match=r"^networks: expected a list of networks such as \{"):
        file.settings(_settings())


def test_setting_when_a_network_does_not_fit_then_file_and_key_are_named(
    conf: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    from appliance.cli.main import group
    from appliance.cli.options import run_command_line

    folder = conf("networks:\n  - name: office\n    prefixes: [10.0.0.1/8]\n")
    assert run_command_line(group, ["-confPath", f"{folder}/", "check"]) == 2
    assert capsys.readouterr().err == (
        f"appliance: {folder}/appliance.yml: networks: network office: expected a prefix, found"
        " '10.0.0.1/8', did you mean 10.0.0.0/8?\n"
    )


def _settings() -> list[Any]:
    from appliance.plugins.names import register_settings

    return register_settings()


def test_setting_when_written_as_in_the_manual_then_read(conf: Callable[[str], Path]) -> None:
    from appliance.app import open_app

    manual = (Path(appliance.__file__).parent / "manual" / "ask.md").read_text()
    (block,) = re.findall(r"^    networks:\n(?:     .*\n)+", manual, re.MULTILINE)
    office, guests = open_app(conf(textwrap.dedent(block))).settings["networks"]
    assert (office.network, office.site, office.role) == ("office", "Vienna", "users")
    assert [str(prefix) for prefix in guests.prefixes] == ["192.0.2.128/25"]
    set_plugin_columns(())


def test_names_route_when_asked_then_what_is_configured(tmp_path: Path) -> None:
    made = harness(tmp_path / "var", NETWORKS[:1])
    assert configured_names(made.app.settings) == {
        "as_database": False,
        "country_database": False,
        "networks": [
            {
                "name": "campus",
                "prefixes": ["10.0.0.0/8", "2001:db8::/32"],
                "site": "Vienna",
                "role": "",
            }
        ],
        "reverse": "inside",
    }
    set_plugin_columns(())


def test_check_when_nothing_names_addresses_then_it_says_what_is_missing(tmp_path: Path) -> None:
    made = harness(tmp_path / "var", NETWORKS)
    (finding,) = [each for each in plugin_findings(made.app) if each.what == "addresses"]
    assert finding.text == (
        "flows get no names from names.as_database, names.country_database: not set"
    )
    set_plugin_columns(())


@pytest.mark.parametrize("names", [{1: 5}, {"1": "a"}, {1: "a\0b"}, None, KeyError("no")])
def test_column_with_names_when_a_plugin_fails_then_numbers_and_questions_go_on(
    tmp_path: Path, names: Any
) -> None:
    def tell() -> Any:
        if isinstance(names, Exception):
            raise names
        return names

    column = Column("floor", np.dtype("u2"), has_names=True, elements=(4,))
    set_plugin_columns([column])
    failures = PluginFailures()
    set_value_names([Registered("site", ValueNames(("floor",), tell))], failures)
    try:
        writer = FlowLogWriter(tmp_path, FlowLogLimits(minimum_free_octets=0))
        writer.start()
        writer.append(FlowBatch(2, {"floor": np.array([0, 7], "u2")}))
        writer.flush({}, 1)
        writer.close(1)
        rows = FlowSearch(tmp_path).flows(FlowQuestion(columns=("floor",), order="time"))
        assert rows["floor"].to_pylist() == [None, "7"]
    finally:
        set_plugin_columns(())
        set_value_names((), PluginFailures())
    assert failures.report()["site"]["names"]["count"] >= 1
