"""The stanza editor: what it changes, and that it changes nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from appliance.privileged.addressing import DhcpSettings, NetworkSettings
from appliance.privileged.editing import CannotEdit, change_stanza, with_new_stanza
from appliance.privileged.interfaces import (
    Stanza,
    ipv4_stanzas,
    is_brought_up,
    other_name,
    parse,
    primary,
)
from tests.privileged.interfaces_files import (
    MANAGED,
    Ifupdown,
    Written,
    files,
    needs_ifupdown,
    static_settings,
)

STATIC = static_settings()


def stanza_of(text: str, interface: str = "eth0") -> Stanza:
    found = primary(ipv4_stanzas(parse(text), interface))
    assert found is not None
    return found


def edited(text: str, wanted: NetworkSettings, interface: str = "eth0") -> str:
    return change_stanza(text, stanza_of(text, interface), wanted)


@pytest.fixture
def ifupdown(tmp_path: Path) -> Ifupdown:
    return Ifupdown(tmp_path)


@pytest.fixture(scope="module")
def shared_ifupdown() -> Iterator[Ifupdown]:
    with tempfile.TemporaryDirectory() as folder:
        yield Ifupdown(Path(folder))


def assert_only_the_stanza_differs(written: Written, result: str) -> None:
    before = "".join(piece.text for piece in written.before)
    after = "".join(piece.text for piece in written.after)
    assert result.startswith(before)
    assert result.endswith(after)
    rest = result[len(before) : len(result) - len(after)]
    for piece in written.stanza:
        if not piece.touched:
            at = rest.find(piece.text)
            assert at >= 0, (piece, result)
            rest = rest[at + len(piece.text) :]


@given(files())
@settings(max_examples=200, deadline=None)
def test_edit_when_any_file_then_every_other_octet_stays(written: Written):
    for wanted in (STATIC, DhcpSettings()):
        assert_only_the_stanza_differs(written, edited(written.text, wanted))


@given(files())
@settings(max_examples=100, deadline=None)
def test_edit_when_any_file_then_a_second_time_changes_nothing(written: Written):
    for wanted in (STATIC, DhcpSettings()):
        once = edited(written.text, wanted)
        assert edited(once, wanted) == once


@needs_ifupdown
@given(written=files())
@settings(max_examples=80, deadline=None)
def test_edit_when_any_file_then_ifupdown_reads_the_new_settings(
    written: Written, shared_ifupdown: Ifupdown
):
    found = shared_ifupdown.query(edited(written.text, STATIC), "eth0")
    assert "address: 192.1.1.18" in found
    assert {"netmask: 255.255.255.0", "netmask: 24"} & set(found)
    assert "gateway: 192.1.1.1" in found
    assert "dns-nameservers: 8.8.8.8 8.8.4.4" in " ".join(" ".join(found).split())
    found = shared_ifupdown.query(edited(written.text, DhcpSettings()), "eth0")
    assert not [line for line in found if line.partition(":")[0] in MANAGED]


@needs_ifupdown
@given(written=files())
@settings(max_examples=40, deadline=None)
def test_edit_when_any_file_then_ifupdown_reads_other_interfaces_as_before(
    written: Written, shared_ifupdown: Ifupdown
):
    for name in ("eth1", "eth0.10", "xeth0", "eth00"):
        if ipv4_stanzas(parse(written.text), name):
            before = shared_ifupdown.query(written.text, name)
            assert shared_ifupdown.query(edited(written.text, STATIC), name) == before


@needs_ifupdown
@given(written=files(), end=st.sampled_from(["", "\\", "\\\\", "\\\n", "\\\\\n"]))
@settings(max_examples=80, deadline=None)
def test_edit_when_the_last_line_is_cut_off_then_ifupdown_reads_the_new_settings(
    written: Written, end: str, shared_ifupdown: Ifupdown
):
    text = written.text.rstrip("\\\n \t\r\f\v") + end
    assume(shared_ifupdown.understands(text, "eth0"))
    found = shared_ifupdown.query(edited(text, STATIC), "eth0")
    assert {"address: 192.1.1.18", "gateway: 192.1.1.1"} <= set(found)


def test_edit_when_a_word_has_what_only_python_takes_for_space_then_it_is_one_word():
    text = "iface eth0 inet static\n address 10.0.0.5/24\n gateway\xa0old 1\n gateway\x85 2\n"
    assert edited(text, DhcpSettings()).endswith(" gateway\xa0old 1\n gateway\x85 2\n")


def test_edit_when_static_then_values_in_place_and_comments_kept():
    text = (
        "# the outside\nauto eth0\niface eth0 inet static\n\taddress 10.0.0.5\n"
        "\t# mask of the old building\n\tnetmask 255.255.0.0\n\tnetwork 10.0.0.0\n"
        "\tbroadcast 10.0.255.255\n\tgateway 10.0.0.1\n\tup logger up\n"
    )
    assert edited(text, STATIC) == (
        "# the outside\nauto eth0\niface eth0 inet static\n\taddress 192.1.1.18\n"
        "\t# mask of the old building\n\tnetmask 255.255.255.0\n\tnetwork 192.1.1.0\n"
        "\tbroadcast 192.1.1.255\n\tgateway 192.1.1.1\n\tdns-nameservers 8.8.8.8 8.8.4.4\n"
        "\tup logger up\n"
    )


def test_edit_when_the_address_has_a_prefix_then_it_keeps_one():
    text = "iface eth0 inet static\n  address 10.0.0.5/8\n"
    lines = edited(text, STATIC).splitlines()
    assert lines[1:3] == ["  address 192.1.1.18/24", "  gateway 192.1.1.1"]


def test_edit_when_dhcp_then_what_belongs_to_the_address_goes():
    text = (
        "iface eth0 inet static\n  address 10.0.0.5/8\n  gateway 10.0.0.1\n  mtu 1400\n"
        "iface eth0 inet6 static\n  address fd00::5/64\n  gateway fd00::1\n"
    )
    assert edited(text, DhcpSettings()) == (
        "iface eth0 inet dhcp\n  mtu 1400\n"
        "iface eth0 inet6 static\n  address fd00::5/64\n  gateway fd00::1\n"
    )


def test_edit_when_several_stanzas_then_the_one_with_the_default_route():
    text = (
        "iface eth0 inet static\n address 10.0.0.5/24\n"
        "iface eth0 inet static\n address 10.1.0.5/24\n gateway 10.1.0.1\n"
    )
    assert edited(text, STATIC).startswith(
        "iface eth0 inet static\n address 10.0.0.5/24\niface eth0 inet static\n address 192.1.1.18"
    )


def test_edit_when_the_name_is_cut_by_a_backslash_then_it_is_found():
    text = "iface et\\\nh0 in\\\net dh\\\ncp"
    assert edited(text, STATIC).startswith(
        "iface et\\\nh0 in\\\net static\n    address 192.1.1.18\n"
    )


@pytest.mark.parametrize(
    ("method", "named"), [("manual", "manual"), ("ppp", "ppp"), ("inherits base", "inherited")]
)
def test_edit_when_another_method_then_refused_with_the_method(method: str, named: str):
    with pytest.raises(CannotEdit, match=named):
        edited(f"iface base inet dhcp\niface eth0 inet {method}\n", STATIC)


@needs_ifupdown
@pytest.mark.parametrize("text", ["", "auto lo", "iface eth1 inet dhcp\n", "# x\\", "auto a \\"])
def test_new_stanza_when_there_was_none_then_ifupdown_reads_it(text: str, ifupdown: Ifupdown):
    result = with_new_stanza(text, "eth0", STATIC, auto=True)
    assert result.startswith(text)
    assert "address: 192.1.1.18" in ifupdown.query(result, "eth0")
    assert is_brought_up(parse(result), "eth0")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auto eth0", True),
        ("allow-hotplug eth1 eth0", True),
        ("auto /eth*", True),
        ("auto /wlan*", False),
        ("auto eth00", False),
        ("no-auto-down eth0", False),
    ],
)
def test_brought_up_when_named_or_fitting_then_true(text: str, expected: bool):
    assert is_brought_up(parse(text), "eth0") is expected


@pytest.mark.parametrize(
    "text", ["mapping eth*\n script x", "auto eth0=home", "allow-hotplug /eth*=home"]
)
def test_other_name_when_mapped_then_says_so(text: str):
    assert "eth0" in str(other_name(parse(text), "eth0"))
    assert other_name(parse(text), "wlan0") is None
