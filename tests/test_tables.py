"""Tables and figures are right on results with known answers."""

import numpy as np
import pandas as pd
import pytest

from gazebook.studies.scribe import corruption_figures, figures, slips, tables, tidy
from gazebook.studies.scribe.tidy import TITLES
from tests.paper_like import PERCENTS, paper_like


def test_table1_sets_ours_beside_the_paper_s():
    frame = paper_like()
    frame.loc[frame["augmentation"] == "crop", "sparsity"] += 0.1
    one_seed = tables.table1(frame[frame["seed"] == 0])
    assert len(one_seed) == 21 and "± (95%)" not in set(one_seed["sparsity"])
    frame.loc[(frame["augmentation"] == "none") & (frame["percent"] == 20), "sparsity"] += 0.01 * (frame["seed"] - 1)
    table = tables.table1(frame)
    interval = table[table["sparsity"] == "± (95%)"]
    assert interval["20%"].iloc[0] == pytest.approx(4.3027 * 0.0105 / 3**0.5, rel=1e-3)
    assert interval["10%"].iloc[0] == pytest.approx(4.3027 * 0.0005 / 3**0.5, rel=1e-3)
    assert len(table) == 28 and list(table.columns) == ["augmentation", "sparsity", *(f"{p}%" for p in PERCENTS)]
    none, crop = table[:4], table[4:8]
    assert np.allclose(none[none["sparsity"] == "difference"]["10%"], 0.0005)
    assert crop["100%"].tolist() == pytest.approx([0.9015, 0.00124, 0.801, 0.1005], abs=1e-5)


def test_the_paper_s_tables_are_whole():
    one, two, three = tables.paper_table1(), tables.paper_table2(), tables.paper_table3()
    assert len(one) == len(two) == 70 and set(one["augmentation"]) == set(two["augmentation"]) == set(TITLES)
    assert two.query("augmentation == 'combined' and percent == 10")["mse"].item() == 0.295
    assert one.query("augmentation == 'combined' and percent == 10")["sparsity"].item() == 0.439
    assert len(three) == 14 and three["accuracy"].between(0.8, 1).all()


def test_table2_sets_accuracy_and_mse_beside_the_paper_s():
    frame = paper_like()
    accuracy, mse = (tables.table2(frame, metric) for metric in ("accuracy", "mse"))
    assert accuracy.query("accuracy == 'ours'")["100%"].tolist() == pytest.approx([88.6, 93.5, 92.4, 92.3, 93.2, 88.5, 92.2])
    assert np.allclose(mse[mse["mse"] == "difference"].drop(columns=["augmentation", "mse"]).astype(float), 0)


def test_agreement_counts_discordant_pairs():
    models = pd.DataFrame(
        {"augmentation": "none", "percent": [10, 20, 30], "accuracy": [0.1, 0.2, 0.3], "mse": [0.3, 0.1, 0.2]}
    )
    assert tables.agreement(models) == (pytest.approx(-0.5), pytest.approx(1 / 3))
    rho, share = tables.agreement(tables.paper_table2())
    assert rho == pytest.approx(-0.87, abs=0.005) and share == pytest.approx(343 / 2346)


def test_heads_are_compared_pair_by_pair():
    frame = paper_like()
    twin = (frame["head"] == "softmax") & (frame["variant"] == "base")
    frame.loc[twin, "accuracy"] -= 0.02 + 0.01 * frame["seed"] + 0.001 * (frame["seed"] - 1)
    mean, low, high = tables.gain_interval(frame, "accuracy")
    assert mean == pytest.approx(0.03) and low < 0.03 < high
    published, *_ = tables.gain_interval(frame, "accuracy", "published")
    assert 100 * published == pytest.approx((0.9 + 1.1 + 1.2 + 1.8 + 1.2 + 1.8 + 2.2) / 7)
    assert np.isnan(tables.gain_interval(frame[~twin], "accuracy")[0])


def test_table3_shows_the_softmax_model_as_published_and_matched():
    table = tables.table3(paper_like())
    assert list(table["softmax model"]) == ["as published", "matched", "paper"] * 7
    first, _, paper = (row.drop(["augmentation", "softmax model"]).astype(float) for _, row in table[:3].iterrows())
    assert np.allclose(first, paper), "made-up results are the paper's"
    gains = tables.gains(paper_like())
    assert gains.loc["as published", "accuracy"].startswith("+1.46 [") and gains.loc["paper", "accuracy"] == "+1.46"


