from __future__ import annotations

import pytest

from appliance.errors import SettingsError
from appliance.plugins.pmacct.configuration.config import CollectorConfig, PluginName, read_config

SITE = """\
! the collector of this site
daemonize: false
  NFACCTD_IP : 10.0.2.16\t
nfacctd_port: 2055
plugins: mysql[netflow], mysql[apptable] , print

aggregate_primitives: primitives.lst
# per plugin
aggregate[netflow]: src_host, dst_host
aggregate[apptable]: appid
sql_passwd[netflow]: a:b # not a comment
"""


@pytest.fixture
def read(tmp_path):
    def from_text(text: str) -> CollectorConfig:
        (tmp_path / "c.conf").write_bytes(text.encode())
        return read_config(tmp_path / "c.conf")

    return from_text


def test_config_when_read_then_the_values_that_the_collector_asks_for(read):
    config = read(SITE)
    assert config.value("nfacctd_ip") == "10.0.2.16"
    assert config.value("nfacctd_port") == "2055"
    assert config.plugins == (
        PluginName("mysql", "netflow"),
        PluginName("mysql", "apptable"),
        PluginName("print", "default_print"),
    )


def test_config_when_read_then_every_line_is_kept(read):
    assert "".join(line.text for line in read(SITE).lines) == SITE
    crlf = SITE.replace("\n", "\r\n")
    assert "".join(line.text for line in read(crlf).lines) == crlf
    assert read(crlf).value("nfacctd_port") == "2055"


def test_config_when_octets_are_not_utf8_then_they_survive(tmp_path):
    path = tmp_path / "c.conf"
    path.write_bytes(b"! caf\xe9\nnfacctd_port: 2055\n")
    text = "".join(line.text for line in read_config(path).lines)
    assert text.encode("utf-8", "surrogateescape") == path.read_bytes()


def test_config_when_empty_then_nothing_is_set(read):
    config = read("! nothing\n")
    assert config.value("nfacctd_port") is None
    assert config.plugins == ()


def test_value_when_key_comes_twice_then_the_later_line_wins(read):
    assert read("nfacctd_port: 1\nnfacctd_port: 2\n").value("nfacctd_port") == "2"
    config = read("aggregate[p]: src_host\naggregate: dst_host\n")
    assert config.value("aggregate", "p") == "dst_host"
    config = read("aggregate: dst_host\naggregate[p]: src_host\n")
    assert config.value("aggregate", "p") == "src_host"
    assert config.value("aggregate", "q") == "dst_host"
    assert config.value("nosuch", "q") is None


def test_value_when_a_comment_trails_then_part_of_the_value(read):
    assert read(SITE).value("sql_passwd", "netflow") == "a:b # not a comment"


def test_plugins_when_line_or_name_comes_twice_then_the_first_counts(read):
    config = read("plugins: mysql[p], print[p]\nplugins: memory\n")
    assert config.plugins == (PluginName("mysql", "p"),)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("daemonize", "syntax error: missing ':'"),
        ("aggregate[p: src_host", "syntax error: not weighted brackets"),
        ("aggregate[p]x: src_host", "syntax error: illegal brackets"),
        ("aggregate[p][q]: src_host", "syntax error: illegal brackets"),
    ],
)
def test_config_when_a_line_is_wrong_then_error_with_file_and_line(read, tmp_path, line, problem):
    with pytest.raises(SettingsError) as caught:
        read(f"! first\n\n{line}\n")
    assert str(caught.value) == f"{tmp_path}/c.conf:3: {problem}"


def test_config_when_file_is_missing_then_error(tmp_path):
    with pytest.raises(SettingsError, match=r"c\.conf: file not found"):
        read_config(tmp_path / "c.conf")
