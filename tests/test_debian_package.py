"""What the Debian package is made of, as far as it can be seen without making one; needs no root.

That it installs, upgrades and goes away: tests/box/test_package.py.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from appliance.cli import CORE_COMMANDS
from appliance.settings.file import read_settings_file
from tests.ansible_modules import package_beside_playbook

ROOT = Path(__file__).parents[1]
DEBIAN = ROOT / "ansible" / "debian"
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")


@pytest.fixture(scope="module")
def debian():
    """The modules that make the package, which lie beside the playbook."""
    with package_beside_playbook("debian.contents") as package:
        yield package


@pytest.fixture(scope="module")
def tree(debian, tmp_path_factory):
    """What systemd and administrators read, as the package installs it."""
    tree = tmp_path_factory.mktemp("tree")
    debian.contents.write_system_files(tree, debian.rendering.variables())
    return tree


@pytest.fixture(scope="module")
def share(tmp_path_factory):
    """Manual pages and completion, of this environment's program."""
    share = tmp_path_factory.mktemp("share")
    (share / "appliance.yml").write_text("")
    given = {"SOURCE_DATE_EPOCH": "1700000000", "APPLIANCE_CONF": str(share)}
    command = [sys.executable, DEBIAN / "manpages.py", share]
    subprocess.run(command, env=os.environ | given, cwd=ROOT, check=True)
    return share


def test_units_when_packed_then_all_that_the_playbook_writes_without_a_proxy(tree, debian):
    units = tree / "usr/lib/systemd/system"
    values = debian.rendering.variables()
    assert sorted(path.name for path in units.iterdir()) == sorted(values["appliance_units"])
    for path in tree.rglob("*"):
        assert path.is_dir() or "{{" not in path.read_text(), path
    api = (units / "appliance-api.service").read_text()
    assert "IPAddressAllow=any" in api
    assert "NoNewPrivileges=yes" in api


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_when_rendered_then_a_shell_reads_it_and_it_stops_at_errors(name, debian):
    rendering = debian.rendering
    text = rendering.render((DEBIAN / "files" / f"{name}.j2").read_text(), rendering.variables())
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    assert "\nset -e\n" in text
    assert "{{" not in text


def test_password_when_made_then_not_printed_and_never_made_twice(debian):
    rendering = debian.rendering
    values = rendering.variables()
    text = rendering.render((DEBIAN / "files" / "postinst.j2").read_text(), values)
    (line,) = [line for line in text.splitlines() if "secrets" in line]
    assert "for _ in range(5)))' >$password &&" in line
    assert "umask 027" in line
    assert f"[ ! -e {values['base_state']}/appliance.sqlite ]" in text


def test_settings_when_installed_then_they_are_accepted_and_fit_units_and_scripts(tree, debian):
    values = debian.rendering.variables()
    settings = read_settings_file(tree / "etc/netflow-appliance").settings()
    assert settings["collector.unit"] in values["appliance_started_units"]
    password = settings["accounts.admin_password_file"]
    assert str(password) == values["appliance_admin_password_file"]
    assert [str(at) for at in settings["web.listen"]] == ["0.0.0.0:8443"]


@pytest.mark.skipif(not shutil.which("dpkg"), reason="needs Debian's dpkg")
def test_version_when_not_final_then_debian_sorts_it_before(debian, tmp_path):
    def version(upstream: str) -> str:
        wheel = tmp_path / f"netflow_appliance-{upstream}-py3-none-any.whl"
        return debian.packing.Package.of(wheel, 0).version

    order = ["1.0.dev3", "1.0a1", "1.0rc2", "1.0", "1.0.post1", "1.1"]
    for older, newer in itertools.pairwise(order):
        compare = ["dpkg", "--compare-versions", version(older), "lt", version(newer)]
        assert subprocess.run(compare, check=False).returncode == 0, (older, newer)


def test_pages_when_made_then_one_for_each_command_with_its_options(share):
    pages = {path.name: gzip.decompress(path.read_bytes()).decode() for path in share.rglob("*.gz")}
    shown = [name for name, command in CORE_COMMANDS.items() if not command.hidden]
    assert {f"appliance-{name}.1.gz" for name in shown} <= set(pages)
    assert {"appliance.1.gz", "appliance-user-add.1.gz", "appliance-alerts.1.gz"} <= set(pages)
    assert "\\-\\-order" in pages["appliance-top.1.gz"]
    assert not [name for name, text in pages.items() if re.search(r"^\.SH NAME\n.* \\- $", text)]
    assert not [name for name, text in pages.items() if "-confPath" in text.replace("\\", "")][1:]


