"""The results of paper 2 as one tidy table: a row for each run and thing measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from gazebook import data, metrics
from gazebook.data.composite import VARIANTS
from gazebook.ledger import Ledger, Record
from gazebook.runs import Run
from gazebook.studies.backgrounds.evaluation import categories, correctness
from gazebook.studies.backgrounds.runs import AXES, LARGE, Axes, family, pretrained, scenes, trained_on

TITLES = {
    "original": "Original",
    "only_bg_b": "Only-BG-B",
    "only_bg_t": "Only-BG-T",
    "no_fg": "No-FG",
    "only_fg": "Only-FG",
    "mixed_same": "Mixed-Same",
    "mixed_rand": "Mixed-Rand",
    "mixed_next": "Mixed-Next",
    LARGE: "all pictures",
}
# differences between two variants, picture by picture: name -> (minuend, subtrahend)
CONTRASTS = {
    "gap": ("mixed_same", "mixed_rand"),
    "cut": ("original", "mixed_same"),
    "hole": ("no_fg", "only_bg_b"),
    "next": ("mixed_rand", "mixed_next"),
}
NEEDED = ("background needed", "both together")  # right on Original, and wrong when the background is any
TRIES = (1, 10, 100)  # backgrounds tried
SALIENCY = ("mask", "cam", "gradient")
COLUMNS = ["part", "model", "training_set", "correlation", "seed", "split", "condition", "images", "accuracy", "low", "high"]
COLUMNS += ["changed", "empty", "agreement", "key"]


def results(ledger: Ledger, axes: Axes | str, *names: str) -> pd.DataFrame:
    """Tidy results of the runs of a profile, or of `axes`, that are there; `names` limits them to some parts (`runs.parts`).

    Split "test": accuracy on each variant, averaged over draws of backgrounds; "contrast": see CONTRASTS, in shares of 1;
    "categories": shares of the kinds of pictures, and of those with a right prediction that need their background; "fooled":
    shares of foregrounds fooled within so many backgrounds; "inside": share of saliency inside the mask, and the mask's of
    the picture; each as `accuracy` with `low` and `high`, the 95% interval over test pictures. The other splits are as
    they were measured; draws of one condition are averaged.
    """
    axes = AXES[axes] if isinstance(axes, str) else axes
    rows: list[dict] = []
    for part, runs in _labelled(axes).items():
        if names and part not in names:
            continue
        for run, label in runs:
            if run in ledger:
                rows += _rows(ledger.read(run), {"part": part, **label, "seed": run.seed, "key": run.key})
    frame = pd.DataFrame(rows)
    frame = frame.reindex(columns=[*COLUMNS, *(c for c in frame if c not in COLUMNS)])
    frame.attrs["classes"] = len(data.class_names(axes.fields["data"]))
    return frame


def tested(frame: pd.DataFrame, condition: str | None = None, part: str = "sets", split: str = "test") -> pd.DataFrame:
    """The rows of a part and split, of one condition or all."""
    rows = frame[(frame["part"] == part) & (frame["split"] == split)]
    return rows if condition is None else rows[rows["condition"] == condition]


def per_picture(record: Record) -> dict[str, np.ndarray]:
    """For each variant the share of its draws in which each test picture is classified rightly, float [N]."""
    return correctness(record.rows, record.arrays["predictions"], record.arrays["labels"])


def _labelled(axes: Axes) -> dict[str, list[tuple[Run, dict]]]:
    """The runs of each part, each with what it is called in the table."""
    nine = [(trained_on(axes, name, seed), {"model": TITLES[name], "training_set": name})
            for seed in axes.seeds for name in axes.training_sets]  # fmt: skip
    rho = [run.data_options["background_correlation"] for run in scenes(axes)]
    return {
        "sets": nine,
        "scenes": [(run, {"model": f"correlation {r:g}", "correlation": r}) for run, r in zip(scenes(axes), rho, strict=True)],
        "family": [(run, {"model": name, "training_set": "original"}) for name, run in family(axes).items()],
        "pretrained": [(run, {"model": run.trunk}) for run in pretrained(axes)],
    }


def _rows(record: Record, named: dict) -> list[dict]:
    right = per_picture(record)
    rows = [named | {"split": "test", "condition": name} | _mean(right[name]) for name in VARIANTS if name in right]
    for name, (more, less) in CONTRASTS.items():
        rows.append(named | {"split": "contrast", "condition": name} | _mean(right[more] - right[less]))
    place = categories(record.rows, record.arrays["predictions"], record.arrays["labels"])
    for i, name in enumerate(metrics.CATEGORIES):
        rows.append(named | {"split": "categories", "condition": name} | _mean(place == i))
    needed = np.isin(place, [list(metrics.CATEGORIES).index(name) for name in NEEDED])
    rows.append(named | {"split": "categories", "condition": "needed"} | _mean(needed[right["original"] > 0.5]))
    if "tries" in record.arrays:
        for n in TRIES:
            fooled = metrics.fooled_within(record.arrays["tries"], n)
            rows.append(named | {"split": "fooled", "condition": f"{n}"} | _mean(fooled))
        rows.append(named | {"split": "fooled", "condition": "any"} | _mean(record.arrays["tries"] > 0))
    for name, shares in zip(SALIENCY, record.arrays.get("saliency", ()), strict=False):
        shares = shares.astype(float)
        rows.append(named | {"split": "inside", "condition": name} | _mean(shares[np.isfinite(shares)]))
    others = pd.DataFrame([r for r in record.rows if r["split"] not in ("test", "saliency", "adversarial")])
    if len(others):
        others = others.drop(columns="draw", errors="ignore").groupby(["split", "condition"], sort=False).mean().reset_index()
        rows += [named | row | _binomial(row) for row in others.to_dict("records")]
    return rows


def _binomial(row: dict) -> dict:
    """The interval of an accuracy that was measured on so many pictures, from its count."""
    if not np.isfinite(row.get("accuracy", np.nan)):
        return {}
    right = round(row["accuracy"] * row["images"])
    return dict(zip(("low", "high"), stats.binomtest(right, int(row["images"])).proportion_ci(method="wilson"), strict=True))


def _mean(values: np.ndarray) -> dict:
    low, high = metrics.mean_interval(values)
    return {"images": len(values), "accuracy": float(np.mean(values)), "low": low, "high": high}
