"""A configuration in force: which value counts, what nfacctd says of the rest, what does nothing.

The messages are those that nfacctd 1.7.7 was seen to write.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.errors import SettingsError
from appliance.plugins.pmacct.configuration.config import PluginName
from appliance.plugins.pmacct.configuration.effective import EffectiveConfig
from appliance.plugins.pmacct.configuration.keys import (
    ACTS,
    CHANGES_NOTHING,
    CHANGES_ROWS,
    known_keys,
)
from appliance.plugins.pmacct.configuration.messages import printable_value
from appliance.plugins.pmacct.configuration.reading import IGNORED, read_effective

PLUGIN = "plugins: sqlite3[p]\naggregate[p]: src_host\n"


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def from_text(text: str, **files: str) -> EffectiveConfig:
        for name, content in {"c.conf": text, **files}.items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        return read_effective(Path("c.conf"))

    return from_text


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("foo_bar: 1\n", ["[c.conf:3] Unknown key: foo_bar. Ignored."]),
        ("foo_bar[p]: 1\n", ["[c.conf:3] Unknown key: foo_bar. Ignored."]),
        ("sql_table[nosuch]: x\n", ["[c.conf:3] Unknown symbol 'nosuch'. Ignored."]),
        ("plugins: memory\n", ["[c.conf:3] Unable to handle key: plugins. Ignored."]),
        ("nfacctd_time_new: yes\n", ["[c.conf:3] Invalid value. Ignored."]),
        ("sql_dont_try_update: 1\n", ["[c.conf:3] Invalid value. Ignored."]),
        (
            "nfacctd_port: 0\n",
            [
                "[c.conf] 'nfacctd_port' has to be in the range 1-65535.",
                "[c.conf:3] Invalid value. Ignored.",
            ],
        ),
        (
            "sql_refresh_time[p]: 0\n",
            [
                "[c.conf] 'sql_refresh_time' has to be > 0.",
                "[c.conf:3] Invalid value. Ignored.",
            ],
        ),
        (
            "sql_startup_delay: -1\n",
            [
                "[c.conf] 'sql_startup_delay' has to be >= 0.",
                "[c.conf:3] Invalid value. Ignored.",
            ],
        ),
        (
            "nfacctd_pipe_size: x\n",
            [
                "[c.conf] 'nfacctd_pipe_size' has to be > 0 and <= INT_MAX.",
                "[c.conf:3] Invalid value. Ignored.",
            ],
        ),
        (
            "sql_table_type: foo\n",
            ["[c.conf] Invalid sql_table_type value 'foo'", "[c.conf:3] Invalid value. Ignored."],
        ),
        (
            "nfacctd_time_new[p]: true\n",
            ["[c.conf] plugin name not supported for key 'nfacctd_time_new'. Globalized."],
        ),
        ("sql_history: 60\nsql_table_version: 12\n", []),
        ("NFACCTD_PORT : 2055\n\n! comment\n# comment\n", []),
    ],
)
def test_messages_when_a_line_is_ignored_then_in_the_words_of_nfacctd(read, lines, expected):
    found = read(PLUGIN + lines)
    assert [message.text for message in found.messages] == expected
    assert found.errors == []


@pytest.mark.parametrize(
    ("plugins", "expected", "message"),
    [
        ("nosuch, sqlite3", ["default_sqlite3"], "[c.conf] Unknown plugin type: nosuch. Ignoring."),
        ("sqlite3[p], mysql[p]", ["p"], "another plugin with the same name 'p' already exists."),
        ("sqlite3[]", ["default_memory"], "[c.conf] No plugin has been activated"),
        ("memory[x], sqlite3[p]", ["x", "p"], "plugin memory[x] is not offered here: not started"),
    ],
)
def test_plugins_when_named_wrongly_then_said(read, plugins, expected, message):
    found = read(f"plugins: {plugins}\naggregate: src_host\n")
    assert [plugin.name for plugin in found.plugins] == expected
    assert any(message in m.text for m in found.messages)


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("nfacctd_ip: 1.2.3.256\n", "'nfacctd_ip' value is not valid. Exiting."),
        ("aggregate: src_host, nosuch\n", "Unknown primitive 'nosuch'"),
        ("aggregate: src_host dst_host\n", "Unknown primitive 'src_host dst_host'"),
        ("aggregate_primitives: x.lst\n", "[x.lst] file not found."),
        ("pre_tag_map: x.map\n", "[x.map] file not found."),
        ("sql_table_version: 0\n", "invalid 'sql_table_version' value."),
    ],
)
def test_errors_when_nfacctd_would_not_start_then_refused(read, lines, error):
    found = read(PLUGIN + lines)
    assert found.errors == [error]
    with pytest.raises(SettingsError, match=r"c\.conf"):
        found.raise_errors()


def test_value_when_the_later_line_is_not_usable_then_the_earlier_counts(read):
    found = read(PLUGIN + "nfacctd_port: 2055\nnfacctd_port: 0\nsql_refresh_time[p]: 7\n")
    assert found.number("nfacctd_port") == 2055
    assert (found.number("sql_refresh_time", "p"), found.is_set("sql_refresh_time")) == (7, False)


def test_value_when_global_and_scoped_then_the_later_line_counts(read):
    text = "plugins: sqlite3[a], sqlite3[b]\nsql_table[a]: x\nsql_table: y\nsql_table[b]: z\n"
    found = read(text + "aggregate: src_host\n")
    assert [found.text("sql_table", name) for name in ("", "a", "b")] == ["y", "y", "z"]
    assert found.plugins == (PluginName("sqlite3", "a"), PluginName("sqlite3", "b"))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("sql_history: 1h\n", "1h"),
        ("print_history: 5m\nsql_history: 1h\n", "1h"),
        ("sql_history: 1h\nprint_history: 5m\n", "5m"),
        ("sql_history[p]: 2m\nprint_history: 5m\n", "5m"),
        ("print_history: 5m\nsql_history[p]: 2m\n", "2m"),
    ],
)
def test_value_when_sql_and_print_keys_name_one_setting_then_the_later_counts(
    read, lines, expected
):
    config = read(PLUGIN + lines)
    assert config.text("sql_history", "p") == config.text("print_history", "p") == expected
    assert [line.key for _, _, line in config.active_lines()].count("sql_history") <= 1


def test_aggregate_when_none_is_given_then_the_source_and_said(read):
    found = read("plugins: sqlite3[p]\n")
    assert found.aggregate("p") == ("src_host",)
    assert [m.text for m in found.messages] == ["[c.conf] defaulting to SRC HOST aggregation."]


def test_inert_when_a_key_is_known_but_does_nothing_then_named_with_the_reason(read):
    found = read(PLUGIN + "debug: true\nplugin_buffer_size: 4096\nnosuch: 1\n")
    assert [(entry.line.key, entry.reason) for entry in found.inert] == [
        ("debug", "the log says more with `log_level: debug`"),
        ("plugin_buffer_size", "nothing is copied between processes here"),
        ("nosuch", "nfacctd ignores it as well"),
    ]


@pytest.mark.parametrize(
    ("line", "key", "reason"),
    [
        (
            "nfacctd_pro_rating: true",
            *("nfacctd_pro_rating", " (a flow is counted in the bin that it begins in)"),
        ),
        ("bgp_daemon: true", "bgp_daemon", " (there are no BGP, BMP and IS-IS sessions here)"),
        ("nfacctd_as: bgp", "nfacctd_as", ""),
        ("flow_to_rd_map: x.map", "flow_to_rd_map", " (VRFs are as the flow tells them)"),
    ],
)
def test_key_when_it_would_change_rows_then_no_start_unless_it_may_be_ignored(
    read, line, key, reason
):
    found = read(f"{PLUGIN}{line}\n")
    assert found.errors == [
        f"[c.conf:3] {line}{reason}: this changes what tables hold and is not supported: take it"
        f" out, or allow that it is ignored with collector.ignore_unsupported: [{key}]"
    ]
    allowed = read_effective(Path("c.conf"), [key])
    assert allowed.errors == []
    assert [(entry.line.key, entry.reason) for entry in allowed.inert] == [(key, IGNORED)]


@pytest.mark.parametrize(
    ("checks", "backup", "word"),
    [
        ("fss=3", "", "fss"),
        ("minb=9, fsrc=3", "", "fsrc"),
        ("minb=9, recover=1", "", None),
        ("minb=9, recover=1", "sql_recovery_backup_host: 192.0.2.7", "recover"),
        ("minb=9", "sql_recovery_backup_host: 192.0.2.7", None),
    ],
)
def test_preprocess_when_rows_would_go_elsewhere_then_no_start(read, checks, backup, word):
    found = read(f"{PLUGIN}sql_preprocess: {checks}\n{backup}\n")
    said = f"sql_preprocess: {word} changes what tables hold and is not supported: take it out"
    assert found.errors == ([said] if word else [])


def test_key_when_it_would_change_rows_and_is_false_then_only_a_hint(read):
    found = read(PLUGIN + "nfacctd_pro_rating: false\n")
    assert found.errors == []
    assert [entry.reason for entry in found.inert] == [
        "a flow is counted in the bin that it begins in"
    ]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (
            "sql_history: 10m\nsql_history_offset: 600",
            "History offset (ie. sql_history_offset) must be < history (ie. sql_history).",
        ),
        ("nfacctd_net: mask", "'mask' needs a networks_mask"),
        ("nfacctd_net: mask\nnetworks_mask: 0", "'mask' needs a networks_mask"),
    ],
)
def test_keys_when_nfacctd_does_not_start_with_them_together_then_neither_here(
    read, lines, problem
):
    assert read(f"{PLUGIN}{lines}\n").errors == [problem]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("aggregate_filter[p]: len > 60", "aggregate_filter: a flow cannot answer 'len'"),
        ("pre_tag_filter[p]: 20-10", "pre_tag_filter: '20-10' is no tag and no range of tags"),
    ],
)
def test_filter_when_it_cannot_be_read_then_no_start_and_its_line(read, line, reason):
    (error,) = read(f"{PLUGIN}{line}\n").errors
    assert error.startswith(f"[c.conf:3] {reason}")


def test_map_when_nfacctd_would_act_upon_a_line_then_no_start_and_its_line(read):
    found = read(PLUGIN + "pre_tag_map: m.map\n", m_map="set_tag=1\nset_tag=2 flowset_id=3\n")
    assert [error[:25] for error in found.errors] == ["[m.map:2] flowset_id: whi"]


def test_filter_when_it_is_for_all_plugins_then_not_loaded_as_in_nfacctd(read):
    found = read(PLUGIN + "aggregate_filter: port 25\n")
    assert [m.text for m in found.messages] == [
        "[c.conf:3] aggregate_filter cannot be global. Not loaded."
    ]
    assert found.selection("p").flows is None


def test_keys_when_listed_then_each_has_an_effect_and_a_reason_where_nothing_is_lost():
    for key in known_keys().values():
        assert key.effect in (ACTS, CHANGES_ROWS, CHANGES_NOTHING), key.name
        assert bool(key.note) == (key.effect != ACTS), key.name
        assert key.scope in ("global", "plugin", "any"), key.name


def test_custom_primitive_when_it_has_a_built_in_name_then_the_built_in_wins(read):
    text = "name=tos field_type=5 len=1 semantics=u_int\nname=x field_type=6 len=1 semantics=hex\n"
    found = read(PLUGIN + "aggregate_primitives: p.lst\n", p_lst=text)
    assert found.custom("tos") is None
    assert found.custom("x") is not None


def test_in_force_when_listed_then_each_value_once_in_file_order(read):
    found = read(PLUGIN + "nfacctd_port: 1\nnfacctd_port: 2055\nsql_passwd: secret\n")
    listed = [(key, plugin, line.value) for key, plugin, line in found.active_lines()]
    assert listed == [
        ("plugins", "", "sqlite3[p]"),
        ("aggregate", "p", "src_host"),
        ("nfacctd_port", "", "2055"),
        ("sql_passwd", "", "secret"),
    ]
    assert printable_value("sql_passwd", "secret") == "***"


@pytest.mark.parametrize("name", ["mysql-nfacctd.conf", "sqlite-nfacctd.conf"])
def test_sample_when_read_then_nothing_to_complain_about_and_every_line_acts(name):
    found = read_effective(Path(__file__).parents[4] / "conf" / name)
    assert found.messages == []
    assert [entry.line.key for entry in found.inert] == []
    assert [plugin.name for plugin in found.sql_plugins] == ["netflow", "apptable"]
    for plugin in found.sql_plugins:
        assert found.tag_rules(plugin.name).warnings == ()
        assert len(found.tag_rules(plugin.name).rules) == 4
