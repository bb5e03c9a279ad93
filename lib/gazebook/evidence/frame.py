"""The frame: one row is one measurement of one model.

Columns: paper, part of its grid, model, seed, measure, condition, level, value with the interval over images (low, high) where
there is one, n images, key of the run; and labels that a paper adds.
"""

from collections.abc import Sequence

import pandas as pd

COLUMNS = ("paper", "part", "model", "seed", "measure", "condition", "level", "value", "low", "high", "n", "key")


def tidy(rows: list[dict] | pd.DataFrame, paper: str, labels: Sequence[str] = (), **facts) -> pd.DataFrame:
    """Rows as a frame with all of COLUMNS and `labels`, also where there are no rows; `facts` go into its `attrs`."""
    frame = pd.DataFrame(rows)
    order = [*COLUMNS, *labels]
    frame = frame.reindex(columns=[*order, *(c for c in frame if c not in order)]).assign(paper=paper)
    frame.attrs |= facts
    return frame


def select(frame: pd.DataFrame, **equal) -> pd.DataFrame:
    """The rows whose columns have these values; a list, tuple or set stands for any of its members."""
    for column, wanted in equal.items():
        several = isinstance(wanted, list | tuple | set | frozenset)
        frame = frame[frame[column].isin(wanted) if several else frame[column] == wanted]
    return frame


def common_seeds(frame: pd.DataFrame, over: str | list[str], within: str | list[str] = ()) -> pd.DataFrame:
    """The rows of the seeds that every value of `over` has, so that means over seeds compare like with like.

    `within` are columns in whose groups this is asked separately. A group without such a seed stays whole.
    """
    groups = [frame] if not len(within) else [g for _, g in frame.groupby(within, sort=False, dropna=False)]
    kept = []
    for own in groups:
        cells = own.groupby(over, dropna=False).ngroup()
        there = cells.groupby(own["seed"]).nunique()
        seeds = there.index[there == cells.nunique()]
        kept.append(own[own["seed"].isin(seeds)] if len(seeds) else own)
    return pd.concat(kept) if kept else frame


def wide(rows: pd.DataFrame, index: str | list[str], columns: str | list[str], order: Sequence | None = None) -> pd.DataFrame:
    """Mean values by `index` and `columns`, these in an `order` where one is given; with the right names without rows."""
    if rows["value"].notna().any():
        table = rows.pivot_table(index=index, columns=columns, values="value")
    else:
        table = pd.DataFrame(index=_empty(index), columns=_empty(columns), dtype=float)
    return table if order is None else table.reindex(columns=pd.Index(list(order), name=columns))


def _empty(names: str | list[str]) -> pd.Index:
    several = [names] if isinstance(names, str) else list(names)
    return pd.MultiIndex.from_arrays([[]] * len(several), names=several) if len(several) > 1 else pd.Index([], name=several[0])
