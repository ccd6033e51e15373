"""Changing a configuration in place: what is not changed keeps every octet."""

from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import SettingsError
from appliance.plugins.pmacct.configuration.config import CollectorConfig, read_config
from appliance.plugins.pmacct.configuration.editing import change_config, edit_config

KEYS = ("nfacctd_ip", "nfacctd_port", "sql_host", "sql_passwd", "aggregate")
values = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1)
blanks = st.sampled_from(["", " ", "\t", "  "])
ends = st.sampled_from(["\n", "\r\n"])
comments = st.builds(
    lambda blank, mark, text: f"{blank}{mark}{text}", blanks, st.sampled_from("!#"), values
)
settings = st.builds(
    lambda a, key, scope, b, c, value, d: f"{a}{key}{scope}{b}:{c}{value}{d}",
    *(blanks, st.sampled_from([*KEYS, "plugins", "NFACCTD_PORT", "x_unknown"])),
    *(st.sampled_from(["", "[p]", "[ q ]"]), blanks, blanks, values, blanks),
)
lines = st.lists(st.tuples(st.one_of(settings, comments, blanks), ends))


def written(folder: Path, text: str) -> Path:
    path = folder / "c.conf"
    path.write_bytes(text.encode())
    return path


@given(
    lines=lines,
    cut=st.booleans(),
    changes=st.dictionaries(st.sampled_from(KEYS), values, min_size=1),
)
def test_edited_when_values_change_then_they_count_and_all_else_is_kept(
    tmp_path_factory, lines, cut, changes
):
    text = "".join(body + end for body, end in lines)
    text = text.rstrip("\r\n") if cut else text
    folder = tmp_path_factory.mktemp("edit")
    before = read_config(written(folder, text))
    after = read_config(written(folder, edit_config(before, changes)))
    for key, value in changes.items():
        assert after.value(key) == value
        assert {line.value for line in after.lines if line.key == key} == {value}
    added = set(changes) - {line.key for line in before.lines if not line.plugin}
    assert len(after.lines) == len(before.lines) + len(added)
    kept = [(line.text.rstrip("\r\n")) for line in before.lines if line.key not in changes]
    there = {line.key for line in before.lines if not line.plugin}
    now = [line for line in after.lines if line.key not in changes]
    assert [line.text.rstrip("\r\n") for line in now] == kept
    for old, new in zip(before.lines, after.lines, strict=False):
        if old.key in changes:
            left = old.text.partition(":")[0]
            assert new.text.partition(":")[0] == left
        elif new.text != old.text:
            # The last line gets an end when something is added behind it.
            assert new.text.rstrip("\r\n") == old.text
            assert not set(changes) <= there


def test_edited_when_nothing_changes_then_the_same_octets(tmp_path):
    octets = b"! caf\xe9\r\nnfacctd_port:2055  \r\n\tSQL_HOST : x\ny"
    (tmp_path / "c.conf").write_bytes(octets.replace(b"\ny", b"\n! y"))
    config = read_config(tmp_path / "c.conf")
    text = edit_config(config, {"nfacctd_port": "2055", "sql_host": "x"})
    assert text.encode("utf-8", "surrogateescape") == (tmp_path / "c.conf").read_bytes()


def test_edited_when_a_key_is_taken_out_then_its_lines_go(tmp_path):
    config = read_config(written(tmp_path, "a_key: 1\nsql_host: x\nSQL_HOST[p]: y\nb_key: 2\n"))
    assert edit_config(config, {"sql_host": None, "sql_port": None}) == "a_key: 1\nb_key: 2\n"


@pytest.mark.parametrize("value", ["a\nplugins: x", " a", "a\r", "a\u2028b"])
def test_edited_when_a_value_would_be_read_back_differently_then_refused(tmp_path, value):
    config = read_config(written(tmp_path, "sql_host: x\n"))
    with pytest.raises(SettingsError, match="expected one line"):
        edit_config(config, {"sql_host": value})


def test_change_when_written_then_mode_is_kept_and_new_files_are_private(tmp_path):
    path = written(tmp_path, "sql_host: x\n")
    path.chmod(0o640)
    change_config(path, lambda config: edit_config(config, {"sql_host": "y"}))
    assert path.read_text() == "sql_host: y\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    new = tmp_path / "new.conf"
    change_config(new, lambda config: f"there: {config is not None}\n")
    assert new.read_text() == "there: False\n"
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.conf", "new.conf"]


def test_change_when_the_function_refuses_then_the_file_is_as_it_was(tmp_path):
    path = written(tmp_path, "sql_host: x\n")
    with pytest.raises(SettingsError):
        change_config(path, lambda config: edit_config(config, {"sql_host": "\n"}))
    assert path.read_text() == "sql_host: x\n"


def _count(path: Path, times: int) -> None:
    for _ in range(times):
        change_config(path, _with_next_port)


def _with_next_port(config: CollectorConfig) -> str:
    port = int(config.value("nfacctd_port") or 0)
    return edit_config(config, {"nfacctd_port": str(port + 1)})


def test_change_when_two_write_at_once_then_none_is_lost(tmp_path):
    path = written(tmp_path, "nfacctd_port: 1\n")
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_count, args=(path, 50)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert read_config(path).value("nfacctd_port") == "101"
