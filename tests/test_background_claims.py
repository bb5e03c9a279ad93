"""Part 2's table, predicates and tables of results, on made-up records with known answers."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from gazebook import data, metrics
from gazebook.ledger import Ledger
from gazebook.studies import backgrounds
from gazebook.studies.backgrounds import claims, figures, tables, tidy
from gazebook.studies.verdicts import Verdict, of_intervals, scorecard
from tests import backgrounds_like as made


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    return made.fill(Ledger(tmp_path_factory.mktemp("ledger")))


@pytest.fixture(scope="module")
def frame(ledger):
    return tidy.results(ledger, made.axes())


NAMES = [c.name for c in claims.CLAIMS]
CHECK = {c.name: c.check for c in claims.CLAIMS}


@pytest.mark.parametrize("name", NAMES)
def test_each_claim_holds_on_results_like_the_papers(frame, name):
    found = CHECK[name](frame)
    assert found.verdict == Verdict.HOLDS, found.evidence


@pytest.mark.parametrize("name", NAMES)
def test_each_claim_is_undecided_without_runs(frame, name):
    assert CHECK[name](frame.iloc[:0]).verdict == Verdict.UNDECIDED


def shifted(by, **where):
    """A mutation: accuracy and its interval moved in the rows where columns have these values."""

    def mutate(frame):
        rows = pd.Series(True, frame.index)
        for column, values in where.items():
            rows &= frame[column].isin(values if isinstance(values, tuple) else (values,))
        assert rows.any()
        frame = frame.copy()
        frame.loc[rows, ["accuracy", "low", "high"]] += by
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
    """Models of the family trade places: the best is now the worst on Original."""
    frame = frame.copy()
    rows = (frame["part"].isin(["family", "sets"])) & (frame["split"] == "test") & (frame["condition"] == "original")
    frame.loc[rows, "accuracy"] = 1 - frame.loc[rows, "accuracy"]
    return frame


def kept_family(change):
    """A mutation of the models of the family alone, without the nine."""
    return lambda frame: change(frame[(frame["part"] == "family")])


def empty_ellipse(frame):
    frame = frame.copy()
    frame.loc[frame["condition"] == "ellipse", "empty"] = 0.9
    return frame


def both(first, second):
    return lambda frame: second(first(frame))


def differing(name, by, less="mixed_rand"):
    """A mutation of what models of Original and of another training set differ in."""
    return shifted(by, split=f"original - {less}", condition=name)


TURNED_ROUND = {
    "1": shifted(-0.6, condition="original", split="test"),
    "2": shifted(-0.8, split="test", condition=("only_bg_b", "only_bg_t", "no_fg")),
    "3": shifted(-0.5, condition="hole"),
    "4": both(
        shifted(-0.4, split="test", training_set="no_fg", condition="no_fg"),
        shifted(-0.12, split="test", training_set="only_bg_b", condition="only_bg_b"),
    ),
    "5": shifted(-0.2, condition="box geometry"),
    "6": shifted(-0.5, condition="cut"),
    "7": shifted(-0.9, condition="gap"),
    "8": shifted(-0.3, split="test", condition="only_bg_t"),
    "9": shifted(0.6, condition="gap", part="pretrained"),
    "10": shifted(-0.6, condition="any", split="fooled"),
    "11": differing("gap", -0.9),
    "12": shifted(0.1, condition="gap", training_set="mixed_rand"),
    "13": differing("original", -0.5),
    "14": differing("mixed_rand", 0.9),
    "15": differing(("cam", "gradient"), 0.5),
    "16": shifted(-0.5, condition="needed"),
    "16b": shifted(-0.5, condition="needed, survives cutting"),
    "17": turned,
    "18": turned,
    "19": kept_family(turned),
    "20": differing("any", -0.5, "large"),
    "C1": swapped("correlation", 0.0, 1.0),
    "C3": shifted(0.2, part="scenes", condition="gap"),
    "C4": shifted(-0.35, condition="silhouette"),
    "C5": shifted(0.9, split="fooled", condition="10"),
    "C6": differing("any", -0.5),
    "C7": empty_ellipse,
}


@pytest.mark.parametrize("name", TURNED_ROUND)
def test_each_claim_fails_when_its_evidence_is_turned_round(frame, name):
    found = CHECK[name](TURNED_ROUND[name](frame))
    assert found.verdict == Verdict.FAILS, found.evidence


def test_reliance_that_ranks_otherwise_is_seen(frame):
    changed = frame.copy()
    rows = (changed["split"] == "truth") & (changed["condition"] == "rendered_random")
    changed.loc[rows, "accuracy"] = changed.loc[rows, "accuracy"].to_numpy()[::-1]
    assert claims.gap_ranks_reliance(changed).verdict == Verdict.FAILS


def test_intervals_decide():
    assert of_intervals([(0.2, 0.1, 0.3), (0.2, -0.1, 0.5)]).verdict == Verdict.PARTLY
    assert of_intervals([(0.2, -0.1, 0.5), (-0.2, -0.3, -0.1)]).verdict == Verdict.UNDECIDED
    assert of_intervals([(-0.2, -0.3, -0.1)]).verdict == Verdict.FAILS
    assert of_intervals([(np.nan, np.nan, np.nan)]).verdict == Verdict.UNDECIDED


# the tidy table


def test_accuracies_intervals_and_contrasts_are_those_of_the_records(frame):
    row = tidy.tested(frame, "mixed_rand").query("training_set == 'original' and seed == 1").iloc[0]
    assert row["accuracy"] == pytest.approx(0.36) and row["images"] == made.N
    wilson = stats.binomtest(720, 2000).proportion_ci(method="wilson")
    assert (row["low"], row["high"]) == pytest.approx(tuple(wilson))
    gap = tidy.tested(frame, "gap", split="contrast").query("training_set == 'original'")
    assert gap["accuracy"].tolist() == pytest.approx([0.44] * 3)
    # paired by picture: .44 of the pictures are right on Mixed-Same alone, the others on both or neither
    half = 1.961 * np.sqrt(0.44 * 0.56 / (made.N - 1))
    assert gap["high"].iloc[0] - gap["accuracy"].iloc[0] == pytest.approx(half, rel=1e-3)


def test_models_of_two_training_sets_are_compared_picture_by_picture(frame):
    rows = tidy.tested(frame, split="original - mixed_rand").set_index(["condition", "seed"])
    assert rows["accuracy"]["original", 2] == pytest.approx(0.90 - 0.73)
    assert rows["accuracy"]["mixed_rand", 2] == pytest.approx(0.36 - 0.70)
    # .34 of the pictures are -1, the others 0: Student's interval of such a mean
    half = 1.961 * np.sqrt(0.34 * 0.66 / (made.N - 1))
    assert rows["high"]["mixed_rand", 2] - rows["accuracy"]["mixed_rand", 2] == pytest.approx(half, rel=1e-3)
    assert rows["accuracy"]["any", 0] == pytest.approx(0.88 - 0.7)


def test_intervals_of_shares_do_not_collapse_at_the_ends_and_those_of_differences_may_hold_zero():
    found = tidy._share(np.ones(50))
    assert found["high"] == pytest.approx(1) and 0.9 < found["low"] < 0.95
    assert tidy._share(np.eye(50)[0])["low"] > 0 > tidy._mean(np.eye(50)[0])["low"]


def test_categories_add_up(frame):
    rows = tidy.tested(frame, split="categories")
    sums = rows[rows["condition"].isin(metrics.CATEGORIES)].groupby("key")["accuracy"].sum()
    assert np.allclose(sums, 1)
    own = rows[rows["training_set"] == "original"].groupby("condition")["accuracy"].first()
    # hardness is the same everywhere: right on Only-BG-T (.34) implies right on Mixed-Rand (.36), and that on Original (.90)
    assert own["either suffices"] == pytest.approx(0.34) and own["foreground suffices"] == pytest.approx(0.02)
    assert own["both together"] == pytest.approx(0.54) and own["wrong anyway"] == pytest.approx(0.10)
    assert own["needed"] == pytest.approx(0.54 / 0.90)
    assert own["needed, survives cutting"] == pytest.approx((0.80 - 0.36) / 0.80)


def test_foregrounds_that_were_right_before_are_told_apart(ledger):
    own = made.axes()
    record = ledger.read(backgrounds.trained_on(own, "original", 0))
    frame = tidy.results(ledger, own, "sets")
    rows = tidy.tested(frame, "any", split="fooled, right before").query("training_set == 'original' and seed == 0")
    labels = torch.from_numpy(record.arrays["labels"].astype(int))
    test = data.ImageSet("t", "test", torch.zeros(made.N, 3, 1, 1), labels, tuple("abcdefghij"), "made")
    order = test.balanced_order(0)[:1000].numpy()
    right = record.arrays["predictions"][0][order] == record.arrays["labels"][order]
    assert rows["images"].iloc[0] == right.sum()
    assert rows["accuracy"].iloc[0] == pytest.approx((record.arrays["tries"][right] > 0).mean())


def test_parts_can_be_asked_for_alone_and_an_empty_ledger_is_an_empty_table(ledger, tmp_path):
    assert set(tidy.results(ledger, made.axes(), "family")["part"]) == {"family"}
    empty = tidy.results(Ledger(tmp_path), "demo")
    assert empty.empty and set(tidy.COLUMNS) <= set(empty)
    assert set(scorecard(claims.CLAIMS, empty)["verdict"]) == {"undecided"}


# tables and figures


def test_the_cross_table_has_nine_rows_and_eight_columns(frame):
    table = tables.cross(frame)
    assert table.shape == (9, 8) and list(table.index)[-1] == "all pictures"
    assert table.loc["Only-BG-T", "Original"] == pytest.approx(44)
    assert tables.cross_text(frame).loc["Only-BG-T", "Original"].startswith("44.0\u202f±\u202f2.2")


def test_the_gap_table_sets_the_papers_rows_below_ours(frame):
    table = tables.gap_table(frame)
    assert table["whose"].tolist() == ["ours"] * 4 + ["paper"] * 5
    gap = table.set_index("model")["BG-gap"]
    assert gap["Original"].startswith("44.0") and gap["efficientnet-lite0"].startswith("7.0")
    paper = tables.paper_table()
    assert np.allclose(paper["mixed_same"] - paper["mixed_rand"], paper["gap"], atol=0.051)


def test_slopes_are_those_of_least_squares(frame):
    table = tidy.models(frame[frame["part"] == "family"])
    value, low, high = tidy.slope(table["original"], table["mixed_rand"])
    assert value == pytest.approx(1.2, abs=0.01) and low <= value <= high
    assert np.isnan(tidy.slope(table["original"][:3], table["mixed_rand"][:3])).all()


@pytest.mark.parametrize(
    "make",
    [
        tables.build_table, tables.mask_table, tables.cross, tables.cross_text, tables.gap_table, tables.vulnerable_table,
        tables.mixed_table, tables.category_table, tables.reliance_table, tables.overview,
    ],
)  # fmt: skip
def test_tables_show_what_is_there_and_survive_a_part_alone(frame, make):
    assert make(frame).shape[0] > 0
    make(frame[frame["training_set"] == "original"])


@pytest.mark.parametrize(
    "draw",
    [
        figures.cross_map, figures.gap_intervals, figures.reliance_curves, figures.reliance_dots, figures.saliency_intervals,
        figures.category_bars, figures.gap_progress,
    ],
)  # fmt: skip
def test_figures_are_drawn(frame, draw):
    assert draw(frame).axes


def test_the_curve_of_fooled_foregrounds_is_read_off_the_tries(ledger):
    (ax,) = figures.fooled_curves(ledger, made.axes()).axes
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert list(lines) == ["Original", "all pictures", "Mixed-Rand", "if all objects were alike", "guessing"]
    original = lines["Original"]
    assert original.get_ydata()[0] == pytest.approx(0.5) and original.get_ydata()[-1] == pytest.approx(0.88)
    alike = dict(zip(original.get_xdata(), lines["if all objects were alike"].get_ydata(), strict=True))
    assert alike[2] == pytest.approx(0.75) and original.get_xdata()[-1] == 2000, "to the last background, for all"
    assert lines["guessing"].get_ydata()[:2] == pytest.approx([0.9, 0.99])


def test_progress_is_drawn_and_tabulated_over_models(frame, ledger):
    table = tidy.models(frame)
    assert len(table) == 8, "six of the family, Original and all pictures, each once whatever the seeds"
    assert len(tables.slope_table(table)) == 8 and figures.progress_dots(table).axes
    assert tables.slope_table(tidy.released(ledger, ["resnet50"])).empty
