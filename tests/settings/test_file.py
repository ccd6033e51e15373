from __future__ import annotations

import ipaddress
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.errors import SettingsError
from appliance.flows import HEADER_COLUMNS
from appliance.settings.file import (
    CORE_SETTINGS,
    Setting,
    SettingsFile,
    read_settings_file,
    sample_configuration,
)
from appliance.settings.kept_values import HeaderColumnList, RawElementList
from appliance.settings.types import (
    AddressList,
    Boolean,
    Choice,
    Duration,
    ElementNames,
    FilePath,
    Integer,
    ListenAddress,
    NetworkList,
    NetworkRates,
    Number,
    OptionalFilePath,
    SettingType,
    Size,
    Text,
    TextList,
)

FOLDER = Path("/etc/somewhere")


def settings_of(folder: Path, *added: Setting):
    return read_settings_file(folder).settings(added)


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (Integer(1, 10), "10", 10),
        (Number(0), "0.5", 0.5),
        (Boolean(), "true", True),
        (Boolean(), "False", False),
        (Text(), "two words", "two words"),
        (Choice(("a", "b")), "b", "b"),
        (Choice(("on", "off")), False, "off"),
        (Choice(("on", "off")), True, "on"),
        (FilePath(), "../var", Path("/etc/var")),
        (FilePath(), "/srv/x", Path("/srv/x")),
        (OptionalFilePath(), "", None),
        (OptionalFilePath(), "p.lst", FOLDER / "p.lst"),
        (TextList(), [], ()),
        (TextList(), "", ()),
        (TextList(), "one", ("one",)),
        (TextList(), ["a", "b"], ("a", "b")),
        (Duration(), "60s", 60),
        (Duration(), "15m", 900),
        (Duration(), "48h", 172800),
        (Duration(), "30d", 2592000),
        (Duration(), "2w", 1209600),
        (Duration(), "250ms", 0.25),
        (Duration(), "90", 90),
        (Size(), "512MB", 512_000_000),
        (Size(), "10 GB", 10_000_000_000),
        (Size(), "1MiB", 1_048_576),
        (Size(), "1.5KB", 1500),
        (Size(), "4096", 4096),
        (AddressList(), "0.0.0.0:2055", (ListenAddress("0.0.0.0", 2055),)),
        (AddressList(), ["[::]:4739"], (ListenAddress("::", 4739),)),
        (NetworkList(), ["10.0.0.0/8"], (ipaddress.ip_network("10.0.0.0/8"),)),
        (NetworkList(), ["2001:db8::1"], (ipaddress.ip_network("2001:db8::1/128"),)),
        (NetworkRates(), {"192.0.2.1": "512"}, {ipaddress.ip_network("192.0.2.1/32"): 512.0}),
        (NetworkRates(), "", {}),
        (
            ElementNames(),
            {"192.0.2.1": {"17163:17": "octetDeltaCount", "33": "0:2"}},
            {ipaddress.ip_address("192.0.2.1"): {(17163, 17): (0, 1), (0, 33): (0, 2)}},
        ),
        (RawElementList(), "", ()),
        (
            RawElementList(),
            ["95", "9:12235", "0:95:0", "0:95:2"],
            ((0, 95), (9, 12235), (0, 95, 2)),
        ),
        (RawElementList(), "applicationId", ((0, 95),)),
        (HeaderColumnList(), [*HEADER_COLUMNS, *HEADER_COLUMNS], HEADER_COLUMNS),
    ],
)
def test_type_when_value_fits_then_parsed(kind: SettingType, raw: object, value: object):
    assert kind.parse(raw, FOLDER) == value


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (Integer(1, 10), "11"),
        (Integer(1, 10), "0"),
        (Integer(), "1.5"),
        (Integer(), ["1"]),
        (Number(0), "nan"),
        (Number(0), "-1"),
        (Boolean(), "yes"),
        (Choice(("a", "b")), "c"),
        (FilePath(), ""),
        (Text(), {"a": "b"}),
        (TextList(), {"a": "b"}),
        (Duration(), "5 fortnights"),
        (Duration(), "-5s"),
        (Duration(), ""),
        (Size(), "5XB"),
        (AddressList(), []),
        (AddressList(), "2055"),
        (AddressList(), "0.0.0.0"),
        (AddressList(), "0.0.0.0:99999"),
        (AddressList(), "::1:2055"),
        (AddressList(), "[127.0.0.1]:2055"),
        (AddressList(), "localhost:2055"),
        (AddressList(), ["0.0.0.0:1", "0.0.0.0:1"]),
        (NetworkList(), ["10.0.0.1/8"]),
        (NetworkRates(), {"192.0.2.1": "0"}),
        (NetworkRates(), ["192.0.2.1"]),
        (ElementNames(), {"192.0.2.1": {"nosuchElement": "1"}}),
        (ElementNames(), {"192.0.2.1": {"1": "70000"}}),
        (ElementNames(), {"router": {"1": "2"}}),
        (RawElementList(), ["0:95:x"]),
        (RawElementList(), ["0:95:1:1"]),
        (RawElementList(), ["0:70000:1"]),
        (HeaderColumnList(), ["octet_delta_count"]),
    ],
)
def test_type_when_value_does_not_fit_then_value_error(kind: SettingType, raw: object):
    with pytest.raises(ValueError, match=r".*"):
        kind.parse(raw, FOLDER)


