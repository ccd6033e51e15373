"""How many questions are answered at a time, of all users and of each."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class TooManyQuestionsError(Exception):
    """Another one must wait; the text is a sentence."""


class QueryTurns:
    """Turns for questions that take memory and processor time.

    Parameters
    ----------
    most
        At a time, of all users.
    most_of_user
        Of one user, fewer, so that nobody keeps out the others.
    what
        What they are, in the plural.
    """

    def __init__(self, most: int = 4, most_of_user: int = 2, what: str = "questions") -> None:
        self.most, self.most_of_user, self.what = most, most_of_user, what
        self._running: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def of(self, user: str) -> Iterator[None]:
        """Hold a turn.

        Raises
        ------
        TooManyQuestionsError
            There is none; nobody waits.
        """
        with self._lock:
            if self._running[user] >= self.most_of_user:
                raise TooManyQuestionsError(
                    f"{self.most_of_user} of your {self.what} at a time, try again soon"
                )
            if self._running.total() >= self.most:
                raise TooManyQuestionsError(f"{self.most} {self.what} at a time, try again soon")
            self._running[user] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[user] -= 1
                if not self._running[user]:
                    del self._running[user]
