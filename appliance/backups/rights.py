"""Whose rights root uses in a folder of somebody else: those of its owner.

Who owns a folder can put a link where a file was at any moment. Root that reads or writes there
would follow it to what only root may reach; the owner's own rights reach nothing new.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def owner_rights(folder: Path) -> Iterator[None]:
    """Have only the rights of the owner of a folder in the block; without root's, no others.

    Raises
    ------
    OSError
        There is no such folder.
    """
    owner = folder.stat()
    with _rights(owner.st_uid, owner.st_gid, _groups(owner.st_uid, owner.st_gid)):
        yield


@contextmanager
def own_rights() -> Iterator[None]:
    """Have the rights that the process began with, in a block within `owner_rights`."""
    with _rights(os.getuid(), os.getgid(), _groups(os.getuid(), os.getgid())):
        yield


@contextmanager
def _rights(user: int, group: int, groups: Sequence[int]) -> Iterator[None]:
    if os.getuid() != 0:
        yield
        return
    before = (os.geteuid(), os.getegid(), os.getgroups())
    _become(user, group, groups)
    try:
        yield
    finally:
        _become(*before)


def _become(user: int, group: int, groups: Sequence[int]) -> None:
    os.seteuid(0)
    os.setgroups(groups)
    os.setegid(group)
    os.seteuid(user)


def _groups(user: int, group: int) -> list[int]:
    try:
        return os.getgrouplist(pwd.getpwuid(user).pw_name, group)
    except KeyError:
        return [group]
