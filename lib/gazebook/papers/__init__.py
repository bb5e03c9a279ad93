"""The papers, and the synthesis of all: which runs each needs, what measures their models, their results, their claims.

A paper is a package with `TITLE`, `CLAIMS`, `AXES`, `RULERS`, `grid(profile) -> list[Run]` (any-time order: coarse axes first),
`results(ledger, axes or profile) -> frame`, `gate(frame)` and `checkpoints(axes)`.
"""

from collections.abc import Iterable, Sequence
from types import ModuleType

import pandas as pd

from gazebook import engine, evidence
from gazebook.errors import GazebookError, check_known
from gazebook.evidence import Finding
from gazebook.ledger import Ledger
from gazebook.measure import Ruler
from gazebook.papers import backgrounds, distraction, foregrounds, scribe, synthesis
from gazebook.runs import PROFILES, Run

PAPERS: dict[str, ModuleType] = {
    "scribe": scribe,
    "backgrounds": backgrounds,
    "foregrounds": foregrounds,
    "distraction": distraction,
    "synthesis": synthesis,
}


def paper(name: str) -> ModuleType:
    """The paper of that name. Raises GazebookError with the list of names."""
    check_known("paper", name, PAPERS)
    return PAPERS[name]


def grid(name: str, profile: str) -> list[Run]:
    """The runs of a paper in a profile, in the order in which they should be trained, without repetition."""
    check_known("profile", profile, PROFILES)
    return list(dict.fromkeys(paper(name).grid(profile)))


def rulers(run: Run) -> Sequence[Ruler]:
    """What the model of a run is measured with."""
    return paper(run.study).RULERS


def complete(runs: Iterable[Run], ledger: Ledger, **options) -> engine.Outcome:
    """Train, measure and record the runs that `ledger` lacks; see `engine.complete`."""
    return engine.complete(runs, ledger, rulers, **options)


def findings(name: str, frame: pd.DataFrame) -> dict[int, list[Finding]]:
    """The findings on all claims of a paper by scale, the largest first; papers of one scale have it as 0."""
    own = paper(name)
    scales = sorted(frame["scale"].dropna().unique().astype(int), reverse=True) if "scale" in frame else [0]
    parts = {scale: evidence.select(frame, scale=scale) if scale else frame for scale in scales or [0]}
    return {scale: evidence.judge(own.CLAIMS, part, own.gate(part)) for scale, part in parts.items()}


def scorecards(ledger: Ledger, profile: str) -> pd.DataFrame:
    """All claims of all papers: a row a paper, scale and claim."""
    cards = [
        evidence.scorecard(found).assign(part=name, scale=scale or "")
        for name, own in PAPERS.items()
        for scale, found in findings(name, own.results(ledger, profile)).items()
    ]
    table = pd.concat(cards, ignore_index=True)
    return table[["part", "scale", *(c for c in table if c not in ("part", "scale"))]]
