"""Part 2's frame and claims, on made-up records with known answers."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from gazebook import data, metrics
from gazebook.evidence import Verdict, judge
from gazebook.ledger import Ledger
from gazebook.papers import backgrounds
from gazebook.papers.backgrounds.results import _macro, _mean, _share, models, paper_table, released, slope
from gazebook.papers.backgrounds.results import tested as rows_of
from tests import backgrounds_like as made


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    return made.fill(Ledger(tmp_path_factory.mktemp("ledger")))


@pytest.fixture(scope="module")
def frame(ledger):
    return backgrounds.results(ledger, made.axes())


CLAIMS = {c.name: c for c in backgrounds.CLAIMS}


def value(name, frame):
    """How far the effect of a claim lies on its side of the threshold."""
    (found,) = judge([CLAIMS[name]], frame)
    return CLAIMS[name].signed(found.estimate).value


@pytest.mark.parametrize("name", CLAIMS)
def test_each_claim_holds_on_results_like_the_papers_and_fails_when_they_are_turned_round(frame, name):
    assert value(name, frame) > 0
    if name in TURNED_ROUND:
        assert value(name, TURNED_ROUND[name](frame)) < 0


def test_claims_are_decided_together_and_none_without_results(frame):
    found = {f.claim.name: f.verdict for f in judge(backgrounds.CLAIMS, frame)}
    assert sum(v == Verdict.SUPPORTED for v in found.values()) >= 24
    empty = frame.iloc[:0]
    assert {f.verdict for f in judge(backgrounds.CLAIMS, empty)} == {Verdict.INCONCLUSIVE}


def test_progress_is_not_judged_on_weak_models(frame):
    weak = shifted(-0.3, condition="original", measure="accuracy")(frame)
    found = {f.claim.name: f for f in judge(backgrounds.CLAIMS, weak)}
    assert found["17b"].claim.own and "85% is asked for" in CLAIMS["17b"].needs(weak) and CLAIMS["17b"].needs(frame) == ""


def shifted(by, **where):
    """A mutation: accuracy and its interval moved in the rows where columns have these values."""

    def mutate(frame):
        rows = pd.Series(True, frame.index)
        for column, values in where.items():
            rows &= frame[column].isin(values if isinstance(values, tuple) else (values,))
        assert rows.any()
        frame = frame.copy()
        frame.loc[rows, ["value", "low", "high"]] += by
        return frame

    return mutate


def swapped(column, a, b, **where):
    """A mutation: two values of a column trade places."""

    def mutate(frame):
        rows = pd.Series(True, frame.index)
        for name, value in where.items():
            rows &= frame[name] == value
        return frame.assign(**{column: frame[column].where(~rows, frame[column].replace({a: b, b: a}))})

    return mutate


def turned(frame):
    """Models of a family trade places: the best is now the worst on Original."""
    frame = frame.copy()
    rows = (
        (frame["part"].isin(["family", "sets", "samples"]))
        & (frame["measure"] == "accuracy")
        & (frame["condition"] == "original")
    )
    frame.loc[rows, "value"] = 1 - frame.loc[rows, "value"]
    return frame


def kept_family(change):
    """A mutation of the models of the family alone, without the nine."""
    return lambda frame: change(frame[(frame["part"] == "family")])


def empty_ellipse(frame):
    frame = frame.copy()
    frame.loc[frame["condition"] == "ellipse", "empty"] = 0.9
    return frame


def differing(name, by, less="mixed_rand"):
    """A mutation of what models of Original and of another training set differ in."""
    return shifted(by, measure=f"original - {less}", condition=name)


TURNED_ROUND = {
    "1": shifted(-0.6, condition="original", measure="accuracy"),
    "2": shifted(-0.8, measure="accuracy", condition=("only_bg_b", "only_bg_t", "no_fg")),
    "3": shifted(-0.5, condition="hole"),
    "1b": shifted(-0.6, condition="original", measure="accuracy"),
    "4a": shifted(-0.4, measure="accuracy", training_set="no_fg", condition="no_fg"),
    "4b": shifted(-0.12, measure="accuracy", training_set="only_bg_b", condition="only_bg_b"),
    "5": shifted(-0.2, condition="box geometry"),
    "6": shifted(-0.5, condition="cut"),
    "7": shifted(-0.9, condition="gap"),
    "8": shifted(-0.3, measure="accuracy", condition="only_bg_t"),
    "9": shifted(0.6, condition="gap", part="pretrained"),
    "10": shifted(-0.6, condition="any", measure="fooled"),
    "11": differing("gap", -0.9),
    "12": shifted(0.1, condition="gap", training_set="mixed_rand"),
    "13": differing("original", -0.5),
    "14": differing("mixed_rand", 0.9),
    "15": differing(("cam", "gradient"), 0.5),
    "16": shifted(-0.5, condition="needed"),
    "16b": shifted(-0.5, condition="needed, survives cutting"),
    "6b": shifted(-0.5, condition="cut", part="samples"),
    "7b": shifted(-0.9, condition="gap", part="samples"),
    "8b": shifted(-0.3, condition="only_bg_t", part="samples"),
    "17": turned,
    "18": turned,
    "19": turned,
    "17b": turned,
    "18b": turned,
    "19b": kept_family(turned),
    "20": differing("any", -0.5, "large"),
    "C1": swapped("correlation", 0.0, 1.0),
    "C3": shifted(0.2, part="scenes", condition="gap"),
    "C4": shifted(-0.35, condition="silhouette"),
    "C5": shifted(0.9, measure="fooled", condition="10"),
    "C6": differing("any", -0.5),
    "C7": empty_ellipse,
}


def test_reliance_that_ranks_otherwise_is_seen(frame):
    changed = frame.copy()
    rows = (changed["measure"] == "truth") & (changed["condition"] == "rendered_random")
    changed.loc[rows, "value"] = changed.loc[rows, "value"].to_numpy()[::-1]
    assert value("C2", changed) < 0


def test_accuracies_intervals_and_contrasts_are_those_of_the_records(frame):
    row = rows_of(frame, "mixed_rand").query("training_set == 'original' and seed == 1").iloc[0]
    assert row["value"] == pytest.approx(0.36) and row["n"] == made.N
    wilson = stats.binomtest(720, 2000).proportion_ci(method="wilson")
    assert (row["low"], row["high"]) == pytest.approx(tuple(wilson))
    gap = rows_of(frame, "gap", measure="contrast").query("training_set == 'original'")
    assert gap["value"].tolist() == pytest.approx([0.44] * 3)
    # paired by image: .44 of the images are right on Mixed-Same alone, the others on both or neither
    half = 1.961 * np.sqrt(0.44 * 0.56 / (made.N - 1))
    assert gap["high"].iloc[0] - gap["value"].iloc[0] == pytest.approx(half, rel=1e-3)


def test_on_photographs_each_class_counts_the_same():
    values, labels = np.array([1.0, 1, 1, 1, 0, 0.5]), np.array([0, 0, 0, 0, 1, 1])
    found = _macro(values, labels)
    half = stats.t.ppf(0.975, 1) * np.sqrt(0.125 / 2) / 2  # of the second class alone: the first has no spread
    assert found["value"] == pytest.approx((1 + 0.25) / 2) and found["n"] == 6
    assert found["high"] - found["value"] == pytest.approx(half)


def test_networks_of_imagenet_are_judged_on_photographs_where_there_are_some(frame):
    small = frame[frame["part"] != "samples"]
    (with_both,), (alone,) = (judge([CLAIMS["7b"]], f) for f in (frame, small))
    assert with_both.estimate.n == 6 and with_both.estimate.unit == "model"
    assert alone.estimate.unit == "image" and alone.estimate.value == pytest.approx(0.07)


def test_models_of_two_training_sets_are_compared_image_by_image(frame):
    rows = rows_of(frame, measure="original - mixed_rand").set_index(["condition", "seed"])
    assert rows["value"]["original", 2] == pytest.approx(0.90 - 0.73)
    assert rows["value"]["mixed_rand", 2] == pytest.approx(0.36 - 0.70)
    # .34 of the images are -1, the others 0: Student's interval of such a mean
    half = 1.961 * np.sqrt(0.34 * 0.66 / (made.N - 1))
    assert rows["high"]["mixed_rand", 2] - rows["value"]["mixed_rand", 2] == pytest.approx(half, rel=1e-3)
    assert rows["value"]["any", 0] == pytest.approx(0.88 - 0.7)


def test_intervals_of_shares_do_not_collapse_at_the_ends_and_those_of_differences_may_hold_zero():
    found = _share(np.ones(50))
    assert found["high"] == pytest.approx(1) and 0.9 < found["low"] < 0.95
    assert _share(np.eye(50)[0])["low"] > 0 > _mean(np.eye(50)[0])["low"]


def test_categories_add_up(frame):
    rows = rows_of(frame, measure="categories")
    sums = rows[rows["condition"].isin(metrics.CATEGORIES)].groupby("key")["value"].sum()
    assert np.allclose(sums, 1)
    own = rows[rows["training_set"] == "original"].groupby("condition")["value"].first()
    # hardness is the same everywhere: right on Only-BG-T (.34) implies right on Mixed-Rand (.36), and that on Original (.90)
    assert own["either suffices"] == pytest.approx(0.34) and own["foreground suffices"] == pytest.approx(0.02)
    assert own["both together"] == pytest.approx(0.54) and own["wrong anyway"] == pytest.approx(0.10)
    assert own["needed"] == pytest.approx(0.54 / 0.90)
    assert own["needed, survives cutting"] == pytest.approx((0.80 - 0.36) / 0.80)


def test_foregrounds_that_were_right_before_are_told_apart(ledger):
    own = made.axes()
    record = ledger.read(backgrounds.trained_on(own, "original", 0))
    frame = backgrounds.results(ledger, own, "sets")
    rows = rows_of(frame, "any", measure="fooled, right before").query("training_set == 'original' and seed == 0")
    labels = torch.from_numpy(record.arrays["labels"].astype(int))
    test = data.ImageSet("t", "test", torch.zeros(made.N, 3, 1, 1), labels, tuple("abcdefghij"), "made")
    order = test.balanced_order(0)[:1000].numpy()
    right = record.arrays["predictions"][0][order] == record.arrays["labels"][order]
    assert rows["n"].iloc[0] == right.sum()
    assert rows["value"].iloc[0] == pytest.approx((record.arrays["tries"][right] > 0).mean())


def test_parts_can_be_asked_for_alone_and_an_empty_ledger_is_an_empty_table(ledger, tmp_path):
    assert set(backgrounds.results(ledger, made.axes(), "family")["part"]) == {"family"}
    empty = backgrounds.results(Ledger(tmp_path), "demo")
    assert empty.empty and {"value", "training_set"} <= set(empty)


def test_seeds_and_images_are_pooled(frame):
    row = frame.query("measure == 'pooled' and condition == 'gap' and training_set == 'original'").iloc[0]
    assert row["value"] == pytest.approx(0.44) and row["n"] == 3 and row["low"] <= 0.44 <= row["high"]


def test_slopes_are_those_of_least_squares(frame):
    table = models(frame[frame["part"] == "family"])
    found = slope(table["original"], table["mixed_rand"])
    reference = stats.linregress(table["original"], table["mixed_rand"])
    assert found.value == pytest.approx(1.2, abs=0.01) == pytest.approx(reference.slope, abs=0.01) and found.n == 6
    assert np.isnan(slope(table["original"][:3], table["mixed_rand"][:3]).value)
    assert len(models(frame)) == 8, "six of the family, Original and all images, each once whatever the seeds"


def test_the_papers_gaps_are_its_own_and_nobody_is_released_here(ledger):
    paper = paper_table()
    assert np.allclose(paper["mixed_same"] - paper["mixed_rand"], paper["gap"], atol=0.051)
    assert released(ledger, ["resnet50"]).empty
