"""Every predicate can come out true and false."""

import numpy as np
import pandas as pd
import pytest

from gazebook.studies.scribe import claims, tidy
from gazebook.studies.scribe.claims import select
from gazebook.studies.scribe.tidy import TITLES
from gazebook.studies.verdicts import Verdict, of_cases, of_sign, scorecard
from tests.paper_like import CLASSES, paper_like


def turned(frame: pd.DataFrame) -> pd.DataFrame:
    """What was measured at 10% now stands at 100%."""
    return frame.assign(percent=110 - frame["percent"])


def traded(frame: pd.DataFrame) -> pd.DataFrame:
    """Augmentations trade places."""
    return frame.assign(augmentation=frame["augmentation"].map(dict(zip(TITLES, reversed(TITLES), strict=True))))


def changed(where, **values):
    """A mutation: in the rows that `where` chooses, columns become a value or a function of the rows."""

    def mutate(frame: pd.DataFrame) -> pd.DataFrame:
        frame, rows = frame.copy(), where(frame)
        for column, value in values.items():
            frame.loc[rows, column] = value(frame[rows]) if callable(value) else value
        return frame

    return mutate


def everywhere(frame):
    return pd.Series(True, frame.index)


def distorted(frame):
    return frame["severity"] > 0


def noise(frame):
    return frame["condition"].isin(select.NOISE)


def train(frame):
    return frame["split"] == "train"


def soft(variant):
    return lambda frame: (frame["head"] == "softmax") & (frame["variant"] == variant)


def minus(*columns):
    return {column: lambda rows, column=column: -rows[column] for column in columns}


def without_classes(kind):
    return changed(distorted, **{f"{kind}:{c}": 0.0 for c in CLASSES})


milder = changed(distorted, severity=lambda rows: 6 - rows["severity"])
worst_first = changed(distorted, **minus("accuracy", "ece_10"))
# for each claim a change of the results under which the opposite comes out
OPPOSITE = dict.fromkeys(
    ["1", "2", "3", "5", "8", "9", "10", "11", "14", "17", "18", "31", "C1", "C3", "C4", "C5", "C7"], turned
)
OPPOSITE |= dict.fromkeys(["15", "16", "6"], traded)
OPPOSITE |= {
    "4": lambda frame: traded(turned(frame)),
    "7": changed(lambda f: f["augmentation"] == "none", sparsity=lambda rows: rows["sparsity"] - 0.9),
    "12": changed(train, accuracy=lambda rows: rows["accuracy"] + 6 * rows["sparsity"]),
    "13": changed(everywhere, accuracy=lambda rows: rows["sparsity"]),
    "19": changed(lambda f: f["augmentation"] == "color", accuracy=2.0),
    "20": changed(everywhere, mse=lambda rows: -rows["accuracy"]),
    "20b": changed(everywhere, mse=lambda rows: np.random.default_rng(0).random(len(rows))),
    "21": changed(
        everywhere,
        mse=lambda rows: rows["percent"].where(rows["augmentation"].isin(["crop", "combined"]), -rows["percent"]) / 1.0,
    ),
    "22": changed(everywhere, **minus("mse")),
    "23": changed(everywhere, **minus("mse")),
    "24": changed(soft("published"), accuracy=1.0),
    "25": changed(soft("published"), confidence=1.0),
    "26": changed(soft("published"), ece_10=1.0),
    "27": changed(soft("published"), accuracy=0.5, ece_10=0.5),
    "28": changed(soft("published"), **minus("accuracy", "confidence", "ece_10")),
    "29": changed(everywhere, confidence=lambda rows: rows["confidence"] - 0.5),
    "30": changed(soft("base"), accuracy=lambda rows: rows["accuracy"] - 0.1),
    "32": changed(everywhere, **minus("ece_10", "confidence")),
    "33": changed(everywhere, **minus("ece_10")),
    "34": changed(everywhere, **minus("ece_10")),
    "35": changed(distorted, accuracy=lambda rows: rows["accuracy"] + 1),
    "36": milder,
    "37": changed(lambda f: f["condition"].isin(select.MILD), accuracy=lambda rows: rows["accuracy"] - 0.5),
    "38": changed(noise, accuracy=lambda rows: rows["accuracy"] + 1),
    "39": changed(noise, accuracy=lambda rows: rows["percent"] / 100),
    "40": without_classes("predicted"),
    "41": without_classes("mask"),
    "42": lambda frame: without_classes("present")(without_classes("mask")(frame)),
    "43": milder,
    "44": without_classes("present"),
    "50": changed(distorted, **minus("mse_clean")),
    "C2": changed(train, accuracy=lambda rows: rows["accuracy"] - 600 * rows["sparsity"]),
    "C6": changed(everywhere, **minus("sparsity_right", "sparsity_wrong")),
    "28b": changed(lambda f: (f["head"] == "softmax") & distorted(f), **minus("accuracy")),
    "33b": changed(everywhere, **minus("regions")),
    "C8": changed(lambda f: (f["pipeline"] == "upsampled_area") & distorted(f), accuracy=0.0),
    "C9": changed(lambda f: f["pipeline"] == "direct", **minus("accuracy")),
    "C10": changed(everywhere, sparsity=lambda rows: rows["sparsity"] + rows["seed"]),
} | dict.fromkeys(["45", "46", "47", "48", "49"], worst_first)
# what the paper's own tables do not bear out, and what this book's controls are made to show here
EXPECTED = {"7": Verdict.PARTLY, "20b": Verdict.FAILS, "C1": Verdict.FAILS, "C2": Verdict.FAILS}


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda c: c.name)
def test_each_claim_holds_on_results_like_the_paper_s(claim):
    finding = claim.check(paper_like())
    assert finding.verdict == EXPECTED.get(claim.name, Verdict.HOLDS), finding


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda c: c.name)
def test_each_claim_can_come_out_the_other_way(claim):
    finding = claim.check(OPPOSITE[claim.name](paper_like()))
    holds = EXPECTED.get(claim.name) == Verdict.FAILS
    assert finding.verdict == (Verdict.HOLDS if holds else Verdict.FAILS), finding


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda c: c.name)
def test_without_results_nothing_is_decided(claim):
    empty = paper_like().iloc[:0]
    assert claim.check(empty).verdict == Verdict.UNDECIDED
    assert claim.check(pd.DataFrame(columns=tidy.COLUMNS)).verdict == Verdict.UNDECIDED


