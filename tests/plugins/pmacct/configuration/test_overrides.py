"""What a collector configuration decides in place of settings, and the loader of its tables."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from appliance.app import App, build_app
from appliance.collector.decode_options import decode_options
from appliance.errors import SettingsError
from appliance.plugin_manager import build_plugin_manager
from appliance.plugins.pmacct.checks import collector_findings
from appliance.plugins.pmacct.configuration.overrides import overrides
from appliance.plugins.pmacct.configuration.reading import read_effective
from appliance.process_parts import gather_loaders
from appliance.settings.file import SettingsFile
from appliance.settings.types import ListenAddress
from appliance.sql.addresses import database_address
from appliance.sql.database import SqlDatabase

PLUGIN = "plugins: sqlite3[p]\naggregate: src_host\n"


def app_of(folder: Path, text: str, **collector: str) -> App:
    (folder / "c.conf").write_text(text)
    tree = {
        "data_directory": str(folder / "var"),
        "collector": {"config": "c.conf", "listen": ["127.0.0.1:9"], **collector},
    }
    file = SettingsFile(None, folder, tree)
    return build_app(build_plugin_manager(entry_points=()), file)


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("nfacctd_ip: 10.0.2.16\nnfacctd_port: 2055\n", ListenAddress("10.0.2.16", 2055)),
        ("nfacctd_ip: 2001:db8::1\n", ListenAddress("2001:db8::1", 2100)),
        ("nfacctd_port: 2055\n", ListenAddress("::", 2055)),
        ("", ListenAddress("127.0.0.1", 9)),
    ],
)
def test_listen_when_the_configuration_says_where_then_there(tmp_path, text, listen):
    assert app_of(tmp_path, PLUGIN + text).settings["collector.listen"] == (listen,)


def test_settings_when_the_configuration_decides_then_shown_with_its_file(tmp_path):
    (tmp_path / "allow").write_text("! ours\n192.0.2.0/24\n2001:db8::1\n")
    (tmp_path / "p.lst").write_text("name=x field_type=9 len=1 semantics=u_int\n")
    text = (
        "nfacctd_pipe_size: 123456\nnfacctd_allow_file: allow\nsampling_rate: 100\n"
        "aggregate_primitives: p.lst\nsql_db: flows.db\n"
    )
    settings = app_of(tmp_path, PLUGIN + text).settings
    assert settings["collector.receive_buffer"] == 123456
    assert settings["collector.default_sampling_rate"] == 100
    assert settings["collector.primitives_file"] == tmp_path / "p.lst"
    assert [str(n) for n in settings["collector.allowed_exporters"]] == [
        "192.0.2.0/24", "2001:db8::1/128",
    ]  # fmt: skip
    origins = {entry.name: entry.origin for entry in settings.describe()}
    assert origins["flows.database"] == origins["collector.receive_buffer"]
    assert origins["flows.database"].endswith("c.conf")
    assert settings["flows.database"] == f"sqlite:{tmp_path}/flows.db"


def app_beside_database(folder: Path, plugin: str, flows: str, **collector: str) -> App:
    """An appliance whose settings and collector configuration both name a database."""
    (folder / "c.conf").write_text(f"plugins: {plugin}\naggregate: src_host\nsql_db: theirs\n")
    tree = {
        "data_directory": str(folder / "var"),
        "collector": {"config": "c.conf", **collector},
        "flows": {"database": flows},
    }
    return build_app(build_plugin_manager(entry_points=()), SettingsFile(None, folder, tree))


@pytest.mark.parametrize("plugin", ["mysql[p]", "sqlite3[p]"])
@pytest.mark.parametrize("engine", ["builtin", "nfacctd"])
@pytest.mark.parametrize(
    "url", ["sqlite:ours.sqlite", "sqlite:./flows.sqlite", "mysql://u:s3cret@127.0.0.1:3307/ours"]
)
def test_flow_database_when_set_beside_a_configuration_then_it_counts_and_check_says_so(
    tmp_path, plugin, engine, url
):
    app = app_beside_database(tmp_path, plugin, url, engine=engine)
    assert app.settings["flows.database"] == url
    (text,) = (f.text for f in collector_findings(app.settings) if "sums" in f.text)
    assert url.replace("s3cret", "***") in text
    assert f"{tmp_path}/c.conf names the database of its own tables only" in text
    assert "s3cret" not in text


def test_flow_database_when_the_sample_writes_its_default_then_the_configuration_counts(tmp_path):
    app = app_beside_database(tmp_path, "mysql[p]", "sqlite:flows.sqlite")
    assert app.settings["flows.database"].endswith("@localhost:3306/theirs")
    assert not any("sums" in f.text for f in collector_findings(app.settings))


def test_flow_database_when_the_api_made_the_configuration_then_that_counts(tmp_path):
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "mysql-nfacctd.conf").write_text("plugins: mysql[p]\nsql_db: later\n")
    tree = {"data_directory": str(tmp_path / "var"), "flows": {"database": "mysql://u:p@h/first"}}
    app = build_app(build_plugin_manager(entry_points=()), SettingsFile(None, tmp_path, tree))
    assert app.settings["flows.database"].endswith("/later")


@pytest.mark.parametrize("kind", ["sqlite", "mysql"])
def test_sums_when_the_flow_database_is_set_then_none_of_our_tables_is_in_the_other(
    tmp_path, mariadb, kind
):
    ours, theirs = mariadb.new_database(), mariadb.new_database()
    if kind == "sqlite":
        ours = "sqlite:ours.sqlite"
    place = database_address(theirs, tmp_path)
    app = app_beside_database(tmp_path, "mysql[p]", ours)
    with (tmp_path / "c.conf").open("a") as file:
        file.write(f"sql_host: {place.host}\nsql_port: {place.port}\nsql_user: {place.user}\n")
    text = (tmp_path / "c.conf").read_text().replace("sql_db: theirs", f"sql_db: {place.name}")
    (tmp_path / "c.conf").write_text(text)
    store = app.open_store()
    assert store.health()
    store.close()
    tables = "SELECT 1 FROM information_schema.tables WHERE table_schema = ?"
    database = SqlDatabase(place, lambda _: None)
    with database.transaction():
        assert database.rows(tables, (place.name,)) == []
        if kind == "mysql":
            assert database.rows(tables, (database_address(ours, tmp_path).name,))
    database.close()
    assert (tmp_path / "var" / "ours.sqlite").exists() == (kind == "sqlite")


def test_allow_file_when_empty_then_nobody_is_allowed(tmp_path):
    (tmp_path / "allow").write_text("! nobody\n")
    settings = app_of(tmp_path, PLUGIN + "nfacctd_allow_file: allow\n").settings
    (network,) = settings["collector.allowed_exporters"]
    assert network == ipaddress.ip_network("255.255.255.255/32")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (
            "sql_host: db.example\nsql_user: u@x\nsql_passwd: p:/?#\nsql_db: flows\n",
            "mysql://u%40x:p%3A%2F%3F%23@db.example:3306/flows",
        ),
        ("sql_port: 3307\n", "mysql://pmacct:arealsmartpwd@localhost:3307/pmacct"),
        (
            "sql_host: db.example\nsql_passwd: x\nsql_conn_ca_file: /etc/ca.pem\n",
            "mysql://pmacct:x@db.example:3306/pmacct?ssl=verify&ca=%2Fetc%2Fca.pem",
        ),
        (
            "sql_host: unix:/run/mysqld/mysqld.sock\nsql_passwd: x\n",
            "mysql://pmacct:x@localhost:3306/pmacct?socket=%2Frun%2Fmysqld%2Fmysqld.sock",
        ),
    ],
)
def test_database_when_of_mysql_then_the_flow_database_is_the_same(tmp_path, text, url):
    (tmp_path / "c.conf").write_text("plugins: mysql[p]\naggregate: src_host\n" + text)
    assert overrides(read_effective(tmp_path / "c.conf"))["flows.database"] == url


def test_overrides_when_a_file_is_missing_then_refused(tmp_path):
    (tmp_path / "c.conf").write_text(PLUGIN + "nfacctd_allow_file: nosuch\n")
    with pytest.raises(SettingsError, match="nfacctd_allow_file: file not found"):
        overrides(read_effective(tmp_path / "c.conf"))
    (tmp_path / "c.conf").write_text(PLUGIN + "nfacctd_allow_file: c.conf\n")
    overridable = app_of(tmp_path, PLUGIN + "nfacctd_allow_file: c.conf\n").overridable
    with pytest.raises(SettingsError, match=r"c\.conf: collector\.allowed_exporters: expected"):
        overridable.upcoming()


def test_register_loaders_when_tables_are_asked_for_then_one_that_fills_them(tmp_path):
    loaders = gather_loaders(app_of(tmp_path, PLUGIN))
    assert "pmacct tables" in [loader.name for loader in loaders]


@pytest.mark.parametrize(
    ("text", "collector"),
    [
        ("plugins: memory\n", {}),
        (PLUGIN + "nfacctd_ip: nonsense\n", {}),
        (PLUGIN, {"engine": "nfacctd"}),
    ],
)
def test_register_loaders_when_no_table_is_ours_to_fill_then_none(tmp_path, text, collector):
    loaders = gather_loaders(app_of(tmp_path, text, **collector))
    assert "pmacct tables" not in [loader.name for loader in loaders]


def test_elements_when_a_table_is_made_of_their_octets_then_kept(tmp_path):
    (tmp_path / "p.lst").write_text("name=x field_type=9:7 len=1 semantics=u_int\n")
    text = "plugins: sqlite3[p]\naggregate: src_host, cos, x\naggregate_primitives: p.lst\n"
    assert decode_options(app_of(tmp_path, text).settings).raw_elements == ((9, 7), (0, 244))


def test_headers_when_a_table_is_made_of_them_then_kept(tmp_path):
    assert decode_options(app_of(tmp_path, PLUGIN).settings).header_columns == ()
    text = "plugins: sqlite3[p]\naggregate: export_proto_seqno, timestamp_export, src_host\n"
    kept = decode_options(app_of(tmp_path, text).settings).header_columns
    assert kept == ("export_sequence_number", "export_time_milliseconds")


def test_headers_when_the_settings_name_more_then_kept_too(tmp_path):
    text = "plugins: sqlite3[p]\naggregate: timestamp_export, src_host\n"
    app = app_of(tmp_path, text, header_columns="export_sequence_number")
    assert app.settings["collector.header_columns"] == (
        "export_sequence_number", "export_time_milliseconds",
    )  # fmt: skip


def process_settings(folder: Path, text: str, **collector: str) -> dict[str, object]:
    """Return what is said of log and process; `appliance.yml` has a log file of its own."""
    (folder / "c.conf").write_text(PLUGIN + text)
    tree = {"log_file": "own.log", "collector": {"config": "c.conf", **collector}}
    app = build_app(build_plugin_manager(entry_points=()), SettingsFile(None, folder, tree))
    names = ("log_file", "log_facility", "collector.background", "collector.process_file")
    return {name: app.settings[name] for name in names}


@pytest.mark.parametrize(
    ("text", "log_file", "facility"),
    [
        ("", "own.log", ""),
        ("syslog: LOCAL3\n", None, "local3"),
        ("syslog: nosuch\n", "own.log", ""),
        ("syslog: daemon\nlogfile: c.log\n", "c.log", "daemon"),
    ],
)
def test_log_when_the_configuration_says_where_then_there(tmp_path, text, log_file, facility):
    said = process_settings(tmp_path, text)
    expected = tmp_path / log_file if log_file is not None else None
    assert (said["log_file"], said["log_facility"]) == (expected, facility)


@pytest.mark.parametrize("engine", ["builtin", "nfacctd"])
def test_process_when_the_configuration_speaks_of_it_then_that_of_our_own_receiver(
    tmp_path, engine
):
    said = process_settings(tmp_path, "daemonize: true\npidfile: c.pid\n", engine=engine)
    ours = engine == "builtin"
    assert said["collector.background"] is ours
    assert said["collector.process_file"] == (tmp_path / "c.pid" if ours else None)


def test_time_secs_when_true_then_uptimes_of_v5_are_seconds(tmp_path):
    options = decode_options(app_of(tmp_path, PLUGIN + "nfacctd_time_secs: true\n").settings)
    assert options.v5_uptime_unit_ms == 1000


def test_templates_file_when_relative_then_beside_the_configuration(tmp_path):
    settings = app_of(tmp_path, PLUGIN + "nfacctd_templates_file: templates\n").settings
    assert settings["collector.templates_file"] == tmp_path / "templates"
