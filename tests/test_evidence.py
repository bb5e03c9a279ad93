"""Estimates, the frame, the bootstrap and the verdicts: by hand, by simulation, against other libraries."""

import base64
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats
from statsmodels.stats.multitest import multipletests

from gazebook import evidence, pages
from gazebook.evidence import Claim, Estimate, Verdict, hierarchical_interval, judge, scorecard
from gazebook.evidence.claims import INDEPENDENT
from gazebook.evidence.frame import COLUMNS, tidy

FRAME = pd.DataFrame({"seed": [0]})  # judged claims ignore it


def claim(values, name="1", **options) -> Claim:
    effect = values if callable(values) else lambda frame: pd.Series(values, dtype=float)
    return Claim(name, "text", "source", "paper", effect, **({"above": 0} | options))


def verdict(values, **options) -> Verdict:
    return judge([claim(values, **options)], FRAME)[0].verdict


def test_an_estimate_of_seeds_by_hand():
    e = Estimate.of([1.0, 2.0, 3.0])
    half = stats.t.ppf(0.975, 2) / np.sqrt(3)
    assert (e.value, e.n) == (2, 3) and (e.low, e.high) == pytest.approx((2 - half, 2 + half))
    assert e.p == pytest.approx(stats.ttest_1samp([1.0, 2.0, 3.0], 0).pvalue) and e.error == pytest.approx(1 / np.sqrt(3))
    assert e.text(1) == "+2.0 [-0.5, +4.5], 3 seeds" and Estimate.of([0.5]).text(2) == "+0.50, 1 seed"
    assert str(Estimate.of([])) == "no runs yet" and Estimate.of([np.nan, 1.0]).n == 1


def test_estimates_are_shifted_scaled_and_compared():
    e = Estimate(1.0, 0.5, 1.5, 4)
    assert e.minus(0.25) == Estimate(0.75, 0.25, 1.25, 4) and e.times(-2) == Estimate(-2, -3, -1, 4)
    found = e.minus(Estimate(0.5, 0.1, 0.9, 3))
    assert found.value == 0.5 and found.high - found.value == pytest.approx(np.hypot(0.5, 0.4)) and found.n == 3
    assert Estimate(1, 0.9, 1.1, 1000, "image").decides and not Estimate(1, 0.9, 1.1, 2).decides


def test_groups_are_averaged_by_welch():
    groups = [np.array([1.0, 2, 3]), np.array([2.0, 4, 6, 8])]
    e = Estimate.of_groups(groups)
    a, b = groups
    welch = stats.ttest_ind(a, -b, equal_var=False)  # of the sum of the means
    assert e.value == pytest.approx(3.5) and e.n == 3
    low, high = welch.confidence_interval()
    assert (e.low, e.high) == pytest.approx((low / 2, high / 2))


def test_rows_are_selected_and_seeds_in_common_found():
    rows = [{"model": m, "seed": s, "value": 1.0} for m, seeds in (("a", (0, 1, 2)), ("b", (1, 2))) for s in seeds]
    frame = tidy(rows, "demo", ("label",), note=3)
    assert list(frame.columns) == [*COLUMNS, "label"] and frame.attrs["note"] == 3 and set(frame["paper"]) == {"demo"}
    assert len(evidence.select(frame, model="a", seed=[0, 2])) == 2
    assert set(evidence.common_seeds(frame, "model")["seed"]) == {1, 2}
    assert set(evidence.common_seeds(frame, ["model", "level"])["seed"]) == {1, 2}, "without a level is a kind of its own"
    apart = frame[(frame["model"] == "a") & (frame["seed"] == 0) | (frame["model"] == "b") & (frame["seed"] == 1)]
    assert len(evidence.common_seeds(apart, "model")) == 2, "without a seed in common all stay"
    assert evidence.wide(frame.iloc[:0], ["seed", "model"], "condition", ["x"]).shape == (0, 1)


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        ([0.1, 0.11, 0.12], {}, Verdict.SUPPORTED),
        ([-0.1, -0.11, -0.12], {}, Verdict.CONTRADICTED),
        ([-0.1, 0.2, 0.1], {}, Verdict.INCONCLUSIVE),
        ([0.1, 0.11], {}, Verdict.INCONCLUSIVE),
        ([], {}, Verdict.INCONCLUSIVE),
        ([0.1, 0.11, 0.12], {"least": 0.2}, Verdict.INCONCLUSIVE),
        ([0.1, 0.11, 0.12], {"above": None, "below": 0}, Verdict.CONTRADICTED),
        ([0.1, 0.11, 0.12], {"above": 0.5}, Verdict.CONTRADICTED),
        ([0.01, -0.01, 0.0], {"above": None, "within": 0.1}, Verdict.SUPPORTED),
        ([-0.31, -0.3, -0.29], {"above": None, "within": 0.1}, Verdict.CONTRADICTED),
        ([0.05, -0.1, 0.2], {"above": None, "within": 0.1}, Verdict.INCONCLUSIVE),
        (lambda frame: True, {}, Verdict.SUPPORTED),
        (lambda frame: False, {}, Verdict.CONTRADICTED),
        (lambda frame: Estimate(1, 0.5, 1.5, 900, "image"), {}, Verdict.SUPPORTED),
        (lambda frame: frame["nothing"], {}, Verdict.INCONCLUSIVE),
        ([0.1, 0.11, 0.12], {"needs": lambda frame: "too small"}, Verdict.NOT_TESTABLE),
    ],
)
def test_kinds_of_verdicts(values, options, expected):
    assert verdict(values, **options) == expected


