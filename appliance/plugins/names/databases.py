"""AS and countries of addresses, from databases in MaxMind's format that the operator supplies.

Layouts: GeoLite2 and GeoIP2 (ASN, Country, City), DB-IP (ASN, Country, City) and IPinfo (Lite).
A database is flattened once; what came out is kept beside the flow log for the next start.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import maxminddb
import numpy as np
from numpy.typing import NDArray

from appliance import ApplianceError
from appliance.atomic_files import atomic_write
from appliance.flows import V4_MAPPED
from appliance.plugins.names.ranges import AddressRange, AddressRanges, flatten

MAX_NAME = 256
_FORMAT = 1
_DAMAGES = (
    *(maxminddb.InvalidDatabaseError, ValueError, TypeError, LookupError, AttributeError),
    *(ArithmeticError, RecursionError, MemoryError, struct.error),
)
_KEPT_DAMAGES = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
_RANGES = AddressRanges.__slots__


class DatabaseError(ApplianceError):
    """A database cannot be read."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


class FileState(NamedTuple):
    """What tells that a file has changed."""

    inode: int
    changed_ns: int
    size: int


class Owner(NamedTuple):
    """What a database says of a range; 0 and an empty name where it does not say."""

    as_number: int
    as_name: str
    country: int


class AddressDatabase(NamedTuple):
    """One database in memory.

    Attributes
    ----------
    ranges
        Their numbers are places in the arrays below; the first is that of nothing.
    as_numbers
        uint32.
    countries
        uint16, see `country_number`.
    as_names
        By AS number.
    """

    ranges: AddressRanges
    as_numbers: NDArray[np.uint32]
    countries: NDArray[np.uint16]
    as_names: Mapping[int, str]

    @property
    def says_as(self) -> bool:
        """Whether it has any AS."""
        return bool(self.as_numbers.any())

    @property
    def says_countries(self) -> bool:
        """Whether it has any country."""
        return bool(self.countries.any())


def file_state(path: Path) -> FileState:
    """Return the state of a file.

    Raises
    ------
    DatabaseError
        It is not there.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DatabaseError(path, (error.strerror or str(error)).lower()) from None
    return FileState(status.st_ino, status.st_mtime_ns, status.st_size)


def country_number(code: object) -> int:
    """Return the number of a country's code (ISO 3166-1 alpha-2): two letters; 0 for none."""
    text = str(code)
    if len(text) != 2 or not (text.isascii() and text.isalpha() and text.isupper()):
        return 0
    return int.from_bytes(text.encode())


def owner_of(record: object) -> Owner:
    """Return what a record of a database says, in any of the layouts."""
    if not isinstance(record, Mapping):
        return Owner(0, "", 0)
    number = record.get("autonomous_system_number", record.get("asn", 0))
    name = record.get("autonomous_system_organization", record.get("as_name", ""))
    country = record.get("country_code") or record.get("country")
    if isinstance(country, Mapping):
        country = country.get("iso_code")
    return Owner(_as_number(number), str(name or "")[:MAX_NAME], country_number(country))


def _as_number(value: object) -> int:
    text = str(value).removeprefix("AS")
    number = int(text) if text.isdecimal() and len(text) < 11 else 0
    return number if number < 1 << 32 else 0


def read_database(path: Path) -> AddressDatabase:
    """Read and flatten a database; takes seconds for a large one.

    Raises
    ------
    DatabaseError
        It is none, or damaged.
    """
    owners: dict[Owner, int] = {Owner(0, "", 0): 0}

    def ranges(reader: Any) -> Iterator[AddressRange]:
        for network, record in reader:
            first = int(network.network_address)
            base = V4_MAPPED if network.version == 4 else 0
            number = owners.setdefault(owner_of(record), len(owners))
            yield AddressRange(base | first, base | first + network.num_addresses - 1, number)

    with _reader(path) as reader:
        flat = flatten(ranges(reader))
    return AddressDatabase(
        flat,
        np.array([owner.as_number for owner in owners], np.uint32),
        np.array([owner.country for owner in owners], np.uint16),
        {owner.as_number: owner.as_name for owner in owners if owner.as_number and owner.as_name},
    )


def read_metadata(path: Path) -> tuple[int, str]:
    """Return when a database was made, seconds UTC, and its kind, such as GeoLite2-ASN.

    Raises
    ------
    DatabaseError
        It cannot be read.
    """
    with _reader(path) as reader:
        metadata = reader.metadata()
    return int(metadata.build_epoch), str(metadata.database_type)[:MAX_NAME]


@contextmanager
def _reader(path: Path) -> Iterator[Any]:
    """Open a database; what is wrong with it while it is read becomes a DatabaseError."""
    try:
        # Read by Python: the extension maps the file, which ends the process where it is damaged
        # or cut while it is read.
        with maxminddb.open_database(path, maxminddb.MODE_MEMORY) as reader:
            yield reader
    except OSError as error:
        raise DatabaseError(path, (error.strerror or str(error)).lower()) from None
    # What the library raises for octets that are none of a database.
    except _DAMAGES as error:
        raise DatabaseError(path, f"is no database of addresses: {error}") from None


def open_database(path: Path, folder: Path) -> AddressDatabase:
    """Return a database, from what was kept of it in a folder where it has not changed since.

    Raises
    ------
    DatabaseError
        It cannot be read.
    """
    state = file_state(path)
    kept = cache_file(path, folder)
    with suppress(*_KEPT_DAMAGES):
        return _read_cache(kept, state)
    database = read_database(path)
    names = "\n".join(f"{n} {' '.join(text.split())}" for n, text in database.as_names.items())
    with suppress(OSError):
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        with atomic_write(kept, 0o640) as file:
            np.savez(
                file,
                state=np.array([_FORMAT, *state]),
                names=np.frombuffer(names.encode(), np.uint8),
                as_numbers=database.as_numbers,
                countries=database.countries,
                **{name: getattr(database.ranges, name) for name in _RANGES},
            )
    return database


def cache_file(path: Path, folder: Path) -> Path:
    """Return the file that keeps what was read of a database."""
    return folder / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.npz"


def read_kept_names(kept: Path) -> Mapping[int, str]:
    """Return the names by AS number in a file that keeps a database; none where it is damaged."""
    with (
        suppress(*_KEPT_DAMAGES),
        kept.open("rb") as octets,
        np.load(octets, allow_pickle=False) as file,
    ):
        return _names_in(file)
    return {}


def _names_in(file: Any) -> Mapping[int, str]:
    lines = (line.partition(" ") for line in file["names"].tobytes().decode().split("\n") if line)
    return {int(number): name for number, _, name in lines if name}


def _read_cache(kept: Path, state: FileState) -> AddressDatabase:
    with kept.open("rb") as octets, np.load(octets, allow_pickle=False) as file:
        if file["state"].tolist() != [_FORMAT, *state]:
            raise ValueError("of another file")
        loaded = {name: file[name] for name in (*_RANGES, "as_numbers", "countries")}
        names = _names_in(file)
    n = len(loaded["as_numbers"])
    v4_starts, v4, v6_starts, v6 = (loaded[name] for name in _RANGES)
    numbers = np.concatenate([v4, v6])
    if len(v4) != len(v4_starts) or len(v6) != len(v6_starts) or len(loaded["countries"]) != n:
        raise ValueError("arrays of different lengths")
    if not len(v4) or numbers.min() < 0 or numbers.max() >= n or v4_starts[0] != 0:
        raise ValueError("numbers out of range")
    ranges = AddressRanges(v4_starts, v4, v6_starts, v6)
    return AddressDatabase(ranges, loaded["as_numbers"], loaded["countries"], names)
