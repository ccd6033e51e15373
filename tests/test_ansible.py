"""What the playbook and the program must agree on, and what every role must have; needs no root."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml

from appliance.privileged.client import HELPER_SOCKET
from appliance.privileged.protocol import COLLECTOR_UNIT
from appliance.settings.file import CORE_SETTINGS, SYSTEM_DATA_FOLDER, SYSTEM_FOLDER
from appliance.web.api_server import API_SETTINGS
from tests.box.releases import (
    CLICKHOUSE_RELEASES,
    RELEASES,
    VARIABLE,
    UnknownRelease,
    chosen_release,
)
from tests.box.tree import sources_of

ROOT = Path(__file__).parents[1]
ROLES = sorted(path for path in (ROOT / "ansible" / "roles").iterdir() if path.is_dir())
TEMPLATES = ROOT / "ansible" / "roles" / "appliance" / "templates"

PLAYS = sorted((ROOT / "ansible").glob("*.yml"))
TASKS = [
    path for role in ROLES for name in ("tasks", "handlers") for path in role.glob(f"{name}/*.yml")
]
COMMAND_MODULES = [f"ansible.builtin.{name}" for name in ("command", "shell", "raw", "script")]

KERNELS = "appliance/native/kernels.so"


def read(role: Path, name: str):
    return yaml.safe_load((role / name).read_text())


def defaults(name: str):
    return read(ROOT / "ansible" / "roles" / name, "defaults/main.yml")


def command_lines(node):
    """Yield what the tasks of a role or a play run as a command, at any depth of blocks."""
    if isinstance(node, list):
        for item in node:
            yield from command_lines(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in COMMAND_MODULES:
                yield str(value)
            else:
                yield from command_lines(value)


def default_of(name: str, table=CORE_SETTINGS):
    return next(setting.default for setting in table if setting.name == name)


def test_roles_when_listed_then_they_are_those_of_the_design():
    assert [role.name for role in ROLES] == [
        *("appliance", "base", "clickhouse", "collector", "database", "web"),
    ]


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_role_when_it_has_variables_then_each_is_prefixed_and_described(role):
    names = list(read(role, "defaults/main.yml"))
    assert all(name.startswith(f"{role.name}_") for name in names)
    options = read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert sorted(options) == sorted(names)
    assert all(option["description"] and option["type"] for option in options.values())


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_role_when_it_has_variables_then_comments_explain_them(role):
    blocks = (role / "defaults/main.yml").read_text().split("\n\n")
    assert all("#" in block for block in blocks)


def test_places_when_the_program_knows_them_then_the_playbook_uses_the_same():
    base = defaults("base")
    assert base["base_configuration"] == str(SYSTEM_FOLDER)
    assert base["base_state"] == SYSTEM_DATA_FOLDER
    assert HELPER_SOCKET.parent == Path(base["base_runtime"])
    assert (TEMPLATES / f"{COLLECTOR_UNIT}.j2").is_file()


def test_ports_when_the_program_has_defaults_then_the_packet_filter_lets_them_in():
    base, web = defaults("base"), defaults("web")
    listen = default_of("collector.listen")
    assert base["base_exporter_ports"] == [int(text.rpartition(":")[2]) for text in listen]
    assert str(web["web_port"]) == default_of("web.listen")[0].rpartition(":")[2]
    assert web["web_devices_port"] == default_of("listen.port", API_SETTINGS)
    assert base["base_web_ports"] == [web["web_port"], web["web_devices_port"]]


def test_units_when_written_then_each_has_a_template_and_no_template_is_forgotten():
    units = read(ROLES[0], "vars/main.yml")["appliance_units"]
    ends = (".service", ".socket", ".timer")
    written = {path.name.removesuffix(".j2") for path in TEMPLATES.iterdir()}
    assert set(units) == {name for name in written if name.endswith(ends)}


def test_passwords_when_tasks_run_commands_then_none_has_one_as_an_argument():
    """Everybody on the box can read a command line; a path in `*_password_file` is no secret."""
    commands = [
        command
        for path in (*PLAYS, *TASKS)
        for command in command_lines(yaml.safe_load(path.read_text()))
    ]
    assert len(commands) > 5
    without_files = [re.sub(r"\w+_password_file\b", "", command) for command in commands]
    assert [command for command in without_files if "password" in command.lower()] == []


@pytest.fixture(scope="module")
def bundle():
    """The module that makes bundles, which lies beside the playbook."""
    spec = importlib.util.spec_from_file_location("bundle", ROOT / "ansible" / "bundle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_bundle_when_packed_then_its_name_says_version_python_and_processor(bundle, tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "netflow_appliance-1.2.3-py3-none-any.whl").write_bytes(b"")
    packed = bundle.packed(wheels, tmp_path, "aarch64", "3.13")
    assert packed.name == "netflow-appliance-1.2.3-cp313-aarch64.tar"


@pytest.mark.parametrize("text", ["", "3", "3.13.1", "2.7", "cp313", "3.13 --no-deps"])
def test_bundle_when_its_python_is_no_version_then_one_sentence(bundle, text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"^expected a version such as 3\.13,"):
        bundle.python_version(text)


def test_releases_when_boxes_are_made_of_them_then_roles_and_bundles_name_them_too(bundle):
    assert tuple(release.python for release in RELEASES.values()) == bundle.PYTHONS
    for role in ROLES:
        (platform,) = read(role, "meta/main.yml")["galaxy_info"]["platforms"]
        releases = CLICKHOUSE_RELEASES if role.name == "clickhouse" else RELEASES
        assert platform == {"name": "Debian", "versions": list(releases)}
    refused = (ROOT / "ansible/roles/base/tasks/preflight.yml").read_text()
    numbers = [release.number for release in RELEASES.values()]
    assert f"distribution_major_version in {json.dumps(numbers)}" in refused


def test_release_when_there_are_no_boxes_of_it_then_one_sentence_names_those_there_are(monkeypatch):
    monkeypatch.setenv(VARIABLE, "sid")
    with pytest.raises(UnknownRelease) as raised:
        chosen_release()
    assert str(raised.value) == "APPLIANCE_RELEASE: expected bookworm or trixie, found sid"


@pytest.mark.parametrize(("here", "there"), [("bookworm", "trixie"), ("trixie", "bookworm")])
def test_sources_when_the_release_is_another_one_then_its_suites_and_the_same_server(here, there):
    text = "URIs: http://mirror.example/debian\nSuites: {0} {0}-updates {0}-security\n"
    assert sources_of(RELEASES[there], text.format(here)) == text.format(there)


def copied_source(bundle, folder: Path) -> Path:
    for name in bundle.BUILT_FROM:
        is_folder = (ROOT / name).is_dir()
        folder.mkdir(exist_ok=True)
        (shutil.copytree if is_folder else shutil.copy)(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(bundle, tmp_path_factory):
    """The project's wheel for this processor."""
    return bundle.built(tmp_path_factory.mktemp("wheels"), ROOT, platform.machine())


