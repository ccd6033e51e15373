"""`appliance decode`: records as JSON, every field explained, and what could not be read."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from tests.decoding.building import (
    BASIC,
    EXPORT_MS,
    EXPORT_SECONDS,
    EXPORTER,
    VARIABLE,
    a_set,
    basic,
    ipfix,
    number,
    template,
    v4,
    v5,
    v5_record,
    v9,
    v9_options,
    variable,
    write_pcap,
)

Decode = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def decode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Decode:
    """Decode a capture of these datagrams; return exit code, lines and standard error."""

    def run(*payloads: bytes, options: tuple[str, ...] = ()) -> tuple[int, list[str], str]:
        sent = [(EXPORT_SECONDS, payload) for payload in payloads]
        path = write_pcap(tmp_path / "capture.pcap", sent)
        code = run_command_line(group, ["decode", str(path), *options])
        printed = capsys.readouterr()
        return code, printed.out.splitlines(), printed.err

    return run


def message() -> bytes:
    return v9(
        a_set(0, template(300, *BASIC, (40001, 4), (210, 2))),
        a_set(300, basic() + v4("10.9.9.9") + bytes(2)),
        a_set(1, v9_options(400, [(1, 4)], [(34, 4)])),
        a_set(400, bytes(4) + number(512, 4)),
        sequence=17,
        domain=5,
    )


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_decode_when_asked_for_json_then_one_object_a_record(
    decode: Decode, options: tuple[str, ...]
) -> None:
    code, lines, told = decode(message(), options=options)
    assert code == 0
    about = {
        "_exporter": EXPORTER, "_version": 9, "_domain": 5, "_sequence": 17,
        "_exportTime": EXPORT_MS,
    }  # fmt: skip
    flow = {
        "sourceIPv4Address": "10.0.0.1", "destinationIPv4Address": "10.0.0.2",
        "sourceTransportPort": 1024, "destinationTransportPort": 80, "protocolIdentifier": 6,
        "octetDeltaCount": 300, "packetDeltaCount": 3, "v9field40001": "0a090909",
    }  # fmt: skip
    assert [json.loads(line) for line in lines] == [
        {"_kind": "flow", "_templateId": 300, **about, **flow},
        {
            "_kind": "options",
            "_templateId": 400,
            **about,
            "scopeSystem": 0,
            "samplingInterval": 512,
        },
    ]
    assert told == "1 datagrams; 1 records; 1 options records\n"


def test_decode_when_explained_then_each_field_with_its_place(decode: Decode) -> None:
    payload = message()
    _, lines, _ = decode(payload, options=("--explain",))
    assert lines[0].startswith(f"datagram 1: {len(payload)} octets from {EXPORTER} port 2000")
    assert "NetFlow v9" in lines[1]
    assert "sequence 17, domain 5" in lines[1]
    assert "  template 300, 9 fields:" in lines
    assert "      scopeSystem (scope), 4 octets" in lines
    fields = [line.split() for line in lines if " = " in line]
    for offset, octets, name, *_ in fields:
        # What is printed stands at that place in the datagram.
        at = int(offset)
        assert payload[at : at + len(octets) // 2].hex() == octets, name
    names = [name for _, _, name, *_ in fields]
    assert names == [
        "sourceIPv4Address", "destinationIPv4Address", "sourceTransportPort",
        "destinationTransportPort", "protocolIdentifier", "octetDeltaCount", "packetDeltaCount",
        "v9field40001", "paddingOctets", "scopeSystem", "samplingInterval",
    ]  # fmt: skip
    assert [f[4] for f in fields][:2] == ["10.0.0.1", "10.0.0.2"]


def test_decode_when_fields_have_no_or_any_length_then_explained_all_the_same(
    decode: Decode,
) -> None:
    layout = template(300, (8, 4), (12, 0), (82, VARIABLE), (83, VARIABLE), (7, 2))
    record = v4("10.0.0.1") + variable(b"eth0") + variable(b"", long_form=True) + number(443, 2)
    payload = ipfix(a_set(2, layout), a_set(300, record * 2))
    _, lines, _ = decode(payload, options=("--explain",))
    assert sum("destinationIPv4Address: no octets" in line for line in lines) == 2
    assert sum("interfaceDescription: no octets" in line for line in lines) == 2
    for line in lines:
        if " = " in line:
            offset, octets, *_ = line.split()
            assert payload[int(offset) : int(offset) + len(octets) // 2].hex() == octets
    assert "      interfaceName, variable" in lines


def test_decode_when_something_is_refused_then_why(decode: Decode) -> None:
    sent = [
        ipfix(a_set(2, template(300, *BASIC)), length=9999),
        v9(a_set(0, struct.pack(">HH", 300, 40))),
        b"\0\x08whatever",
        b"",
        v9(a_set(300, bytes(21))),
        v5(v5_record(), count=2),
    ]
    code, lines, told = decode(*sent, options=("--explain",))
    text = "\n".join(lines)
    assert code == 0
    for reason in (
        "refused: message_length: message length 9999, datagram of 52 octets",
        "refused: template_length: template 300: fields of 160 octets, 0 octets left",
        "refused: no decoder takes version 8",
        "set 300, 21 octets: its template is not known yet, it waits",
        "refused: count_too_large: 2 records announced, 1 present",
    ):
        assert reason in text
    assert "sets without template 1" in told
    assert "unsupported version 2" in told
    assert "refused: message_length 1" in told


def test_decode_when_a_set_had_waited_then_it_says_so(decode: Decode) -> None:
    data, layout = v9(a_set(300, basic())), v9(a_set(0, template(300, *BASIC)), sequence=1)
    _, lines, told = decode(data, layout, options=("--explain",))
    assert "  set 300 kept from an earlier datagram: 1 records" in lines
    assert "sets decoded late 1" in told


def test_decode_when_ports_are_named_then_only_datagrams_to_them(decode: Decode) -> None:
    assert len(decode(v5(v5_record()), options=("--port", "2055"))[1]) == 1
    assert len(decode(v5(v5_record()), options=("--port", "4739"))[1]) == 0


def test_decode_when_values_are_odd_then_still_json(decode: Decode) -> None:
    fields = ((4, 3), (8, 3), (82, 4), (311, 8), (276, 1), (56, 5), (154, 8), (156, 4))
    octets = b"\1\2\3" + b"abc" + b"\xff\xfe\0x" + struct.pack(">d", float("inf")) + b"\7"
    octets += b"\1" * 5 + b"\xff" * 8 + b"\xff" * 4
    code, lines, _ = decode(v9(a_set(0, template(300, *fields)), a_set(300, octets)))
    assert code == 0
    found = json.loads(lines[0], parse_constant=pytest.fail)
    assert found["samplingProbability"] == "inf"
    assert found["protocolIdentifier"] == 0x010203
    assert found["sourceIPv4Address"] == "616263"


@pytest.mark.parametrize("octets", [None, b"", b"no capture at all"])
def test_decode_when_the_file_cannot_be_read_then_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], octets: bytes | None
) -> None:
    path = tmp_path / "broken.pcap"
    if octets is not None:
        path.write_bytes(octets)
    assert run_command_line(group, ["decode", str(path)]) != 0
    told = capsys.readouterr().err
    assert told.startswith("appliance: ")
    assert "broken.pcap" in told
    assert told.count("\n") == 1
