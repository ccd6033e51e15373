"""The routes of the query engine: any flows, grouped or single, `/api/v1/explore`."""

from __future__ import annotations

from typing import Any

from appliance import SIGNED_IN, Route
from appliance.plugins.explore import completing, exact_answers, exporting, groups, listing
from appliance.plugins.explore.parameters import TAG, from_body, from_query, get_schema, post_schema
from appliance.query.dimensions import dimensions
from appliance.query.question import DISTINCT, MEANS, SUMS
from appliance.web.openapi import AnyKeys, operation

PREFIX = "/api/v1/explore"

_FIELDS = {
    "dimensions": AnyKeys({"source": "source address"}),
    "measures": AnyKeys({"sources": "source addresses"}),
    "orders": ["octets"],
}


def fields() -> dict[str, Any]:
    """Return what questions can group by and be about."""
    return {
        "dimensions": {name: dimension.text for name, dimension in dimensions().items()},
        "measures": {**MEANS, **DISTINCT},
        "orders": [*SUMS, *MEANS, *DISTINCT],
    }


def explore_routes() -> list[Route]:
    """Return the routes below `/api/v1/explore`."""
    top = ("The largest groups of flows", groups.TOP_EXAMPLE, groups.TOP_PARAMETERS)
    series = ("Traffic over time", groups.SERIES_EXAMPLE, groups.SERIES_PARAMETERS)
    single = ("Single flows, newest first", listing.EXAMPLE, listing.PARAMETERS)
    whole = (
        "Any number of single flows as a file",
        exporting.EXAMPLE,
        exporting.PARAMETERS,
        exporting.CONTENT_TYPE,
    )
    next_words = ("What may come next in a filter", completing.EXAMPLE, completing.PARAMETERS)
    return [
        _route("GET", "fields", fields, get_schema("What flows can be grouped by", _FIELDS, ())),
        _route("GET", "top", from_query(groups.top, top[2]), _with_job(get_schema(*top))),
        _route(
            "GET", "series", from_query(groups.series, series[2]), _with_job(get_schema(*series))
        ),
        _route("GET", "flows", from_query(listing.flows, single[2]), get_schema(*single)),
        _route("GET", "export", from_query(exporting.export, whole[2]), get_schema(*whole)),
        _route("GET", "complete", completing.completion, get_schema(*next_words)),
        _route("POST", "top", from_body(groups.top, top[2]), _with_job(post_schema(*top))),
        _route(
            "POST", "series", from_body(groups.series, series[2]), _with_job(post_schema(*series))
        ),
        _route("POST", "flows", from_body(listing.flows, single[2]), post_schema(*single)),
        _route("POST", "export", from_body(exporting.export, whole[2]), post_schema(*whole)),
        *(
            Route(
                method,
                f"{exact_answers.PATH}/<identifier>",
                handler,
                role=SIGNED_IN,
                schema=operation(summary, exact_answers.EXAMPLE, tag=TAG),
                open_to_bound_users=True,
            )
            for method, handler, summary in (
                ("GET", exact_answers.job_state, "How far an exact answer is, or the answer"),
                ("DELETE", exact_answers.drop_job, "Cancel an exact answer"),
            )
        ),
    ]


def _with_job(schema: dict[str, Any]) -> dict[str, Any]:
    """Add that an exact answer over very many flows is a job."""
    job = operation("An exact answer that is being made", exact_answers.EXAMPLE)
    responses = {**schema["responses"], "202": job["responses"]["200"]}
    return {**schema, "responses": responses}


def _route(method: str, name: str, handler: Any, schema: dict[str, Any]) -> Route:
    """Return a route that changes nothing, whatever its method, and answers within the caller's
    filter.
    """
    path = f"{PREFIX}/{name}"
    return Route(
        method,
        path,
        handler,
        role=SIGNED_IN,
        schema=schema,
        only_reads=True,
        open_to_bound_users=True,
    )
