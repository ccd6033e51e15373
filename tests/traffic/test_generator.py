"""Invented exporters: what they send is well-formed, adds up to their sums, and looks real."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.traffic.generator import (
    PROTOCOLS,
    ExporterProfile,
    GeneratedBlock,
    Generator,
    Sums,
    demo_exporters,
    invent_exporters,
)
from appliance.traffic.generator.profiles import SERVICES
from appliance.traffic.generator.traffic import rhythm

NOW_MS = 1_700_000_000_750


@dataclass
class Decoded:
    """What a small decoder of the test's own reads, record by record."""

    flows: list[dict[int | str, int | bytes]] = field(default_factory=list)
    options: list[dict[int | str, int | bytes]] = field(default_factory=list)
    sequences: list[tuple[int, int]] = field(default_factory=list)
    uptimes: set[tuple[int, int]] = field(default_factory=set)

    def total(self, element: int) -> int:
        return sum(int(flow[element]) for flow in self.flows)


V5_FIELDS = [(8, 4), (12, 4), (15, 4), (10, 2), (14, 2), (2, 4), (1, 4), (22, 4), (21, 4), (7, 2)]
V5_FIELDS += [(11, 2), (0, 1), (6, 1), (4, 1), (5, 1), (16, 2), (17, 2), (9, 1), (13, 1), (0, 2)]


def record(octets: bytes, fields: list[tuple[int, int]]) -> dict[int | str, int | bytes]:
    found: dict[int | str, int | bytes] = {}
    for element, length in fields:
        value, octets = octets[:length], octets[length:]
        found[element] = value if length > 8 else int.from_bytes(value)
    return found


def decode(blocks: list[GeneratedBlock]) -> Decoded:
    decoded, templates = Decoded(), {}
    for block in blocks:
        for row, length in zip(block.octets, block.lengths, strict=True):
            datagram = row[:length].tobytes()
            assert len(datagram) <= 1472
            if datagram[1] == 5:
                decode_v5(datagram, decoded)
            else:
                decode_sets(datagram, templates, decoded)
    return decoded


def decode_v5(datagram: bytes, decoded: Decoded) -> None:
    count, uptime, seconds, nanoseconds, sequence = struct.unpack_from(">HIIII", datagram, 2)
    assert nanoseconds == 0
    assert len(datagram) == 24 + 48 * count
    decoded.sequences.append((sequence, count))
    decoded.uptimes.add((uptime, seconds))
    for at in range(24, len(datagram), 48):
        decoded.flows.append(record(datagram[at : at + 48], V5_FIELDS))


def decode_sets(datagram: bytes, templates: dict, decoded: Decoded) -> None:
    v9 = datagram[1] == 9
    at = 20 if v9 else 16
    count, sequence = (
        struct.unpack_from(">H", datagram, 2)[0],
        struct.unpack_from(">I", datagram, 12 if v9 else 8)[0],
    )
    if v9:
        decoded.uptimes.add(struct.unpack_from(">II", datagram, 4))
    before = len(decoded.flows) + len(decoded.options)
    n_templates = 0
    while at < len(datagram):
        set_id, length = struct.unpack_from(">HH", datagram, at)
        assert length % 4 == 0
        body, at = datagram[at + 4 : at + length], at + length
        if set_id < 256:
            found = list(read_templates(set_id, body))
            templates.update(found)
            n_templates += len(found)
        else:
            fields, options = templates[set_id]
            size = sum(n for _, n in fields)
            into = decoded.options if options else decoded.flows
            while len(body) >= size:
                into.append(record(body[:size], fields))
                body = body[size:]
            assert len(body) < 4
            assert not any(body)
    assert at == len(datagram)
    records = len(decoded.flows) + len(decoded.options) - before
    assert count == (records + n_templates if v9 else len(datagram))
    decoded.sequences.append((sequence, 1 if v9 else records))


