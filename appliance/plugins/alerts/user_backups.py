"""What a backup holds of users' rules and alerts: a file for each account."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from appliance import StorageError
from appliance.sql.copies import SqliteCopy


@dataclass(frozen=True, slots=True)
class UserAlertsBackup:
    """The folder with a SQLite file for each account."""

    folder: Path
    name: str = "alerts-of-users"

    def save(self, folder: Path) -> None:
        """Copy each file.

        Raises
        ------
        StorageError
            One cannot be read.
        """
        for path in sorted(self.folder.glob("*.sqlite")):
            place = folder / path.stem
            place.mkdir()
            SqliteCopy(path.stem, path).save(place)

    def restore(self, folder: Path) -> None:
        """Put the copies in place of all that is there: accounts made since the backup are gone,
        and their numbers may become those of others.

        Raises
        ------
        StorageError
            They cannot be written.
        """
        try:
            if self.folder.exists():
                shutil.rmtree(self.folder)
        except OSError as error:
            raise StorageError(f"{self.folder}: {error.strerror}") from None
        places = sorted(folder.iterdir()) if folder.is_dir() else []
        for place in places:
            if place.is_dir() and place.name.isdecimal():
                SqliteCopy(place.name, self.folder / f"{place.name}.sqlite").restore(place)
