"""What of a batch is replaced, emptied and kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.collector.pipeline import Pipeline
from appliance.contracts import Redactor
from appliance.decoding.messages.block import Datagram, block_of
from appliance.flows import COLUMNS, Column, FlowBatch, address_halves, address_text
from appliance.guard import GuardedDecoder, GuardedRedactor, PluginFailures
from appliance.plugins.anonymise.address_map import AddressMap
from appliance.plugins.anonymise.anonymise_settings import EVERYTHING
from appliance.plugins.anonymise.redacting import ADDRESSES, AddressRedactor, number_columns
from appliance.plugins.anonymise.single_addresses import replaced_of
from tests.decoding.building import decoders, v5, v5_record
from tests.guard.failing import RAISERS, returning
from tests.plugins.anonymise.test_crypto_pan import PAN

TABLE = AddressMap(PAN, EVERYTHING)
SECRET = "198.51.100.77"


def batch_of(*texts: str, options: bool = False, **columns: Any) -> FlowBatch:
    """Return a batch that has these addresses in every column that takes some."""
    hi, lo = np.array([address_halves(text) for text in texts], np.uint64).T
    made: dict[str, Any] = {}
    for column in COLUMNS:
        if column.name.endswith("_hi"):
            name = column.name.removesuffix("_hi")
            made[f"{name}_hi"], made[f"{name}_lo"] = hi.copy(), lo.copy()
    return FlowBatch(len(texts), made | columns, options=options)


def shown(batch: FlowBatch, name: str) -> list[str]:
    halves = (batch.column(f"{name}_{half}").tolist() for half in ("hi", "lo"))
    return [address_text(hi, lo) for hi, lo in zip(*halves, strict=True)]


@pytest.mark.parametrize("options", [False, True])
def test_batch_when_redacted_then_every_address_but_the_exporters_is_another(options: bool) -> None:
    texts = [SECRET, "2001:db8::77", "0.0.0.0"]
    after = AddressRedactor(TABLE)(batch_of(*texts, options=options))
    expected = [replaced_of(TABLE, text) for text in texts]
    assert expected[2] == "0.0.0.0"
    for name in ADDRESSES:
        assert shown(after, name) == expected
    assert shown(after, "exporter_address") == texts
    assert after.options is options


def test_addresses_when_a_column_is_added_then_it_is_replaced_too() -> None:
    assert set(ADDRESSES) == {
        "source_address",
        "destination_address",
        "ip_next_hop_address",
        "bgp_next_hop_address",
        "post_nat_source_address",
        "post_nat_destination_address",
    }


def test_batch_when_it_has_half_an_address_or_one_for_all_then_replaced() -> None:
    lo = np.broadcast_to(np.array([address_halves(SECRET)[1]], np.uint64), (5,))
    after = AddressRedactor(TABLE)(FlowBatch(5, {"source_address_lo": lo}))
    assert shown(after, "source_address") == [replaced_of(TABLE, SECRET)] * 5


def test_mac_addresses_when_redacted_then_they_are_gone() -> None:
    macs = np.array([0x0200_5E10_0001], np.uint64)
    after = AddressRedactor(TABLE)(batch_of(SECRET, source_mac_address=macs, vlan_id=macs[:1]))
    assert "source_mac_address" not in after.columns
    assert after.columns["vlan_id"] is not None


def test_octets_when_redacted_then_replaced_kept_or_emptied_by_their_type() -> None:
    four = bytes([198, 51, 100, 77])
    sixteen = address_halves("2001:db8::77")[0].to_bytes(8) + (0x77).to_bytes(8)
    batch = batch_of(SECRET)
    batch.octets = {
        "octets_0_8": np.array([four], "V4"),
        "octets_0_27": np.array([sixteen], "V16"),
        "octets_0_7": np.array([b"\x01\xbb"], "V2"),
        "octets_0_315": np.array([b"frame" + four], object),
        "octets_0_56": np.array([b"\x02\x00^\x10\x00\x01"], "V6"),
        "octets_9999_1": np.array([four], "V4"),
        "octets_0_12_1": np.array([four + b"?"], object),
    }
    after = AddressRedactor(TABLE)(batch).octets
    assert address_text(0, 0xFFFF << 32 | int.from_bytes(after["octets_0_8"][0].tobytes())) == (
        replaced_of(TABLE, SECRET)
    )
    v6 = after["octets_0_27"][0].tobytes()
    text = address_text(int.from_bytes(v6[:8]), int.from_bytes(v6[8:]))
    assert text == replaced_of(TABLE, "2001:db8::77")
    assert after["octets_0_7"][0].tobytes() == b"\x01\xbb"
    for name in ("octets_0_315", "octets_0_56", "octets_9999_1", "octets_0_12_1"):
        assert after[name].tolist() == [b""]


def test_columns_of_plugins_when_they_hold_ipv4_addresses_then_found() -> None:
    columns = [
        Column("prefix", np.dtype("u4"), elements=(44,)),
        Column("client", np.dtype("u8"), enterprise_elements=((9, 12236),)),
        Column("port", np.dtype("u2"), elements=(7,)),
        Column("text", np.dtype("O"), absent="", elements=(44,)),
    ]
    assert list(number_columns(columns)) == ["prefix", "client"]


class Kept:
    def __init__(self) -> None:
        self.rows = 0

    def append(self, batch: FlowBatch) -> None:
        self.rows += batch.n_records


@pytest.mark.parametrize(
    "redactor",
    [
        *RAISERS,
        returning(None),
        returning(42),
        lambda batch: FlowBatch(batch.n_records + 1, {}),
        lambda batch: FlowBatch(batch.n_records, {"nothing": np.zeros(batch.n_records)}),
        lambda batch: batch.columns["source_address_lo"].fill(0),
    ],
)
def test_redactor_when_it_fails_then_nothing_of_the_batch_is_kept_and_it_is_counted(
    redactor: Redactor,
) -> None:
    failures, sink = PluginFailures(), Kept()
    guarded = [GuardedDecoder("v5", decoder, failures) for decoder in decoders().values()]
    pipeline = Pipeline(
        guarded,
        ExporterStates(ExporterLimits()),
        sink,
        [GuardedRedactor("site", redactor, failures)],
    )
    block = block_of([Datagram(v5(v5_record(), v5_record()), 0, 0xFFFF_0A00_0001, 1, 0)])
    pipeline.take(block, 1)
    assert sink.rows == 0
    assert pipeline.counts["records_lost_to_failures"] == 2
    assert failures.report()["site"]["redactor"]["count"] == 1