def read_templates(set_id: int, body: bytes) -> Iterator[tuple[int, tuple[list, bool]]]:
    while len(body) >= 6:
        template_id, one, two = struct.unpack_from(">HHH", body)
        options = set_id in (1, 3)
        assert set_id != 1 or (one, two % 4) == (4, 0)
        n = {0: one, 2: one, 1: (one + two) // 4, 3: one}[set_id]
        at = 6 if options else 4
        fields = [struct.unpack_from(">HH", body, at + 4 * i) for i in range(n)]
        yield template_id, (fields, options)
        body = body[at + 4 * n :]


def total(blocks: list[GeneratedBlock]) -> Sums:
    sums = Sums()
    for block in blocks:
        sums.add(block.sums)
    return sums


def one(protocol: str, **options: object) -> Generator:
    return Generator([ExporterProfile("one", protocol, **options)], start_ms=NOW_MS)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_datagrams_when_decoded_then_they_add_up_to_the_sums(protocol: str) -> None:
    generator = one(protocol, nbar=True, sampling=100, ipv6_share=0 if protocol == "v5" else 0.3)
    blocks = [*generator.datagrams(1234, NOW_MS), *generator.datagrams(1, NOW_MS + 500)]
    decoded, sums = decode(blocks), total(blocks)
    assert sums.flows == len(decoded.flows) == 1235
    assert sums.octets == decoded.total(1)
    assert sums.packets == decoded.total(2)
    assert sums.scaled_octets == sums.octets * 100
    assert sums.scaled_packets == sums.packets * 100
    assert sums.option_records == len(decoded.options)
    assert sums.datagrams == sum(len(block.lengths) for block in blocks)
    assert sums.datagram_octets == sum(int(block.lengths.sum()) for block in blocks)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sequence_when_many_datagrams_are_sent_then_each_follows_the_one_before(
    protocol: str,
) -> None:
    generator = one(protocol, nbar=True)
    blocks = [b for i in range(5) for b in generator.datagrams(100 + i, NOW_MS + i * 40_000)]
    sequences = decode(blocks).sequences
    assert sequences[0][0] == 0
    assert all(before + n == after for (before, n), (after, _) in pairwise(sequences))


@pytest.mark.parametrize("protocol", ["v5", "v9"])
def test_times_when_relative_to_uptime_then_flows_ended_before_their_export(protocol: str) -> None:
    blocks = list(one(protocol).datagrams(2000, NOW_MS))
    decoded = decode(blocks)
    [(uptime, seconds)] = decoded.uptimes
    assert seconds == NOW_MS // 1000
    assert uptime == 86_400_000
    for flow in decoded.flows:
        start, end = int(flow[22]), int(flow[21])
        assert uptime - 15_000 <= end <= uptime
        assert end - 60_000 <= start <= end
    assert any(flow[22] != flow[21] for flow in decoded.flows)


def test_times_when_ipfix_then_flows_ended_before_their_export() -> None:
    for flow in decode(list(one("ipfix").datagrams(2000, NOW_MS))).flows:
        start, end = int(flow[152]), int(flow[153])
        assert NOW_MS // 1000 * 1000 - 15_000 <= end <= NOW_MS
        assert end - 60_000 <= start <= end


@pytest.mark.parametrize("protocol", ["v9", "ipfix"])
def test_options_when_the_profile_has_them_then_names_and_sampling_are_told(protocol: str) -> None:
    blocks = list(one(protocol, nbar=True, sampling=50).datagrams(300, NOW_MS))
    decoded = decode(blocks)
    names = {o[95]: bytes(o[96]).rstrip(b"\0") for o in decoded.options if 95 in o}
    assert names == {s.application_id: s.name.encode() for s in SERVICES}
    assert {flow[95] for flow in decoded.flows} <= set(names)
    interfaces = {o[10]: bytes(o[82]).rstrip(b"\0") for o in decoded.options if 82 in o}
    assert interfaces[1] == b"GigabitEthernet0/0/0"
    assert {flow[10] for flow in decoded.flows} | {flow[14] for flow in decoded.flows} <= set(
        interfaces
    )
    sampler, identifier = (48, 48) if protocol == "v9" else (302, 302)
    [sampling] = [o for o in decoded.options if sampler in o]
    assert {flow[identifier] for flow in decoded.flows} == {sampling[sampler]}
    if protocol == "v9":
        assert sampling[50] == 50
    else:
        assert (int(sampling[305]) + int(sampling[306])) / int(sampling[305]) == 50


def test_sampling_when_v5_then_the_header_tells_it() -> None:
    [block] = one("v5", sampling=100).datagrams(10, NOW_MS)
    assert struct.unpack_from(">H", block.octets[0].tobytes(), 22) == (1 << 14 | 100,)
    [block] = one("v5").datagrams(10, NOW_MS)
    assert struct.unpack_from(">H", block.octets[0].tobytes(), 22) == (0,)


@pytest.mark.parametrize("protocol", ["v9", "ipfix"])
def test_templates_when_a_minute_has_passed_then_told_again(protocol: str) -> None:
    generator = one(protocol)
    told = [
        any(block.sums.option_records for block in generator.datagrams(10, NOW_MS + seconds * 1000))
        for seconds in (0, 30, 59, 60, 61, 119, 120)
    ]
    assert told == [True, False, False, True, False, False, True]


@pytest.mark.parametrize(("protocol", "per_datagram"), [("v5", 30), ("v9", 25), ("ipfix", 25)])
def test_layout_when_ipv4_then_full_datagrams_of_twenty_fields(
    protocol: str, per_datagram: int
) -> None:
    block = list(one(protocol).datagrams(per_datagram * 40, NOW_MS))[-1]
    assert len(block.lengths) == 40
    assert len(set(block.lengths.tolist())) == 1
    if protocol != "v5":
        blocks = list(one(protocol).datagrams(1, NOW_MS))
        assert len(decode(blocks).flows[0]) == 20


def five_tuples(decoded: Decoded) -> list[tuple[object, ...]]:
    return [
        tuple(flow.get(element, flow.get(other)) for element, other in
              ((8, 27), (12, 28), (7, 7), (11, 11), (4, 4)))
        for flow in decoded.flows
    ]  # fmt: skip


def near_ends(blocks: list[GeneratedBlock]) -> list[tuple[object, object]]:
    """Return address and port of each flow's near end, which are the invented part."""
    ends: list[tuple[object, object]] = []
    announced = [block for block in blocks if not block.sums.flows]
    for block in blocks:
        for flow in decode([*announced, block]).flows:
            if 27 in flow:
                source, destination = bytes(flow[27]), bytes(flow[28])
                is_near = source.startswith(b"\x20\x01\x0d\xb8")
            else:
                source, destination = flow[8], flow[12]
                is_near = int(source) >> 24 == 10
            ends.append((source, flow[7]) if is_near else (destination, flow[11]))
    return ends


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_unique_when_asked_for_then_no_two_flows_share_a_five_tuple(protocol: str) -> None:
    profiles = [
        ExporterProfile(str(i), protocol, unique=True, ipv6_share=0 if protocol == "v5" else 0.3)
        for i in range(2)
    ]
    generator = Generator(profiles, start_ms=NOW_MS)
    blocks = [block for _ in range(4) for block in generator.datagrams(1500, NOW_MS)]
    near = near_ends(blocks)
    assert len(set(near)) == len(near) == 6_000
    every = [
        t for i in range(2) for t in five_tuples(decode([b for b in blocks if b.exporter == i]))
    ]
    assert len(set(every)) == len(every) == 6_000
    assert {protocol for *_, protocol in every} == {6, 17}


def test_traffic_when_usual_then_a_few_hosts_and_services_make_most_of_it() -> None:
    flows = decode(list(one("v9", clients=2000).datagrams(20_000, NOW_MS))).flows
    hosts = Counter(flow[8] if int(flow[8]) >> 24 == 10 else flow[12] for flow in flows)
    busiest = sum(n for _, n in hosts.most_common(20))
    assert 0.3 < busiest / len(flows) < 0.7
    assert len(hosts) > 1000
    ports = Counter(min(int(flow[7]), int(flow[11])) for flow in flows if flow[4] != 1)
    assert [port for port, _ in ports.most_common(2)] == [443, 53]
    assert {flow[4] for flow in flows} == {6, 17, 1}
    assert {flow[6] for flow in flows if flow[4] != 6} == {0}
    assert {flow[6] for flow in flows if flow[4] == 6} == {0x1B, 0x18, 0x02, 0x14}
    assert {(flow[7], flow[11]) for flow in flows if flow[4] == 1} == {(0, 0), (0, 0x800)}
    means = [int(flow[1]) / int(flow[2]) for flow in flows]
    assert min(means) >= 40
    assert max(means) <= 1500
    assert {flow[61] for flow in flows} == {0, 1}
    for flow in flows:
        assert (int(flow[8]) >> 24 == 10) == (flow[61] == 1) == (flow[14] == 1) == (flow[10] != 1)
        assert flow[6] != 0x02 or flow[2] == 1
        assert flow[2] != 1 or flow[21] == flow[22]


@pytest.mark.parametrize("protocol", ["v9", "ipfix"])
def test_ipv6_when_a_share_is_asked_for_then_it_is_kept_over_small_blocks(protocol: str) -> None:
    generator = one(protocol, ipv6_share=0.25)
    flows = decode([b for _ in range(50) for b in generator.datagrams(10, NOW_MS)]).flows
    assert sum(27 in flow for flow in flows) == 125
    assert {len(flow) for flow in flows} == {20}
    assert {bytes(f[27])[:2] for f in flows if 27 in f} == {b"\x20\x01", b"\x2a\x00"}


def test_generator_when_seed_and_times_are_equal_then_octets_are_equal() -> None:
    def octets(seed: int) -> list[bytes]:
        generator = Generator(demo_exporters(), seed=seed, start_ms=NOW_MS)
        return [block.octets.tobytes() for block in generator.datagrams(500, NOW_MS)]

    assert octets(1) == octets(1) != octets(2)


@settings(max_examples=40, deadline=None)
@given(calls=st.lists(st.integers(0, 50), max_size=30), n=st.integers(1, 9))
def test_share_out_when_called_often_then_exact_and_by_weight(calls: list[int], n: int) -> None:
    profiles = invent_exporters(["v5"], n)
    generator = Generator(profiles, start_ms=NOW_MS)
    given_out = np.zeros(n)
    for flows in calls:
        blocks = list(generator.datagrams(flows, NOW_MS))
        assert sum(block.sums.flows for block in blocks) == flows
        for block in blocks:
            given_out[block.exporter] += block.sums.flows
    weights = np.array([profile.weight for profile in profiles])
    assert np.abs(given_out - weights / weights.sum() * sum(calls)).max() < n + 1


def test_share_out_when_flows_come_singly_then_every_exporter_gets_its_part() -> None:
    generator = Generator(invent_exporters(["v5"], 4), start_ms=NOW_MS)
    blocks = [block for _ in range(200) for block in generator.datagrams(1, NOW_MS)]
    flows = Counter(block.exporter for block in blocks)
    assert flows == {0: 72, 1: 51, 2: 41, 3: 36}


def test_datagrams_when_more_than_a_block_is_asked_for_then_in_several() -> None:
    blocks = list(one("v5").datagrams(100_000, NOW_MS))
    assert max(block.sums.flows for block in blocks) <= 16_384
    assert total(blocks).flows == 100_000


def test_rhythm_when_day_and_night_then_busy_and_quiet() -> None:
    assert rhythm(14) == 1.0
    assert rhythm(4) < 0.1
    assert rhythm(23.5) == pytest.approx((rhythm(23) + rhythm(0)) / 2)
    assert rhythm(24) == rhythm(0)


def test_demo_exporters_when_listed_then_each_protocol_and_habit_is_there() -> None:
    profiles = demo_exporters()
    assert [profile.protocol for profile in profiles] == ["v5", "v9", "ipfix"]
    assert profiles[1].nbar
    assert profiles[2].ipv6_share > 0
    assert profiles[2].sampling > 1