def test_core_settings_when_at_default_then_all_parse():
    settings = SettingsFile(None, Path("/srv/conf"), {}).settings()
    assert settings["data_directory"] == Path("/srv/var")
    assert settings["collector.listen"] == (ListenAddress("::", 2055), ListenAddress("::", 4739))
    assert settings["collector.receive_buffer"] == 64_000_000
    assert settings["collector.raw_elements"] == ()
    assert settings["flow_log.retention_age"] == 30 * 86400
    assert settings["search.memory"] == 512_000_000
    assert {setting.origin for setting in settings.describe()} == {"default"}


def test_data_directory_when_system_folder_then_below_var_lib():
    settings = SettingsFile(None, Path("/etc/netflow-appliance"), {}).settings()
    assert settings["data_directory"] == Path("/var/lib/netflow-appliance")


def test_settings_when_read_then_file_and_defaults_are_told_apart(conf):
    folder = conf("collector:\n  max_exporters: 7\nsearch.threads: 3\n")
    settings = settings_of(folder)
    assert (settings["collector.max_exporters"], settings["search.threads"]) == (7, 3)
    origin = {setting.name: (setting.value, setting.origin) for setting in settings.describe()}
    assert origin["collector.max_exporters"] == ("7", str(folder / "appliance.yml"))
    assert origin["search.memory"] == ("512MB", "default")
    assert origin["data_directory"] == (str(folder.parent / "var"), "default")


def test_settings_when_plugin_adds_one_then_read_and_typed(conf):
    mine = Setting("mine.depth", Integer(1, 5), 2, "Depth.")
    assert settings_of(conf(""), mine)[mine] == 2
    settings = settings_of(conf("mine: {depth: 4}"), mine)
    assert settings[mine] == settings["mine.depth"] == 4
    assert "mine.depth" in settings
    assert "mine.width" not in settings


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "colector:\n  port: 1\n",
            ": colector.port: unknown setting, did you mean collector.listen?",
        ),
        (
            "collector:\n  max_exporter: 1\n",
            ": collector.max_exporter: unknown setting, did you mean collector.max_exporters?",
        ),
        ("zzz: 1\n", ": zzz: unknown setting"),
        (
            "collector:\n  max_exporters: many\n",
            ": collector.max_exporters: expected a whole number from 1 to 16384, found many",
        ),
        ("collector: 5\n", ": collector: unknown setting"),
        (
            "search:\n  threads: {a: 1}\n",
            ": search.threads: expected a whole number from 1 to 256, found {a: 1}",
        ),
        ("search:\n  threads: 1\n  threads: 2\n", ":3: threads: is set twice"),
        ("search: {threads: 1}\nsearch.threads: 1\n", ": search.threads: is set twice"),
        ("search: [\n", ":2: is not YAML: "),
        ("- a\n", ": expected settings as `name: value`"),
        ("a: \tb: c\n", ":1: is not YAML: "),
        ("a: \x00\n", ": is not YAML: "),
    ],
)
def test_settings_when_file_is_wrong_then_one_sentence(conf, text: str, problem: str):
    folder = conf(text)
    if "did you mean collector.listen" in problem:
        problem = problem.replace("collector.listen", "collector.port")
        added = (Setting("collector.port", Integer(1, 65535), 1, "Port."),)
    else:
        added = ()
    with pytest.raises(SettingsError) as caught:
        settings_of(folder, *added)
    assert str(caught.value).startswith(f"{folder}/appliance.yml{problem}")
    assert "\n" not in str(caught.value).strip()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "collector:\n", "search: {}\n", "search: null\n"]
)
def test_settings_when_file_says_nothing_then_defaults(conf, text: str):
    assert settings_of(conf(text))["search.threads"] == 2


