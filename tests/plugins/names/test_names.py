"""AS and countries of addresses: what databases say, looked up for whole batches."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from appliance.flows import V4_MAPPED, FlowBatch, constant
from appliance.plugins.names.databases import (
    DatabaseError,
    cache_file,
    country_number,
    open_database,
    owner_of,
    read_database,
)
from appliance.plugins.names.enriching import AddressEnricher
from appliance.plugins.names.known_ranges import AS, COUNTRY, known_by_database
from appliance.plugins.names.lookup import AddressIndex
from appliance.plugins.names.ranges import AddressRange, AddressRanges, flatten, merge_ranges
from appliance.plugins.names.table import AddressTable, DatabaseFollower

AS_RECORDS = {
    "192.0.2.0/24": {
        "autonomous_system_number": 3356,
        "autonomous_system_organization": "Level 3",
    },
    "192.0.2.128/25": {"autonomous_system_number": 13335, "autonomous_system_organization": "CF"},
    "2001:db8::/32": {"autonomous_system_number": 6939, "autonomous_system_organization": "HE"},
}
COUNTRY_RECORDS = {
    "192.0.2.0/24": {"country": {"iso_code": "DE"}, "registered_country": {"iso_code": "US"}},
    "198.51.100.0/24": {"registered_country": {"iso_code": "US"}},
    "2001:db8::/32": {"country": {"iso_code": "AT"}},
}
IPINFO_RECORDS = {
    "192.0.2.0/24": {"country": "Germany", "country_code": "DE", "asn": "AS3356", "as_name": "L3"}
}


def write(path: Path, records: dict[str, Any]) -> Path:
    writer = MMDBWriter(6, "Test", ipv4_compatible=True)
    for network in sorted(records, key=lambda text: ip_network(text).prefixlen):
        writer.insert_network(IPSet([network]), records[network])
    beside = path.with_suffix(".new")
    writer.to_db_file(str(beside))
    beside.replace(path)
    return path


def number(text: str) -> int:
    address = ip_address(text)
    return int(address) | (V4_MAPPED if address.version == 4 else 0)


def halves(*texts: str) -> tuple[Any, Any]:
    numbers = [number(text) for text in texts]
    hi = np.array([n >> 64 for n in numbers], "u8")
    return hi, np.array([n & (2**64 - 1) for n in numbers], "u8")


def values_of(ranges: AddressRanges, values: Any, *texts: str) -> list[int]:
    return np.asarray(values)[AddressIndex(ranges).numbers(*halves(*texts))].tolist()


def batch(sources: list[str], destinations: list[str], **more: Any) -> FlowBatch:
    columns = {}
    for side, texts in (("source", sources), ("destination", destinations)):
        columns[f"{side}_address_hi"], columns[f"{side}_address_lo"] = halves(*texts)
    return FlowBatch(len(sources), columns | more)


@pytest.fixture
def enricher(tmp_path: Path) -> AddressEnricher:
    """With a database of AS and one of countries, both read."""
    files = (
        write(tmp_path / "as.mmdb", AS_RECORDS),
        write(tmp_path / "country.mmdb", COUNTRY_RECORDS),
    )
    follower = DatabaseFollower(files, tmp_path / "names")
    follower.look()
    return AddressEnricher(follower)


def test_enricher_when_flows_come_then_as_and_country_of_both_sides(
    enricher: AddressEnricher,
) -> None:
    made = enricher(
        batch(
            ["192.0.2.1", "192.0.2.200", "198.51.100.1", "2001:db8::1", "::"],
            ["203.0.113.1", "192.0.2.127", "192.0.2.128", "2001:db9::", "0.0.0.0"],
        )
    )
    assert made is not None
    assert made.columns["bgp_source_as_number"].tolist() == [3356, 13335, 0, 6939, 0]
    assert made.columns["bgp_destination_as_number"].tolist() == [0, 3356, 13335, 0, 0]
    codes = {country_number(code): code for code in ("DE", "AT")} | {0: ""}
    sources = [codes[n] for n in made.columns["source_country"].tolist()]
    assert sources == ["DE", "DE", "", "AT", ""]
    assert made.columns["source_country"].dtype == np.dtype("u2")


def test_as_when_the_exporter_says_one_then_it_wins_unless_private(
    enricher: AddressEnricher,
) -> None:
    said = [0, 64_512, 65_534, 65_535, 4_200_000_000, 23_456, 64_511, 65_536, 1]
    sources = ["192.0.2.1"] * len(said)
    made = enricher(batch(sources, sources, bgp_source_as_number=np.array(said, "u4")))
    assert made is not None
    assert made.columns["bgp_source_as_number"].tolist() == [3356] * 6 + [64_511, 65_536, 1]
    unknown = ["203.0.113.1"] * len(said)
    made = enricher(batch(unknown, sources, bgp_source_as_number=np.array(said, "u4")))
    assert made is not None
    assert made.columns["bgp_source_as_number"].tolist() == said


def test_enricher_when_a_batch_has_options_or_no_addresses_then_left_alone(
    enricher: AddressEnricher,
) -> None:
    options = batch(["192.0.2.1"], ["192.0.2.1"])
    assert enricher(FlowBatch(1, options.columns, options=True)) is None
    assert enricher(FlowBatch(1, {"octet_delta_count": np.ones(1, "u8")})) is None
    assert enricher(FlowBatch(0, {})) is None


def test_enricher_when_halves_are_constant_then_the_same(enricher: AddressEnricher) -> None:
    made = batch(["192.0.2.1"] * 3, ["192.0.2.1", "198.51.100.1", "203.0.113.1"])
    made.columns["source_address_hi"] = constant(np.zeros(1, "u8"), 3)
    made.columns["source_address_lo"] = constant(made.columns["source_address_lo"], 3)
    found = enricher(made)
    assert found is not None
    assert found.columns["bgp_source_as_number"].tolist() == [3356] * 3


def test_layout_when_of_ipinfo_then_read_too(tmp_path: Path) -> None:
    database = read_database(write(tmp_path / "a.mmdb", IPINFO_RECORDS))
    assert values_of(database.ranges, database.as_numbers, "192.0.2.9") == [3356]
    assert values_of(database.ranges, database.countries, "192.0.2.9") == [country_number("DE")]
    assert database.as_names == {3356: "L3"}


@pytest.mark.parametrize(
    "record",
    [
        *(None, 5, "DE", [], {}, {"asn": "ASX"}, {"asn": 2**32}, {"country": {"iso_code": 5}}),
        *({"country_code": "de"}, {"country": "Germany"}, {"country": {"names": {}}}, {"asn": -1}),
    ],
)
def test_record_when_odd_then_says_nothing(record: Any) -> None:
    assert owner_of(record) == (0, "", 0)


NETWORKS = st.one_of(
    st.ip_addresses(v=4).flatmap(
        lambda a: st.integers(0, 32).map(lambda n: ip_network(f"{a}/{n}", strict=False))
    ),
    st.ip_addresses(v=6).flatmap(
        lambda a: st.integers(0, 128).map(lambda n: ip_network(f"{a}/{n}", strict=False))
    ),
)


def neighbour(address: Any, distance: int) -> Any:
    last = 2**address.max_prefixlen - 1
    return type(address)(min(max(int(address) + distance, 0), last))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(NETWORKS, unique=True, max_size=12), st.lists(st.ip_addresses(), max_size=12))
def test_ranges_when_nested_in_any_way_then_the_longest_prefix_counts(
    networks: list[Any], others: list[Any]
) -> None:
    ranges = [
        AddressRange(number(str(n[0])), number(str(n[-1])), place)
        for place, n in enumerate(networks, 1)
    ]
    asked = [edge for n in networks for edge in (n[0], n[-1])] + others
    near = [
        type(a)(min(max(int(a) + d, 0), 2**a.max_prefixlen - 1)) for a in asked for d in (-1, 1)
    ]
    asked = [*asked, *near]
    expected = []
    for address in asked:
        value = number(str(address))
        holding = [r for r in ranges if r.first <= value <= r.last]
        expected.append(min(holding, key=lambda r: r.last - r.first).number if holding else 0)
    if asked:
        flat = flatten(ranges)
        assert values_of(flat, range(len(ranges) + 1), *map(str, asked)) == expected
        half = flatten(ranges[::2])
        merged, (whole, own) = merge_ranges([flat, half])
        texts = [str(address) for address in asked]
        assert values_of(merged, whole, *texts) == expected
        assert values_of(merged, own, *texts) == values_of(half, range(len(ranges) + 1), *texts)
        assert flat.v4_starts[0] == 0
        assert np.all(np.diff(flat.v4_starts.astype("i8")) > 0)


def test_database_when_kept_then_not_read_again_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, folder = write(tmp_path / "a.mmdb", AS_RECORDS), tmp_path / "names"
    first = open_database(file, folder)
    reads: list[Path] = []

    def counted(path: Path) -> Any:
        reads.append(path)
        return read_database(path)

    monkeypatch.setattr("appliance.plugins.names.databases.read_database", counted)
    second = open_database(file, folder)
    assert not reads
    assert second.as_names == first.as_names
    asked = ("192.0.2.1", "192.0.2.129", "2001:db8::5", "203.0.113.1")
    assert values_of(second.ranges, second.as_numbers, *asked) == [3356, 13335, 6939, 0]
    write(file, IPINFO_RECORDS)
    assert open_database(file, folder).as_names == {3356: "L3"}
    assert reads == [file]


@given(st.data())
def test_kept_file_when_damaged_then_the_database_is_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("names")
    file = write(folder / "a.mmdb", AS_RECORDS)
    names = open_database(file, folder).as_names
    kept = cache_file(file, folder)
    octets = bytearray(kept.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    kept.write_bytes(octets[: data.draw(st.integers(0, len(octets)))])
    database = open_database(file, folder)
    assert database.as_names == names
    assert values_of(database.ranges, database.as_numbers, "192.0.2.1") == [3356]


@given(octets=st.binary(max_size=400), cut=st.integers(0, 3000))
def test_database_when_of_any_octets_then_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, octets: bytes, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("names")
    whole = write(folder / "whole.mmdb", AS_RECORDS).read_bytes()
    for content in (octets, whole[:cut] + octets + whole[cut + len(octets) :]):
        file = folder / "a.mmdb"
        file.write_bytes(content)
        assert reads_or_says_why(file)


def reads_or_says_why(file: Path) -> bool:
    try:
        return isinstance(read_database(file).ranges, AddressRanges)
    except DatabaseError as error:
        return str(error).startswith(f"{file}: ")


def test_follower_when_the_file_comes_later_or_changes_then_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    file = tmp_path / "a.mmdb"
    follower = DatabaseFollower([file], tmp_path / "names", clock=lambda: now[0])
    follower.look()
    follower.look()
    assert follower.table is None
    assert caplog.text.count("no such file") == 1
    write(file, AS_RECORDS)
    joined(follower)
    assert as_of("192.0.2.129", follower) == 13_335
    write(file, IPINFO_RECORDS)
    joined(follower)
    assert as_of("192.0.2.129", follower) == 13_335
    now[0] += 60
    joined(follower)
    assert as_of("192.0.2.129", follower) == 3356
    file.unlink()
    now[0] += 60
    joined(follower)
    assert as_of("192.0.2.129", follower) == 3356


def as_of(address: str, follower: DatabaseFollower) -> int:
    assert follower.table is not None
    return int(follower.table.values[AS][follower.table.index.numbers(*halves(address))[0]])


def test_databases_when_two_say_one_thing_then_the_first_as_and_the_last_country(
    tmp_path: Path,
) -> None:
    both = {"asn": "AS1", "country_code": "FR"}
    files = [
        write(tmp_path / "as.mmdb", {"192.0.2.0/25": both, "198.51.100.0/24": both}),
        write(tmp_path / "country.mmdb", {"192.0.2.0/24": {"asn": "AS2", "country_code": "DE"}}),
    ]
    made = AddressTable([known_by_database(read_database(file)) for file in files])
    hi, lo = halves("192.0.2.1", "192.0.2.129", "198.51.100.1", "203.0.113.1")
    numbers = made.index.numbers(hi, lo)
    assert made.values[AS][numbers].tolist() == [1, 2, 1, 0]
    codes = [country_number(code) for code in ("DE", "DE", "FR", "")]
    assert made.values[COUNTRY][numbers].tolist() == codes


def joined(follower: DatabaseFollower) -> None:
    follower.follow()
    if follower._thread is not None:
        follower._thread.join(10)


def test_kept_file_when_the_folder_cannot_be_written_then_read_anyway(tmp_path: Path) -> None:
    file = write(tmp_path / "a.mmdb", AS_RECORDS)
    (tmp_path / "names").write_text("no folder")
    assert len(open_database(file, tmp_path / "names").as_names) == 3
