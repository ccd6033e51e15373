"""What the browser loads: whole, compressed, kept for ever, under a strict policy."""

from __future__ import annotations

import gzip
import hashlib
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

import appliance.plugins.console as console
from appliance import Page
from appliance.plugins.console.assets import IMPORTS, assets_of
from appliance.plugins.console.views import Views, ViewsBackup

STATIC = Path(console.__file__).parent / "static"
FIRST_VIEW_OCTETS, ALL_OCTETS = 200_000, 500_000
ROOT = Path(__file__).parents[3]


def files() -> list[Path]:
    return [path for path in STATIC.rglob("*") if path.is_file()]


def test_package_when_built_then_every_file_is_in_it():
    described = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (pattern,) = described["tool"]["setuptools"]["package-data"]["appliance.plugins.console"]
    names = [str(path.relative_to(STATIC.parent)) for path in files()]
    assert all(fnmatch(name, pattern.replace("**/", "")) for name in names)


def test_vendored_files_when_compared_then_as_npm_had_them():
    sums = dict(
        reversed(line.split("  "))
        for line in (STATIC / "vendor" / "SHA256SUMS").read_text().splitlines()
    )
    for name, digest in sums.items():
        octets = (STATIC / "vendor" / name).read_bytes()
        assert hashlib.sha256(octets).hexdigest() == digest, name
    assert {path.name for path in (STATIC / "vendor").glob("*.js")} < set(sums)


def test_console_when_loaded_then_small():
    sizes = {path: len(gzip.compress(path.read_bytes())) for path in files()}
    first = [path for path in sizes if "vendor" not in path.parts or path.name != "d3-sankey.js"]
    assert sum(sizes[path] for path in first) < FIRST_VIEW_OCTETS
    assert sum(sizes.values()) < ALL_OCTETS


def test_modules_when_they_import_then_from_here_alone():
    for path in STATIC.rglob("*.js"):
        for name in re.findall(r'^(?:import|export)\b.* from "([^"]+)"', path.read_text(), re.M):
            known = name in IMPORTS or (path.parent / name).resolve().is_file()
            assert known, f"{path.name} imports {name}"


def test_file_when_asked_for_then_for_ever_and_only_of_this_version():
    assets = assets_of(())
    found = assets.answer(assets.version, "main.js", accepts_gzip=True)
    assert gzip.decompress(found.body) == (STATIC / "main.js").read_bytes()
    assert "immutable" in found.headers["Cache-Control"]
    assert assets.answer(assets.version, "main.js", accepts_gzip=False).body[:3] == b"/**"
    assert assets.answer("0" * 16, "main.js", accepts_gzip=True).status == 404
    assert assets.answer(assets.version, "../__init__.py", accepts_gzip=True).status == 404


def test_document_when_sent_then_its_policy_allows_nothing_inline():
    policy = assets_of(()).document().headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy


def test_page_when_a_plugin_adds_one_then_served_beside_the_own():
    page = Page("Mine", "mine", "export default () => null")
    assets = assets_of((page,))
    name = assets.url(page).rpartition(f"{assets.version}/")[2]
    assert assets.answer(assets.version, name, accepts_gzip=False).body == page.script.encode()
    assert assets.version != assets_of(()).version


@pytest.mark.parametrize("text", ["", "{", "[]", '[{"id": 1}]', "null"])
def test_views_when_the_file_is_none_of_ours_then_said_or_left_out(tmp_path: Path, text: str):
    (tmp_path / "views.json").write_text(text)
    views = Views(tmp_path)
    if text in ("", "{"):
        with pytest.raises(Exception, match="cannot be read"):
            views.load()
    else:
        assert views.load() == []


def test_views_when_backed_up_then_they_come_back(tmp_path: Path):
    view: dict[str, Any] = {"id": "1", "name": "a", "query": "", "owner": "x", "is_shared": False}
    here, there, folder = tmp_path / "here", tmp_path / "there", tmp_path / "backup"
    folder.mkdir()
    Views(here).save([view])
    ViewsBackup(here).save(folder)
    ViewsBackup(there).restore(folder)
    assert Views(there).load() == [view]
