"""Lists of addresses in files, and what filters make of them."""

from __future__ import annotations

import ipaddress
import os
import random
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import InvalidQueryError
from appliance.flowlog.search import FlowSearch
from appliance.flows import address_halves
from appliance.query.address_lists import AddressLists, address_range
from appliance.query.language.parsing import parse_filter
from appliance.query.named_files import NamedFiles
from appliance.query.names import LogNames
from tests.asking import filter_sql


def names_of(tmp_path: Path, text: str | bytes) -> LogNames:
    path = tmp_path / "bad.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return LogNames(FlowSearch(tmp_path), lists=AddressLists({"bad": path}))


def matching(addresses: list[str], filter_text: str, names: LogNames) -> list[str]:
    """Return the source addresses that satisfy a filter, decided by DuckDB."""
    halves = [address_halves(address) for address in addresses]
    connection = duckdb.connect()
    columns = {
        f"{side}_address_{half}": np.array([pair[place] for pair in halves], "u8")
        for side in ("source", "destination")
        for place, half in enumerate(("hi", "lo"))
    }
    rows = {"place": np.arange(len(addresses)), **columns}
    connection.register("log", pa.table(rows))
    sql, parameters = filter_sql(parse_filter(filter_text, names))
    answer = connection.execute(f"SELECT place FROM log WHERE {sql} ORDER BY 1", parameters)
    return [addresses[place] for (place,) in answer.fetchall()]


def test_list_when_read_then_addresses_and_networks_without_comments(tmp_path: Path) -> None:
    names = names_of(tmp_path, "# bad\n192.0.2.1\r\n\n 10.0.0.0/30 ; office\n2001:db8::/32 # six\n")
    addresses = ["192.0.2.1", "192.0.2.2", "10.0.0.3", "10.0.0.4", "2001:db8::1", "2001:db9::1"]
    listed = ["192.0.2.1", "10.0.0.3", "2001:db8::1"]
    assert matching(addresses, "ip in @bad", names) == listed
    assert matching(addresses, "src ip @bad", names) == listed
    assert matching(addresses, "source=@bad", names) == listed
    assert matching(addresses, "src ip in [@bad, 10.0.0.4]", names) == sorted(
        [*listed, "10.0.0.4"], key=addresses.index
    )
    assert matching(addresses, "not ip in @bad", names) == [
        one for one in addresses if one not in listed
    ]


def test_list_when_empty_then_nothing_is_in_it(tmp_path: Path) -> None:
    names = names_of(tmp_path, "# nobody yet\n")
    assert matching(["10.0.0.1"], "ip in @bad", names) == []
    assert matching(["10.0.0.1"], "not ip in @bad", names) == ["10.0.0.1"]


def test_list_when_changed_then_read_again(tmp_path: Path) -> None:
    names = names_of(tmp_path, "10.0.0.1\n")
    assert matching(["10.0.0.1", "10.0.0.2"], "ip in @bad", names) == ["10.0.0.1"]
    (tmp_path / "new").write_text("10.0.0.2\n")
    os.replace(tmp_path / "new", tmp_path / "bad.txt")
    assert matching(["10.0.0.1", "10.0.0.2"], "ip in @bad", names) == ["10.0.0.2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.0.0.1\n10.0.0.300\n", 'list bad: bad.txt, line 2: expected an address.*"10.0.0.300"'),
        (b"\xff\xfe1\x00", "list bad: bad.txt, line 1: expected an address"),
        ("10.0.0.1 10.0.0.2", "line 1: expected an address"),
        ("10.0.0.0/33", "line 1: expected an address"),
    ],
)
def test_list_when_a_line_is_no_address_then_the_line_is_named(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    with pytest.raises(InvalidQueryError, match=said):
        parse_filter("ip in @bad", names_of(tmp_path, text))


def test_list_when_its_file_is_gone_or_a_folder_then_one_sentence(tmp_path: Path) -> None:
    names = names_of(tmp_path, "")
    (tmp_path / "bad.txt").unlink()
    with pytest.raises(InvalidQueryError, match=r"list bad: bad\.txt: No such file"):
        parse_filter("ip in @bad", names)
    (tmp_path / "bad.txt").mkdir()
    with pytest.raises(InvalidQueryError, match=r"list bad: bad\.txt: Is a directory"):
        parse_filter("ip in @bad", names)


def test_list_when_there_is_none_of_the_name_then_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidQueryError, match=r"one of @bad, got \"@bda\"; did you mean @bad\?"):
        parse_filter("ip in @bda", names_of(tmp_path, ""))
    with pytest.raises(InvalidQueryError, match="column 7: expected the name of a list: none is"):
        parse_filter("ip in @bad")


