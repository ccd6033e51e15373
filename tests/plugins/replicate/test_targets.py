"""How targets of replication are written in the settings."""

from __future__ import annotations

import re
import textwrap
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.manual import chapter_text
from appliance.plugins.replicate.replicate_settings import Target, TargetList
from appliance.settings.types import ListenAddress


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (["192.0.2.9"], "expected an address with a port such as"),
        (["192.0.2.9:0"], "expected an address with a port such as"),
        (["collector:2055"], "expected an address with a port such as"),
        (["192.0.2.9:2055", "192.0.2.9:2055"], "192.0.2.9:2055: is there twice"),
        ([{"to": "192.0.2.9:2055", "sampl": "3"}], "sampl: unknown key, did you mean sample"),
        ([{"to": "192.0.2.9:2055", "sample": "0"}], "sample: expected a whole number from 1"),
        ([{"to": "192.0.2.9:2055", "exporters": ["10.0.0.1/8"]}], "exporters: expected a list of"),
        ([f"192.0.2.9:{port}" for port in range(1, 18)], "expected up to 16 targets, found 17"),
    ],
)
def test_targets_when_one_is_wrong_then_one_sentence_says_which(raw: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        TargetList().parse(raw, Path("/"))


def test_targets_when_written_in_either_way_then_understood() -> None:
    more = {"to": "[2001:db8::9]:4739", "exporters": ["10.0.0.0/8"], "sample": "100"}
    assert TargetList().parse(["192.0.2.9:2055", more], Path("/")) == (
        Target(ListenAddress("192.0.2.9", 2055)),
        Target(ListenAddress("2001:db8::9", 4739), (ip_network("10.0.0.0/8"),), 100),
    )


def test_manual_when_it_shows_targets_then_they_are_read_so() -> None:
    block = re.findall(r"\n\n((?: {4}.*\n)+)", chapter_text("replication"))[0]
    raw = yaml.load(textwrap.dedent(block), yaml.BaseLoader)["replicate"]["targets"]
    targets = TargetList().parse(raw, Path("/"))
    assert [(str(t.to), len(t.exporters), t.sample) for t in targets] == [
        ("192.0.2.9:2055", 0, 1),
        ("[2001:db8::9]:4739", 1, 100),
    ]
