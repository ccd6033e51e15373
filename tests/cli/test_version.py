from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata

import pytest

from appliance import __version__
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.cli.version import installation, library_versions
from appliance.native import library


@pytest.fixture
def details(conf, capsys):
    """Return what `--version --verbose` prints, each line under its name."""

    def ask(settings: str = "") -> dict[str, str]:
        arguments = ["-confPath", f"{conf(settings)}/", "--version", "--verbose"]
        assert run_command_line(group, arguments) == 0
        first, *lines = re.sub(r"\n +", " ", capsys.readouterr().out).splitlines()
        assert first == f"netflow-appliance, version {__version__}"
        return {name: text for name, _, text in (line.partition(" ") for line in lines)}

    return ask


def test_version_when_verbose_then_origin_python_system_libraries_and_plugins(details):
    printed = details()
    names = ["installed", "python", "system", "libraries", "kernels", "plugins"]
    assert list(printed) == names
    assert sys.prefix in printed["installed"]
    assert ".".join(map(str, sys.version_info[:3])) in printed["python"]
    assert f"pyarrow {metadata.version('pyarrow')}" in printed["libraries"]
    assert {"netflow_v9", "console"} <= set(printed["plugins"].replace(",", "").split())
    assert "pytest" not in printed["libraries"]


def test_version_when_verbose_and_a_plugin_is_disabled_then_said(details):
    assert details("plugins: {disabled: [kafka]}")["plugins"].endswith("; disabled: kafka")


def test_version_when_verbose_and_the_settings_are_wrong_then_the_rest_is_there(details):
    printed = details("plugins: {disabled: [no_such]}")
    assert printed["plugins"].split(":")[0].strip() == "unknown"
    assert "no_such" in printed["plugins"]
    assert "duckdb" in printed["libraries"]


def test_version_when_verbose_then_says_whether_kernels_are_in_c(details, monkeypatch):
    monkeypatch.delenv(library.SWITCH, raising=False)
    printed = details()["kernels"].strip()
    if library.PATH.exists():
        assert printed == f"C, {library.PATH}"
    else:
        assert printed.startswith("numpy, not C: not built when this was installed")
    monkeypatch.setenv(library.SWITCH, "0")
    assert details()["kernels"].strip() == "numpy, not C: switched off by APPLIANCE_NATIVE=0"


@pytest.mark.parametrize("arguments", [["--verbose", "--version"], ["--version", "--verbose"]])
def test_version_when_verbose_comes_first_or_last_then_the_same(arguments, capsys):
    assert run_command_line(group, arguments) == 0
    assert "libraries" in capsys.readouterr().out


def test_verbose_when_without_version_then_one_sentence(capsys):
    assert run_command_line(group, ["--verbose", "plugins"]) == 2
    error = "appliance: --verbose goes with --version only (see appliance --help)\n"
    assert capsys.readouterr().err == error


@pytest.mark.parametrize(
    ("mark", "text", "said"),
    [
        (".package", "netflow-appliance 0.1.0-1~deb12", "Debian package netflow-appliance 0.1.0-1"),
        (".image", "netflow-appliance 0.1.0", "container image netflow-appliance 0.1.0, "),
        (".bundle", "0123abcd", "bundle of Ansible with SHA-256 0123abcd"),
    ],
)
def test_installation_when_an_installer_left_its_mark_then_named(mark, text, said, tmp_path):
    (tmp_path / mark).write_text(f"{text}\n")
    assert installation(tmp_path).startswith(said)
    assert installation(tmp_path).endswith(str(tmp_path))


def test_libraries_when_listed_then_those_of_the_project_without_development():
    names = dict(library_versions())
    assert {"click", "numpy", "duckdb"} <= set(names)
    assert not {"pytest", "ruff", "hypothesis"} & set(names)


def test_version_when_verbose_then_no_heavy_library_is_imported(conf):
    code = (
        "import sys; from appliance.cli.main import group;"
        "from appliance.cli.options import run_command_line;"
        f"run_command_line(group, ['-confPath', '{conf('')}/', '--version', '--verbose']);"
        "print('heavy:', sorted({'pyarrow', 'duckdb'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert ran.stdout.endswith("heavy: []\n")
