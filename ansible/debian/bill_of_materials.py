"""Lists what the package holds as CycloneDX 1.6: each library with version, licence and origin.

Runs in the environment that is packed. What a wheel has compiled into it (Arrow, DuckDB, OpenSSL)
is a matter of its maker, and the console's libraries are listed beside them; neither is here.
"""

from __future__ import annotations

import argparse
import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from appliance import __version__

NAME = "netflow-appliance"
_LOCKED = re.compile(r"^([^=\s]+)==\S+ --hash=sha256:([0-9a-f]{64})$", re.MULTILINE)


def main() -> None:
    """Write the list of the environment that runs this to the file that is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("requirements", type=Path, help="of the bundle, with each wheel's digest")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    locked = _LOCKED.findall(arguments.requirements.read_text())
    digests = {plain(name): digest for name, digest in locked}
    found = {plain(each.name): each for each in metadata.distributions()}
    parts = [component(found[name], digests[name]) for name in sorted(found) if name != NAME]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": NAME, "version": __version__}},
        "components": parts,
    }
    arguments.file.write_text(json.dumps(bill, indent=2, ensure_ascii=False) + "\n")


def component(distribution: metadata.Distribution, digest: str) -> dict[str, Any]:
    """Describe one library; the digest is the SHA-256 of its wheel."""
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


def plain(name: str) -> str:
    """Return a name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
