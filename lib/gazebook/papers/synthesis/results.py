"""The results of part 5 as one frame: a row for each model and thing that a ruler measures of it."""

from itertools import combinations

import numpy as np
import pandas as pd

from gazebook import evidence, metrics
from gazebook.evidence import Estimate, select
from gazebook.evidence.frame import tidy
from gazebook.ledger import Ledger, Record
from gazebook.measure.reliance import BACKGROUND, OBJECT
from gazebook.papers.synthesis.grid import AXES, Axes, family, photographs

TRUTH = "truth"
LABELS = ("ruler", "correlation")
# the one number of each ruler: ruler, measure, condition, and the sign that makes it grow with reliance on the object
NUMBERS = {
    "accuracy": ("accuracy", "accuracy", "", 1),
    "BG-gap": ("variants", "BG-gap", "", -1),
    "adversarial backgrounds": ("adversarial", "fooled", "within 10 backgrounds", -1),
    "RFS, fixed sigma": ("noise", "RFS", "sigma, own masks", 1),
    "RFS, L2 norm": ("noise", "RFS", "l2, own masks", 1),
    "saliency alignment": ("alignment", "average precision gained", "over centred Gaussian", 1),
    "attribute loss": ("attributes", "attribute loss", "", 1),
    "erasing": ("erasing", "accuracy lost", "all", -1),
    "corruption": ("corruption", "accuracy lost", "all", -1),
}


def results(ledger: Ledger, axes: Axes | str) -> pd.DataFrame:
    """The frame of the runs of a profile, or of `axes`, that are there; `part` is scenes or photographs.

    Rows are those of `measure.survey`, with intervals over images; and of models of scenes the "truth": what predictions
    follow where object and background disagree, the share of the object minus that of the background.
    """
    axes = AXES[axes] if isinstance(axes, str) else axes
    rows: list[dict] = []
    for part, runs in (("photographs", photographs(axes)), ("scenes", family(axes))):
        for run, label in runs.items():
            if run in ledger:
                rows += [{"part": part, "seed": run.seed, **label, "key": run.key} | row for row in _rows(ledger.read(run))]
    return tidy(rows, "synthesis", LABELS)


def _rows(record: Record) -> list[dict]:
    kept = ("ruler", "measure", "condition", "level", "value", "low", "high")
    rows = [{name: row[name] for name in kept} | {"n": row["images"]} for row in record.rows if row["split"] == "survey"]
    if "conflict" in record.arrays:
        follows = record.arrays["conflict"]
        value = float((follows == OBJECT).mean() - (follows == BACKGROUND).mean())
        rows.append({"ruler": TRUTH, "measure": TRUTH, "value": value, "n": len(follows)})
    return rows


def numbers(frame: pd.DataFrame, part: str = "scenes") -> pd.DataFrame:
    """One number of each ruler for each model of a part, as measured: one row per model (its key), one column per ruler of
    NUMBERS and the truth, and its model, seed and correlation.
    """
    rows = frame[frame["part"] == part]
    named = rows.drop_duplicates("key").set_index("key")[["model", "seed", "correlation"]]
    found = {
        name: select(rows, ruler=ruler, measure=measure, condition=condition).set_index("key")["value"]
        for name, (ruler, measure, condition, _) in NUMBERS.items()
    }
    found[TRUTH] = select(rows, measure=TRUTH).set_index("key")["value"]
    return named.join(pd.DataFrame({name: v for name, v in found.items() if len(v)}, index=named.index))


def towards_object(table: pd.DataFrame) -> pd.DataFrame:
    """The rulers and the truth of `numbers`, each with the sign that makes it grow with reliance on the object."""
    signs = {name: sign for name, (*_, sign) in NUMBERS.items()} | {TRUTH: 1}
    return pd.DataFrame({name: sign * table[name] for name, sign in signs.items() if name in table}, index=table.index)


def agreement(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation over the models of scenes of a seed of each two rulers, and of each with the truth: seeds by pairs, of
    the seeds that all kinds of models have.
    """
    table = evidence.common_seeds(numbers(frame), ["model", "correlation"])
    found = {seed: _correlations(towards_object(own)) for seed, own in table.groupby("seed") if len(own) > 2}
    return pd.DataFrame.from_dict(found, orient="index")


def rank_estimate(a: pd.Series, b: pd.Series) -> Estimate:
    """Spearman's correlation over models with its 95% interval by Fisher's transform (Bonett & Wright 2000)."""
    both = pd.concat([a, b], axis=1).dropna()
    rho, n = metrics.rank_correlation(both.iloc[:, 0], both.iloc[:, 1]), len(both)
    if n < 4 or not np.isfinite(rho):
        return Estimate(rho, float("nan"), float("nan"), n, "model")
    inner = np.clip(rho, -0.999, 0.999)
    half = 1.96 * np.sqrt((1 + inner**2 / 2) / (n - 3))
    return Estimate(rho, float(np.tanh(np.arctanh(inner) - half)), float(np.tanh(np.arctanh(inner) + half)), n, "model")


def _correlations(table: pd.DataFrame) -> dict[tuple[str, str], float]:
    return {(a, b): metrics.rank_correlation(table[a], table[b]) for a, b in combinations(table, 2)}


def gate(frame: pd.DataFrame) -> str:
    """All claims are this book's own; none has a regime."""
    return ""
