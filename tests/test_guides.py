"""The guides for contributors: the files and names in them are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDES = (
    ".github/CONTRIBUTING.md",
    "appliance/README.md",
    "appliance/plugins/README.md",
    "tests/README.md",
)
_NAMED = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|csv|yml))(?::([\w.]+))?`")


def names_in(guide: str) -> list[tuple[str, str]]:
    """Return the paths between backticks, each with the name in that file, or an empty one."""
    return _NAMED.findall((ROOT / guide).read_text(encoding="utf-8"))


def place_of(guide: str, path: str) -> Path | None:
    """Return where a path leads: from the top, from the package, or from the guide's folder."""
    places = (ROOT / path, ROOT / "appliance" / path, (ROOT / guide).parent / path)
    return next((place for place in places if place.exists()), None)


@pytest.mark.parametrize("guide", GUIDES)
def test_guide_when_it_names_a_file_then_it_is_there_with_that_name(guide: str) -> None:
    named = names_in(guide)
    assert len(named) >= 5
    for path, name in named:
        place = place_of(guide, path)
        assert place is not None, f"{guide} names {path}"
        for part in filter(None, name.split(".")):
            text = place.read_text(encoding="utf-8")
            defined = rf"(?m)^\s*(?:(?:async )?def|class) {part}\b|^\s*{part}\b[^=\n]*="
            assert re.search(defined, text), f"{guide} names {path}:{name}"


@pytest.mark.parametrize("guide", GUIDES)
def test_guide_when_it_links_then_that_is_there(guide: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / guide).read_text(encoding="utf-8")):
        assert target.startswith("https://") or ((ROOT / guide).parent / target).exists(), target
