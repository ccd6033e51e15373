"""FlowLogWriter: groups count whole or not at all, whatever happens to the process or the disk."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.errors import StorageError
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flowlog import writer as writer_module
from appliance.flows import octets_column
from tests.collector.running import soak_rounds


def test_due_when_rows_waited_or_are_many_then_true(log: Any, make_batch: Any) -> None:
    writer = log.writer()
    assert not writer.due(log.now_ms)
    writer.append(make_batch(5))
    assert not writer.due(log.now_ms)
    assert not writer.due(log.now_ms + 999)
    assert writer.due(log.now_ms + 1000)
    writer.flush({}, log.now_ms)
    assert not writer.due(log.now_ms + 5000)
    writer.append(make_batch(writer_module.MAX_BUFFERED_ROWS + 1))
    assert writer.due(log.now_ms)
    writer.close()


def test_state_when_writer_starts_again_then_is_merged_over_segments(
    log: Any, make_batch: Any
) -> None:
    writer = log.writer()
    for number in range(5):
        writer.append(make_batch(3, number))
        assert writer.flush({f"key{number}": number, "last": number}, log.now_ms) == 0
        log.now_ms += 40_000
        writer.roll_if_due(log.now_ms)
    assert writer.flush({"key0": None}, log.now_ms) == 0
    writer.close(log.now_ms)
    expected = {"key1": 1, "key2": 2, "key3": 3, "key4": 4, "last": 4}
    again = FlowLogWriter(log.directory, log.limits)
    assert again.start() == expected
    again.close()
    log.maintain()
    after_sealing = FlowLogWriter(log.directory, log.limits)
    assert after_sealing.start() == expected
    after_sealing.close()


def test_state_when_segment_is_open_and_its_file_is_gone_then_comes_from_the_journal(
    log: Any, make_batch: Any
) -> None:
    writer = log.writer()
    writer.flush({"a": 1, "b": 2}, log.now_ms)
    log.now_ms += 61_000
    writer.roll_if_due(log.now_ms)
    writer.append(make_batch(1))
    writer.flush({"a": 3}, log.now_ms)
    (log.directory / "state.json").unlink()
    os.close(writer._lock)  # as if killed
    again = FlowLogWriter(log.directory, log.limits)
    assert again.start() == {"a": 3, "b": 2}
    again.close()


def test_state_when_a_key_was_taken_away_and_writer_killed_then_it_stays_away(log: Any) -> None:
    writer = log.writer()
    writer.flush({"a": 1, "b": 2}, log.now_ms)
    log.now_ms += 61_000
    writer.roll_if_due(log.now_ms)
    writer.flush({"a": None}, log.now_ms)
    os.close(writer._lock)  # as if killed
    again = FlowLogWriter(log.directory, log.limits)
    assert again.start() == {"b": 2}
    again.close()


@pytest.mark.parametrize(
    "octets",
    [b"", b"\0" * 50, b"[]", b'{"segment": "x", "state": {}}', b'{"segment": 1, "state": 5}',
     b'{"segment": 99999999999999, "state": {}}', b"[" * 100_000],
)  # fmt: skip
def test_state_file_when_damaged_then_ignored_and_logged(
    log: Any, octets: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    log.write()
    (log.directory / "state.json").write_bytes(octets)
    writer = FlowLogWriter(log.directory, log.limits)
    assert writer.start() == {}
    assert "state.json is ignored: " in caplog.text
    writer.close()


def test_second_writer_when_first_runs_then_refused(log: Any) -> None:
    writer = log.writer()
    with pytest.raises(StorageError, match="another collector"):
        FlowLogWriter(log.directory, log.limits).start()
    writer.close()
    log.writer().close()


def test_directory_when_unusable_then_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be used"):
        FlowLogWriter(tmp_path / "file" / "log", FlowLogLimits()).start()


def test_numbers_when_everything_was_expired_then_go_on(log: Any, make_batch: Any) -> None:
    log.write([make_batch(1)], [make_batch(1)])
    for path in (log.directory / "flows").iterdir():
        path.unlink()
    log.write([make_batch(1)])
    assert log.files() == ["0000000003.journal"]


def test_empty_flush_when_nothing_changed_then_writes_nothing(log: Any) -> None:
    writer = log.writer()
    assert writer.flush({}, log.now_ms) == 0
    assert log.files() == []
    writer.close()


def test_octets_when_not_among_primitives_then_not_stored(log: Any, make_batch: Any) -> None:
    batch = make_batch(3)
    kept, other = octets_column(0, 95), octets_column(9, 1)
    batch.octets = {
        kept: np.array([b"\x03\0\0P"] * 3, "V4"),
        other: np.array([b"x", b"", b"yy"], object),
    }
    log.write([batch], primitives=[(0, 95)])
    (read,) = log.read()
    assert list(read.octets) == [kept]
    assert read.octets[kept].tolist() == [b"\x03\0\0P"] * 3


def test_small_batches_when_flushed_then_joined_by_columns(
    log: Any, make_batch: Any, records: Any
) -> None:
    batches = [make_batch(2, n, vlan_id=np.uint16(n) if n % 2 else None) for n in range(10)]
    writer = log.writer()
    for batch in batches:
        writer.append(batch)
    assert writer.flush({}, log.now_ms) == 0
    writer.close()
    read = log.read()
    assert len(read) == 2
    assert sorted(records(read)) == sorted(records(batches))


def test_free_space_when_low_then_drops_counts_and_resumes(
    log: Any, make_batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [10**9]

    def statvfs(path: Any) -> Any:
        return type("Status", (), {"f_bavail": free[0], "f_frsize": 1})

    monkeypatch.setattr(writer_module.os, "statvfs", statvfs)
    log.limits = FlowLogLimits(minimum_free_octets=10**6)
    writer = log.writer()
    writer.append(make_batch(5))
    assert writer.flush({"seen": 5}, log.now_ms) == 0
    free[0] = 10
    writer.append(make_batch(7))
    assert writer.flush({"seen": 12}, log.now_ms + 1000) == 7
    free[0] = 10**9
    writer.append(make_batch(2))
    assert writer.flush({"lost": 7}, log.now_ms + 1500) == 2  # asked once a second only
    writer.append(make_batch(1))
    assert writer.flush({"lost": 9}, log.now_ms + 2500) == 0
    assert (writer.rows_dropped, writer.rows_written) == (9, 6)
    writer.close()
    again = FlowLogWriter(log.directory, log.limits)
    assert again.start() == {"seen": 12, "lost": 9}
    again.close()
    assert sum(batch.n_records for batch in log.read()) == 6


def test_disk_when_full_in_mid_group_then_group_is_undone_and_writing_resumes(
    log: Any, make_batch: Any
) -> None:
    writer = log.writer()
    options = make_batch(4)
    options.options = True
    writer.append(make_batch(1000))
    writer.append(options)
    assert writer.flush({"seen": 1004}, log.now_ms) == 0
    size = log.only_file().stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 3000, hard))
        writer.append(make_batch(1000, 1))
        writer.append(options)
        assert writer.flush({"seen": 2008}, log.now_ms) == 1004
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert log.only_file().stat().st_size == size
    assert (writer.write_errors, writer.rows_dropped) == (1, 1004)
    writer.append(make_batch(10, 2))
    assert writer.flush({"lost": 1004}, log.now_ms + 1000) == 0
    writer.close()
    assert sum(batch.n_records for batch in log.read()) == 1010
    assert sum(batch.n_records for batch in log.read(options=True)) == 4
    again = FlowLogWriter(log.directory, log.limits)
    assert again.start() == {"seen": 2008, "lost": 1004}
    again.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_small_disk_when_full_then_what_fits_is_kept(
    tmp_path: Path, make_batch: Any, new_log: Any
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        log = new_log()
        log.directory = disk / "flowlog"
        writer = log.writer()
        lost = 0
        for number in range(40):
            writer.append(make_batch(1000, number))
            lost += writer.flush({"lost": lost}, log.now_ms + number * 2000)
        assert lost > 0
        assert lost == writer.rows_dropped
        log.maintain()  # nothing closed yet: nothing to seal, and nothing fails
        (log.directory / "flows" / "ballast").unlink(missing_ok=True)
        writer.close(log.now_ms)
        assert sum(b.n_records for b in log.read()) == 40_000 - lost == writer.rows_written
    finally:
        subprocess.run(["umount", disk], check=True)


KILLED_WRITER = textwrap.dedent("""
    import sys, random
    import numpy as np
    from pathlib import Path
    from appliance.flowlog import FlowLogLimits, FlowLogWriter
    from appliance.flows import FlowBatch
    limits = FlowLogLimits(segment_rows=4000, minimum_free_octets=0)
    writer = FlowLogWriter(Path(sys.argv[1]), limits)
    state = writer.start()
    flows, options, now = state.get("flows", 0), state.get("options", 0), 0
    print("ready", flush=True)
    while True:
        for _ in range(random.randrange(4)):
            n = random.randrange(1, 400)
            is_options = random.random() < 0.3
            writer.append(FlowBatch(n, {"flow_id": np.arange(n, dtype="u8")}, options=is_options))
            if is_options:
                options += n
            else:
                flows += n
        now += 1000
        assert writer.flush({"flows": flows, "options": options}, now) == 0
