from __future__ import annotations

from pathlib import Path

import pytest

from appliance.errors import SettingsError
from appliance.plugins.pmacct.configuration.primitives import (
    Primitive,
    PrimitivesFile,
    read_primitives,
)

ROOT = Path(__file__).parents[4]


@pytest.fixture
def read(tmp_path):
    def from_text(text: str) -> PrimitivesFile:
        (tmp_path / "p.lst").write_text(text)
        return read_primitives(tmp_path / "p.lst")

    return from_text


def test_primitives_when_of_the_sample_then_all_read_without_warning():
    file = read_primitives(ROOT / "conf" / "primitives.lst")
    assert file.warnings == ()
    assert file.primitives[3] == Primitive("appid", 0, 95, 4, "raw")
    assert [p.name for p in file.primitives] == [
        *("dscp", "flowdir", "appname", "appid"),
        *("appdescr", "sysupfrst", "sysuplast", "ifname"),
    ]
    assert file.elements[:2] == ((0, 195), (0, 61))


def test_primitives_when_enterprise_and_vlen_then_read(read):
    file = read("name=Url  field_type=9:12235\tlen=vlen semantics=str\r\n")
    assert file.primitives == (Primitive("url", 9, 12235, None, "str"),)


def test_primitives_when_comments_and_blank_lines_then_skipped(read):
    assert read("! one\n# two\n\n   \n  ! three\n") == PrimitivesFile(())


def test_primitives_when_an_element_comes_twice_then_its_second_occurrence(read):
    line = "name={} field_type=82 len=32 semantics=str\n"
    assert [p.repeat for p in read(line.format("a") + line.format("b")).primitives] == [0, 1]
    assert read(line.format("a") + line.format("b")).elements == ((0, 82), (0, 82, 1))


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ("name=dscp len=1 semantics=u_int", "Invalid entry: name=dscp"),
        ("name=dscp field_type=195 semantics=u_int", "Invalid entry: name=dscp"),
        ("name=dscp field_type=195 len=1 semantics=odd", "Invalid entry: name=dscp"),
        ("field_type=195 len=1 semantics=raw", "Invalid entry: name="),
        ("name=dscp colour=red len=1", "unknown key 'colour'. Ignored."),
        ("name=d field_type=1 len=0 semantics=raw", "Invalid length '0'. Line ignored."),
        ("name=d field_type=1 len=65535 semantics=raw", "Invalid length '65535'. Line ignored."),
        ("name=d field_type=1 len=x semantics=raw", "Invalid length 'x'. Line ignored."),
        (
            "name=d field_type=oct len=1 semantics=raw",
            "Invalid NetFlow v9/IPFIX field type 'oct'. Line ignored.",
        ),
        (
            "name=d field_type=9:99999 len=1 semantics=raw",
            "Invalid NetFlow v9/IPFIX field type '9:99999'. Line ignored.",
        ),
        ("gibberish", "malformed line: gibberish. Line ignored."),
    ],
)
def test_primitives_when_a_line_is_wrong_then_ignored_with_file_and_line(
    read, tmp_path, line: str, warning: str
):
    file = read(f"! comment\n{line}\nname=ok field_type=1 len=8 semantics=u_int\n")
    assert [p.name for p in file.primitives] == ["ok"]
    assert file.warnings == (f"{tmp_path}/p.lst:2: {warning}",)


def test_primitives_when_a_name_comes_twice_then_the_first_stays(read):
    file = read(
        "name=a field_type=1 len=8 semantics=u_int\nname=A field_type=2 len=8 semantics=u_int\n"
    )
    assert [p.element for p in file.primitives] == [1]
    assert file.warnings[0].endswith(
        ":2: Duplicate custom aggregate primitive name specified: a. Line ignored."
    )


def test_primitives_when_file_is_missing_then_error(tmp_path):
    with pytest.raises(SettingsError, match=r"p\.lst: file not found"):
        read_primitives(tmp_path / "p.lst")
    with pytest.raises(SettingsError, match="cannot be read: is a directory"):
        read_primitives(tmp_path)
