"""The key's file, and the commands."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest
import yaml

from appliance.app import open_app
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.contracts import FAIL, OK
from appliance.errors import SettingsError, StorageError
from appliance.manual import chapter_text
from appliance.plugins.anonymise.anonymise_settings import SETTINGS, networks_of
from appliance.plugins.anonymise.key_files import read_key, write_new_key
from appliance.process_parts import plugin_findings
from appliance.settings.file import SettingsFile


def configured(folder: Path, **anonymise: object) -> Path:
    tree = {"data_directory": "data", "anonymise": anonymise}
    (folder / "appliance.yml").write_text(json.dumps(tree))
    return folder


def test_key_when_made_then_only_its_owner_reads_it_and_it_is_never_replaced(
    tmp_path: Path,
) -> None:
    file = tmp_path / "key"
    write_new_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    key = read_key(file)
    assert len(key) == 32
    with pytest.raises(StorageError, match="is there already"):
        write_new_key(file)
    assert read_key(file) == key


def test_key_when_it_is_32_characters_then_taken_as_nfanon_does(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("0123456789abcdef0123456789abcdef\n")
    file.chmod(0o640)
    assert read_key(file) == b"0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602])
def test_key_when_others_may_read_or_change_it_then_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "key"
    write_new_key(file)
    file.chmod(mode)
    with pytest.raises(SettingsError, match=f"found mode {mode:04o}: chmod"):
        read_key(file)


@pytest.mark.parametrize(
    "octets", [b"", b"0x", b"0x" + b"zz" * 32, b"0x" + b"00" * 31, b"short", b"x" * 9000, b"0x\xff"]
)
def test_key_when_it_is_none_then_one_sentence(tmp_path: Path, octets: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(octets)
    file.chmod(0o600)
    with pytest.raises(SettingsError, match="expected 0x and 64 hexadecimal digits"):
        read_key(file)


def test_start_when_there_is_no_key_then_refused_not_ignored(tmp_path: Path) -> None:
    folder = configured(tmp_path, networks=["all"])
    with pytest.raises(SettingsError, match=r"anonymise\.key_file: expected a file made by"):
        open_app(folder)
    folder = configured(tmp_path, networks=["all"], key_file="none")
    with pytest.raises(SettingsError, match="none: no such file"):
        open_app(folder)


def test_manual_when_it_shows_settings_then_they_are_read_so() -> None:
    block = re.findall(r"\n\n((?: {4}.*\n)+)", chapter_text("anonymisation"))[0]
    tree = yaml.load(textwrap.dedent(block), yaml.BaseLoader)
    values = SettingsFile(None, Path("/"), tree).settings(SETTINGS)
    assert values["anonymise.networks"] == ("inside",)
    assert set(networks_of(values)) == set(values["local_networks"])


def test_start_when_inside_names_nothing_then_refused(tmp_path: Path) -> None:
    write_new_key(tmp_path / "key")
    folder = configured(tmp_path, networks=["inside"], key_file="key")
    tree = json.loads((folder / "appliance.yml").read_text())
    (folder / "appliance.yml").write_text(json.dumps(tree | {"local_networks": []}))
    with pytest.raises(SettingsError, match="inside stands for networks and local_networks"):
        open_app(folder)


def test_check_when_configured_then_says_what_is_replaced(tmp_path: Path) -> None:
    write_new_key(tmp_path / "key")
    folder = configured(tmp_path, networks=["10.0.0.0/8", "all"], key_file="key")
    (line,) = [f for f in plugin_findings(open_app(folder)) if f.what == "anonymisation"]
    assert (line.status, "in 0.0.0.0/0, ::/0 are replaced" in line.text) == (OK, True)


def test_check_when_nfcapds_kin_receives_then_it_fails(tmp_path: Path) -> None:
    write_new_key(tmp_path / "key")
    folder = configured(tmp_path, networks=["all"], key_file="key")
    tree = json.loads((folder / "appliance.yml").read_text())
    tree["collector"] = {"engine": "nfacctd"}
    (folder / "appliance.yml").write_text(json.dumps(tree))
    lines = [f for f in plugin_findings(open_app(folder)) if f.what == "anonymisation"]
    assert [line.status for line in lines] == [OK, FAIL]
    assert "nfacctd receives, and writes addresses as they are" in lines[1].text


def test_commands_when_called_then_a_key_and_addresses_there_and_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = configured(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        code = run_command_line(group, ["-confPath", f"{folder}/", "anonymise", *words])
        out, err = capsys.readouterr()
        return code, out, err

    code, out, _ = run("key", str(tmp_path / "key"))
    assert (code, "has a new key" in out) == (0, True)
    configured(tmp_path, networks=["all"], key_file="key")
    code, out, _ = run("address", "192.0.2.1", "2001:db8::1")
    replaced = out.split()
    assert code == 0
    assert replaced != ["192.0.2.1", "2001:db8::1"]
    code, out, _ = run("address", "--back", *replaced)
    assert out.split() == ["192.0.2.1", "2001:db8::1"]
    code, _, err = run("address", "host")
    assert (code, "expected an address, found 'host'" in err) == (2, True)
