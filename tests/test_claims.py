"""Every predicate can come out true and false; tables are right on results with known answers."""

import itertools

import numpy as np
import pandas as pd
import pytest

from gazebook.errors import GazebookError
from gazebook.studies.scribe import claims, figures, tables
from gazebook.studies.scribe.runs import AXES, axes, control, grid, heads, single, table1
from gazebook.studies.scribe.tables import TITLES
from gazebook.studies.verdicts import Verdict, of_cases, of_sign, scorecard

PERCENTS = (10, 20, 30, 50, 100)


def paper_like(seeds=(0, 1, 2)) -> pd.DataFrame:
    """Results that agree with the paper: its own Table 1, accuracies that rise, gaps that close, regions that shrink."""
    table = tables.paper_table1().set_index(["augmentation", "percent"])["sparsity"]
    accuracy = {"none": 0.55, "crop": 0.68, "flip": 0.62, "rotate": 0.6, "perspective": 0.64, "color": 0.56, "combined": 0.7}
    rows = []
    for name, percent, seed, protocol in itertools.product(TITLES, PERCENTS, seeds, ("epochs", "updates")):
        right = accuracy[name] + 0.25 * np.log10(percent / 10)
        sparse = table[name, percent] if protocol == "epochs" else 0.9 - 0.001 * percent - 0.01 * seed
        common = {"augmentation": name, "percent": percent, "seed": seed, "protocol": protocol, "head": "scribe"}
        common |= {"sparsity": sparse, "sparsity_30": sparse - 0.1, "sparsity_70": sparse + 0.1}
        common |= {"classes": 5 - percent / 50, "regions": 3 - percent / 100, "soft_share": 0.9 - percent / 200}
        common |= {"confidence": 0.9, "ece_10": 0.1, "ece_15": 0.1}
        rows.append(common | {"split": "test", "accuracy": right})
        rows.append(common | {"split": "train", "accuracy": min(1, right + 0.5 - percent / 300)})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda c: c.name)
def test_each_claim_holds_on_results_like_the_paper_s(claim):
    finding = claim.check(paper_like())
    expected = Verdict.PARTLY if claim.name == "7" else Verdict.FAILS if claim.name in ("C1", "C2") else Verdict.HOLDS
    assert finding.verdict == expected, finding


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda c: c.name)
def test_each_claim_fails_when_the_axis_of_sizes_is_turned_round(claim):
    """What was measured at 10% now stands at 100%; augmentations trade places too."""
    frame = paper_like()
    frame["percent"] = frame["percent"].map(dict(zip(PERCENTS, reversed(PERCENTS), strict=True)))
    swap = dict(zip(TITLES, reversed(TITLES), strict=True))
    measured = frame["augmentation"].map(swap) if claim.name in ("4", "6", "7") else frame["augmentation"]
    frame["augmentation"] = measured
    if claim.name == "13":
        frame["accuracy"] = frame["sparsity"]
    if claim.name in ("12", "C2"):  # the gap grows with the sparsity
        sign = 6 if claim.name == "12" else -600  # the control's sparsities lie a tenth of a hundredth apart
        frame.loc[frame["split"] == "train", "accuracy"] += sign * frame["sparsity"]
    assert claim.check(frame).verdict == (Verdict.HOLDS if claim.name in ("C1", "C2") else Verdict.FAILS)


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda c: c.name)
def test_without_results_nothing_is_decided(claim):
    empty = paper_like().iloc[:0]
    assert claim.check(empty).verdict == Verdict.UNDECIDED


def test_augmentation_lowers_sparsity_can_hold_and_fail_outright():
    frame = paper_like()
    for shift, verdict in ((0.5, Verdict.HOLDS), (-0.9, Verdict.FAILS)):
        moved = frame.copy()
        moved.loc[moved["augmentation"] == "none", "sparsity"] += shift
        assert claims.augmentation_lowers(moved).verdict == verdict


def test_the_control_is_undecided_with_one_seed_and_can_hold():
    frame = paper_like()
    assert claims.equal_updates(frame[frame["seed"] == 0]).verdict == Verdict.UNDECIDED
    rising = frame.copy()
    rising["sparsity"] = rising["percent"] / 200 + 0.01 * rising["seed"] * rising["percent"] / 100
    assert claims.equal_updates(rising).verdict == Verdict.HOLDS


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


def test_table1_sets_ours_beside_the_paper_s():
    frame = paper_like()
    frame.loc[frame["augmentation"] == "crop", "sparsity"] += 0.1
    one_seed = tables.table1(frame[frame["seed"] == 0])
    assert len(one_seed) == 21 and "± (95%)" not in set(one_seed["sparsity"])
    frame.loc[(frame["augmentation"] == "none") & (frame["percent"] == 20), "sparsity"] += 0.01 * (frame["seed"] - 1)
    table = tables.table1(frame)
    interval = table[table["sparsity"] == "± (95%)"]
    assert interval["20%"].iloc[0] == pytest.approx(4.3027 * 0.01 / 3**0.5, rel=1e-3) and interval["10%"].iloc[0] == 0
    assert len(table) == 28 and list(table.columns) == ["augmentation", "sparsity", "10%", "20%", "30%", "50%", "100%"]
    none, crop = table[:4], table[4:8]
    assert np.allclose(none[none["sparsity"] == "difference"]["10%"], 0)
    assert crop["100%"].tolist() == pytest.approx([0.901, 0.0, 0.801, 0.1], abs=1e-9)


