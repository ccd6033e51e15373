"""Exporters' habits with time; numbers of exporter-quirks.md."""

from __future__ import annotations

import struct

import pytest

from appliance.decoding.columns.flow_times import NTP_TO_UNIX_SECONDS
from appliance.decoding.results import DecodeOptions
from tests.decoding.building import (
    BASIC,
    EXPORT_MS,
    EXPORT_SECONDS,
    IPFIX,
    RECEIVED_MS,
    UPTIME_MS,
    V9,
    Decoded,
    Exporter,
    a_set,
    basic,
    datagram,
    decode,
    ipfix,
    number,
    template,
    v4,
    v5,
    v5_record,
    v9,
)
from tests.decoding.protocols import Field, both, one_option, one_record

DAY_MS = 86_400_000
WRAP = 1 << 32


def times(found: Decoded) -> tuple[int, int]:
    row = found.row
    return row["flow_start_milliseconds"], row["flow_end_milliseconds"]


def with_times(protocol: Exporter, *fields: Field, **header: int) -> Decoded:
    """Decode one record of these elements."""
    return decode(protocol.message(one_record(protocol, *fields, (1, number(9, 4))), **header))


@both
@pytest.mark.parametrize("event", [(230, 4), (233, 2)], ids=["NAT", "firewall"])
def test_quirk_15_event_when_it_has_no_time_then_it_was_when_exported(
    protocol: Exporter, event: tuple[int, int]
) -> None:
    element, value = event
    fields = ((8, v4("10.0.0.1")), (225, v4("192.0.2.77")), (element, number(value, 1)))
    found = decode(protocol.message(one_record(protocol, *fields)))
    assert times(found) == (EXPORT_MS, EXPORT_MS)


@both
def test_quirk_15_nat_event_when_it_tells_its_own_time_then_that(protocol: Exporter) -> None:
    found = with_times(protocol, (230, b"\x04"), (323, number(EXPORT_MS - 777, 8)))
    assert times(found) == (EXPORT_MS - 777, EXPORT_MS - 777)


@both
@pytest.mark.parametrize("octets", [4, 8])
def test_quirk_28_uptimes_when_of_eight_octets_then_their_size_tells_what_they_are(
    protocol: Exporter, octets: int
) -> None:
    init = ((160, number(EXPORT_MS - UPTIME_MS, 8)),) if protocol is IPFIX else ()
    start, end = UPTIME_MS - 5000, UPTIME_MS - 1000
    found = with_times(protocol, *init, (22, number(start, octets)), (21, number(end, octets)))
    assert times(found) == (EXPORT_MS - 5000, EXPORT_MS - 1000)


def test_quirk_28_uptimes_when_times_of_day_in_some_records_then_in_those_only() -> None:
    # NX-OS sends milliseconds since 1970 in elements 21 and 22.
    templates = template(300, (22, 8), (21, 8), (1, 4))
    day = number(EXPORT_MS - 5000, 8) + number(EXPORT_MS - 1000, 8) + number(1, 4)
    uptime = number(UPTIME_MS - 4000, 8) + number(UPTIME_MS - 2000, 8) + number(1, 4)
    found = decode(v9(a_set(0, templates), a_set(300, day + uptime)))
    assert found.column("flow_start_milliseconds") == [EXPORT_MS - 5000, EXPORT_MS - 4000]
    assert found.column("flow_end_milliseconds") == [EXPORT_MS - 1000, EXPORT_MS - 2000]


@pytest.mark.parametrize(
    ("uptime", "first", "last", "expected"),
    [
        (10_000, 8000, 9000, (-2000, -1000)),
        (10_000, WRAP - 5000, 9000, (-15_000, -1000)),  # began before the wrap
        (5, WRAP - 20, WRAP - 10, (-25, -15)),
        (10_000, 10_000, 12_000, (0, 2000)),  # ended after the export
        (10_000, 9000, 8000, (-2000, -1000)),  # swapped
        (10_000, 0, 0, (-10_000, -10_000)),
        (20 * DAY_MS, 0, 0, (0, 0)),  # not told
    ],
)
@pytest.mark.parametrize("version", [5, 9])
def test_quirk_29_uptimes_when_wrapped_swapped_or_zero_then_near_the_export(
    version: int, uptime: int, first: int, last: int, expected: tuple[int, int]
) -> None:
    if version == 5:
        found = decode(v5(v5_record(first=first, last=last), uptime=uptime))
    else:
        found = with_times(V9, (22, number(first, 4)), (21, number(last, 4)), uptime=uptime)
    assert times(found) == (EXPORT_MS + expected[0], EXPORT_MS + expected[1])