def test_list_when_long_and_of_all_lengths_then_as_one_by_one(tmp_path: Path) -> None:
    generator = random.Random(6)
    bits = [generator.getrandbits(6) for _ in range(300)]
    networks = [
        *(f"10.{n}.{n % 3}.{n}/{generator.randint(20, 32)}" for n in bits),
        *(f"2001:db8:{n:x}::{n:x}/{generator.randint(45, 128)}" for n in bits),
        *("192.0.2.1", "2001:db8::ffff"),
    ]
    addresses = [
        *(f"10.{generator.getrandbits(6)}.{generator.getrandbits(2)}.{n}" for n in range(64)),
        *(f"2001:db8:{generator.getrandbits(7):x}::{n:x}" for n in range(64)),
        *("192.0.2.1", "192.0.2.2", "2001:db8::ffff", "2001:db8::fffe", "::"),
    ]
    parsed = [ipaddress.ip_network(text, strict=False) for text in networks]
    listed = [
        one for one in addresses if any(ipaddress.ip_address(one) in network for network in parsed)
    ]
    assert 10 < len(listed) < len(addresses) - 10
    names = names_of(tmp_path, "\n".join(networks))
    assert matching(addresses, "ip in @bad", names) == listed
    assert matching(addresses, "dst ip in @bad", names) == listed


@pytest.mark.parametrize("everything", ["0.0.0.0/0", "::/0", "::/1", "10.0.0.0/7"])
def test_list_when_long_with_a_wide_network_then_that_counts(
    tmp_path: Path, everything: str
) -> None:
    names = names_of(tmp_path, "\n".join([everything, *(f"192.0.2.{n}" for n in range(40))]))
    addresses = ["10.1.2.3", "9.0.0.1", "2001:db8::1", "8000::1"]
    network = ipaddress.ip_network(everything)
    # IPv4 is below ::/96 here, as ::ffff:a.b.c.d.
    listed = [
        one
        for one in addresses
        if ipaddress.ip_address(one) in network or (everything[:2] == "::" and "." in one)
    ]
    assert matching(addresses, "ip in @bad", names) == listed


@given(text=st.text(max_size=30) | st.from_regex(r"[0-9a-f.:/]{1,20}", fullmatch=True))
def test_address_range_when_any_text_then_as_ipaddress_has_it(text: str) -> None:
    bounds = address_range(text)
    try:
        network: Any = ipaddress.ip_network(text, strict=False)
    except ValueError:
        assert bounds is None
        return
    first = address_halves(str(network.network_address))
    assert bounds is not None
    assert (bounds[0] >> 64, bounds[0] & (2**64 - 1)) == first
    assert bounds[1] - bounds[0] + 1 == network.num_addresses


def test_setting_when_names_and_files_then_paths_from_the_folder(tmp_path: Path) -> None:
    kind = NamedFiles()
    assert kind.parse({"bad": "lists/bad.txt"}, tmp_path) == {"bad": tmp_path / "lists/bad.txt"}
    assert kind.parse("", tmp_path) == {}
    for raw in (["bad"], "bad.txt", {"a b": "x"}, {"bad": ""}, {"bad": ["x"]}, {"@x": "y"}):
        with pytest.raises(ValueError, match=r".*"):
            kind.parse(raw, tmp_path)