def test_cases_on_both_sides_are_mixed_and_their_mean_counts_otherwise():
    seeds = np.array([0.0, 0.01, 0.02])
    both = pd.DataFrame({"a": 1 + seeds, "b": -1 + seeds})
    assert verdict(lambda frame: both) == Verdict.MIXED
    assert verdict(lambda frame: both.assign(b=both["a"])) == Verdict.SUPPORTED
    (found,) = judge([claim(lambda frame: both.assign(b=[0.5, -0.5, 0.4]))], FRAME)
    assert found.verdict == Verdict.INCONCLUSIVE and "a +1.01" in found.evidence
    apart = pd.DataFrame({"a": [1.0, 1.1, 1.2], "b": [2.0, 2.5, np.nan]})
    assert judge([claim(lambda frame: apart)], FRAME)[0].estimate == Estimate.of([1.5, 1.8])
    apart.attrs[INDEPENDENT] = True
    assert judge([claim(lambda frame: apart)], FRAME)[0].estimate.value == pytest.approx((1.1 + 2.25) / 2)


def test_many_claims_are_corrected_by_benjamini_and_hochberg():
    """Against statsmodels': p-values just under 5% alone decide nothing among many."""
    random = np.random.default_rng(1)
    values = [random.normal(0.4 * (i % 3), 0.3, 5) for i in range(30)]
    found = judge([claim(v, str(i)) for i, v in enumerate(values)], FRAME)
    p = np.array([stats.ttest_1samp(v, 0).pvalue for v in values])
    assert [f.p for f in found] == pytest.approx(p)
    expected, strict = (multipletests(p, 0.05, method)[0] for method in ("fdr_bh", "holm"))
    assert [f.strict for f in found] == strict.tolist()
    assert [f.verdict != Verdict.INCONCLUSIVE for f in found] == expected.tolist() and 0 < expected.sum() < (p < 0.05).sum()
    assert 0 < sum(f.strict for f in found) <= expected.sum()


def test_own_questions_and_untestable_claims_do_not_count_among_the_paper_s():
    weak = [0.1, 0.2, 0.28]  # p = .06 / .04: decided alone, not among many
    strong = claim([0.1, 0.14, 0.17])
    noise = [claim([1.0, -1.0, 0.1], f"n{i}", own=True) for i in range(40)]
    gated = [claim(weak, f"g{i}", needs=lambda frame: "no") for i in range(40)]
    assert judge([strong, *noise, *gated], FRAME)[0].verdict == Verdict.SUPPORTED
    crowd = [claim([1.0, -1.0, 0.1], f"n{i}") for i in range(40)]
    assert judge([strong, *crowd], FRAME)[0].verdict == Verdict.INCONCLUSIVE


def test_a_gate_shows_the_trend_and_no_verdict_but_for_arithmetic():
    found = judge(
        [claim([0.1, 0.11, 0.12]), claim(lambda f: True, "2"), claim([0.1, 0.11, 0.12], "3", own=True)], FRAME, "small"
    )
    assert [f.verdict for f in found] == [Verdict.NOT_TESTABLE, Verdict.SUPPORTED, Verdict.SUPPORTED]
    assert found[0].why == "small" and found[0].evidence.startswith("+0.11")
    card = scorecard(found)
    assert list(card["no."]) == ["1", "2", "3"] and card["ours"].str.len().min() > 0