def test_the_paper_s_tables_are_whole():
    one, three = tables.paper_table1(), tables.paper_table3()
    assert len(one) == 70 and set(one["augmentation"]) == set(TITLES)
    assert one.query("augmentation == 'combined' and percent == 10")["sparsity"].item() == 0.439
    assert len(three) == 14 and three["accuracy"].between(0.8, 1).all()


def test_heads_are_compared_pair_by_pair():
    scribe = paper_like()
    softmax = scribe[scribe["percent"] == 100].copy()
    softmax["head"] = "softmax"
    softmax["accuracy"] -= 0.02 + 0.01 * softmax["seed"]
    frame = pd.concat([scribe, softmax])
    mean, low, high = tables.gain_interval(frame, "accuracy")
    assert mean == pytest.approx(0.03) and low < 0.03 < high
    table = tables.heads_table(frame)
    assert table.loc["No transform", "gain in accuracy"] == pytest.approx(3)
    assert table.loc["RandomCrop", "paper's gain in accuracy"] == pytest.approx(1.1)
    assert np.isnan(tables.gain_interval(scribe, "accuracy")[0])


def test_the_control_table_shows_the_gap_between_training_and_test():
    frame = paper_like()
    frame.loc[(frame["seed"] == 2) & (frame["percent"] == 100) & (frame["protocol"] == "updates"), "seed"] = 3
    table = tables.control_table(frame)  # seeds 2 and 3 lack a corner and do not count
    line = table.loc["No transform, equal epochs, 10%"]
    assert line["gap"] == pytest.approx(line["training accuracy"] - line["test accuracy"])
    assert len(table) == 7 * 2 * 2


@pytest.mark.parametrize("figure", [figures.sparsity_curves, figures.control_curves, figures.threshold_curves])
def test_figures_draw_a_line_for_every_augmentation(figure):
    fig = figure(paper_like())
    assert all(len(ax.get_lines()) == 7 for ax in fig.axes)


def test_the_gap_is_drawn_with_a_dot_for_every_model():
    fig = figures.gap_dots(paper_like())
    assert [sum(len(c.get_offsets()) for c in ax.collections) for ax in fig.axes] == [7 * 5 * 3] * 2
    first = fig.axes[0].collections[0].get_offsets()[0]  # no transform, 10%: training accuracy 1, test accuracy .55
    assert tuple(first) == pytest.approx((0.45, 0.762))


@pytest.mark.parametrize("profile", list(AXES))
def test_grids_are_any_time_and_complete(profile):
    runs = list(dict.fromkeys(grid(profile)))
    own = AXES[profile]
    assert {r.augmentation for r in runs} == set(TITLES)
    needed = table1(own) + heads(own) + control(own)
    assert set(needed) == set(runs)
    first = runs[: 2 * len(TITLES)]
    assert {(r.augmentation, r.fraction) for r in first} == set(itertools.product(TITLES, (0.1, 1.0)))
    assert all(r.head == "scribe" and r.seed == own.seeds[0] for r in first)


def test_axes_can_be_replaced_and_wrong_names_are_answered():
    own = axes("demo", augmentations=["none"], fractions=[0.5], seeds=[4], control_updates=3, overrides={"epochs": 2})
    runs = table1(own) + control(own)
    assert [(r.augmentation, r.fraction, r.seed) for r in runs] == [("none", 0.5, 4)] * 2
    assert (runs[0].epochs, runs[1].epochs, runs[1].updates) == (2, None, 3)
    with pytest.raises(GazebookError, match="unknown augmentation blur; choose from none"):
        axes("demo", augmentations=["blur"])
    with pytest.raises(GazebookError, match="unknown profile"):
        axes("huge")


def test_overrides_are_fields_of_run_that_the_axes_do_not_vary():
    run = table1(axes("demo", overrides={"lr": 0.1, "head_options": {"r": 5.0}}))[0]
    assert run.lr == 0.1 and run.head_options == {"r": 5.0}
    assert heads(axes("demo", overrides={"head_options": {"r": 5.0}}))[0].head_options == {}
    for wrong in ("fraction", "head", "seed", "learning_rate"):
        with pytest.raises(GazebookError, match=f"overrides cannot set {wrong}; give fields of Run other than"):
            axes("demo", overrides={wrong: 1})


def test_a_page_of_one_augmentation_has_its_control_and_its_run():
    own = axes("demo", augmentations=["crop"], fractions=[0.2, 0.6])
    assert {r.augmentation for r in control(own)} == {"crop"} and single(own, "crop", 5).seed == 5
    with pytest.raises(GazebookError, match="unknown augmentation 'none'; choose from crop"):
        single(own, "none", 0)
