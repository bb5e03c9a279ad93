"""The studies, one for each paper: which runs it needs and how a trained model is evaluated.

A study is a module with `TITLE`, `grid(profile) -> list[Run]` (any-time order: coarse axes first),
`evaluate(model, run, train, test, device) -> (rows, arrays)`, with a dict for the provenance as a third where speeds are
measured, `results(ledger, profile) -> DataFrame` and `CLAIMS`; and,
where evaluation needs something made beforehand, `prepare(run, test, processes, deadline)`.
"""

from __future__ import annotations

from types import ModuleType

from gazebook.errors import GazebookError
from gazebook.runs import PROFILES, Run
from gazebook.studies import backgrounds, distraction, foregrounds, scribe

STUDIES: dict[str, ModuleType] = {
    "scribe": scribe,
    "backgrounds": backgrounds,
    "foregrounds": foregrounds,
    "distraction": distraction,
}

__all__ = ["STUDIES", "grid", "study"]


def study(name: str) -> ModuleType:
    """The study of that name. Raises GazebookError with the list of names."""
    if name not in STUDIES:
        raise GazebookError(f"unknown study {name!r}; choose from {', '.join(STUDIES)}")
    return STUDIES[name]


def grid(name: str, profile: str) -> list[Run]:
    """The runs of a study in a profile, in the order in which they should be trained, without repetition."""
    if profile not in PROFILES:
        raise GazebookError(f"unknown profile {profile!r}; choose from {', '.join(PROFILES)}")
    return list(dict.fromkeys(study(name).grid(profile)))
