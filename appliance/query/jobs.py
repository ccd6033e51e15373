"""Answers that take longer than a request may: made in a thread, with progress, until cancelled."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from appliance.errors import ApplianceError, QueryCancelledError
from appliance.flowlog.query_control import QueryControl

logger = logging.getLogger(__name__)

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"
STATES = (RUNNING, DONE, FAILED, CANCELLED)

KEEP_SECONDS = 600.0
"""So long an answer waits for its owner."""

MOST_KEPT = 5
"""Answers of one owner that wait; the oldest goes."""

_NICENESS = 10
_CANCEL_SECONDS = 5.0
_CANCEL_PAUSE_SECONDS = 0.05


class Owner(NamedTuple):
    """Whose a job is.

    Attributes
    ----------
    name
        Of the user.
    filter
        What the user was bound to when the question was asked; None: to nothing.
    """

    name: str
    filter: str | None = None


class Job:
    """A question that is answered, or was.

    Attributes
    ----------
    id
        Hard to guess.
    owner
        Who asked, and within which filter: another one of the same user is another owner.
    answer
        What `ask` returned, when it is done.
    problem
        Why it failed; None where that is a mistake of ours.
    ended
        When, `time.monotonic()`; None while it runs.
    """

    def __init__(self, owner: Owner, control: QueryControl) -> None:
        self.id, self.owner = secrets.token_urlsafe(12), owner
        self.state = RUNNING
        self.answer: object = None
        self.problem: ApplianceError | None = None
        self.began = time.monotonic()
        self.ended: float | None = None
        self._control = control
        self._thread: threading.Thread | None = None

    @property
    def progress(self) -> float:
        """How much of what is to be read has been read, from 0 to 1."""
        return 1.0 if self.state == DONE else self._control.share

    @property
    def seconds(self) -> float:
        """How long it has taken so far, or took."""
        return (time.monotonic() if self.ended is None else self.ended) - self.began

    def start(self, ask: Callable[[], object], turn: AbstractContextManager[object]) -> None:
        """Answer in a thread that holds a turn; both end together."""

        def run() -> None:
            # Of this thread, and of those that DuckDB begins from it.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
            try:
                with turn:
                    self.answer = ask()
                self.state = DONE
            except QueryCancelledError:
                self.state = CANCELLED
            except ApplianceError as error:
                self.state, self.problem = FAILED, error
            # Whatever a question meets becomes an answer.
            except Exception:
                self.state = FAILED
                logger.exception("an exact answer failed")
            finally:
                self.ended = time.monotonic()

        self._thread = threading.Thread(target=run, name="exact-answer", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Stop it, and wait until it has stopped; nothing where it has ended."""
        thread = self._thread
        if thread is None:
            return
        end = time.monotonic() + _CANCEL_SECONDS
        while thread.is_alive() and time.monotonic() < end:
            self._control.cancel()
            thread.join(_CANCEL_PAUSE_SECONDS)


class Jobs:
    """The jobs of a process."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        atexit.register(self.cancel_all)

    def start(
        self,
        owner: Owner,
        control: QueryControl,
        ask: Callable[[], object],
        turn: AbstractContextManager[object],
    ) -> Job:
        """Begin to answer.

        Parameters
        ----------
        control
            Of the searches that `ask` makes.
        turn
            Entered already; left when the answer is there.
        """
        job = Job(owner, control)
        with self._lock:
            self._forget_old(owner, MOST_KEPT - 1)
            self._jobs[job.id] = job
        job.start(ask, turn)
        return job

    def job(self, owner: Owner, identifier: str) -> Job | None:
        """Return a job of a user; None where there is none any more."""
        self.end_outdated(owner)
        with self._lock:
            self._forget_old(owner, MOST_KEPT)
            job = self._jobs.get(identifier)
        return job if job is not None and job.owner == owner else None

    def drop(self, job: Job) -> None:
        """Cancel a job, and forget it."""
        job.cancel()
        with self._lock:
            self._jobs.pop(job.id, None)

    def cancel_all(self) -> None:
        """Stop whatever runs."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()

    def end_outdated(self, owner: Owner) -> None:
        """Stop and forget what a user asked within another filter: nobody may have the answer."""
        with self._lock:
            jobs = [job for job in self._jobs.values() if job.owner.name == owner.name]
        for job in jobs:
            if job.owner.filter != owner.filter:
                self.drop(job)

    def _forget_old(self, owner: Owner, most: int) -> None:
        before = time.monotonic() - KEEP_SECONDS
        ended = [job for job in self._jobs.values() if job.ended is not None]
        own = [job for job in ended if job.owner == owner]
        old = [job for job in ended if job.ended is not None and job.ended < before]
        for job in (*old, *own[: max(len(own) - most, 0)]):
            self._jobs.pop(job.id, None)
