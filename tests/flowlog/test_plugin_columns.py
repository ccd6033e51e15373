"""Columns of plugins: filled, kept, asked for like ours; absent in older files; gone with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from appliance import Column, StartupError
from appliance.collector.exporters import ExporterLimits, ExporterStates
from appliance.collector.pipeline import Pipeline
from appliance.decoding.messages.block import block_of
from appliance.flowlog import FlowSearch
from appliance.flowlog.conditions import parse_condition
from appliance.flowlog.questions import FlowQuestion
from appliance.flows import FlowBatch, set_plugin_columns
from appliance.plugins import ipfix, netflow_v9
from tests.asking import top
from tests.decoding.building import IPFIX, RECEIVED_MS, V9, a_set, datagram, template
from tests.test_app import app_of, plugin

SITE = Column("site_number", np.dtype("u4"), doc="Of the building.")
OWNER = Column("owner", np.dtype("O"), absent="")
RISK = Column("risk", np.dtype("f8"), absent=0.0)
ICMP_TYPE = Column("icmp_type_ipv4", np.dtype("u1"), elements=(176,))


@pytest.fixture(autouse=True)
def no_columns_afterwards() -> Iterator[None]:
    yield
    set_plugin_columns(())


def flows_of_sites(make_batch: Any, seed: int = 0) -> FlowBatch:
    owners = np.array(["ann", "", "bob"], object)
    risks = np.array([0.5, 0.0, 2.0])
    sites = np.array([7, 0, 9], "u4")
    return make_batch(3, seed, site_number=sites, owner=owners, risk=risks)


@pytest.mark.parametrize("merged", [False, True])
def test_columns_when_files_are_from_before_and_after_then_absent_and_there(
    log: Any, make_batch: Any, merged: bool
) -> None:
    log.write([make_batch(4, 1)])
    log.maintain()
    set_plugin_columns([SITE, OWNER, RISK])
    log.write([flows_of_sites(make_batch)], [flows_of_sites(make_batch, 2)])
    if merged:
        log.maintain(7_200_000)
        log.only_file()
    search = FlowSearch(log.directory)
    columns = ("site_number", "owner", "risk")
    answer = search.flows(FlowQuestion(columns=columns, order="time")).to_pylist()
    assert [row["site_number"] or 0 for row in answer].count(7) == 2
    assert sorted(row["owner"] for row in answer if row["owner"]) == ["ann", "ann", "bob", "bob"]
    assert [row["risk"] for row in answer].count(None) >= 4
    assert len(answer) == 10
    where = (parse_condition("site_number=9"),)
    (row,) = search.flows(FlowQuestion(columns=("owner",), conditions=where, limit=1)).to_pylist()
    assert row == {"owner": "bob"}
    groups = top(search, "site_number", order="flows")
    assert {row["site_number"]: row["flows"] for row in groups}[9] == 2
    (sums,) = search.sql("select sum(risk) as risk from records").to_pylist()
    assert sums == {"risk": 5.0}


@pytest.mark.parametrize("sealed", [False, True])
def test_columns_when_their_plugin_is_gone_then_all_else_is_read_and_joined(
    log: Any, make_batch: Any, records: Any, sealed: bool
) -> None:
    set_plugin_columns([SITE, OWNER, RISK])
    log.write([flows_of_sites(make_batch)], [flows_of_sites(make_batch, 2)])
    if sealed:
        log.maintain()
    set_plugin_columns(())
    before = records(log.read())
    assert len(before) == 6
    assert not any(batch.octets for batch in log.read())
    report = log.maintain(7_200_000)
    assert report.damaged == []
    assert records(log.read()) == before


def test_columns_when_an_element_is_named_then_decoders_fill_them() -> None:
    app = app_of(
        site=plugin(register_columns=[ICMP_TYPE]),
        v9=netflow_v9,
        ipfix=ipfix,
    )
    batches: list[FlowBatch] = []
    pipeline = Pipeline(app.decoders, ExporterStates(ExporterLimits()), batches)  # type: ignore[arg-type]
    for protocol in (V9, IPFIX):
        layout = protocol.templates(template(300, (1, 4), (176, 1)))
        message = protocol.message(layout, a_set(300, bytes((0, 0, 0, 9, 8))))
        pipeline.take(block_of([datagram(message)]), RECEIVED_MS)
    assert [batch.columns["icmp_type_ipv4"].tolist() for batch in batches] == [[8], [8]]
    assert not app.failures.total


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        (Column("Site", np.dtype("u4")), "expected a name of small letters"),
        (Column("octets_1_2", np.dtype("u4")), "such names are kept"),
        (Column("site_hi", np.dtype("u8")), "such names are kept"),
        (Column("site", np.dtype("u4"), absent="x"), "absent 'x' is none of its values"),
        (Column("site", np.dtype("f4"), absent=0.0), "expected dtype"),
        (Column("site", np.dtype(">u4")), "expected dtype"),
        (Column("site", np.dtype("O"), absent="", elements=(176,)), "numbers only"),
        ("site", "expected Column"),
        (Column("protocol_identifier", np.dtype("u1")), "both the appliance itself and site"),
        (Column("octets", np.dtype("u8")), "both the appliance itself and site"),
        (Column("source", np.dtype("u8")), "both the appliance itself and site"),
    ],
)
def test_columns_when_wrong_then_the_start_stops_and_names_the_plugin(
    column: object, problem: str
) -> None:
    with pytest.raises(StartupError, match=problem) as caught:
        app_of(site=plugin(register_columns=[column]))
    assert "site" in str(caught.value)


def test_columns_when_two_plugins_have_one_name_then_both_are_named() -> None:
    with pytest.raises(StartupError, match="column site_number: both first and second have it"):
        app_of(first=plugin(register_columns=[SITE]), second=plugin(register_columns=[SITE]))
