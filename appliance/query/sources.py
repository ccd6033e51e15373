"""What answers questions in place of the flow log, as plugins registered it."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.contracts import QuerySource
from appliance.errors import SettingsError
from appliance.settings.file import Settings

SOURCE_SETTING = "search.source"
LOG = "log"
"""The own flow log and its samples, which is no plugin's."""

_BY_NAME: dict[str, QuerySource] = {}


def set_query_sources(sources: Mapping[str, QuerySource], settings: Settings) -> None:
    """Take over what plugins registered, in the place of what they registered before.

    `app.build_app` calls it once; every part that answers questions asks for it.

    Raises
    ------
    SettingsError
        The one that is chosen is not among them.
    """
    _BY_NAME.clear()
    _BY_NAME.update(sources)
    name = settings[SOURCE_SETTING]
    if name != LOG and name not in _BY_NAME:
        known = ", ".join([LOG, *_BY_NAME])
        problem = f"expected one of {known}, found {name!r}"
        raise SettingsError(problem, file=settings.file, key=SOURCE_SETTING)


def query_source(settings: Settings) -> QuerySource | None:
    """Return what the settings choose to answer questions; None: the flow log does."""
    return _BY_NAME.get(settings[SOURCE_SETTING])
