from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.collector.receiver import Receiver
from appliance.settings.types import ListenAddress


@pytest.fixture
def receiver():
    receiver = Receiver([ListenAddress("127.0.0.1", 0)], receive_buffer_octets=1 << 24)
    receiver.start()
    yield receiver
    receiver.stop()


def generate(capsys, receiver: Receiver, *arguments: str) -> tuple[int, str, str]:
    code = run_command_line(group, ["generate", "--to", str(receiver.addresses[0]), *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def drained(receiver: Receiver) -> tuple[int, int]:
    receiver.stop_receiving()
    while receiver.receive(0) is not None:
        pass
    return receiver.counters.datagrams, receiver.counters.octets


def test_generate_when_flows_are_counted_then_table_says_what_arrived(capsys, receiver):
    code, out, err = generate(capsys, receiver, "--flows", "1000", "--rate", "max")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    [total] = [row for row in rows if row[:1] == ["total"]]
    assert total[1] == "1,000"
    assert int(total[-1]) == drained(receiver)[0]
    assert [row[1] for row in rows if row and row[0] in ("v5-1", "v9-2", "ipfix-3")] == [
        "v5",
        "v9",
        "ipfix",
    ]


def test_generate_when_json_then_exporters_add_up_to_the_total(capsys, receiver):
    options = ["--flows", "500", "--rate", "max", "--exporters", "5", "--protocol", "ipfix,v9"]
    code, out, _ = generate(capsys, receiver, *options, "--json")
    report = json.loads(out)
    assert code == 0
    assert report["refused"] == 0
    assert [e["protocol"] for e in report["exporters"]] == ["ipfix", "v9", "ipfix", "v9", "ipfix"]
    for name, value in report["total"].items():
        assert value == sum(exporter[name] for exporter in report["exporters"])
    total = report["total"]
    assert (total["datagrams"], total["datagram_octets"]) == drained(receiver)


def test_generate_when_unique_then_hardly_a_near_host_comes_twice(capsys, receiver):
    options = ["--flows", "3000", "--rate", "max", "--protocol", "v5", "--unique"]
    assert generate(capsys, receiver, *options)[0] == 0
    receiver.stop_receiving()
    hosts = set()
    while (block := receiver.receive(0)) is not None:
        for row in range(len(block)):
            datagram = block.payload(row)
            for at in range(24, len(datagram), 48):
                ends = datagram[at : at + 4], datagram[at + 4 : at + 8]
                hosts |= {end for end in ends if end[0] == 10}
    assert len(hosts) > 2500


def test_generate_when_duration_is_given_then_stops(capsys, receiver):
    code, out, _ = generate(capsys, receiver, "--duration", "0.1", "--rate", "10000", "--json")
    assert code == 0
    assert abs(json.loads(out)["total"]["flows"] - 1000) <= 1


def test_generate_when_seed_differs_then_other_flows(capsys, receiver):
    octets = set()
    for seed in ("1", "1", "2"):
        _, out, _ = generate(
            capsys, receiver, "--flows", "100", "--rate", "max", "--seed", seed, "--json"
        )
        octets.add(json.loads(out)["total"]["octets"])
    assert len(octets) == 2


def test_generate_when_interrupted_then_prints_what_was_sent(receiver):
    arguments = ["generate", "--to", str(receiver.addresses[0]), "--rate", "1000", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "appliance", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert receiver.receive(20) is not None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err.strip()) == (130, b"")
    assert json.loads(out)["total"]["datagrams"] == drained(receiver)[0]


def test_generate_when_nobody_listens_then_says_so_and_fails(capsys, receiver):
    receiver.stop()
    code, _, err = generate(capsys, receiver, "--flows", "300", "--rate", "5000")
    assert code == 1
    assert err.startswith("appliance: nobody listens on 127.0.0.1:")


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--rate", "0", "expected a number above zero, or max, found '0'"),
        ("--rate", "inf", "expected a number above zero, or max, found 'inf'"),
        ("--rate", "fast", "expected a number above zero, or max, found 'fast'"),
        ("--protocol", "v9,v7", "expected some of v5, v9, ipfix, found 'v7'"),
    ],
)
def test_generate_when_an_option_is_wrong_then_one_sentence(
    capsys, receiver, option, value, sentence
):
    code, _, err = generate(capsys, receiver, option, value)
    assert code == 2
    assert err.startswith(f"appliance: invalid value for '{option}': {sentence}")
