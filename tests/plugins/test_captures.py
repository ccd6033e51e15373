"""`/api/v1/decode`: a capture explained over the web as on the command line."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.plugins.captures import routes as captures
from tests.web.building import Reply

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
NAMES = (
    "v5_juniper_mx80",
    "ipfix_softflowd_options",
    "ipfix_netscaler_data-before-templates",
    "mixed_constructed_unknown-versions",
)


def sent(appliance: Any, octets: bytes, kind: str = captures.CAPTURE[0]) -> Reply:
    reply: Reply = appliance.client(
        "POST", captures.PATH, octets, token=appliance.token, CONTENT_TYPE=kind
    )
    return reply


@pytest.mark.parametrize("name", NAMES)
def test_capture_when_sent_then_explained_as_on_the_command_line(
    appliance: Any, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = CAPTURES / f"{name}.pcap"
    answer = sent(appliance, path.read_bytes()).json
    assert run_command_line(group, ["decode", str(path), "--explain"]) == 0
    printed = capsys.readouterr()
    assert answer["lines"] == printed.out.splitlines()[: captures.MOST_LINES]
    if not answer["is_cut"]:
        assert answer["summary"] == printed.err.splitlines()[-1]


def test_capture_when_it_has_very_many_lines_then_cut_and_said(
    appliance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captures, "MOST_LINES", 7)
    answer = sent(appliance, (CAPTURES / "v5_juniper_mx80.pcap").read_bytes()).json
    assert (len(answer["lines"]), answer["is_cut"]) == (7, True)


def test_capture_when_it_ends_early_then_what_there_is_and_a_warning(appliance: Any) -> None:
    octets = (CAPTURES / "ipfix_netscaler_data-before-templates.pcap").read_bytes()
    answer = sent(appliance, octets[:-10]).json
    assert answer["lines"]
    (warning,) = answer["warnings"]
    assert warning.startswith("the file ends early, after ")


@pytest.mark.parametrize(
    ("octets", "kind", "status", "word"),
    [
        (b"", captures.CAPTURE[0], 400, "empty"),
        (b"GET / HTTP/1.1", captures.CAPTURE[1], 400, "capture"),
        (gzip.compress(b"x", mtime=0), captures.CAPTURE[0], 415, "unpacked"),
        (b"{}", "application/json", 415, "vnd.tcpdump.pcap"),
        (bytes(2_000_000), captures.CAPTURE[0], 413, "larger than"),
    ],
)
def test_body_when_no_capture_then_one_sentence(
    appliance: Any, octets: bytes, kind: str, status: int, word: str
) -> None:
    reply = sent(appliance, octets, kind)
    assert reply.status == status
    assert word in reply.body.decode()
    assert "/tmp" not in reply.body.decode()


@given(octets=st.binary(max_size=300), name=st.sampled_from(NAMES), place=st.integers(0, 2000))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_body_when_hostile_then_an_answer_or_a_refusal(
    appliance: Any, octets: bytes, name: str, place: int
) -> None:
    whole = (CAPTURES / f"{name}.pcap").read_bytes()
    for body in (octets, whole[:place] + octets + whole[place + len(octets) :]):
        assert sent(appliance, body).status in (200, 400, 415)
