"""Answers that are made in a thread: how far they are, what became of them, who may cancel."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path

import pytest

from appliance.errors import QueryCancelledError, QueryError, StorageError
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flowlog.limits import QueryLimits
from appliance.flowlog.query_control import QueryControl
from appliance.flowlog.search import FlowSearch
from appliance.query import jobs as module
from appliance.query.engine import QueryEngine
from appliance.query.jobs import MOST_KEPT, Job, Jobs, Owner
from appliance.query.question import Question
from tests.benchmarks.history import HOUR, History, Traffic

END = 1_795_824_000
FLOWS = 400_000


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flow log whose pairs of hosts are many: half of the flows are only in a journal."""
    folder = tmp_path_factory.mktemp("log") / "flowlog"
    traffic = Traffic(History(1, FLOWS))
    limits = FlowLogLimits(minimum_free_octets=0, retention_seconds=0)
    for hour in (2, 1):
        writer = FlowLogWriter(folder, limits)
        writer.start()
        writer.append(traffic.flows(END - hour * HOUR, END - (hour - 1) * HOUR, FLOWS // 2))
        writer.flush({}, END * 1000)
        writer.close(END * 1000)
    return folder


def waited(job: Job) -> Job:
    end = time.monotonic() + 30
    while job.ended is None:
        assert time.monotonic() < end
        time.sleep(0.001)
    return job


def engine(log: Path, control: QueryControl, **limits: object) -> QueryEngine:
    usual = QueryLimits(512 * 10**6, 2, 60)
    return QueryEngine(FlowSearch(log)).with_limits(
        QueryLimits(**(vars(usual) | limits)),
        control,  # type: ignore[arg-type]
    )


def test_job_when_it_runs_then_its_progress_only_rises_and_its_answer_is_that_of_the_engine(
    log: Path,
) -> None:
    control, question = QueryControl(), Question(("pair",), exact=True)
    asked = engine(log, control, threads=1)
    job = Jobs().start(Owner("somebody"), control, lambda: asked.top(question), nullcontext())
    seen = []
    while job.ended is None:
        seen.append(job.progress)
    assert seen == sorted(seen)
    assert any(0 < share < 1 for share in seen)
    assert job.progress == 1
    assert job.answer.rows.equals(QueryEngine(FlowSearch(log)).top(question).rows)  # type: ignore[attr-defined]


def test_answer_when_it_does_not_fit_into_memory_then_is_spilled_and_nothing_is_left(
    log: Path, tmp_path: Path
) -> None:
    question = Question(("source", "destination", "source_port"), limit=3, exact=True)
    little = {"memory_octets": 48 * 10**6, "threads": 1}
    with pytest.raises(QueryError, match="octets of memory"):
        engine(log, QueryControl(), **little).top(question)
    spill = tmp_path / "queries"
    spilled = engine(log, QueryControl(), **little, spill=spill).top(question)
    assert spilled.total == QueryEngine(FlowSearch(log)).top(question).total
    assert not list(spill.iterdir())


def test_job_when_cancelled_then_ends_at_once_and_leaves_its_turn(log: Path) -> None:
    control, jobs, left = QueryControl(), Jobs(), threading.Event()
    asked, question = engine(log, control, threads=1), Question(("pair",), exact=True)
    turn = ExitStack()
    turn.callback(left.set)

    def ask() -> None:
        while True:
            asked.top(question)

    job = jobs.start(Owner("somebody"), control, ask, turn)
    while job.progress == 0:
        time.sleep(0.001)
    jobs.drop(job)
    assert (job.state, job.answer) == ("cancelled", None)
    assert left.is_set()
    assert jobs.job(Owner("somebody"), job.id) is None


def test_question_when_cancelled_before_it_begins_then_is_not_asked(log: Path) -> None:
    control = QueryControl()
    control.cancel()
    with pytest.raises(QueryCancelledError):
        engine(log, control).top(Question(("source",)))


@pytest.mark.parametrize("error", [QueryError("too long"), StorageError("the log is away")])
def test_job_when_it_fails_then_says_why(error: Exception) -> None:
    def ask() -> None:
        raise error

    job = waited(Jobs().start(Owner("somebody"), QueryControl(), ask, nullcontext()))
    assert (job.state, job.problem) == ("failed", error)


def test_job_when_there_is_a_mistake_in_it_then_failed() -> None:
    job = waited(Jobs().start(Owner("somebody"), QueryControl(), lambda: 1 // 0, nullcontext()))
    assert (job.state, job.problem) == ("failed", None)


def test_jobs_when_many_then_the_newest_of_each_owner_are_kept() -> None:
    jobs = Jobs()
    made = [
        waited(jobs.start(Owner("somebody"), QueryControl(), lambda: 1, nullcontext()))
        for _ in range(MOST_KEPT + 2)
    ]
    other = waited(jobs.start(Owner("other"), QueryControl(), lambda: 1, nullcontext()))
    kept = [job for job in made if jobs.job(Owner("somebody"), job.id)]
    assert kept == made[2:]
    assert jobs.job(Owner("somebody"), other.id) is None
    assert jobs.job(Owner("other"), other.id) is other


def test_jobs_when_an_answer_is_not_fetched_then_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.0)
    jobs = Jobs()
    job = waited(jobs.start(Owner("somebody"), QueryControl(), lambda: 1, nullcontext()))
    assert jobs.job(Owner("somebody"), job.id) is None