def test_quirk_29_v5_export_time_when_it_has_nanoseconds_then_they_count() -> None:
    found = decode(v5(v5_record(first=UPTIME_MS, last=UPTIME_MS), nanoseconds=987_654_321))
    assert times(found) == (EXPORT_MS + 987, EXPORT_MS + 987)


BOOT_MS = EXPORT_MS - 7_200_000
UPTIMES = ((22, 4), (21, 4), (1, 4))
UPTIMES_RECORD = number(7_000_000, 4) + number(7_100_000, 4) + number(1, 4)


def boot_option(domain: int = 0) -> bytes:
    return one_option(IPFIX, (160, number(BOOT_MS, 8)), scope=(149, number(domain, 4)))


def test_quirk_30_ipfix_uptimes_when_the_record_tells_the_boot_time_then_from_there() -> None:
    found = with_times(
        IPFIX,
        (160, number(BOOT_MS, 8)),
        (22, number(7_000_000, 4)),
        (21, number(7_100_000, 4)),
    )
    assert times(found) == (BOOT_MS + 7_000_000, BOOT_MS + 7_100_000)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_quirk_30_ipfix_uptimes_when_options_tell_the_boot_time_then_from_there(
    one_by_one: bool,
) -> None:
    data = a_set(2, template(300, *UPTIMES)) + a_set(300, UPTIMES_RECORD)
    found = decode(
        datagram(ipfix(data), "192.0.2.99"),  # told nothing: the flow ended when it was exported
        datagram(ipfix(data)),
        datagram(ipfix(boot_option(), sequence=1)),
        datagram(ipfix(data, sequence=2)),
        datagram(ipfix(data, domain=5)),
        one_by_one=one_by_one,
    )
    starts = [
        (row["exporter_address"], row.get("observation_domain_id"), row["flow_start_milliseconds"])
        for row in found.rows
    ]
    told = BOOT_MS + 7_000_000
    assert set(starts) == {
        ("192.0.2.10", 5, told),
        ("192.0.2.10", None, EXPORT_MS - 100_000),
        ("192.0.2.10", None, told),
        ("192.0.2.99", None, EXPORT_MS - 100_000),
    }


@pytest.mark.parametrize("told_by", ["record", "options"])
@pytest.mark.parametrize("days", [60, 170])
def test_quirk_30_ipfix_uptimes_when_up_for_months_then_they_wrap(told_by: str, days: int) -> None:
    # MikroTik and others: 32 bits of milliseconds wrap after 49.7 days.
    up = days * DAY_MS
    boot = number(EXPORT_MS - up, 8)
    record = ((160, boot),) if told_by == "record" else ()
    option = b"" if told_by == "record" else one_option(IPFIX, (160, boot), scope=(149, bytes(4)))
    uptimes = ((22, number((up - 20_000) % WRAP, 4)), (21, number((up - 5000) % WRAP, 4)))
    found = decode(ipfix(option + one_record(IPFIX, *record, *uptimes, (1, number(9, 4)))))
    assert times(found) == (EXPORT_MS - 20_000, EXPORT_MS - 5000)


def test_quirk_30_ipfix_uptimes_when_no_boot_time_is_told_then_durations_are_kept() -> None:
    def record(start: int, end: int) -> bytes:
        return number(start % WRAP, 4) + number(end % WRAP, 4) + number(1, 4)

    records = record(-5500, 54_500) + record(59_500, 60_000)  # over the wrap
    found = decode(ipfix(a_set(2, template(300, *UPTIMES)) + a_set(300, records)))
    assert found.column("flow_start_milliseconds") == [EXPORT_MS - 65_500, EXPORT_MS - 500]
    assert found.column("flow_end_milliseconds") == [EXPORT_MS - 5500, EXPORT_MS]


def test_quirk_30_ipfix_uptimes_when_exported_before_the_boot_then_from_the_boot() -> None:
    found = with_times(
        IPFIX, (160, number(EXPORT_MS + DAY_MS, 8)), (22, number(5, 4)), (21, number(9, 4))
    )
    assert times(found) == (EXPORT_MS, EXPORT_MS)


@pytest.mark.parametrize("version", [5, 9])
def test_quirk_29_uptimes_when_the_header_has_none_then_the_flow_ended_when_exported(
    version: int,
) -> None:
    first, last = 21 * DAY_MS, 21 * DAY_MS + 1000
    if version == 5:
        found = decode(v5(v5_record(first=first, last=last), uptime=0))
    else:
        found = with_times(V9, (22, number(first, 4)), (21, number(last, 4)), uptime=0)
    assert times(found) == (EXPORT_MS, EXPORT_MS)