@pytest.mark.slow
def test_wheel_when_built_again_then_the_same_so_a_second_run_changes_nothing(
    bundle, tmp_path, wheel
):
    source, wheels = copied_source(bundle, tmp_path / "source"), tmp_path / "wheels"
    os.utime(source / "appliance" / "__init__.py", (1, 10**9))
    wheels.mkdir()
    again = bundle.built(wheels, source, platform.machine())
    assert again.name == wheel.name
    assert bundle.digest(again) == bundle.digest(wheel)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_wheel_when_for_this_processor_then_it_has_the_kernels_in_c(bundle, wheel):
    assert bundle.has_kernels(wheel)
    assert KERNELS in zipfile.ZipFile(wheel).namelist()


@pytest.mark.slow
def test_wheel_when_for_another_processor_then_it_runs_on_all_and_that_is_said(
    bundle, tmp_path, capsys
):
    pure = bundle.built(tmp_path, ROOT, "another")
    assert not bundle.has_kernels(pure)
    assert KERNELS not in zipfile.ZipFile(pure).namelist()
    assert pure.name.endswith("-py3-none-any.whl")
    assert capsys.readouterr().err == f"{pure.name}: no kernels in C, numpy does their work\n"


@pytest.mark.slow
@pytest.mark.parametrize("release", RELEASES.values(), ids=lambda release: release.name)
def test_wheel_when_for_a_box_then_pip_takes_it_for_its_python(bundle, wheel, tmp_path, release):
    """As `bundle.fetch` does, without the libraries, which come from an index."""
    platforms = [f"--platform={name}_{platform.machine()}" for name in bundle.PLATFORMS]
    options = ["--dest", tmp_path, "--only-binary=:all:", f"--python-version={release.python}"]
    bundle.pip("download", "--no-index", "--no-deps", *options, *platforms, wheel)
    assert [path.name for path in tmp_path.iterdir()] == [wheel.name]
