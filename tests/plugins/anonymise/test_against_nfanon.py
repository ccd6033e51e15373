"""The same captures through nfcapd and nfanon, with the same key: the same IPv4 addresses.

Not those of IPv6: nfanon 1.7.1 flips a bit by what the bit itself is, and takes octets in the
order of the machine, so that two addresses may become one. `test_crypto_pan` has IPv6 by the paper.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from appliance.flowlog import FlowQuestion, FlowSearch
from appliance.plugins.anonymise.key_files import read_key, write_new_key
from tests.collector.running import free_port
from tests.nfcapd import nfcapd

pytestmark = pytest.mark.skipif(shutil.which("nfanon") is None, reason="needs nfdump's nfanon")
CAPTURES = Path(__file__).parents[2] / "data/captures"
NAMES = ("v5_juniper_mx80", "ipfix_openbsd_pflow", "ipfix_pynetflow_softflowd")


def appliance(*words: object) -> None:
    command = [sys.executable, "-m", "appliance", *map(str, words)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


Pairs = Counter[tuple[str, str]]


def of_ipv4(pairs: Iterable[tuple[str, str]]) -> Pairs:
    return Counter(pair for pair in pairs if "." in pair[0])


def their_pairs(folder: Path, capture: Path, key: bytes) -> Pairs:
    """Return source and destination of each flow as nfdump prints them after nfanon."""
    folder.mkdir()
    port = free_port()
    with nfcapd(folder, port):
        target = f"127.0.0.1:{port}"
        appliance("replay", "--to", target, "--all-ports", "--rate", "500", capture)
        time.sleep(0.2)  # nfcapd reads its socket once more when it ends
    (file,) = (path for path in folder.iterdir() if path.name.startswith("nfcapd.2"))
    run = ["nfanon", "-q", "-r", str(file), "-w", str(folder / "anon"), "-K", f"0x{key.hex()}"]
    subprocess.run(run, check=True, capture_output=True, timeout=30)
    words = ["nfdump", "-q", "-6", "-r", str(folder / "anon"), "-o", "fmt:%sa %da"]
    text = subprocess.run(words, check=True, capture_output=True, text=True, timeout=30).stdout
    pairs = (line.split() for line in text.splitlines() if line.strip())
    return of_ipv4((pair[0], pair[1]) for pair in pairs)


def our_pairs(folder: Path, capture: Path) -> Pairs:
    appliance("-confPath", f"{folder}/", "import", capture)
    question = FlowQuestion(columns=("source_address", "destination_address"), limit=None)
    rows = FlowSearch(folder / "data" / "flowlog").flows(question).to_pylist()
    return of_ipv4((row["source_address"], row["destination_address"]) for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_capture_when_anonymised_by_both_then_the_same_addresses(name: str, tmp_path: Path) -> None:
    capture = CAPTURES / f"{name}.pcap"
    write_new_key(tmp_path / "key")
    tmp_path.joinpath("appliance.yml").write_text(
        "data_directory: data\nanonymise: {networks: all, key_file: key}\n"
    )
    ours = our_pairs(tmp_path, capture)
    theirs = their_pairs(tmp_path / "nfcapd", capture, read_key(tmp_path / "key"))
    assert ours
    assert ours == theirs