def ntp(milliseconds: int) -> bytes:
    seconds, rest = divmod(milliseconds, 1000)
    return struct.pack(">II", seconds + NTP_TO_UNIX_SECONDS, -(-(rest << 32) // 1000))


AT = EXPORT_MS - 4321


@both
@pytest.mark.parametrize(
    ("element", "octets", "expected"),
    [
        (150, number(AT // 1000, 4), AT // 1000 * 1000),
        (150, number(AT, 8), AT),  # milliseconds, where seconds should be
        (152, number(AT, 8), AT),
        (154, ntp(AT), AT),
        (156, ntp(AT), AT),
        (154, number(AT * 1000 + 999, 8), AT),  # plain microseconds since 1970
        (156, number(AT * 1_000_000 + 999_999, 8), AT),
        (158, number(4_321_000, 4), AT),
        (158, number(4_320_001, 4), AT),  # rounded down
        (322, number(AT // 1000, 4), AT // 1000 * 1000),
        (323, number(AT, 8), AT),
        (324, ntp(AT), AT),
        (325, ntp(AT), AT),
    ],
)
def test_quirk_31_time_when_in_any_form_then_milliseconds(
    protocol: Exporter, element: int, octets: bytes, expected: int
) -> None:
    assert times(with_times(protocol, (element, octets))) == (expected, expected)


@both
@pytest.mark.parametrize(
    ("start", "end"), [(150, 151), (152, 153), (154, 155), (156, 157), (158, 159)]
)
def test_quirk_31_time_when_start_and_end_in_one_form_then_both(
    protocol: Exporter, start: int, end: int
) -> None:
    def octets(element: int, at: int) -> bytes:
        if element in (150, 151):
            return number(at // 1000, 4)
        if element in (158, 159):
            return number((EXPORT_MS - at) * 1000, 4)
        return number(at, 8) if element in (152, 153) else ntp(at)

    first, last = EXPORT_MS - 60_000, EXPORT_MS - 30_000
    found = with_times(protocol, (start, octets(start, first)), (end, octets(end, last)))
    assert times(found) == (first, last)


@both
@pytest.mark.parametrize(("element", "duration"), [(161, 2500), (162, 2_500_999)])
def test_quirk_31_time_when_one_end_and_a_duration_then_the_other_end(
    protocol: Exporter, element: int, duration: int
) -> None:
    length = (element, number(duration, 4))
    assert times(with_times(protocol, (152, number(AT, 8)), length)) == (AT, AT + 2500)
    assert times(with_times(protocol, (153, number(AT, 8)), length)) == (AT - 2500, AT)
    assert times(with_times(protocol, length)) == (EXPORT_MS - 2500, EXPORT_MS)


@both
@pytest.mark.parametrize("year", [-17_356_000_000_000, 1000, EXPORT_MS + 400 * DAY_MS])
def test_quirk_32_clock_when_far_off_then_kept_as_exported_and_counted(
    protocol: Exporter, year: int
) -> None:
    started = number(year % (1 << 64), 8)
    found = with_times(protocol, (152, started), (153, started))
    assert times(found) == (year, year)
    assert found.row["collection_time_milliseconds"] == RECEIVED_MS
    assert found.counts["records_with_skewed_time"] == 1
    assert found.exporter().counts["skewed_times"] == 1


def test_quirk_32_clock_when_right_then_nothing_is_counted_and_the_skew_is_known() -> None:
    found = decode(v9(seconds=EXPORT_SECONDS + 5), v5(v5_record()))
    assert not found.counts["records_with_skewed_time"]
    assert found.exporter().skew_ms == 5000 - 250


def test_decision_times_when_far_from_receipt_then_they_never_decide_the_bin() -> None:
    found = decode(
        v9(a_set(0, template(300, *BASIC)), a_set(300, basic()), seconds=EXPORT_SECONDS - 999_999)
    )
    assert found.row["flow_end_milliseconds"] == EXPORT_MS - 999_999_000
    assert found.row["collection_time_milliseconds"] == RECEIVED_MS
    assert found.counts["records_with_skewed_time"] == 1


@pytest.mark.parametrize(
    ("uptime", "first", "last", "ages"),
    [(1000, 900, 950, (100, 50)), (10, WRAP - 20, 5, (30, 5)), (1000, 1005, 1010, (-5, -10))],
    ids=["before", "wrapped", "ahead"],
)
def test_uptimes_of_v5_when_they_count_seconds_then_so_read(uptime, first, last, ages) -> None:
    sent = v5(v5_record(first=first, last=last), uptime=uptime)
    found = decode(sent, options=DecodeOptions(v5_uptime_unit_ms=1000))
    assert times(found) == tuple(EXPORT_MS - age * 1000 for age in ages)
