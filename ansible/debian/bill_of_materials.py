"""Lists what is packed as CycloneDX 1.6: each library with version, licence, origin and digest.

Libraries of Python are read from their wheels, those of the console from the list of licences in
our own wheel, packages of Debian from dpkg's list. What a wheel has compiled into it (Arrow,
DuckDB, OpenSSL) is a matter of its maker, and not here.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

NAME = "netflow-appliance"
CONSOLE_LICENCES = "appliance/plugins/console/static/vendor/LICENSES.txt"
Component = dict[str, Any]

_VENDORED = re.compile(r"^(\S+) (\d\S*) \((\S+)\)$", re.MULTILINE)
_LICENCE = re.compile(r"^License: *(\S.*)$", re.MULTILINE)


def bill_of_wheels(wheels: Path, more: Sequence[Component] = ()) -> str:
    """Return the list of a filled bundle, with more components behind it, as JSON.

    Parameters
    ----------
    wheels
        The folder of the bundle: one wheel for each library, and our own.
    """
    parts, own, vendored = [], "", []
    for wheel in sorted(wheels.glob("*.whl")):
        distribution = distribution_in(wheel)
        if plain(distribution.name) == NAME:
            own, vendored = distribution.version, console_components(wheel)
        else:
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            parts.append(component(distribution, digest))
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": NAME,
                "version": own,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": [*sorted(parts, key=lambda part: part["name"]), *vendored, *more],
    }
    return json.dumps(bill, indent=2, ensure_ascii=False) + "\n"


def distribution_in(wheel: Path) -> metadata.Distribution:
    """Return what a wheel says of itself, without installing it."""
    root = zipfile.Path(wheel)
    folder = next(path for path in root.iterdir() if path.name.endswith(".dist-info"))
    # The class asks for a path; it takes whatever has a path's methods.
    return metadata.PathDistribution(folder)  # type: ignore[arg-type]


def component(distribution: metadata.Distribution, digest: str) -> Component:
    """Describe one library of Python; the digest is the SHA-256 of its wheel."""
    name, version = plain(distribution.name), distribution.version
    return {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "licenses": licences(distribution),
    }


def licences(distribution: metadata.Distribution) -> list[dict[str, Any]]:
    """Return what a library says of its licence: an SPDX expression, else its own words."""
    facts = distribution.metadata
    if expression := facts.get("License-Expression"):
        return [{"expression": expression}]
    classifiers = facts.get_all("Classifier") or []
    names = [text.split(" :: ")[-1] for text in classifiers if text.startswith("License ::")]
    # Some put the whole text of the licence into the field.
    words = (facts.get("License") or "").strip().splitlines()[:1]
    files = [f"see {file}" for file in facts.get_all("License-File") or []]
    return [{"license": {"name": name}} for name in names or words or files]


def console_components(own: Path) -> list[Component]:
    """Describe the libraries of the console, which our wheel holds with their licences."""
    with zipfile.ZipFile(own) as archive:
        text = archive.read(CONSOLE_LICENCES).decode()
    return [
        {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:npm/{name}@{version}",
            "licenses": [{"license": {"id": licence}}],
        }
        for name, version, licence in _VENDORED.findall(text)
    ]


def debian_components(status: str, copyrights: Mapping[str, str]) -> Iterator[Component]:
    """Describe packages of Debian.

    Parameters
    ----------
    status
        dpkg's list of installed packages.
    copyrights
        By package, the text of its file of that name.
    """
    for paragraph in status.strip().split("\n\n"):
        fields = dict(re.findall(r"^([A-Z][\w-]*): (.*)$", paragraph, re.MULTILINE))
        name, version, machine = fields["Package"], fields["Version"], fields["Architecture"]
        yield {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={machine}",
            "licenses": _debian_licences(name, copyrights.get(name, "")),
        }


def plain(name: str) -> str:
    """Return a name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _debian_licences(name: str, text: str) -> list[dict[str, Any]]:
    """Return the short names in a copyright file that a program can read, else where it is."""
    names: Iterable[str] = ()
    if text.startswith("Format:"):
        names = dict.fromkeys(line.strip() for line in _LICENCE.findall(text))
    return [{"license": {"name": text}} for text in names or (f"/usr/share/doc/{name}/copyright",)]
