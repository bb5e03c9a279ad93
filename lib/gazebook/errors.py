"""Errors that a user can act on."""

from collections.abc import Iterable


class GazebookError(Exception):
    """A problem the user can solve. The message is one line: what is wrong, then the remedy. Exit code 2."""


def first_line(error: BaseException) -> str:
    """The first line of what an error says; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class DiskFullError(GazebookError):
    """There is no room for a result: every further run would fail in the same way."""


class DivergedError(GazebookError):
    """The training loss became NaN or infinite; no record is written."""


class BudgetSpentError(GazebookError):
    """The time budget ended during training; the last checkpoint is kept and the next call goes on from it."""


def check_known(what: str, given: object, known: Iterable, of: str = "") -> None:
    """Raises GazebookError that lists `known` where `given` is not among it."""
    if given not in known:
        raise GazebookError(f"unknown {what} {given!r}{of}; choose from {', '.join(map(str, known))}")
