"""Exporters' habits with sampling; numbers of exporter-quirks.md."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from appliance.decoding.results import DecodeOptions
from appliance.flows import address_halves
from tests.decoding.building import (
    BASIC,
    EXPORTER,
    V9,
    Decoded,
    Exporter,
    a_set,
    basic,
    datagram,
    decode,
    number,
    template,
    v4,
    v5,
    v5_record,
)
from tests.decoding.protocols import (
    Field,
    both,
    in_both_modes,
    layout_of,
    octets_of,
    one_option,
    with_template,
)

FLOW = ((8, 4), (10, 4), (14, 4), (48, 2), (302, 8), (1, 4))


def flow(ingress: int = 0, egress: int = 0, sampler: int = 0, selector: int = 0) -> bytes:
    return v4("10.0.0.1") + struct.pack(">IIHQI", ingress, egress, sampler, selector, 1)


def sampled(protocol: Exporter, *options: bytes, record: bytes, **given: Any) -> float | None:
    found = decode(protocol.message(*options, with_template(protocol, FLOW, record)), **given)
    rate: float | None = found.row.get("sampling_rate")
    return rate


@both
@pytest.mark.parametrize(
    ("fields", "rate"),
    [
        ([(34, number(512, 4))], 512),
        ([(34, number(512, 4)), (35, b"\x02")], 512),
        ([(50, number(100, 4))], 100),
        ([(305, number(1, 4)), (306, number(999, 4))], 1000),
        ([(309, number(10, 4)), (310, number(1000, 4))], 100),
        ([(311, struct.pack(">d", 0.01))], 100),
        ([(311, struct.pack(">f", 0.25))], 4),
        ([(396, b"\x01"), (397, number(20, 2))], 20),  # one flow in 20
        ([(396, number(2, 8)), (397, number(100, 8))], 50),
        ([(396, number(10, 4))], 10),
    ],
)
def test_quirk_33_sampling_when_in_the_record_or_its_options_then_the_same_rate(
    protocol: Exporter, fields: list[Field], rate: float
) -> None:
    layout = (*BASIC, *layout_of(fields))
    told = with_template(protocol, layout, basic() + octets_of(fields))
    assert decode(protocol.message(told)).row["sampling_rate"] == rate
    assert sampled(protocol, one_option(protocol, *fields), record=flow()) == rate


@both
@pytest.mark.parametrize("record_rate", [0, 9])
@pytest.mark.parametrize("element", [48, 302])
def test_quirk_33_sampling_when_told_of_many_things_then_the_nearest_counts(
    protocol: Exporter, record_rate: int, element: int
) -> None:
    sampler = (element, number(5, 2 if element == 48 else 8))
    options = {
        "sampler": one_option(protocol, sampler, (50, number(20, 4)), number=401),
        "interface": one_option(protocol, (10, number(3, 4)), (34, number(30, 4)), number=402),
        "domain": one_option(protocol, (34, number(40, 4)), number=403),
        "nothing": b"",
    }
    own = {"sampler": 5, "selector": 0} if element == 48 else {"sampler": 0, "selector": 5}
    record = flow(ingress=3, **own) + number(record_rate, 4)
    overrides = DecodeOptions(rates={address_halves(EXPORTER): 50.0}, default_rate=60.0)
    told = list(options)
    for first, expected in enumerate((20.0, 30.0, 40.0, 50.0)):
        sets = [options[name] for name in told[first:]]
        found = decode(
            protocol.message(*sets, with_template(protocol, (*FLOW, (34, 4)), record)),
            options=overrides,
        )
        assert found.row["sampling_rate"] == (record_rate or expected)
    other = decode(
        datagram(protocol.message(protocol.templates(template(300, *FLOW)), a_set(300, flow())),
                 "192.0.2.200"), options=overrides,
    )  # fmt: skip
    assert other.row["sampling_rate"] == 60


@both
def test_quirk_33_sampling_when_of_an_interface_then_either_end_names_it(
    protocol: Exporter,
) -> None:
    options = [one_option(protocol, (14, number(7, 4)), (34, number(70, 4)))]
    assert sampled(protocol, *options, record=flow(ingress=7)) == 70
    assert sampled(protocol, *options, record=flow(egress=7)) == 70
    assert sampled(protocol, *options, record=flow(8, 9)) is None


def test_quirk_33_sampling_when_the_scope_is_v9s_interface_then_of_that_interface() -> None:
    options = one_option(V9, (34, number(70, 4)), scope=(2, number(7, 4)))
    assert sampled(V9, options, record=flow(ingress=7)) == 70
    assert sampled(V9, options, record=flow(ingress=8)) is None


@both
@in_both_modes
def test_quirk_33_sampling_when_it_changes_then_from_there_on(
    protocol: Exporter, one_by_one: bool
) -> None:
    data = a_set(300, flow())
    sets = [
        protocol.templates(template(300, *FLOW)) + data,
        one_option(protocol, (34, number(10, 4))) + data,
        data + one_option(protocol, (34, number(20, 4))) + data,
        data,
    ]
    starts = [0, 1, 3, 6]
    found = decode(
        *(
            protocol.message(part, sequence=n if protocol is V9 else starts[n])
            for n, part in enumerate(sets)
        ),
        one_by_one=one_by_one,
    )
    assert sorted(map(str, found.column("sampling_rate"))) == [
        "10.0",
        "10.0",
        "20.0",
        "20.0",
        "None",
    ]
    assert found.exporter().counts["sampling_assumed"] == 1


@both
def test_quirk_33_sampler_when_of_another_domain_then_it_serves_too(protocol: Exporter) -> None:
    found = decode(
        protocol.message(one_option(protocol, (48, b"\x05"), (50, number(20, 4))), domain=9),
        protocol.message(
            protocol.templates(template(300, *FLOW)), a_set(300, flow(sampler=5)), domain=1
        ),
    )
    assert found.row["sampling_rate"] == 20


def test_quirk_33_sampling_when_in_the_v5_header_then_of_all_its_records() -> None:
    found = decode(v5(v5_record(), v5_record(), sampling=0x4000 | 100), v5(v5_record()))
    assert found.column("sampling_rate") == [100, 100, None]


def test_quirk_33_sampling_when_v5_tells_none_then_the_settings() -> None:
    options = DecodeOptions(rates={address_halves("192.0.2.11"): 7.0}, default_rate=3.0)
    found = decode(
        *(datagram(v5(v5_record(), sampling=s), a)
          for a, s in ((EXPORTER, 0), ("192.0.2.11", 0), ("192.0.2.11", 50))),
        options=options,
    )  # fmt: skip
    assert found.column("sampling_rate") == [3, 7, 50]


@both
@pytest.mark.parametrize(
    ("octets", "rate"),
    [
        (number(16_777_216, 4), 1),
        (struct.pack("<I", 200), 200),
        (struct.pack(">I", 200), 200),
        (number(16_777_217, 4), 16_777_217),
        (number(1 << 40, 8), 1 << 40),
    ],
)
def test_quirk_34_interval_when_its_octets_are_swapped_then_repaired(
    protocol: Exporter, octets: bytes, rate: int
) -> None:
    told = protocol.templates(template(300, *BASIC, (34, len(octets))))
    found = decode(protocol.message(told, a_set(300, basic() + octets)))
    assert found.row["sampling_rate"] == rate


@both
@pytest.mark.parametrize("octets", [1, 2, 3, 4, 8])
def test_quirk_35_interval_when_of_any_length_then_read(protocol: Exporter, octets: int) -> None:
    assert sampled(protocol, one_option(protocol, (50, number(200, octets))), record=flow()) == 200


@both
@pytest.mark.parametrize(
    ("interval", "space", "rate"), [(1, 99, 100), (10, 990, 100), (1, 0, 1), (0, 99, None)]
)
def test_quirk_36_packet_interval_and_space_when_both_then_their_sum_by_the_interval(
    protocol: Exporter, interval: int, space: int, rate: float | None
) -> None:
    options = one_option(protocol, (305, number(interval, 4)), (306, number(space, 4)))
    assert sampled(protocol, options, record=flow()) == rate


def assumed(found: Decoded) -> int:
    return int(found.exporter().counts["sampling_assumed"])


@both
def test_decision_sampling_when_unknown_then_the_record_is_kept_and_reported_as_assumed(
    protocol: Exporter,
) -> None:
    found = decode(protocol.message(with_template(protocol, FLOW, flow() * 4)))
    assert len(found.rows) == assumed(found) == 4
    assert found.column("sampling_rate") == [None] * 4


@both
def test_decision_sampling_when_known_of_some_records_then_the_others_are_reported(
    protocol: Exporter,
) -> None:
    # The last Set has only padding: no record of it can be assumed to be anything.
    sets = [a_set(300, flow(sampler=5) + flow(sampler=6)), a_set(300, flow()), a_set(300, bytes(3))]
    options = one_option(protocol, (48, b"\x05"), (50, number(20, 4)))
    found = decode(protocol.message(options, protocol.templates(template(300, *FLOW)), *sets))
    assert found.column("sampling_rate") == [20, None, None]
    assert assumed(found) == 2


def test_decision_sampling_when_v5_tells_none_then_assumed() -> None:
    assert assumed(decode(v5(v5_record(), v5_record()), v5(v5_record(), sampling=10))) == 2