@pytest.mark.skipif(not shutil.which("groff"), reason="needs Debian's groff")
def test_pages_when_formatted_then_without_warnings(share):
    pages = [gzip.decompress(path.read_bytes()) for path in sorted(share.rglob("*.gz"))]
    for text in pages:
        command = ["groff", "-man", "-Tutf8", "-k", "-ww"]
        done = subprocess.run(command, input=text, capture_output=True, check=True)
        assert done.stderr == b""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("bash-completion/completions/appliance", "complete -o nosort -F"),
        ("zsh/vendor-completions/_appliance", "#compdef appliance"),
        ("fish/vendor_completions.d/appliance.fish", "complete --no-files --command appliance"),
    ],
)
def test_completion_when_made_then_each_shell_has_its_script(share, path, line):
    assert line in (share / path).read_text()


def test_units_when_started_then_they_are_among_those_written():
    values = yaml.safe_load((ROOT / "ansible/roles/appliance/vars/main.yml").read_text())
    assert set(values["appliance_started_units"]) <= set(values["appliance_units"])


def test_bill_of_materials_when_made_then_each_library_with_version_licence_and_digest(debian):
    bill = importlib.import_module("debian.bill_of_materials")
    for name in ("click", "numpy", "PyYAML", "peewee", "pysnmp", "waitress"):
        part = bill.component(metadata.distribution(name), "0a" * 32)
        assert part["purl"] == f"pkg:pypi/{name.lower()}@{metadata.version(name)}"
        assert part["hashes"] == [{"alg": "SHA-256", "content": "0a" * 32}]
        (licence,) = part["licenses"]
        assert licence.get("expression") or licence["license"]["name"], name


def test_bill_of_materials_when_made_of_a_bundle_then_libraries_and_those_of_the_console(
    debian, tmp_path
):
    bill = importlib.import_module("debian.bill_of_materials")
    vendored = (ROOT / "appliance/plugins/console/static/vendor/LICENSES.txt").read_text()
    files = {"netflow_appliance-1.2.3": {bill.CONSOLE_LICENCES: vendored}, "Some.lib-2.0": {}}
    for name, more in files.items():
        project, _, version = name.partition("-")
        facts = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\nLicense: MIT\n"
        with zipfile.ZipFile(tmp_path / f"{name}-py3-none-any.whl", "w") as archive:
            for path, text in {f"{name}.dist-info/METADATA": facts, **more}.items():
                archive.writestr(path, text)
    made = json.loads(bill.bill_of_wheels(tmp_path))
    assert made["metadata"]["component"]["version"] == "1.2.3"
    library, *console = made["components"]
    assert library["purl"] == "pkg:pypi/some-lib@2.0"
    assert library["licenses"] == [{"license": {"name": "MIT"}}]
    wheel = (tmp_path / "Some.lib-2.0-py3-none-any.whl").read_bytes()
    assert library["hashes"][0]["content"] == hashlib.sha256(wheel).hexdigest()
    locked = json.loads(
        (ROOT / "appliance/plugins/console/vendoring/package-lock.json").read_text()
    )["packages"]
    versions = {part["name"]: part["version"] for part in console}
    assert {"preact", "uplot"} <= set(versions)
    for name, version in versions.items():
        there = [facts["version"] for path, facts in locked.items() if path.endswith(f"/{name}")]
        assert version in there, name


def test_bill_of_materials_when_of_debian_then_names_of_licences_or_where_they_are(debian):
    bill = importlib.import_module("debian.bill_of_materials")
    status = (
        "Package: libstdc++6\nVersion: 1:12.2-14+deb12u1\nArchitecture: amd64\n"
        "Description: one\n two\n\nPackage: mawk\nArchitecture: amd64\nVersion: 1.3\n"
    )
    texts = {"libstdc++6": "Format: x\n\nFiles: *\nLicense: GPL-3+\n text\n\nLicense: GPL-3+\n"}
    library, other = bill.debian_components(status, texts)
    assert library["purl"] == "pkg:deb/debian/libstdc%2B%2B6@1%3A12.2-14%2Bdeb12u1?arch=amd64"
    assert library["licenses"] == [{"license": {"name": "GPL-3+"}}]
    assert other["licenses"] == [{"license": {"name": "/usr/share/doc/mawk/copyright"}}]
