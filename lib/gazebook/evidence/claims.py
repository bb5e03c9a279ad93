"""Claims as data, and how they are judged.

A claim says that a quantity lies above or below a threshold. Its effect is that quantity for each seed, averaged over
augmentations, kinds and images first; the verdict is about its mean over seeds. All claims of a paper are judged together, by
Benjamini and Hochberg's procedure at 5%, so that in a part without any effect one in twenty parts shows a decided claim.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import pandas as pd
import scipy

from gazebook.evidence.estimate import Estimate

LEVEL = 0.05
INDEPENDENT = "independent"  # in the attrs of an effect: its cases are of other trainings, so their means' errors add
NO_RUNS, FEW_SEEDS, ARITHMETIC = "no runs yet", "too few seeds to decide", "arithmetic"


class Verdict(StrEnum):
    """How a claim fares."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    MIXED = "mixed"
    INCONCLUSIVE = "inconclusive"
    NOT_TESTABLE = "not testable here"


# what an effect is: one value per seed (index seed), or one column per case where a claim speaks of several, averaged within a
# seed; one estimate where a trained network is the object; or what arithmetic decides
Effect = pd.Series | pd.DataFrame | Estimate | bool | None


@dataclass(frozen=True)
class Claim:
    """A statement that runs can decide.

    `effect` takes the paper's frame. The claim says that it lies above `above`, or below `below`, or within `within` of zero;
    `least` is the smallest distance from that threshold that is of interest, in the effect's unit. `source` says where the
    statement comes from, `paper` is the paper's own evidence for it, `what` names the effect. Values are shown times `scale`.
    `own` marks a question of this book; `needs` says what a frame must have for the claim to be testable here.
    """

    name: str
    text: str
    source: str
    paper: str
    effect: Callable[[pd.DataFrame], Effect]
    what: str = ""
    above: float | None = None
    below: float | None = None
    within: float | None = None
    least: float = 0.0
    scale: float = 1
    digits: int = 2
    own: bool = False
    needs: Callable[[pd.DataFrame], str] | None = None

    def signed(self, estimate: Estimate) -> Estimate:
        """The distance from the threshold, positive where the claim holds."""
        if self.within is not None:
            side = -1 if estimate.value >= 0 else 1
            return estimate.times(side).minus(-self.within)
        if self.below is not None:
            return estimate.times(-1).minus(-self.below)
        return estimate.minus(self.above or 0.0)


@dataclass(frozen=True)
class Finding:
    """A claim's verdict with its estimate, the estimates of its cases, and the evidence in words.

    `p` is that of the estimate against the threshold, `strict` whether the verdict would stand under Holm's correction too.
    """

    claim: Claim
    verdict: Verdict
    estimate: Estimate | None = None
    cases: dict[str, Estimate] | None = None
    p: float = float("nan")
    strict: bool = False
    why: str = ""

    @property
    def evidence(self) -> str:
        """'rho 0.96 [0.92, 0.99], 3 seeds; cases ...'."""
        if self.estimate is None:
            return self.why if self.why == ARITHMETIC else NO_RUNS
        text = " ".join(filter(None, (self.claim.what, _text(self.claim, self.estimate))))
        if self.cases and len(self.cases) > 1:
            text += "; " + "; ".join(f"{name} {_text(self.claim, e, short=True)}" for name, e in self.cases.items())
        return text + (f"; {FEW_SEEDS}" if self.why == FEW_SEEDS else "")

    def __str__(self) -> str:
        return f"{self.verdict} ({self.evidence})"


def judge(claims: Iterable[Claim], frame: pd.DataFrame, gate: str = "") -> list[Finding]:
    """A finding for each claim. `gate` says why the paper's own claims cannot be tested in this regime; "" where they can.

    The correction for many claims is over those of the paper's own that can be tested, and over this book's.
    """
    claims = list(claims)
    measured = [_measured(claim, frame) for claim in claims]
    reasons = ["" if claim.own else _reason(claim, frame, gate) for claim in claims]
    findings: list[Finding | None] = [None] * len(claims)
    for own in (False, True):
        for testable in (True, False):
            places = [i for i, c in enumerate(claims) if c.own == own and (not reasons[i]) == testable]
            for i, found in zip(places, _decided([claims[i] for i in places], [measured[i] for i in places]), strict=True):
                findings[i] = found if testable or found.why == ARITHMETIC else _shown(found, reasons[i])
    return findings


def scorecard(findings: Sequence[Finding]) -> pd.DataFrame:
    """A row a claim: no., claim, source, paper, ours, verdict, holm."""
    rows = [
        {
            "no.": f.claim.name,
            "claim": f.claim.text,
            "source": f.claim.source,
            "paper": f.claim.paper,
            "ours": f.evidence,
            "verdict": str(f.verdict),
            "holm": f.strict,
        }
        for f in findings
    ]
    return pd.DataFrame(rows, columns=["no.", "claim", "source", "paper", "ours", "verdict", "holm"])


