"""`appliance plugins new` writes plugins that pass their tests and the type checker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.skeletons import EXAMPLES, skeleton_texts

ROOT = Path(__file__).parents[1]
NEW_NAMES = {kind: f"our{kind}" for kind in EXAMPLES}


def new(*words: str) -> int:
    return run_command_line(group, ["plugins", "new", *words])


def python(folder: Path, *words: str, site: Path | None = None) -> str:
    path = os.pathsep.join(map(str, filter(None, (site, ROOT))))
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-m", *words]
    ran = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for kind, name in NEW_NAMES.items():
        assert new("--kind", kind, name, str(folder / kind)) == 0
    return folder


@pytest.mark.parametrize("kind", EXAMPLES)
def test_skeleton_when_made_then_its_own_test_passes(made: Path, kind: str) -> None:
    assert " passed" in python(made / kind, "pytest", "-q", "-p", "no:cacheprovider")


@pytest.mark.slow
def test_skeletons_when_made_then_all_pass_the_strict_type_checker_and_lint(made: Path) -> None:
    files = [str(path) for path in made.glob("*/*.py")]
    assert len(files) == 2 * len(EXAMPLES)
    python(ROOT, "mypy", "--strict", "--cache-dir", str(made / "cache"), *files)
    rules = ["--isolated", "--line-length", "100", "--select", "E,F,W,UP,B"]
    python(made, "ruff", "check", "--no-cache", *rules, *files)


def test_skeletons_when_all_are_installed_then_listed_with_their_hooks(
    made: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(site)]
    python(tmp_path, "pip", "install", *options, *(str(made / kind) for kind in EXAMPLES))
    rows = json.loads(python(tmp_path, "appliance", "plugins", "--json", site=site))
    origins = {row["name"]: row["from"] for row in rows if row["from"] != "built-in"}
    assert origins == {name: f"appliance-{name} 1.0" for name in NEW_NAMES.values()}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_skeleton_when_made_then_nothing_in_it_has_the_name_of_the_example(kind: str) -> None:
    texts = skeleton_texts(kind, "wobble")
    assert set(texts) == {"README.md", "pyproject.toml", "appliance_wobble.py", "test_wobble.py"}
    points = tomllib.loads(texts["pyproject.toml"])["project"]["entry-points"]
    assert points == {"appliance.plugins": {"wobble": "appliance_wobble"}}
    example = "".join(EXAMPLES[kind])
    assert not any(example in text.lower() for text in texts.values())
    assert len(texts["README.md"].splitlines()) <= 12


def test_new_when_it_is_done_then_says_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert new("wobble") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["appliance-wobble"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == [
        "    cd appliance-wobble && python -m pytest",
        "    python -m pip install --no-deps --no-build-isolation --editable .",
        "    appliance plugins",
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("My-Flow",),
            "name 'My-Flow': expected 2 to 16 small letters and digits",
        ),
        (("9",), "name '9': expected 2 to 16 small letters and digits, a letter first\n"),
        (("a/b",), "such as ab\n"),
        (("../x",), "name '../x': expected 2 to 16"),
        (("a" * 17,), "such as aaaaaaaaaaaaaaaa\n"),
        (("class",), "expected one that means nothing else in its code yet"),
        (("--kind", "loader", "path"), "expected one that means nothing else in its code yet"),
        (("--kind", "command", "click"), "expected one that means nothing else in its code yet"),
        (("--kind", "page", "mine"), "'page' is not one of"),
        ((), "missing argument"),
    ],
)
def test_new_when_the_name_is_none_then_one_sentence_and_no_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert new(*words) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert not list(tmp_path.iterdir())


def test_new_when_the_folder_exists_then_nothing_in_it_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "note").write_text("mine")
    assert new("wobble", str(tmp_path)) == 2
    assert capsys.readouterr().err.endswith(f"{tmp_path} exists already, expected a new folder\n")
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_new_when_the_folder_cannot_be_made_then_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert new("wobble", str(tmp_path / "file" / "plugin")) == 2
    assert "cannot be written: Not a directory" in capsys.readouterr().err


@pytest.mark.slow
def test_distributions_when_built_then_both_carry_every_file_of_the_skeletons(
    tmp_path: Path,
) -> None:
    source = tmp_path / "source"
    shutil.copytree(
        *(ROOT / "appliance", source / "appliance"), ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools import build_meta as b; b.build_wheel('..'); b.build_sdist('..')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,), (sdist,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    expected = {
        f"appliance/skeletons/{kind}/{file}".replace("wobble", "".join(EXAMPLES[kind]))
        for kind in EXAMPLES
        for file in skeleton_texts(kind, "wobble").keys() - {"README.md"}
    }
    assert expected <= set(zipfile.ZipFile(wheel).namelist())
    assert expected <= in_sdist
