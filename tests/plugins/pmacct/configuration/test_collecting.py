"""`appliance collect` with a configuration of nfacctd: its tables, its log, its pid file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.collector.running import RunningCollector, free_port

CAPTURES = Path(__file__).parents[3] / "data" / "captures"
CONFIG = """\
plugins: sqlite3[netflow], sqlite3[apptable]
nfacctd_ip: 127.0.0.1
nfacctd_port: {port}
nfacctd_pipe_size: 1000000
nfacctd_time_new: true
nfacctd_account_options: true
aggregate_primitives: primitives.lst
sql_optimize_clauses: true
sql_refresh_time: 1
sql_db: pmacct.db
aggregate[netflow]: src_host, dst_host, appid
sql_table[netflow]: netflow
aggregate[apptable]: appid, appname
sql_table[apptable]: apptable
"""
PRIMITIVES = """\
name=appname field_type=96 len=24 semantics=str
name=appid field_type=95 len=4 semantics=raw
"""


@pytest.fixture
def collector(tmp_path):
    made = RunningCollector(tmp_path, "  config: c.conf\n")
    (made.conf / "primitives.lst").write_text(PRIMITIVES)

    def configure(text: str = "") -> RunningCollector:
        (made.conf / "c.conf").write_text(CONFIG.format(port=made.port) + text)
        settings = made.conf / "appliance.yml"
        # Where the configuration says, not where the settings do.
        settings.write_text(settings.read_text().replace(f":{made.port}", f":{free_port()}"))
        return made

    yield configure
    if made.process is not None and made.process.poll() is None:
        made.stop()


def appliance(conf: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "appliance", "-confPath", f"{conf}/", *words],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def rows(conf: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(conf / "pmacct.db", timeout=10) as connection:
        return sorted(connection.execute(query).fetchall())


def test_collect_when_tables_are_asked_for_then_filled_beside_the_roll_ups(collector):
    running = collector().start()
    capture = CAPTURES / "v9_cisco-nbar_table-then-data.pcap"
    sent = appliance(running.conf, "replay", str(capture), "--to", str(running.target))
    assert sent.returncode == 0
    end = time.monotonic() + 30
    found: list[tuple[object, ...]] = []
    while time.monotonic() < end and not any("icmp" in row for row in found):
        time.sleep(0.2)
        if (running.conf / "pmacct.db").exists():
            try:
                found = rows(running.conf, "SELECT appid, appname, bytes FROM apptable")
            except sqlite3.OperationalError:
                found = []
    running.stop()
    assert ("01-00-00-01", "icmp", 0) in rows(
        running.conf, "SELECT appid, appname, bytes FROM apptable"
    )
    sums = rows(running.conf, "SELECT appid, sum(bytes) FROM netflow GROUP BY 1 HAVING sum(bytes)")
    assert sums == [("01-00-00-01", 88), ("03-00-00-7B", 76), ("05-00-00-26", 2900)]
    assert rows(running.conf, "SELECT sum(octets) FROM appliance_rollup WHERE dimension = 0"
                " AND size = 0 AND exporter = 0") == [(3064,)]  # fmt: skip


def test_collect_when_the_configuration_is_wrong_then_one_sentence(collector):
    running = collector("aggregate: nosuch\n")
    found = appliance(running.conf, "collect")
    assert found.returncode == 2
    assert "Unknown primitive 'nosuch'" in found.stderr
    assert "Traceback" not in found.stderr


def test_collect_when_a_log_and_a_pid_file_are_named_then_written(collector):
    running = collector("logfile: c.log\npidfile: c.pid\nsql_history: 5x\n")
    running.start()
    number = int((running.conf / "c.pid").read_text())
    assert running.process is not None
    assert number == running.process.pid
    end = time.monotonic() + 20
    while time.monotonic() < end and "measuring" not in (running.conf / "c.log").read_text():
        time.sleep(0.2)
    running.stop()
    assert not (running.conf / "c.pid").exists()
    assert "Ignoring unknown time measuring unit: 'x'." in (running.conf / "c.log").read_text()


def test_collect_when_it_is_a_daemon_then_in_the_background_and_receiving(collector):
    running = collector("daemonize: true\npidfile: c.pid\n")
    started = appliance(running.conf, "collect")
    try:
        assert started.returncode == 0, started.stderr
        number = int((running.conf / "c.pid").read_text())
        daemon = psutil.Process(number)
        assert os.getsid(number) == number
        assert any(c.laddr.port == running.port for c in daemon.net_connections("udp"))
    finally:
        os.kill(int((running.conf / "c.pid").read_text()), signal.SIGTERM)
    psutil.wait_procs([daemon], timeout=30)
    assert not daemon.is_running()


def test_collect_when_a_daemon_cannot_start_then_the_starter_says_so(collector):
    running = collector("daemonize: true\n")
    config = running.conf / "c.conf"
    config.write_text(config.read_text().replace("127.0.0.1", "192.0.2.77"))
    found = appliance(running.conf, "collect")
    assert found.returncode != 0
    assert "192.0.2.77" in found.stderr


def test_check_when_there_is_a_configuration_then_values_and_what_does_nothing(collector):
    running = collector("sql_passwd: hidden\ndebug: true\nnosuch: 1\nnfacctd_port: 0\n")
    found = appliance(running.conf, "check", "--json").stdout
    assert '"name": "nfacctd_port"' in found
    assert f'"value": "{running.port}"' in found
    assert "hidden" not in found
    assert "debug: the log says more with `log_level: debug`" in found
    assert "Unknown key: nosuch. Ignored." in found
    assert "'nfacctd_port' has to be in the range 1-65535." in found


def test_collect_when_a_key_would_change_rows_then_no_start_and_check_fails(collector):
    running = collector("nfacctd_pro_rating: true\n")
    words = (
        "nfacctd_pro_rating: true (a flow is counted in the bin that it begins in): this changes"
    )
    refused = appliance(running.conf, "collect")
    assert refused.returncode == 2
    assert words in refused.stderr
    checked = appliance(running.conf, "check")
    assert checked.returncode == 1
    # Piped, the line is whole.
    assert any(
        words in line and line.endswith("collector.ignore_unsupported: [nfacctd_pro_rating]")
        for line in checked.stdout.splitlines()
    )


@pytest.mark.parametrize("command", ["collect", "run"])
def test_start_when_lines_do_nothing_then_said(tmp_path, command):
    settings = "  config: c.conf\n  ignore_unsupported: [nfacctd_pro_rating]\n"
    running = RunningCollector(tmp_path, settings, command)
    (running.conf / "primitives.lst").write_text(PRIMITIVES)
    text = CONFIG.format(port=running.port) + "debug: true\nnfacctd_pro_rating: true\n"
    (running.conf / "c.conf").write_text(text)
    running.start()
    hints = (
        "debug: the log says more with `log_level: debug`",
        "nfacctd_pro_rating: not supported, ignored as collector.ignore_unsupported says",
    )
    end = time.monotonic() + 20
    while time.monotonic() < end and not all(h in "\n".join(running.output) for h in hints):
        time.sleep(0.1)
    running.stop()
    for hint in hints:
        assert any(line.endswith(hint) for line in running.output)