def _measured(claim: Claim, frame: pd.DataFrame) -> tuple[Estimate | bool | None, dict[str, Estimate]]:
    """The estimate of a claim's effect, and those of its cases; None without rows."""
    try:
        effect = claim.effect(frame) if len(frame) else None
    except (KeyError, IndexError):  # rows, and with them columns, that are not there
        effect = None
    if effect is None or isinstance(effect, bool | np.bool_):
        return (None if effect is None else bool(effect)), {}
    if isinstance(effect, Estimate):
        return (effect if np.isfinite(effect.value) else None), {}
    if isinstance(effect, pd.DataFrame):
        table = effect.dropna(axis=1, how="all")
        if table.empty:
            return None, {}
        cases = {str(name): Estimate.of(values) for name, values in table.items()}
        complete = table.dropna()
        if effect.attrs.get(INDEPENDENT) or not len(complete):
            return Estimate.of_groups([values for _, values in table.items()]), cases
        return Estimate.of(complete.mean(axis=1)), cases
    estimate = Estimate.of(np.asarray(effect, float))
    return (estimate if estimate.n else None), {}


def _decided(claims: list[Claim], measured: list[tuple]) -> list[Finding]:
    """Findings after correction over these claims."""
    signed = [claim.signed(e) if isinstance(e, Estimate) else None for claim, (e, _) in zip(claims, measured, strict=True)]
    p = np.array([s.p if s is not None and s.decides else np.nan for s in signed])
    cases = [(i, claims[i].signed(e)) for i, (_, own) in enumerate(measured) if len(own) > 1 for e in own.values()]
    of_cases = np.array([e.p if e.decides else np.nan for _, e in cases])
    passed, strict = _rejected(p, benjamini_hochberg), _rejected(p, holm)
    apart = _rejected(of_cases, benjamini_hochberg)
    found = []
    for i, (claim, (estimate, own)) in enumerate(zip(claims, measured, strict=True)):
        if isinstance(estimate, bool):
            found.append(Finding(claim, Verdict.SUPPORTED if estimate else Verdict.CONTRADICTED, strict=True, why=ARITHMETIC))
            continue
        if estimate is None:
            found.append(Finding(claim, Verdict.INCONCLUSIVE, why=NO_RUNS))
            continue
        sides = {np.sign(e.value) for (j, e), far in zip(cases, apart, strict=True) if j == i and far}
        verdict = _verdict(signed[i], bool(passed[i]), claim.least)
        verdict = Verdict.MIXED if sides >= {1.0, -1.0} else verdict
        why = "" if signed[i].decides else FEW_SEEDS
        found.append(Finding(claim, verdict, estimate, own, float(p[i]), bool(strict[i]), why))
    return found


def _verdict(signed: Estimate, passed: bool, least: float) -> Verdict:
    if not passed or abs(signed.value) < least:
        return Verdict.INCONCLUSIVE
    return Verdict.SUPPORTED if signed.value > 0 else Verdict.CONTRADICTED


def _reason(claim: Claim, frame: pd.DataFrame, gate: str) -> str:
    """Why a claim cannot be tested in this regime; "" where it can."""
    return (claim.needs(frame) if claim.needs and len(frame) else "") or gate


def _shown(finding: Finding, reason: str) -> Finding:
    """Outside its regime a claim shows its trend, and no verdict."""
    return replace(finding, verdict=Verdict.NOT_TESTABLE, strict=False, why=reason)


def _rejected(p: np.ndarray, by: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Which hypotheses a procedure rejects at LEVEL, bool like `p`; NaN are no hypotheses."""
    out, there = np.zeros(len(p), bool), np.isfinite(p)
    out[there] = by(p[there]) if there.any() else False
    return out


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Which of the p-values [N] are rejected at LEVEL of false discoveries (Benjamini, Hochberg 1995)."""
    return scipy.stats.false_discovery_control(p) <= LEVEL


def holm(p: np.ndarray) -> np.ndarray:
    """Which of the p-values [N] are rejected at LEVEL of any error (Holm 1979). statsmodels' own collects all garbage at
    each call: a quarter of a second.
    """
    order, out = np.argsort(p), np.zeros(len(p), bool)
    out[order] = np.logical_and.accumulate(p[order] <= LEVEL / np.arange(len(p), 0, -1))
    return out


def _text(claim: Claim, estimate: Estimate, short: bool = False) -> str:
    sign = claim.above == 0 or claim.below == 0 or claim.within is not None
    shown = estimate.times(claim.scale)
    if claim.what == "rho":
        shown = shown.bounded(-1, 1)
    if not short:
        return shown.text(claim.digits, sign)
    return f"{shown.value:{'+' if sign else ''}z.{claim.digits}f}"