def test_the_control_table_shows_the_gap_between_training_and_test():
    frame = paper_like()
    frame.loc[(frame["seed"] == 2) & (frame["percent"] == 100) & (frame["protocol"] == "updates"), "seed"] = 3
    table = tables.control_table(frame)  # seeds 2 and 3 lack a corner and do not count
    assert table.loc["No transform, equal updates, 10%", "sparsity"] == pytest.approx((0.89 + 0.88) / 2)
    line = table.loc["No transform, equal epochs, 10%"]
    assert line["gap"] == pytest.approx(line["training accuracy"] - line["test accuracy"])
    assert len(table) == 7 * 2 * 2


@pytest.mark.parametrize(
    "figure",
    [figures.sparsity_curves, figures.control_curves, figures.threshold_curves, figures.figure2, figures.larger_curves],
)
def test_figures_draw_a_line_for_every_augmentation(figure):
    fig = figure(paper_like())
    assert all(len(ax.get_lines()) == 7 for ax in fig.axes)


def test_the_gap_is_drawn_with_a_dot_for_every_model():
    fig = figures.gap_dots(paper_like())
    assert [sum(len(c.get_offsets()) for c in ax.collections) for ax in fig.axes] == [7 * 10 * 3] * 2
    first = fig.axes[0].collections[0].get_offsets()[0]  # no transform, 10%
    assert tuple(first) == pytest.approx((0.5 - 10 / 300, 0.762))


def test_corrupted_results_as_tables():
    frame = paper_like()
    table = corruption_figures.augmentation_table(frame, "accuracy")
    assert list(table.index) == list(corruption_figures.NAMES.values()) and list(table.columns) == list(TITLES.values())
    assert table.loc["Zoom blur"].idxmax() == "RandomCrop" and table.loc["Fog"].idxmax() == "ColorJitter"
    changes = corruption_figures.class_changes(frame, "mask")
    assert changes.loc["Gaussian noise", "frog"] == pytest.approx(0.2) and changes.loc["Fog"].abs().max() == pytest.approx(0)
    pipelines = corruption_figures.pipeline_table(frame)
    assert np.allclose(pipelines["difference"], 10 - 3) and len(pipelines) == 12, "10 points lower, of pictures 3 points harder"
    assert pipelines.iloc[0, 0] == pytest.approx(100 * (frame_clean(frame) - frame_accuracy(frame, "brightness")))


def frame_clean(frame):
    return tidy.tested(frame).query("percent == 100")["accuracy"].mean()


def frame_accuracy(frame, condition):
    rows = frame[(frame["head"] == "scribe") & (frame["pipeline"] == "upsampled") & (frame["condition"] == condition)]
    return rows[rows["percent"] == 100]["accuracy"].mean()


def test_figures_of_corruption_have_a_panel_for_each():
    frame = paper_like()
    for fig in (
        corruption_figures.severity_curves(frame, "accuracy"),
        corruption_figures.size_curves(frame, "ece_10", "none"),
    ):
        assert [ax.get_title() for ax in fig.axes] == list(corruption_figures.NAMES.values())
    first = corruption_figures.severity_curves(frame, "accuracy").axes[0].get_lines()[0]
    assert list(first.get_xdata()) == [0, 1, 2, 3, 4, 5] and first.get_ydata()[0] == pytest.approx(0.886)
    fig = corruption_figures.pipeline_curves(frame)
    assert all(len(ax.get_lines()) == 3 for ax in fig.axes)


def test_variants_are_drawn_beside_the_base_at_the_same_points():
    fig = figures.variant_curves(paper_like(), "r = ", "base")
    assert len(fig.axes) == 7 and all(len(ax.get_lines()) == 3 for ax in fig.axes)
    assert list(fig.axes[0].get_lines()[0].get_xdata()) == [10, 50, 100]


def test_the_table_of_gaps_names_both_protocols():
    table = tables.gap_table(paper_like())
    assert table.loc["No transform", "equal epochs"] == "-0.99 (3 of 3)"
    assert table.loc["No transform", "equal updates"] == "+1.00 (0 of 3)"


def test_slips_are_those_of_the_notes():
    table = slips.slips()
    said = " ".join(table.iloc[:, 2])
    assert list(table["kind"]) == ["slip"] * 2 + ["read with care"] * 4
    assert "10 of 60 cells" in said and "3 of 63 steps" in said and "14.6%" in said
