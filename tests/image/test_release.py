"""What keeps a commit from being released, and that a source distribution is the same each time."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import appliance
from tests.ansible_modules import package_beside_playbook

ROOT = Path(__file__).parents[2]
VERSION = "1.2.3"
DATED = f"## [{VERSION}] - 2026-12-01\n\n- One line.\n"


@pytest.fixture(scope="module")
def release():
    """The modules that make a release, which lie beside the playbook."""
    with package_beside_playbook("release.__main__") as package:
        yield package


@pytest.fixture
def project(tmp_path):
    """A project in git that may be released."""
    folder = tmp_path / "project"
    (folder / "appliance").mkdir(parents=True)
    (folder / "appliance" / "__init__.py").write_text(f'__version__ = "{VERSION}"\n')
    (folder / "CHANGELOG.md").write_text(f"# Changelog\n\n## [Unreleased]\n\n{DATED}")
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run(["git", "-C", folder, *who, *arguments], check=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "one")


def test_release_when_all_is_in_order_then_nothing_is_refused(release, project):
    assert release.conditions.refusals(project) == []


def test_release_when_the_change_log_has_no_section_then_refused_with_what_is_expected(
    release, project
):
    (project / "appliance" / "__init__.py").write_text('__version__ = "1.2.4"\n')
    commit(project)
    expected = ["CHANGELOG.md: expected a section `## [1.2.4] - YYYY-MM-DD`"]
    assert release.conditions.refusals(project) == expected


@pytest.mark.parametrize(
    ("text", "n_problems"),
    [
        (DATED, 0),
        (f"## [Unreleased]\n\n### Added\n\n{DATED}", 0),
        (f"## [Unreleased]\n\n### Added\n\n- A line that would be forgotten.\n\n{DATED}", 1),
        (f"## [{VERSION}]\n\n- Without a day.\n", 1),
        (f"## [{VERSION}] - soon\n", 1),
        (f"## [{VERSION}rc1] - 2026-12-01\n", 1),
        ("## [1x2y3] - 2026-12-01\n", 1),
        ("", 1),
    ],
)
def test_changelog_when_read_then_only_a_dated_section_will_do(release, text, n_problems):
    assert len(release.conditions.changelog_problems(text, VERSION)) == n_problems


def test_release_when_the_tree_is_not_clean_then_refused_and_the_file_is_named(release, project):
    (project / "left-over.txt").write_text("")
    (problem,) = release.conditions.refusals(project)
    assert problem.endswith("such as left-over.txt")


def test_release_when_the_version_is_another_commits_then_refused(release, project):
    git(project, "tag", f"v{VERSION}")
    assert release.conditions.refusals(project) == []
    (project / "more").write_text("")
    commit(project)
    (problem,) = release.conditions.refusals(project)
    assert problem.startswith(f"v{VERSION} is another commit")


def test_release_when_refused_then_one_sentence_and_nothing_is_made(project, tmp_path):
    (project / "left-over.txt").write_text("")
    command = [sys.executable, "-m", "release", tmp_path / "dist", "--source", project]
    done = subprocess.run(
        command, cwd=ROOT / "ansible", capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("make release: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "dist").exists()


def test_version_when_released_then_the_programs(release):
    assert release.conditions.version_of(ROOT) == appliance.__version__


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("netflow-appliance-1.2.3-cp311-x86_64.tar", True),
        ("netflow-appliance-1.2.3-cp313-x86_64.tar", False),
    ],
)
def test_bundle_when_of_another_python_then_no_package_is_made_of_it(
    release, monkeypatch, name, fits
):
    monkeypatch.setattr(release.making, "PYTHON", "python3.11")
    assert release.making.is_for_this_python(Path(name)) is fits


def test_wheel_when_without_kernels_then_not_released(release, tmp_path):
    wheel = tmp_path / "netflow_appliance-1.2.3-py3-none-any.whl"
    wheel.touch()
    with pytest.raises(release.making.BuildError, match=r"^expected a C compiler that works"):
        release.making.own_wheel(tmp_path)
    wheel = wheel.rename(tmp_path / "netflow_appliance-1.2.3-py3-none-manylinux_2_17_x86_64.whl")
    assert release.making.own_wheel(tmp_path) == wheel


@pytest.mark.slow
def test_source_distribution_when_made_twice_then_the_same_octets(release, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    make = release.source_distribution.make_source_distribution
    files = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        files.append(make(tmp_path / name, ROOT))
    assert files[0].read_bytes() == files[1].read_bytes()
    with tarfile.open(files[0]) as archive:
        entries = archive.getmembers()
    names = {entry.name.partition("/")[2] for entry in entries}
    assert {"pyproject.toml", "LICENSE", "appliance/manual/box.md", "PKG-INFO"} <= names
    kernels = {"appliance/native/columns.c", "appliance/native/hashing.h"}
    assert {"setup.py", *kernels} <= names
    assert not [name for name in names if name.endswith((".pyc", ".so"))]
    assert {(entry.mtime, entry.uid, entry.uname) for entry in entries} == {(1_700_000_000, 0, "")}


def test_digests_when_written_then_sha256sum_agrees(release, tmp_path):
    (tmp_path / "a.whl").write_bytes(b"one")
    (tmp_path / "b.tar").write_bytes(b"other")
    sums = release.making.digests(tmp_path)
    (tmp_path / release.making.SUMS).write_text(sums)
    command = ["sha256sum", "--check", "--strict", release.making.SUMS]
    subprocess.run(command, cwd=tmp_path, check=True, env=os.environ | {"LC_ALL": "C"})
