"""The tables of part 2, ours and the paper's."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pandas as pd

from gazebook import metrics
from gazebook.data.composite import VARIANTS
from gazebook.studies.backgrounds.runs import LARGE, TRAINING_SETS
from gazebook.studies.backgrounds.tidy import TITLES, reliance, slope, tested

PARTS = {"sets": "nine classes", "pretrained": "ImageNet"}
COMPARED = ("original", LARGE, "mixed_rand")
TRIED = {"1": "1 background", "10": "10", "100": "100", "any": "all"}
NEEDED = {
    "needed": "of the right ones: wrong on Mixed-Rand",
    "needed, survives cutting": "of those right on Mixed-Same too: wrong on Mixed-Rand",
}
PROCEDURES = {
    "ellipse": "rectangle and sure-foreground ellipse",
    "rectangle": "rectangle (the authors'), at the picture's own size",
    "rectangle4": "rectangle, on the picture enlarged four times",
}


def paper_table() -> pd.DataFrame:
    """The authors' README: accuracy on three variants and BG-gap, in percent, at 224 pixels on the released test sets."""
    with files("gazebook.studies.backgrounds").joinpath("paper", "readme_table.csv").open() as file:
        return pd.read_csv(file)


def build_table(frame: pd.DataFrame) -> pd.DataFrame:
    """What became of the pictures of each class; says so for data that is not cut by this book."""
    columns = ["pictures", "large box", "masks tried", "degenerate mask", "train", "test"]
    rows = frame[frame["split"] == "build"]
    if rows.empty:
        return pd.DataFrame({"pictures": ["come with exact masks: none is dropped"]}, index=pd.Index(["all"], name="class"))
    table = rows.drop_duplicates("condition").set_index("condition")[columns].astype(int)
    table.loc["all"] = table.sum()
    return table.rename_axis("class")


def mask_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mask procedures compared on the same pictures: percent of empty masks; agreement (IoU, where both are there) with exact
    masks, or with those of the procedure in use.
    """
    rows = frame[frame["split"] == "masks"].drop_duplicates("condition")
    table = pd.DataFrame(
        {
            "procedure": rows["condition"].map(PROCEDURES),
            "pictures": rows["images"].astype(int),
            "empty, %": 100 * rows["empty"],
            "IoU": rows["agreement"],
        }
    )
    return table.set_index("procedure")


def leak_table(frame: pd.DataFrame, chance: float) -> pd.DataFrame:
    """Accuracy, in percent, of what sees no pixel of the picture, beside models that see the background alone."""
    rows = [("chance", f"{100 * chance:.1f}")]
    for name in ("box geometry", "silhouette"):
        rows += [(f"forest on the {name}", _percent(r)) for _, r in tested(frame, name, split="control").iterrows()]
    own = tested(frame)
    own = own[(own["training_set"] == own["condition"]) & own["condition"].isin(["only_bg_b", "only_bg_t", "no_fg"])]
    for name, group in own.groupby("condition", sort=False):
        rows.append((f"net trained and tested on {TITLES[name]}", _percent(group)))
    return pd.DataFrame(rows, columns=["what is seen", "accuracy, %"]).set_index("what is seen")


def cross(frame: pd.DataFrame) -> pd.DataFrame:
    """Percent right: a row a training set, a column a test variant; mean over seeds."""
    table = tested(frame).pivot_table(index="training_set", columns="condition", values="accuracy") * 100
    table = table.reindex([t for t in TRAINING_SETS if t in table.index], columns=list(VARIANTS))
    return table.rename(TITLES).rename(columns=TITLES).rename_axis(index="trained on", columns=None)


def cross_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The same as text with the half width of the 95% interval over test pictures."""
    rows = tested(frame)
    table = rows.groupby(["training_set", "condition"]).apply(_percent, include_groups=False).unstack()
    table = table.reindex([t for t in TRAINING_SETS if t in table.index], columns=list(VARIANTS))
    return table.rename(TITLES).rename(columns=TITLES).rename_axis(index="trained on", columns=None)


