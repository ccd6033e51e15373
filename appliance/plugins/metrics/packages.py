"""`GET /api/v1/packages`: the Python packages that the appliance needs, with their licences."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

from appliance.web.openapi import OrNull

DISTRIBUTION = "netflow-appliance"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LICENCE_CLASSIFIER = "License :: "
_MOST_LICENCE = 60
EXAMPLE = {
    "packages": [{"name": "numpy", "version": "2.4.0", "licence": OrNull("BSD-3-Clause")}],
}


def packages_needed() -> dict[str, Any]:
    """Return the installed packages that the appliance needs, and those that they need."""
    return {
        "packages": [
            {
                "name": package.name,
                "version": package.version,
                "licence": licence_of(package),
            }
            for package in requirements_of(DISTRIBUTION)
        ]
    }


def requirements_of(name: str) -> list[Distribution]:
    """Return what a distribution needs, directly or not, by name; what is not installed is not
    needed on this machine.
    """
    packages: dict[str, Distribution] = {}
    waiting = _requirements(name)
    while waiting:
        package = _distribution(waiting.pop())
        if package is not None and package.name not in packages:
            packages[package.name] = package
            waiting += _requirements(package.name)
    return sorted(packages.values(), key=lambda package: package.name.lower())


def licence_of(package: Distribution) -> str | None:
    """Return the licence as the package's metadata name it; None where they do not."""
    facts = package.metadata
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in facts.get_all("Classifier") or []
        if text.startswith(_LICENCE_CLASSIFIER)
    ]
    expressions = facts.get_all("License-Expression") or []
    # The field License may hold the whole text of a licence.
    names = [
        text
        for text in facts.get_all("License") or []
        if len(text) <= _MOST_LICENCE and "\n" not in text
    ]
    return next(iter([*expressions, *names]), "") or ", ".join(classifiers) or None


def _requirements(name: str) -> list[str]:
    """Return the names that a distribution requires without any extra."""
    package = _distribution(name)
    lines = (package.requires or []) if package is not None else []
    matches = (_NAME.match(line) for line in lines if "extra ==" not in line)
    return [match.group() for match in matches if match]


def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
