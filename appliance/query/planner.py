"""What answers a question: the flow log, or samples where it would take too long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from appliance.flowlog.samples.files import (
    DAY_MS,
    LEVELS,
    Described,
    Level,
    SampleFile,
    SamplePiece,
)
from appliance.query.question import Question
from appliance.query.statements import question_items

HOURS_UP_TO_MS = 3 * DAY_MS
DAYS_UP_TO_MS = 93 * DAY_MS

MOST_ROWS_OF_COMBINATIONS = 1_200_000
"""Rows of samples that are read where flows are grouped by several columns, such as pairs, without
a filter: nearly each is a group of its own, and two processors group so many in a second. The error
of a large group is three times that of all rows of a day, and less than twice that of a week's."""

MOST_ROWS = 6_000_000
"""Rows of samples that are read of any other question: two processors group so many in a second."""

LEAST_SHARE = 0.25
"""Of these rows, for what can be thinned, however many samples are whole."""

THINNING_STEPS = 4
"""Of these, what doubles the thinning: samples that are thinned alike are read together."""

MOST_SAMPLED_ROWS = 3_000_000
"""Rows of samples that a source reads at most: 18.16 of ClickHouse groups so many of a week in a
second, on two processors."""


def most_sampled_rows(question: Question) -> int:
    """Return how many rows of samples a source reads at most."""
    return MOST_ROWS_OF_COMBINATIONS if _has_many_groups(question) else MOST_SAMPLED_ROWS


def _has_many_groups(question: Question) -> bool:
    """Tell whether nearly each flow may be a group of its own."""
    return not question.conditions and len(question_items(question)) > 1


def sample_pieces(files: Sequence[SampleFile], since_ms: int, until_ms: int) -> list[SamplePiece]:
    """Return what to read of samples for a range, each moment of it from one sample.

    Short ranges are read from samples of hours, longer ones from those of days and months, which
    have fewer rows; what there is no such sample of is read from another.

    Parameters
    ----------
    files
        By the start of their period.
    """
    most = _coarsest(until_ms - since_ms)
    pieces = []
    time_ms = since_ms
    while time_ms < until_ms:
        here = [file for file in files if file.from_ms <= time_ms < file.to_ms]
        if not here:
            later = [file.from_ms for file in files if file.from_ms > time_ms]
            time_ms = min(later, default=until_ms)
            continue
        file = min(here, key=lambda f: _rank(f, most, since_ms, until_ms))
        end_ms = min(file.to_ms, until_ms)
        pieces.append(SamplePiece(file, time_ms, end_ms))
        time_ms = end_ms
    return pieces


def thin_for_question(
    pieces: Sequence[SamplePiece], described: Sequence[Described], question: Question
) -> list[SamplePiece]:
    """Return pieces as densely read as a question needs.

    Parameters
    ----------
    described
        The sample of each piece.
    """
    even = thin_pieces(pieces, [one.threshold for one in described])
    whole, drawn = 0.0, 0.0
    for piece, one in zip(even, described, strict=True):
        share = (piece.to_ms - piece.from_ms) / (piece.file.to_ms - piece.file.from_ms)
        expected = one.n_rows * share / piece.thinning
        whole, drawn = (whole, drawn + expected) if one.threshold else (whole + expected, drawn)
    most = MOST_ROWS_OF_COMBINATIONS if _has_many_groups(question) else MOST_ROWS
    times = max(drawn / max(most - whole, most * LEAST_SHARE), 1.0)
    return [
        replace(piece, thinning=piece.thinning * times) if one.threshold else piece
        for piece, one in zip(even, described, strict=True)
    ]


def thin_pieces(pieces: Sequence[SamplePiece], thresholds: Sequence[float]) -> list[SamplePiece]:
    """Return pieces of which none is read more densely than the coarsest one.

    The error of an answer is that of its least dense part: rows that others have beyond that cost
    time and tell little. What was drawn of everything, and has no threshold, stays whole.

    Parameters
    ----------
    thresholds
        The largest of each piece.
    """
    coarsest = max((LEVELS.index(piece.file.level) for piece in pieces), default=0)
    least = min(
        (
            threshold
            for piece, threshold in zip(pieces, thresholds, strict=True)
            if LEVELS.index(piece.file.level) == coarsest
        ),
        default=0.0,
    )
    return [
        replace(piece, thinning=_step(least / threshold)) if threshold > 0 else piece
        for piece, threshold in zip(pieces, thresholds, strict=True)
    ]


def _step(thinning: float) -> float:
    """Return the least step that is no less than a thinning; 1 for none."""
    if thinning <= 1:
        return 1.0
    return float(2 ** (math.ceil(math.log2(thinning) * THINNING_STEPS) / THINNING_STEPS))


def _coarsest(length_ms: int) -> Level:
    if length_ms <= HOURS_UP_TO_MS:
        return "hour"
    return "day" if length_ms <= DAYS_UP_TO_MS else "month"


def _rank(file: SampleFile, most: Level, since_ms: int, until_ms: int) -> tuple[bool, bool, int]:
    """Return the order in which samples of a moment are taken: the smallest first.

    The coarsest level that is wanted, where it lies in the range as a whole; else the finest.
    """
    level = LEVELS.index(file.level)
    is_inside = since_ms <= file.from_ms and file.to_ms <= until_ms
    is_wanted = is_inside and level <= LEVELS.index(most)
    return (not is_wanted, level > LEVELS.index(most), -level if is_wanted else level)
