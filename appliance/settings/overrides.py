"""The settings as `appliance.yml` has them, and the files of plugins that decide some instead."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from appliance.contracts import Overrides, OverridingFile
from appliance.errors import ApplianceError
from appliance.guard.failures import PluginError
from appliance.ratelimit import RateLimited
from appliance.settings.file import EffectiveSetting, Settings

T = TypeVar("T")
log = RateLimited(logging.getLogger(__name__))


@dataclass(frozen=True, slots=True)
class OverridableSettings:
    """What the settings are now, and at the collector's next start.

    Attributes
    ----------
    own
        As `appliance.yml` has them.
    files
        In their guards; of two that decide one setting, the later counts.
    """

    own: Settings
    files: tuple[OverridingFile, ...] = ()

    def active(self) -> Settings:
        """Return the settings that the collector was started with.

        Those of a plugin that fails, which is counted, are as `appliance.yml` has them.

        Raises
        ------
        SettingsError
            A file is wrong.
        """
        return self._with(self._each(lambda file: file.active(), PluginError))

    def upcoming(self) -> Settings:
        """Return the settings that the collector would be started with now.

        Raises
        ------
        SettingsError
            A file is wrong.
        PluginError
            Nobody knows what to start with.
        """
        return self._with(file.upcoming() for file in self.files)

    def activate(self) -> None:
        """Make what files say now what counts.

        Raises
        ------
        SettingsError, StorageError
            A file is wrong, or this cannot be kept.
        """
        for file in self.files:
            file.activate()

    def version(self) -> object:
        """Return what is another value once other settings count."""
        return tuple(self._each(lambda file: file.version()))

    def lines(self) -> list[EffectiveSetting]:
        """Return what files say in their own words, each value with its line."""
        return [line for lines in self._each(lambda file: file.lines()) for line in lines]

    def hints(self) -> list[str]:
        """Return sentences on what files say without effect."""
        return [text for texts in self._each(lambda file: file.hints()) for text in texts]

    def _with(self, overrides_of_files: Iterable[list[Overrides]]) -> Settings:
        settings = self.own
        for overrides in chain.from_iterable(overrides_of_files):
            settings = settings.with_overrides(overrides.file, overrides.values)
        return settings

    def _each(
        self,
        call: Callable[[OverridingFile], T],
        caught: type[ApplianceError] = ApplianceError,
    ) -> Iterator[T]:
        """Yield what each file returns; one that fails is left out, and said."""
        for file in self.files:
            try:
                value = call(file)
            except caught as error:
                log.warning("settings of another file: %s", error)
                continue
            yield value
