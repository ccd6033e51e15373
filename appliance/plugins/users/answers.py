"""What the routes of users and roles share: finding a user, and errors in the documented forms."""

from __future__ import annotations

from collections.abc import Sequence

from appliance import AccountStore, Answer
from appliance.contracts import AccountError, Problem, User, Why
from appliance.web.parameters import row_id

PATH = "/api/v1/admin/user"
NO_USER = str(Problem(Why.NO_USER))


def find_user(accounts: AccountStore, text: str) -> User | None:
    """Return the user whose identifier a path names, None when there is none."""
    user_id = row_id(text)
    return None if user_id is None else accounts.user(user_id)


def no_user() -> Answer:
    """Answer that there is no such user."""
    return Answer({"message": NO_USER}, 404)


def error_body(problem: str) -> dict[str, object]:
    """Return the JSON of one error."""
    return {"error": problem}


def errors(problems: Sequence[str], status: int = 400) -> Answer:
    """Answer one error as text, several as an array."""
    return Answer({"error": problems[0] if len(problems) == 1 else list(problems)}, status)


def status_of_refusal(error: AccountError, unknown_role_status: int = 404) -> int:
    """Return the HTTP status of what the accounts refused."""
    whys = [problem.why for problem in error.problems]
    if Why.NO_USER in whys:
        return 404
    if all(why is Why.NO_ROLE for why in whys):
        return unknown_role_status
    return 409
