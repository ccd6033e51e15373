"""Exact answers over very many flows: begun by a question, asked for at `/api/v1/explore/jobs`."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance import Answer, Principal, RequestError, Settings
from appliance.flowlog.query_control import QueryControl
from appliance.plugins.explore.caller_turns import job_turn_of, turn_of
from appliance.query.jobs import CANCELLED, FAILED, STATES, Job, Jobs, Owner
from appliance.web.errors import sentence_for
from appliance.web.openapi import AnyKeys, OrNull
from appliance.web.turns import caller_name

if TYPE_CHECKING:
    from appliance.query.engine import QueryEngine
    from appliance.query.question import Question

PATH = "/api/v1/explore/jobs"
JOBS = Jobs()
"""Of this process, which has one web server."""

JOB_SECONDS = 3600.0


class SpillFolders:
    """Where jobs write what does not fit into memory; what a killed process left there goes."""

    def __init__(self) -> None:
        self._swept: set[Path] = set()
        self._lock = threading.Lock()

    def folder(self, data: Path) -> Path:
        """Return the folder in a data directory."""
        folder = data / "queries"
        with self._lock:
            if folder not in self._swept:
                shutil.rmtree(folder, ignore_errors=True)
                self._swept.add(folder)
        return folder


_SPILL = SpillFolders()

EXAMPLE = {
    "id": "q1Zb0cX2u9fXk3Aa",
    "state": STATES[0],
    "progress": 0.25,
    "seconds": 1.5,
    "message": OrNull("The question was cancelled"),
    "answer": OrNull(AnyKeys({"method": "exact"})),
}


def answer_or_job(
    engine: QueryEngine,
    question: Question,
    ask: Callable[[QueryEngine], Any],
    principal: Principal | None,
    settings: Settings,
) -> Any:
    """Return what `ask` returns, or status 202 and a job that will have it.

    Raises
    ------
    RequestError
        429: others of the caller are being answered.
    """
    if not (question.needs_all_flows and engine.reads_many(question)):
        with turn_of(principal):
            return ask(engine)
    owner = _owner(principal)
    JOBS.end_outdated(owner)
    control = QueryControl()
    spill = _SPILL.folder(settings["data_directory"])
    limits = replace(engine.search.limits, seconds=JOB_SECONDS, spill=spill)
    patient = engine.with_limits(limits, control)
    with ExitStack() as stack:
        stack.enter_context(job_turn_of(principal))
        job = JOBS.start(owner, control, lambda: ask(patient), stack.pop_all())
    return Answer(_job_json(job, principal), 202, headers={"Location": f"{PATH}/{job.id}"})


def job_state(identifier: str, principal: Principal | None) -> dict[str, Any]:
    """Return how far an answer is, and the answer when it is there."""
    return _job_json(_own_job(identifier, principal), principal)


def drop_job(identifier: str, principal: Principal | None) -> dict[str, Any]:
    """Cancel an answer that is being made, and forget it."""
    job = _own_job(identifier, principal)
    JOBS.drop(job)
    return _job_json(job, principal)


def _own_job(identifier: str, principal: Principal | None) -> Job:
    job = JOBS.job(_owner(principal), identifier)
    if job is None:
        raise RequestError(404, "There is no such job, or it ended some time ago")
    return job


def _owner(principal: Principal | None) -> Owner:
    return Owner(caller_name(principal), None if principal is None else principal.filter)


def _job_json(job: Job, principal: Principal | None) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "progress": round(job.progress, 4),
        "seconds": round(job.seconds, 3),
        "message": _message(job, principal),
        "answer": job.answer,
    }


def _message(job: Job, principal: Principal | None) -> str | None:
    if job.state == CANCELLED:
        return "The question was cancelled"
    if job.state == FAILED:
        if job.problem is None:
            return "Internal server error"
        return sentence_for(principal, job.problem)
    return None
