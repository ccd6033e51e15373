"""Skeletons of plugins: the worked examples, and what copies one under a new name.

Each folder is a distribution that is installed and tested as it is (`tests/test_examples.py`).
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

from appliance.errors import ApplianceError

EXAMPLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "decoder": ("paper", "flow"),
        "enricher": ("packet", "guess"),
        "store": ("plain", "store"),
        "loader": ("text", "log"),
        "route": ("big", "gest"),
        "command": ("count", "flows"),
    }
)
"""What can be made, and the two halves of the example's name, written in any way in its files."""

MAX_NAME = 16
"""Letters of a name at most, so that lines do not get too long."""

_NAME = re.compile(rf"[a-z][a-z0-9]{{1,{MAX_NAME - 1}}}")
_SUFFIXES = (".py", ".toml")


class SkeletonError(ApplianceError):
    """A skeleton cannot be written; the text says why."""

    exit_code = 2


def write_skeleton(kind: str, name: str, folder: Path) -> list[Path]:
    """Write a distribution with a plugin of this kind, and return its files.

    Parameters
    ----------
    kind
        One of `EXAMPLES`.
    name
        Of the plugin, its module, and of what it registers.
    folder
        Where; must not exist.

    Raises
    ------
    SkeletonError
        The name cannot be one, or the folder exists or cannot be made.
    """
    texts = skeleton_texts(kind, name)
    try:
        folder.mkdir(parents=True)
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
    except FileExistsError:
        raise SkeletonError(f"{folder} exists already, expected a new folder") from None
    except OSError as error:
        raise SkeletonError(f"{folder} cannot be written: {error.strerror}") from None
    return [folder / file for file in texts]


def skeleton_texts(kind: str, name: str) -> dict[str, str]:
    """Return the files of a skeleton by their names.

    Raises
    ------
    SkeletonError
        The name cannot be one.
    """
    sources = {
        file.name: file.read_text(encoding="utf-8")
        for file in sorted(_files_of(kind), key=lambda file: file.name)
    }
    _check_name(name, kind, sources)
    texts = {_rename(file, kind, name): _rename(text, kind, name) for file, text in sources.items()}
    return texts | {"README.md": _README.format(name=name, kind=kind)}


def _files_of(kind: str) -> list[Traversable]:
    folder = files(__name__) / kind
    return [file for file in folder.iterdir() if Path(file.name).suffix in _SUFFIXES]


def _example(kind: str) -> re.Pattern[str]:
    return re.compile(r"{}[ _-]?{}".format(*EXAMPLES[kind]), re.IGNORECASE)


def _rename(text: str, kind: str, name: str) -> str:
    """Return the text with the example's name replaced, as upper, title or lower case."""

    def replacement(match: re.Match[str]) -> str:
        word = match[0]
        if word.isupper():
            return name.upper()
        return name.capitalize() if word[0].isupper() else name

    return _example(kind).sub(replacement, text)


def _check_name(name: str, kind: str, sources: Mapping[str, str]) -> None:
    if not _NAME.fullmatch(name):
        likely = re.sub(r"[^a-z0-9]", "", name.lower()).lstrip("0123456789")[:MAX_NAME]
        hint = f", such as {likely}" if _NAME.fullmatch(likely) else ""
        raise SkeletonError(
            f"name {name!r}: expected 2 to {MAX_NAME} small letters and digits, "
            f"a letter first{hint}"
        )
    # A function or class of this name would hide something that the skeleton itself uses.
    words = {
        word
        for text in sources.values()
        for word in re.findall(r"\w+", _example(kind).sub("", text))
    }
    if keyword.iskeyword(name) or {name, name.capitalize(), name.upper()} & words:
        raise SkeletonError(f"name {name!r}: expected one that means nothing else in its code yet")


_README = """\
# appliance-{name}

A plugin ({kind}) of the NetFlow appliance. Its code is `appliance_{name}.py`.

    python -m pytest
    python -m pip install --no-deps --no-build-isolation --editable .
    appliance plugins

Use the environment of the appliance. A collector that runs finds the plugin after a restart.
How to go on: `appliance manual plugins`.
"""
