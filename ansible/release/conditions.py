"""What a commit must have to be released: a clean tree, and a section of its version."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from debian.building import BuildError

_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_UNRELEASED = re.compile(r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def version_of(source: Path) -> str:
    """Return the version of the program, from the one place that says it."""
    (version,) = _VERSION.findall((source / "appliance" / "__init__.py").read_text())
    return str(version)


def require_release(source: Path) -> None:
    """Look whether this commit may be released.

    Raises
    ------
    BuildError
        It may not; the text has all reasons.
    """
    if problems := refusals(source):
        raise BuildError("; ".join(problems))


def refusals(source: Path) -> list[str]:
    """Say what keeps this commit from being released; empty where nothing does."""
    version = version_of(source)
    problems = changelog_problems((source / "CHANGELOG.md").read_text(), version)
    if changed := _git(source, "status", "--porcelain"):
        first = changed.splitlines()[0][3:]
        problems.append(f"commit or remove what is not in git, such as {first}")
    tagged, head = _git(source, "rev-list", "-1", f"v{version}"), _git(source, "rev-parse", "HEAD")
    if tagged not in ("", head):
        problems.append(f"v{version} is another commit: raise __version__ in appliance/__init__.py")
    return problems


def changelog_problems(text: str, version: str) -> list[str]:
    """Say what the change log lacks for a version."""
    problems = []
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", text, re.MULTILINE):
        problems.append(f"CHANGELOG.md: expected a section `## [{version}] - YYYY-MM-DD`")
    elif any(re.search(r"^- ", section, re.MULTILINE) for section in _UNRELEASED.findall(text)):
        problems.append("CHANGELOG.md: expected no lines below Unreleased")
    return problems


def _git(source: Path, *arguments: str) -> str:
    """Return what git prints; empty where it fails."""
    command = ["git", "-C", str(source), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip("\n") if done.returncode == 0 else ""
