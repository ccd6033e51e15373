"""How targets of streams are written, and what `appliance check` says of them."""

from __future__ import annotations

import json
import re
import socket
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.app import open_app
from appliance.contracts import FAIL, HINT, OK
from appliance.manual import chapter_text
from appliance.plugins.stream.stream_settings import StreamTargets
from appliance.process_parts import plugin_findings
from tests.collector.running import free_port
from tests.plugins.stream.world import LineServer, to_tcp


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (["192.0.2.9:514"], "expected an address such as tcp://"),
        (["tcp://192.0.2.9"], "expected an address such as tcp://"),
        (["tcp://192.0.2.9:0"], "expected an address such as tcp://"),
        (["tcp://2001:db8::1:514"], "expected an address such as tcp://"),
        (["file:"], "expected an address such as tcp://"),
        ([f"unix:/{'x' * 200}"], "expected an address such as tcp://"),
        (["tcp://a:1", "tcp://a:1"], "tcp://a:1: is there twice"),
        ([{"to": "tcp://a:1", "filtr": "x"}], "filtr: unknown key, did you mean filter"),
        ([{"to": "tcp://a:1", "history": "perhaps"}], "history true or false"),
        ([f"tcp://a:{port}" for port in range(1, 10)], "expected up to 8 targets, found 9"),
    ],
)
def test_targets_when_one_is_wrong_then_one_sentence_says_which(raw: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        StreamTargets().parse(raw, Path("/"))


def findings_of(folder: Path, *targets: Any) -> list[tuple[str, str]]:
    tree = {"data_directory": "data", "stream": {"targets": targets}}
    (folder / "appliance.yml").write_text(json.dumps(tree))
    found = [f for f in plugin_findings(open_app(folder)) if f.what == "stream"]
    return [(finding.status, finding.text) for finding in found]


def test_check_when_targets_are_there_or_not_then_said(
    servers: Callable[..., LineServer], tmp_path: Path
) -> None:
    server = servers()
    dead = f"tcp://127.0.0.1:{free_port(socket.SOCK_STREAM)}"
    assert findings_of(
        tmp_path, to_tcp(server), dead, {"to": "file:/no/where.json"}, "syslog+udp://127.0.0.1:514"
    ) == [
        (OK, f"{to_tcp(server)} takes flows"),
        (HINT, f"{dead}: connection refused; the flow log keeps what is to be sent"),
        (
            HINT,
            "file:/no/where.json: there is no folder /no; the flow log keeps what is to be sent",
        ),
        (OK, "syslog+udp://127.0.0.1:514: by UDP nobody hears whether flows arrive"),
    ]


def test_check_when_a_filter_or_a_column_is_wrong_then_it_fails(tmp_path: Path) -> None:
    ((status, text),) = findings_of(tmp_path, {"to": "tcp://a:1", "filter": "prt 443"})
    assert (status, "filter: line 1, column 1" in text) == (FAIL, True)
    ((status, text),) = findings_of(tmp_path, {"to": "tcp://a:1", "columns": ["nothing"]})
    assert (status, "unknown column 'nothing'" in text) == (FAIL, True)


def test_manual_when_it_shows_targets_then_they_are_read_so() -> None:
    block = re.findall(r"\n\n((?: {4}.*\n)+)", chapter_text("stream"))[0]
    raw = yaml.load(textwrap.dedent(block), yaml.BaseLoader)["stream"]["targets"]
    targets = StreamTargets().parse(raw, Path("/"))
    assert [(str(t.to), t.filter, t.columns) for t in targets] == [
        ("tcp://192.0.2.9:5140", "", ()),
        ("syslog+tls://siem.example.net:6514", "not ip in 10.0.0.0/8", ()),
        ("file:/var/lib/netflow-appliance/flows.json", "", ("source_address", "octets")),
    ]