""")


def killed_rounds(log: Any, rounds: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(writer_module.__file__).parents[2])}
    for number in range(rounds):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED_WRITER, str(log.directory)],
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            process.wait(0.05 + 0.013 * (number % 7))
        except subprocess.TimeoutExpired:
            process.kill()
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
        if number % 2:
            log.maintain()
        writer = FlowLogWriter(log.directory, log.limits)
        state = writer.start()
        writer.close()
        assert sum(b.n_records for b in log.read()) == state.get("flows", 0)
        assert sum(b.n_records for b in log.read(options=True)) == state.get("options", 0)
    assert state["flows"] > 0


def test_writer_when_killed_then_rows_agree_with_the_state(log: Any) -> None:
    killed_rounds(log, 4)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_writer_when_killed_many_times_then_rows_agree_with_the_state(log: Any) -> None:
    killed_rounds(log, soak_rounds(20))


def test_leftover_options_journal_when_flows_never_committed_then_dropped(log: Any) -> None:
    log.write()
    (log.directory / "options" / "0000000009.open").write_bytes(b"torn")
    log.writer().close()
    assert log.files(options=True) == []


def test_closing_when_killed_between_the_two_renames_then_nothing_doubles(
    log: Any, make_batch: Any
) -> None:
    writer = log.writer()
    options = make_batch(4)
    options.options = True
    writer.append(make_batch(3))
    writer.append(options)
    writer.flush({"x": 1}, log.now_ms)
    folder = log.directory / "options"
    os.replace(folder / "0000000001.open", folder / "0000000001.journal")
    log.maintain()
    assert sum(b.n_records for b in log.read(options=True)) == 4
    os.close(writer._lock)
    log.writer().close()
    log.maintain()
    assert sum(b.n_records for b in log.read(options=True)) == 4
    assert sum(b.n_records for b in log.read()) == 3


def test_state_json_when_written_then_is_plain_json(log: Any) -> None:
    writer = log.writer()
    writer.flush({"a": [1, "x"]}, log.now_ms)
    writer.close(log.now_ms)
    saved = json.loads((log.directory / "state.json").read_text())
    assert saved == {"segment": 1, "state": {"a": [1, "x"]}}
