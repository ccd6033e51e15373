"""What `appliance check` says of the file of primitives, and when its elements are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.app import App, build_app
from appliance.contracts import FAIL, HINT, OK
from appliance.errors import SettingsError
from appliance.plugin_manager import build_plugin_manager
from appliance.process_parts import plugin_findings
from appliance.settings.file import SettingsFile


def app_of(folder: Path, **collector: str) -> App:
    tree = {"data_directory": str(folder / "var"), "collector": collector}
    return build_app(build_plugin_manager(entry_points=()), SettingsFile(None, folder, tree))


def test_primitives_when_file_is_missing_or_odd_then_said(tmp_path: Path) -> None:
    def about(**collector: str) -> list[tuple[str, str]]:
        findings = plugin_findings(app_of(tmp_path, **collector))
        return [(f.status, f.text) for f in findings if f.what == "primitives"]

    file = tmp_path / "p.lst"
    assert about() == []
    ((status, text),) = about(primitives_file="p.lst")
    assert (status, text) == (
        FAIL,
        f"{file}: file not found: change collector.primitives_file",
    )
    file.write_text("name=a field_type=1 len=8 semantics=u_int\nname=b\n")
    assert about(primitives_file="p.lst") == [
        (OK, f"1 in {file}"),
        (HINT, f"{file}:2: Invalid entry: name=b"),
    ]


def test_primitives_when_a_file_names_them_then_their_elements_are_kept(tmp_path: Path) -> None:
    (tmp_path / "p.lst").write_text("name=a field_type=9:7 len=8 semantics=u_int\n")
    app = app_of(tmp_path, primitives_file="p.lst", raw_elements="95")
    assert app.settings["collector.raw_elements"] == ((0, 95), (9, 7))
    origins = {setting.name: setting.origin for setting in app.settings.describe()}
    assert origins["collector.raw_elements"] == str(tmp_path / "p.lst")


def test_primitives_when_the_file_is_gone_then_no_start_and_all_else_goes_on(
    tmp_path: Path,
) -> None:
    (tmp_path / "c.conf").write_text("plugins: print\nnfacctd_port: 2056\n")
    app = app_of(tmp_path, config="c.conf", primitives_file="p.lst")
    assert app.settings["collector.listen"][0].port == 2056
    with pytest.raises(SettingsError, match=r"p\.lst: file not found"):
        app.overridable.upcoming()
