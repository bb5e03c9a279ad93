"""What the predicates look at: curves over training set size, cells over augmentations, corrupted conditions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gazebook.metrics import rank_correlation
from gazebook.studies.scribe.evaluation import NOISE
from gazebook.studies.scribe.tidy import TITLES, tested, wide

# the paper's two groups (section 3.5)
MILD = ("brightness", "saturate", "defocus_blur", "motion_blur", "zoom_blur", "jpeg_compression")
HARSH = (*NOISE, "spatter", "snow", "fog", "contrast")
NOISY = (*NOISE, "spatter", "snow")


def curves(frame: pd.DataFrame, value: str, protocol: str = "epochs", variant: str = "base") -> dict[tuple, pd.Series]:
    """The value over percent for each (augmentation, seed) that has both ends of the axis."""
    rows = tested(frame, protocol=protocol, variant=variant).dropna(subset=value)
    ends = {rows["percent"].min(), rows["percent"].max()}
    found = {k: g.set_index("percent")[value].sort_index() for k, g in rows.groupby(["augmentation", "seed"])}
    return {k: curve for k, curve in found.items() if len(ends) == 2 and ends <= set(curve.index)}


def cells(frame: pd.DataFrame, value: str = "sparsity") -> pd.DataFrame:
    """The value with a row for each (seed, percent) for which all seven augmentations are there, a column for each of them."""
    return wide(tested(frame), ["seed", "percent"], "augmentation", value, TITLES).dropna()


def correlations(found: dict[tuple, pd.Series]) -> list[float]:
    """Rank correlation of size and value for each curve for which there is one."""
    rho = [rank_correlation(c.index, c) for c in found.values()]
    return [r for r in rho if np.isfinite(r)]


def sizes(found: dict[tuple, pd.Series]) -> str:
    """', 4 to 10 sizes', for evidence: seeds may have been trained on different numbers of training set sizes."""
    lengths = {len(c) for c in found.values()}
    return f", {' to '.join(map(str, sorted({min(lengths), max(lengths)})))} sizes" if lengths else ""


def spread(rho: list[float]) -> str:
    """'rho -.95 to -.10', for evidence."""
    return f"rho {min(rho):.2f} to {max(rho):.2f}" if rho else ""


def pipeline(frame: pd.DataFrame) -> str:
    """The protocol under which models saw the most corrupted pictures."""
    measured = frame[frame["severity"] > 0]
    return str(measured.groupby("pipeline")["images"].max().idxmax()) if len(measured) else "none"


def corrupted(frame: pd.DataFrame, head: str = "scribe", percent: int | None = 100, protocol: str = "") -> pd.DataFrame:
    """Rows of corrupted pictures of the base grid; all training set sizes with percent=None. `protocol` defaults to that
    with the most pictures.
    """
    rows = frame[(frame["variant"] == "base") & (frame["pipeline"] == (protocol or pipeline(frame)))]
    rows = rows[(rows["head"] == head) & (rows["severity"] > 0)]
    return rows if percent is None else rows[rows["percent"] == percent]


def clean_pictures(frame: pd.DataFrame, protocol: str = "") -> pd.DataFrame:
    """The rows of the same pictures without corruption, by the key of the model."""
    rows = frame[(frame["pipeline"] == (protocol or pipeline(frame))) & (frame["severity"] == 0)]
    return rows.drop_duplicates("key").set_index("key")


def against_clean(rows: pd.DataFrame, frame: pd.DataFrame, value: str, protocol: str = "") -> pd.Series:
    """The value on corrupted pictures minus that of the same model on the same pictures without corruption."""
    return rows[value].astype(float) - rows["key"].map(clean_pictures(frame, protocol)[value]).astype(float)


def share(frame: pd.DataFrame, kind: str, *names: str) -> pd.DataFrame:
    """The frame with `share`, the sum of a kind of class share over classes; without rows when a class is not there."""
    columns = [f"{kind}:{name}" for name in names]
    if not set(columns) <= set(frame.columns):
        return frame.iloc[:0].assign(share=[])
    return frame.assign(share=frame[columns].sum(axis=1, skipna=False)).dropna(subset="share")


def by_augmentation(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """The mean over severities with a row for each (corruption, seed) that has all seven augmentations."""
    return wide(rows, ["condition", "seed"], "augmentation", value, TITLES).dropna()


def best(table: pd.DataFrame, lowest: bool = False) -> pd.Series:
    """The column with the highest (or lowest) value of each row."""
    values = -table.to_numpy(float) if lowest else table.to_numpy(float)
    return pd.Series(table.columns[values.argmax(axis=1)] if len(table) else [], table.index, dtype=object)
