"""The examples of the published API as commands that run: read from the document, corrected by the
table of the test, with nothing changed in between.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DOCUMENT = (Path(__file__).parents[1] / "data" / "api" / "api-destne.md").read_text()
SERVER = "localhost:8443"
TOKEN = "JSONWebToken"
CREDENTIALS = "base64_encoded_creds"

LINE_CONTINUATION = ("\n  ", " \\\n  ")
"""The correction that every shell example needs: the document leaves out the backslashes."""

_BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
_REQUEST = re.compile(r"(?P<method>[A-Z]+) (?P<target>\S+) HTTP/1\.1\n(?P<headers>(?:.+\n?)*)\n*")


@dataclass(frozen=True)
class Example:
    """One example of the document: where it stands, what it starts from, what it needs.

    Attributes
    ----------
    section
        The heading above it.
    block
        `shell` or `http`, with its number among those of the section.
    state
        Users that there are, as `USERS` of the test has them.
    corrections
        The smallest changes of the command's text that make it run, old and new.
    answer
        The number of the JSON block that must come back.
    answer_corrections
        What is wrong in that block, old and new.
    status
        Of HTTP; the document has none.
    """

    section: str
    block: str = "shell 0"
    state: str = "two users"
    corrections: tuple[tuple[str, str], ...] = ()
    answer: int = 0
    answer_corrections: tuple[tuple[str, str], ...] = ()
    status: int = 200
    token: str = "administrator"
    keys_only: bool = field(default=False)

    def __str__(self) -> str:
        return f"{self.section}, {self.block}, {self.state}, {self.status}"


def sections() -> dict[str, list[tuple[str, str]]]:
    """Return the blocks below each heading, as kind and text; what stands above the first, too."""
    parts = re.split(r"^#+ (.+)\n", DOCUMENT, flags=re.MULTILINE)
    return {
        title.strip(): _BLOCK.findall(text)
        for title, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def block_of(section: str, block: str) -> str:
    """Return the text of `shell 0`, `http 1`, `json 0`, ..."""
    kind, number = block.split()
    return [text for found, text in sections()[section] if found == kind][int(number)]


def corrected(text: str, corrections: tuple[tuple[str, str], ...]) -> str:
    """Apply corrections; one that corrects nothing is an error of the table."""
    for old, new in corrections:
        assert old in text, f"there is no {old!r} to correct in {text!r}"
        text = text.replace(old, new)
    return text


def command_of(example: Example, server: str, token: str, credentials: str) -> str:
    """Return the shell command of an example, for this server and token."""
    text = corrected(block_of(example.section, example.block), example.corrections)
    if example.block.startswith("http"):
        text = _as_curl(text)
    text = text.strip().replace(*LINE_CONTINUATION)
    for placeholder, value in ((SERVER, server), (TOKEN, token), (CREDENTIALS, credentials)):
        text = text.replace(placeholder, value)
    return text


def run_curl(command: str, certificate: Path) -> tuple[int, Any]:
    """Run a command that begins with `curl`; return the status and the JSON that came back."""
    assert command.startswith("curl ")
    options = f"curl --silent --max-time 20 --cacert {certificate} -w '\\n%{{http_code}}' "
    ran = subprocess.run(
        ["bash", "-c", options + command.removeprefix("curl ")],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ran.returncode == 0, (command, ran.stderr)
    body, _, status = ran.stdout.rpartition("\n")
    return int(status), json.loads(body)


def answer_of(example: Example) -> Any:
    """Return the documented answer, corrected."""
    text = block_of(example.section, f"json {example.answer}")
    return json.loads(corrected(text, example.answer_corrections))


def shape(value: Any) -> Any:
    """Return the keys of a value in their order, of a list those of its first element."""
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def _as_curl(text: str) -> str:
    """Turn a request as it goes over the wire into a command; quotes around values go."""
    found = _REQUEST.match(text)
    assert found, text
    body = text[found.end() :].replace("\n", "").strip()
    lines = [line.partition(":") for line in found["headers"].strip().splitlines()]
    headers = {name.strip(): value.strip().strip("'") for name, _, value in lines}
    target = found["target"].removeprefix(f"https://{SERVER}").lstrip("/")
    host = headers.pop("Host")
    words = [f'curl -X {found["method"]} "https://{host}/{target}"']
    words += [f'-H "{name}: {value}"' for name, value in headers.items()]
    return " ".join([*words, *([f"--data '{body}'"] if body else [])])