@pytest.mark.parametrize("seeds", [3, 5])
def test_under_noise_alone_a_part_seldom_shows_a_decided_claim(seeds):
    """Of 600 simulated parts of 40 claims without effect at most 5%, within the simulation's own error."""
    random = np.random.default_rng(0)
    parts = 600
    p = stats.ttest_1samp(random.normal(size=(parts, 40, seeds)), 0, axis=2).pvalue
    wrong = sum((stats.false_discovery_control(row) <= 0.05).any() for row in p)
    assert wrong / parts <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / parts)
    values = random.normal(size=(40, 40, seeds))  # the same through `judge`, and with cases
    decided = 0
    for part in values:
        claims = [claim(v, str(i)) for i, v in enumerate(part[:30])]
        claims += [claim(lambda f, v=part[30 + i : 32 + i]: pd.DataFrame(v.T), f"c{i}") for i in range(8)]
        decided += any(f.verdict != Verdict.INCONCLUSIVE for f in judge(claims, FRAME))
    assert decided <= 6, "more than 15% of 40 parts would be a fault, not chance"


def test_under_effects_of_a_paper_s_size_most_claims_are_decided(capsys):
    """Effects of one to four standard deviations between seeds, as in part 1: printed, to see how many seeds it takes."""
    random = np.random.default_rng(0)
    shares = {}
    for seeds in (3, 5, 8):
        effects = random.uniform(1, 4, size=(50, 40, 1))
        p = stats.ttest_1samp(effects + random.normal(size=(50, 40, seeds)), 0, axis=2).pvalue
        shares[seeds] = np.mean([(stats.false_discovery_control(row) <= 0.05).mean() for row in p])
    with capsys.disabled():
        print(" ".join(f"{n} seeds decide {share:.0%} of true effects;" for n, share in shares.items()), end=" ")
    assert shares[3] < shares[5] < shares[8] and shares[5] > 0.5


def test_the_hierarchical_bootstrap_keeps_its_level_and_agrees_by_hand():
    """Seeds with an effect of their own, images within them: at most 6% of the intervals miss the true value."""
    random = np.random.default_rng(0)
    missed = 0
    for k in range(300):
        groups = [random.normal(random.normal(0, 0.5), 1, 40) for _ in range(3)]
        e = hierarchical_interval(groups, 300, seed=k)
        missed += not e.low <= 0 <= e.high
    assert missed / 300 <= 0.06
    e = hierarchical_interval([[1.0, 3.0], [2.0, 4.0], [3.0, 5.0]])
    student = Estimate.of([2.0, 3.0, 4.0])
    assert e.value == 3 and e.n == 3 and e.low <= student.low and e.high >= student.high
    assert np.isnan(hierarchical_interval([[1.0], [2.0]]).low) is False or hierarchical_interval([[1.0], [2.0]]).n == 2
    constant = hierarchical_interval([[1.0, 1.0]] * 3)
    assert (constant.low, constant.high) == (1, 1)


def test_an_answer_follows_the_verdict_at_the_largest_scale_that_decides():
    few, many, other = (pd.Series(v, index=range(len(v))) for v in ([1.0], [1.0, 1.1, 0.9], [-1.0, -1.1, -0.9]))
    claims = {name: Claim("7", "x", "", "", lambda f, v=v: v, "change", above=0) for name, v in
              (("few", few), ("many", many), ("other", other))}  # fmt: skip
    found = {name: judge([claim], FRAME)[0] for name, claim in claims.items()}
    chapter = object.__new__(pages.Chapter)
    chapter.axes = type("Axes", (), {"scale": 500})()
    sentences = {"supported": "Yes.", "contradicted": "No.", "else": "Nobody knows."}
    few, many, other = ({"7": found[name]} for name in ("few", "many", "other"))
    for findings, expected in (
        ({500: few, 40: many}, "Yes (change +1.00 [+0.75, +1.25], 3 seeds, 40 training images)."),
        ({500: other, 40: many}, "No (change -1.00 [-1.25, -0.75], 3 seeds, 500 training images)."),
        ({500: few}, "Nobody knows (change +1.00, 1 seed; too few seeds to decide)."),
    ):
        chapter.__dict__["findings"] = findings
        assert chapter.answer("7", sentences) == expected


def test_a_slideshow_is_whole_and_harmless():
    """Every image is in the page, captions cannot end the script that holds them, and the still is the one asked for."""
    frames = {f"</script> {i}": np.full((8, 8, 3), 40 * i, np.uint8) for i in range(3)}
    page = pages.slideshow("cut", frames, 'an "image"', start=2).data
    options, images = (
        re.search(r"<script type=\"application/json\">(.*?)</script>", page).group(1),
        re.findall(r'<img class="dark-light" src="(.*?)"', page),
    )
    shown, captions = json.loads(options)
    assert captions == list(frames) and images == [shown[2]] and 'alt="an &quot;image&quot;"' in page
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown[1].partition(",")[2]))))
    assert image.shape == (256, 256, 3) and (image == 40).all()
