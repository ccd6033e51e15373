"""Real nfacctd and the appliance tell the programs that run after a purge the same.

nfacctd runs as a daemon, because at its end it starts no program; it is sent a capture until a
purge has written it. Programs write to a named pipe, so nothing is waited for longer than needed.
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.traffic.captures import CaptureReader, blocks_of
from tests.collector.running import free_port
from tests.plugins.pmacct.both import DATA, fill_tables
from tests.plugins.pmacct.test_triggers import wait_for_programs

CAPTURE = DATA / "traffic.pcap"
CONFIG = """\
daemonize: false
nfacctd_ip: 127.0.0.1
nfacctd_port: {port}
nfacctd_time_new: true
plugins: {plugin}[p]
aggregate: src_host
sql_db: {folder}/lite.db
sql_host: somewhere
sql_user: somebody
sql_table: acct
sql_optimize_clauses: true
sql_history: 1d
sql_history_roundoff: h
sql_preprocess: minb=1000
{kind}_refresh_time: 2
{kind}_trigger_exec[p]: {folder}/trigger.sh
{extra}
"""
TABLE = "CREATE TABLE acct (ip_src, packets, bytes, stamp_inserted, stamp_updated)"
NAMES = ("PRINT_", "SQL_", "EFFECTIVE_", "TOTAL_", "INSERT_", "UPDATE_", "ELAPSED_", "SAMPLING_")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        shutil.which("nfacctd") is None, reason="nfacctd is not installed: apt-get install pmacct"
    ),
]


def prepare(folder: Path, plugin: str, extra: str) -> int:
    """Write configuration, table and program; return the port."""
    folder.mkdir()
    port = free_port()
    values = {"kind": "print" if plugin == "print" else "sql", "plugin": plugin, "port": port}
    (folder / "c.conf").write_text(CONFIG.format(folder=folder, extra=extra, **values))
    with sqlite3.connect(folder / "lite.db") as connection:
        connection.execute(TABLE)
    connection.close()
    os.mkfifo(folder / "pipe")
    program = folder / "trigger.sh"
    # One write of a few hundred octets is one piece in a pipe, also beside another program's.
    program.write_text(f'#!/bin/sh\nx=$(env; echo ARGUMENTS=$#)\necho "$x" > {folder}/pipe\n')
    program.chmod(0o755)
    return port


def next_environment(folder: Path) -> dict[str, str]:
    """Wait for the program; return what it was told."""
    text = (folder / "pipe").read_text()
    told = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {
        name: value.replace(str(folder), "FOLDER")
        for name, value in told.items()
        if name.startswith(NAMES) or name == "ARGUMENTS"
    }


@contextmanager
def daemon(folder: Path) -> Iterator[None]:
    with subprocess.Popen(
        ["nfacctd", "-f", str(folder / "c.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "TZ": "UTC"},
    ) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, 9)


def send_capture(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagrams in blocks_of(found.datagram for found in CaptureReader(CAPTURE)):
            for datagram in datagrams:
                sender.sendto(bytes(datagram.payload), ("127.0.0.1", port))


@contextmanager
def sending(port: int) -> Iterator[None]:
    """Send the capture again and again: nfacctd does not say when it listens."""
    over = threading.Event()

    def send() -> None:
        while not over.wait(0.3):
            send_capture(port)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


@pytest.mark.parametrize("extra", ["", "sql_dont_try_update: true\nsampling_rate: 1"])
def test_trigger_of_a_table_when_run_by_both_then_told_the_same(tmp_path, extra):
    theirs, ours = tmp_path / "nfacctd", tmp_path / "appliance"
    port = prepare(theirs, "sqlite3", extra)
    prepare(ours, "sqlite3", extra)
    with daemon(theirs):
        idle = told = next_environment(theirs)
        while "TOTAL_ELEM_NUMBER" not in told:
            idle = told
            send_capture(port)
            told = next_environment(theirs)
    loader = fill_tables(ours, ours / "c.conf", CAPTURE)
    assert next_environment(ours) == told
    wait_for_programs(loader)
    assert idle.keys() < told.keys()
    assert {name: told[name] for name in idle} == idle


def test_trigger_of_print_when_run_by_both_then_told_the_same(tmp_path):
    theirs, ours = tmp_path / "nfacctd", tmp_path / "appliance"
    extra = "print_output: csv\nprint_output_file: {}/out.csv"
    port = prepare(theirs, "print", extra.format(theirs))
    prepare(ours, "print", extra.format(ours))
    with daemon(theirs), sending(port):
        environment = next_environment(theirs)
    assert (theirs / "out.csv").exists()
    loader = fill_tables(ours, ours / "c.conf", CAPTURE)
    assert (ours / "out.csv").exists()
    assert next_environment(ours) == environment
    wait_for_programs(loader)