def test_the_fifty_claims_are_all_there_with_their_numbers():
    names = [c.name for c in claims.CLAIMS]
    assert len(names) == len(set(names)) and set(map(str, range(1, 51))) <= set(names)
    assert all(c.text and c.source and c.paper for c in claims.CLAIMS)


def test_augmentation_lowers_sparsity_can_hold_outright():
    frame = paper_like()
    frame.loc[frame["augmentation"] == "none", "sparsity"] += 0.5
    assert claims.sparsity.augmentation_lowers(frame).verdict == Verdict.HOLDS


def test_what_rests_on_an_interval_is_undecided_with_one_seed():
    frame = paper_like(seeds=(0,))
    assert claims.controls.equal_updates(frame).verdict == Verdict.UNDECIDED
    finding = claims.accuracy.matched_gain(frame)
    assert finding.verdict == Verdict.UNDECIDED and "one seed" in finding.evidence


def test_a_matched_gain_within_a_wide_interval_is_undecided():
    frame = paper_like()
    frame.loc[soft("base")(frame), "accuracy"] += 0.02 * (frame["seed"] - 1)
    assert claims.accuracy.matched_gain(frame).verdict == Verdict.UNDECIDED


def test_frog_or_bird_counts_only_where_its_share_is_known():
    frame = paper_like()
    (claim,) = (c for c in claims.CLAIMS if c.name == "42")
    noisy = distorted(frame) & noise(frame) & (frame["head"] == "scribe")
    frame.loc[noisy, ["present:frog", "present:bird"]] = 0.3  # together between .3 and .6
    assert claim.check(frame).verdict == Verdict.HOLDS
    frame.loc[noisy, ["present:frog", "present:bird"]] = 0.2
    assert claim.check(frame).verdict == Verdict.PARTLY


def test_claims_about_classes_are_undecided_for_a_data_set_without_them():
    frame = paper_like().rename(columns=lambda c: c.replace("frog", "kettle").replace("cat", "lamp"))
    for name in ("42", "43", "44"):
        (claim,) = (c for c in claims.CLAIMS if c.name == name)
        assert claim.check(frame).verdict == Verdict.UNDECIDED


def test_verdicts_of_cases_and_of_signs():
    assert [of_cases(c).verdict for c in ([True], [True, False], [False], [])] == [
        Verdict.HOLDS, Verdict.PARTLY, Verdict.FAILS, Verdict.UNDECIDED,
    ]  # fmt: skip
    assert of_sign([0.1, 0.11, 0.12]).verdict == Verdict.HOLDS
    assert of_sign([-0.1, -0.11, -0.12]).verdict == Verdict.FAILS
    assert of_sign([-0.1, 0.2, 0.1]).verdict == Verdict.UNDECIDED
    assert of_sign([0.5]).verdict == Verdict.UNDECIDED and "1 seed" in of_sign([0.5]).evidence


def test_the_scorecard_has_a_line_for_every_claim():
    card = scorecard(claims.CLAIMS, paper_like())
    assert list(card["no."]) == [c.name for c in claims.CLAIMS]
    assert set(card["verdict"]) <= {str(v) for v in Verdict} and card["ours"].str.len().min() > 0
