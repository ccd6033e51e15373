"""`appliance flows`: the way from arguments to answers, and what is said when they are wrong."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flows import V4_MAPPED, FlowBatch

ROOT = Path(__file__).parents[2]
START_MS = 1_763_764_200_000


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A flow log of twenty flows, one a second, octets 0 to 19, from 10.0.0.0 to 10.0.0.19."""
    path = tmp_path / "flowlog"
    writer = FlowLogWriter(path, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    number = np.arange(20)
    columns = {
        "collection_time_milliseconds": number * 1000 + START_MS,
        "source_address_lo": number.astype("u8") | V4_MAPPED | 0x0A000000,
        "protocol_identifier": np.full(20, 6, "u1"),
        "octet_delta_count": number.astype("u8"),
    }
    writer.append(FlowBatch(20, columns))
    writer.flush({}, START_MS)
    writer.close(START_MS)
    return path


def run(*arguments: object) -> int:
    return run_command_line(group, [str(argument) for argument in arguments])


def test_flows_when_asked_then_newest_first(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("flows", "--directory", directory, "--limit", 3) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.startswith("collection time")
    assert len(lines) == 3
    assert "10.0.0.19" in lines[0]
    assert "tcp" in lines[0]


def test_flows_when_conditions_and_range_then_only_those(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bounds = ("--from", START_MS, "--to", START_MS + 10_000)
    asked = ("source=10.0.0.8/29", "--where", "octets!=9", "--format", "json")
    assert run("flows", "--directory", directory, *bounds, *asked) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["source_address"] for row in rows] == ["10.0.0.8"]


def test_flows_when_columns_are_named_then_only_they(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--columns", "source,octets", "--order", "octets", "--limit", 1, "--format", "csv")
    assert run("flows", "--directory", directory, *asked) == 0
    assert capsys.readouterr().out == '"source_address","octet_delta_count"\n"10.0.0.19",19\n'


def test_flows_when_written_to_a_file_then_all_is_there(directory: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    asked = ("--format", "parquet", "--output", target, "--columns", "all")
    assert run("flows", "--directory", directory, *asked) == 0
    assert pq.read_table(target).num_rows == 20


def test_flows_when_no_directory_is_given_then_that_of_the_settings(
    conf: Callable[[str], Path], directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = conf(f"data_directory: {directory.parent}\n")
    assert run("-confPath", f"{folder}/", "flows", "--limit", 1, "--format", "json") == 0
    assert "10.0.0.19" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nonsense",), 2, "expected"),
        (("souce=10.0.0.1",), 2, 'expected a field or column, got "souce"; did you mean source?'),
        (("--last", "1y"), 2, "no duration"),
        (("--from", "yesterday"), 2, "is no time"),
        (("--columns", "nothing"), 2, "unknown column"),
        (("--last", "1h", "--from", "0"), 2, "give either --last or --from"),
        (("--where", "octets>many"), 2, 'expected a number, got "many"'),
        (("--limit", "0"), 2, "0 is not in the range"),
        (("--output", "/nonexistent/file"), 1, "no such file"),
        (("--directory", "/nonexistent"), 1, "no flow log in /nonexistent"),
    ],
)
def test_flows_when_wrong_then_one_sentence_and_a_code(
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    assert run("flows", "--directory", directory, *arguments) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.startswith("appliance: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_flows_when_a_list_of_the_settings_is_named_then_only_its_addresses(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = directory.parent
    (folder / "appliance.yml").write_text(
        "data_directory: .\nsearch:\n  lists: {bad-addresses: bad.txt}\n"
    )
    (folder / "bad.txt").write_text("10.0.0.3 # seen in May\n10.0.0.16/30\n")
    conf = ("-confPath", f"{folder}/")
    assert run(*conf, "flows", "ip in @bad-addresses", "--format", "json") == 0
    lines = capsys.readouterr().out.splitlines()
    sources = [json.loads(line)["source_address"] for line in lines]
    assert sources == [f"10.0.0.{n}" for n in (19, 18, 17, 16, 3)]
    assert run(*conf, "flows", "ip in @bad") == 2
    assert "one of @bad-addresses" in capsys.readouterr().err
    assert run(*conf, "flows", 'exporter "core"') == 2
    assert "expected the address or name of an exporter" in capsys.readouterr().err


def test_flows_help_when_asked_then_explains_conditions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("flows", "--help") == 0
    assert "FIELD=VALUE" in capsys.readouterr().out


def on_terminal(columns: int, *arguments: object) -> str:
    """Run `appliance` with a terminal for its output, and return what comes there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "appliance", *map(str, arguments)]
    environment = {name: os.environ[name] for name in os.environ if name not in ("COLUMNS",)}
    with os.fdopen(ours, "rb", buffering=0) as reader:
        try:
            subprocess.run(command, stdout=theirs, check=True, cwd=ROOT, env=environment)
        finally:
            os.close(theirs)
        written = b""
        with contextlib.suppress(OSError):  # a terminal whose other end is closed
            while octets := reader.read(4096):
                written += octets
    return re.sub(r"\x1b\[\d*m|\r", "", written.decode())


def test_flows_when_on_a_terminal_then_as_wide_as_that_unless_wide(directory: Path) -> None:
    asked = ("flows", "--directory", directory, "--limit", 3)
    narrow = on_terminal(60, *asked).splitlines()
    assert narrow[0].startswith("time UTC")
    assert narrow[1].startswith("2025-11-21 22:30:19  tcp")
    assert all(len(line) <= 60 for line in narrow[:4])
    wide = on_terminal(60, *asked, "--wide").splitlines()
    assert wide[0].startswith("collection time")
    assert "egress interface" in wide[0]
    assert wide[1].startswith("2025-11-21T22:30:19.000Z")
