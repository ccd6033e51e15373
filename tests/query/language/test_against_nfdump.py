"""Filters find the same flows as nfdump's, over the same captures.

Where nfdump differs on purpose, or its version here cannot say: `src as` needs a geo database
there, `ip version` is `ipv4` and `ipv6`, events of firewalls have ports of their own, and `not`
before parentheses with several TCP flags means that none of them is set, here that not all are.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from appliance.flowlog import FlowSearch
from appliance.flowlog.questions import FlowQuestion
from appliance.query.language.duckdb import parse_conditions
from tests.collector.running import free_port
from tests.nfcapd import nfcapd

pytestmark = pytest.mark.skipif(not shutil.which("nfcapd"), reason="needs Debian's nfdump")

CAPTURES = Path(__file__).parents[2] / "data/captures"
NAMES = (
    "v9_pynetflow_softflowd-stream",
    "v9_cisco-1941_release151",
    "v5_softflowd_icmp-multicast",
    "v9_cisco-asr9k_tpl260",
)
FILTERS = """any | proto tcp | proto udp | proto icmp | proto 17 | src port 53 | dst port 53
 | port 53
 | port > 1024 | src port < 1024 | src port in [53 80 443] | port in [53,443] | packets > 5
 | bytes > 1000 | bytes < 100 | duration > 1000 | flags S | tos 0
 | flags SA | flags SR | flags AFRPU
 | src net 10.0.0.0/8 | dst net 192.168.0.0/16 | net 172.16.0.0/12 | in if 0 | if 1 | bps > 1000
 | pps > 1 | bpp > 100 | ipv4 | ipv6 | next ip 10.0.0.1 | host 8.8.8.8 | src ip 10.0.0.1"""
WRITTEN = [text.strip() for text in FILTERS.split("|")]
N_GENERATED = 60
SEVERAL_FLAGS = re.compile("flags [A-Z]{2}")
TOTAL = re.compile(r"total flows: (\d+), total bytes: (\d+), total packets: (\d+)")


class Sums(NamedTuple):
    """Flows, octets and packets that a filter finds."""

    flows: int
    octets: int
    packets: int


class Both:
    """One capture as nfcapd and as the appliance keep it."""

    def __init__(self, folder: Path, capture: Path) -> None:
        self.theirs = folder / "nfcapd"
        self.theirs.mkdir()
        (folder / "conf").mkdir()
        (folder / "conf" / "appliance.yml").write_text("data_directory: ../data\n")
        port = free_port()
        with nfcapd(self.theirs, port):
            target = f"127.0.0.1:{port}"
            _appliance("replay", "--to", target, "--all-ports", "--rate", "500", capture)
            time.sleep(0.2)  # nfcapd reads its socket once more when it ends
        _appliance("-confPath", f"{folder}/conf/", "import", capture)
        self.search = FlowSearch(folder / "data" / "flowlog")

    def our_sums(self, text: str) -> Sums:
        columns = ("octet_delta_count", "packet_delta_count")
        question = FlowQuestion(conditions=parse_conditions([text]), columns=columns, limit=None)
        table = self.search.flows(question)
        octets, packets = (sum(v or 0 for v in table.column(name).to_pylist()) for name in columns)
        return Sums(table.num_rows, octets, packets)

    def their_sums(self, text: str) -> Sums:
        words = ["nfdump", "-R", str(self.theirs), "-N", text]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
        match = TOTAL.search(ran.stdout)
        assert match is not None, f"{text}: {ran.stdout}{ran.stderr}"
        return Sums(*map(int, match.groups()))


def _appliance(*words: object) -> None:
    command = [sys.executable, "-m", "appliance", *map(str, words)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module", params=NAMES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(tmp_path_factory.mktemp("both"), CAPTURES / f"{request.param}.pcap")


def generated() -> list[str]:
    """Return filters made of the written ones, the same each time."""
    chance = random.Random(20261128)
    texts = []
    for _ in range(N_GENERATED):
        one, other, third = (f"({text})" for text in chance.sample(WRITTEN, 3))
        shapes = [f"{one} and {other}", f"{one} or {other} and {third}"]
        if not SEVERAL_FLAGS.search(f"{one} {other}"):
            shapes.append(f"not ({one} or {other})")
        texts.append(chance.choice(shapes))
    return texts


@pytest.mark.slow
def test_filters_when_written_or_generated_then_the_flows_that_nfdump_finds(both: Both) -> None:
    assert both.their_sums("any").flows > 0
    texts = [*WRITTEN, "flags S and not flags AFRPU", *generated()]
    differing = {
        text: (ours, theirs)
        for text in texts
        if (ours := both.our_sums(text)) != (theirs := both.their_sums(text))
    }
    assert not differing