def test_settings_when_values_look_like_yaml_types_then_read_as_written(conf):
    folder = conf("collector:\n  renamed_elements: {192.0.2.1: {17163:17: 1}}\n")
    renamed = settings_of(folder)["collector.renamed_elements"]
    assert renamed == {ipaddress.ip_address("192.0.2.1"): {(17163, 17): (0, 1)}}


def test_settings_file_when_named_folder_has_none_then_error(tmp_path):
    with pytest.raises(SettingsError, match=r"appliance\.yml: file not found"):
        read_settings_file(tmp_path)


def test_settings_file_when_not_utf8_then_error(conf):
    folder = conf("")
    (folder / "appliance.yml").write_bytes(b"a: \xff\xfe\n")
    with pytest.raises(SettingsError, match="is not UTF-8 at octet 3"):
        read_settings_file(folder)


def test_settings_file_when_environment_names_a_folder_then_that_one(conf, tmp_path, monkeypatch):
    folder = conf("search: {threads: 5}")
    monkeypatch.setenv("APPLIANCE_CONF", str(folder))
    assert read_settings_file().path == folder / "appliance.yml"
    monkeypatch.setenv("APPLIANCE_CONF", str(tmp_path / "other"))
    with pytest.raises(SettingsError, match="file not found"):
        read_settings_file()


def test_settings_file_when_there_is_conf_here_then_that_one(conf, tmp_path, monkeypatch):
    conf("search: {threads: 5}")
    monkeypatch.chdir(tmp_path)
    file = read_settings_file()
    assert file.path == Path("conf/appliance.yml")
    assert file.folder == tmp_path / "conf"


def test_settings_file_when_there_is_none_then_defaults_around_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("appliance.settings.location.SYSTEM_FOLDER", tmp_path / "etc")
    file = read_settings_file()
    assert file.path is None
    assert file.settings()["data_directory"] == tmp_path / "var"


def test_disabled_plugins_when_rest_of_file_is_unknown_then_found(conf):
    folder = conf("mine: {depth: 1}\nplugins:\n  disabled: [a, b]\n")
    assert read_settings_file(folder).disabled_plugins() == ("a", "b")
    assert read_settings_file(conf("")).disabled_plugins() == ()


def test_sample_configuration_when_read_back_then_every_setting_at_its_default(conf):
    mine = Setting("collector.mine", Text(), "x: y", "Mine.")
    folder = conf(sample_configuration([*CORE_SETTINGS, mine]))
    settings = settings_of(folder, mine)
    file = str(folder / "appliance.yml")
    assert {setting.origin for setting in settings.describe()} == {file}
    defaults = SettingsFile(None, folder, {}).settings([mine])
    for setting in (*CORE_SETTINGS, mine):
        assert settings[setting.name] == defaults[setting.name]


def test_settings_when_imported_then_no_heavy_library():
    code = "import sys, appliance.settings; print({'numpy', 'pyarrow'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_path_when_in_the_home_of_nobody_then_refused(tmp_path: Path) -> None:
    (tmp_path / "appliance.yml").write_text('data_directory: "~no such user/var"')
    with pytest.raises(SettingsError, match="data_directory"):
        read_settings_file(tmp_path).settings()
