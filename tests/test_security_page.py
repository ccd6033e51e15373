"""SECURITY.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_security_page_when_it_names_a_test_then_it_is_there() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)`", (ROOT / ".github/SECURITY.md").read_text()))
    assert len(named) > 10
    assert not sorted(path for path in named if not (ROOT / path).is_file())


def test_hostile_tests_when_listed_then_each_is_on_the_security_page() -> None:
    page = (ROOT / ".github/SECURITY.md").read_text()
    files = sorted(path.name for path in (ROOT / "tests/hostile").glob("test_*.py"))
    assert [name for name in files if name not in page] == []