def gap_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Original, Mixed-Same, Mixed-Rand and BG-gap of our models in percent, mean over seeds, with the half width of the
    interval over test pictures; and the gaps of the paper's models, whose accuracies are of other pictures.
    """
    found = []
    for part, of in PARTS.items():
        rows = frame[(frame["part"] == part) & frame["split"].isin(["test", "contrast"])]
        if part == "sets":
            rows = rows[rows["training_set"].isin(COMPARED)]
        for model, own in rows.groupby("model", sort=False):
            cells = {name: _percent(own[own["condition"] == name]) for name in ("original", "mixed_same", "mixed_rand", "gap")}
            found.append({"whose": "ours", "model": model, "trained on": of} | cells)
    for _, row in paper_table().iterrows():
        found.append({"whose": "paper", "model": row["model"], "gap": f"{row['gap']:.1f}"})
    return pd.DataFrame(found).rename(columns=TITLES | {"gap": "BG-gap"})


def vulnerable_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Percent of foregrounds that are fooled within so many backgrounds, of all and of those that are classified rightly on
    Original; mean over seeds. The paper's number is of other nets and pictures.
    """
    found = []
    for of, split in (("all", "fooled"), ("right on Original", "fooled, right before")):
        rows = tested(frame, split=split)
        for name in COMPARED:
            own = rows[rows["training_set"] == name]
            if len(own):
                cells = {title: _percent(own[own["condition"] == n]) for n, title in TRIED.items()}
                found.append({"trained on": TITLES[name], "objects": of} | cells)
    found.append({"trained on": "paper (abstract)", "objects": "all", TRIED["any"]: "87.5"})
    return pd.DataFrame(found).set_index("trained on")


def mixed_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Models of Original and of Mixed-Rand side by side: accuracies, BG-gap and vulnerable foregrounds in percent."""
    rows = frame[(frame["part"] == "sets") & frame["split"].isin(["test", "contrast", "fooled"])]
    rows = rows[rows["training_set"].isin(["original", "mixed_rand"])]
    names = {**{v: f"accuracy on {TITLES[v]}" for v in VARIANTS}, "gap": "BG-gap", "any": "vulnerable foregrounds"}
    table = rows[rows["condition"].isin(names)].groupby(["condition", "training_set"]).apply(_percent, include_groups=False)
    table = table.unstack().reindex(names, columns=["original", "mixed_rand"])
    return table.rename(names).rename(columns=TITLES).rename_axis(index=None, columns=None)


def category_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Percent of the test pictures in each category, a column a training set."""
    rows = tested(frame, split="categories")
    rows = rows[rows["training_set"].isin(COMPARED)]
    table = rows.groupby(["condition", "training_set"]).apply(_percent, include_groups=False).unstack()
    names = {name: name for name in metrics.CATEGORIES} | NEEDED
    columns = [t for t in COMPARED if t in table]
    return table.reindex(names, columns=columns).rename(names).rename(columns=TITLES).rename_axis(index="kind", columns=None)


def reliance_table(frame: pd.DataFrame) -> pd.DataFrame:
    """BG-gap and true reliance of the models of scenes, in points; mean over seeds."""
    table = reliance(frame).groupby("correlation")[["gap", "reliance"]].mean() * 100
    return table.rename(columns={"gap": "BG-gap", "reliance": "true reliance"}).rename_axis("correlation in training")


def slope_table(table: pd.DataFrame) -> pd.DataFrame:
    """How many points a variant gains for each point on Original, across models (see `tidy.models`), with the 95%
    interval of the slope.
    """
    wanted = {TITLES[v]: table[v] for v in VARIANTS[1:]} if len(table) > 3 else {}
    if wanted:
        wanted["BG-gap"] = table["mixed_same"] - table["mixed_rand"]
    found = {}
    for name, values in wanted.items():
        value, low, high = slope(table["original"], values)
        found[name] = {"slope": f"{value:+.2f}", "95% interval": f"{low:+.2f} to {high:+.2f}", "models": len(table)}
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("variant")


def overview(frame: pd.DataFrame) -> pd.DataFrame:
    """One line a run, for reading and sorting: percent right on each variant, and BG-gap."""
    rows = frame[frame["split"].isin(["test", "contrast"]) & frame["condition"].isin([*VARIANTS, "gap"])]
    table = rows.pivot_table(index=["part", "model", "seed"], columns="condition", values="accuracy", sort=False) * 100
    table = table.reindex(columns=[*VARIANTS, "gap"]).rename(columns=TITLES | {"gap": "BG-gap"}).round(1)
    return table.rename_axis(columns=None).reset_index()


def _percent(rows: pd.DataFrame | pd.Series) -> str:
    """'31.2 ± 2.5': the mean over seeds in percent, and the half width of the interval over test pictures."""
    if not len(rows):
        return ""
    mean, half = 100 * np.mean(rows["accuracy"]), 50 * np.mean(rows["high"] - rows["low"])
    return f"{mean:.1f}\u202f±\u202f{half:.1f}"  # narrow spaces that do not break
