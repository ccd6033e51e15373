"""`/api/v1/explore/export`: any number of single flows as a file, sent while the log is read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import tzinfo
from typing import TYPE_CHECKING

from appliance import Answer, Principal, RequestError, Settings
from appliance.flowlog.forms import CONTENT_TYPES
from appliance.flowlog.questions import FlowQuestion, columns_of_names
from appliance.plugins.explore.caller_turns import export_turn_of
from appliance.plugins.explore.parameters import (
    RANGE,
    OpenStore,
    engine_and_conditions,
    listed_names,
    question_range,
)
from appliance.web.parameters import Query

if TYPE_CHECKING:
    from appliance.flowlog.exports import FlowExport

PARAMETERS = ("filter", *RANGE, "format", "columns")
CONTENT_TYPE = "text/csv"
EXAMPLE = "collection_time_milliseconds,source_address"


def export(
    settings: Settings,
    query: Query,
    principal: Principal | None,
    zone: tzinfo,
    open_store: OpenStore,
) -> Answer:
    """Return the flows of a range in the order in which they were received.

    Raises
    ------
    RequestError
        400: there is no such form.
    """
    form = query.text("format") or "csv"
    if form not in CONTENT_TYPES:
        raise RequestError(400, f"format: expected {', '.join(CONTENT_TYPES)}, found {form!r}")
    since, until = question_range(query)
    engine, conditions = engine_and_conditions(query, settings, principal, open_store)
    question = FlowQuestion(
        since * 1000,
        until * 1000,
        conditions,
        limit=None,
        columns=columns_of_names(listed_names(query, "columns")),
    )
    return Answer(
        _pieces(engine.export(question, form), principal),
        content_type=CONTENT_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="{_file_name(since, until, form)}"'},
    )


def _pieces(flows: FlowExport, principal: Principal | None) -> Iterator[bytes]:
    with export_turn_of(principal):
        yield from flows.pieces()


def _file_name(since: int, until: int, form: str) -> str:
    start, end = (time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment)) for moment in (since, until))
    return f"flows-{start}-{end}.{'ndjson' if form == 'json' else form}"
