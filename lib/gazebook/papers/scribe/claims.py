"""Paper 1's claims and this book's own questions, as effects over the frame.

Most were written down as predicates before any run was read, and judged case by case ("in 7 of 7 rows"). In the second edition,
when 418 runs on 4,000 and 20,000 images were known, they were written again as effects over seeds with thresholds: conjunctions
were split (a, b, c), counts became margins, and the reference of 20 to 23 became the best model of our own runs, as in the
paper. Thresholds that come from the paper's tables are met there; those of 20 and 42b to 44c are our reading of its words.
"""

from __future__ import annotations

import pandas as pd

from gazebook import evidence
from gazebook.evidence import Claim, select
from gazebook.measure.corruption import NOISE
from gazebook.papers.scribe.effects import (
    GEOMETRIC,
    MODEL,
    NOISY,
    area_kinder,
    best_under,
    by_seed,
    class_rise,
    difference,
    drop,
    growth,
    head_ranks,
    heads_alike,
    margin,
    masks_move,
    mean_of,
    mse_order,
    over_augmentations,
    overconfidence,
    protocols_agree,
    rank,
    rate_gain,
    rotation_regular,
    size_chaos,
    size_rank,
    spread_growth,
    steps,
    variants_rank,
    within_augmentations,
)
from gazebook.papers.scribe.results import (
    HARSH,
    MILD,
    TITLES,
    agreement,
    cells,
    corrupted,
    curves,
    gain,
    gap_correlations,
    tested,
)

SMALLEST, FULL = (lambda p, low, high: p == low), (lambda p, low, high: p == high)
POINTS = {"scale": 100, "digits": 1}
S, TABLE1, TABLE2, TABLE3, FIGURE2 = "section 2.2", "Table 1", "Table 2", "Table 3", "Figure 2"
WORDS, EYE, BOOK, NOT = "in words", "by eye", "this book", "not measured"

SPARSITY = (
    Claim("1", "Sparsity grows with the size of the training set (rank correlation at least .9, mean over augmentations).",
          f"{S}, {TABLE1}", "rho .985 to 1.000", size_rank("sparsity"), "rho", above=0.9),
    Claim("2a", "Sparsity is lowest at the smallest training set.", TABLE1, "7 of 7 rows",
          lambda f: by_seed((t := curves(f, "sparsity")).iloc[:, 1:].min(axis=1) - t.iloc[:, 0]), "margin", above=0),
    Claim("2b", "Sparsity is highest at the full training set.", TABLE1, "7 of 7 rows",
          lambda f: by_seed((t := curves(f, "sparsity")).iloc[:, -1] - t.iloc[:, :-1].max(axis=1)), "margin", above=0,
          digits=3),
    Claim("3a", "Steps down in sparsity are rare (fewer than one in ten).", TABLE1, "3 of 63 steps",
          steps("sparsity", lambda d: float((d < 0).mean())), "share of steps", below=0.1),
    Claim("3b", "Steps down are tiny (at most .005).", TABLE1, "at most .004",
          steps("sparsity", lambda d: float(-min(d.min(), 0))), "largest step down", below=0.005, digits=3),
    Claim("4a", "Sparsity grows more with Combined than with RandomCrop.", TABLE1, "+.321 against +.306",
          lambda f: growth("sparsity", "combined")(f) - growth("sparsity", "crop")(f), "difference", above=0, digits=3),
    Claim("4b", "Sparsity grows more with RandomCrop than with any single other augmentation.", TABLE1, "+.306 against +.2",
          lambda f: growth("sparsity", "crop")(f) - pd.concat(
              [growth("sparsity", a)(f) for a in TITLES if a not in ("crop", "combined")], axis=1).max(axis=1),
          "difference", above=0, digits=3),
    Claim("4c", "Sparsity grows without augmentation too.", TABLE1, "+.110", growth("sparsity", "none"), "growth", above=0,
          digits=3),
    Claim("5", "Sparsity grows with the training set on corrupted images too, whatever the distortion.", S, "not shown",
          lambda f: by_seed(evidence.wide(corrupted(f, "sparsity", percent=None), [*MODEL, "condition", "level"], "percent")
                             .apply(rank, axis=1)), "rho", above=0),
    Claim("6a", "Combined has the lowest sparsity at every size.", TABLE1, "10 of 10 columns",
          margin("sparsity", "combined", -1), "margin", above=0, digits=3),
    Claim("6b", "RandomCrop has the lowest sparsity of the single augmentations.", TABLE1, "10 of 10 columns",
          margin("sparsity", "crop", -1, [a for a in TITLES if a != "combined"]), "margin", above=0, digits=3),
    Claim("7", "Augmentation lowers sparsity (mean over augmentations).", "section 3.4", "49 of 60 cells",
          lambda f: by_seed((t := cells(f))["none"] - t.drop(columns="none").mean(axis=1)), "lower by", above=0, digits=3),
    Claim("8", "Augmentations differ less in sparsity the larger the training set.", f"section 3.4, {TABLE1}",
          "spread .323 to .112", spread_growth, "change of the spread", below=0, digits=3),
    Claim("9a", "With more training images fewer classes appear in one image's region.", f"{S}, Figure 1", EYE,
          growth("classes"), "change", below=0),
    Claim("9b", "At the full training set hardly more than one class appears (fewer than two).", f"{S}, Figure 1", EYE,
          lambda f: by_seed(curves(f, "classes").iloc[:, -1]), "classes", below=2),
    Claim("10", "With more training images the region falls into fewer pieces.", "Figure 1", EYE, growth("regions"), "change",
          below=0),
    Claim("11", "With more training images the region's border is clearer (fewer pixels with .1 < A < .9).",
          f"{S}, Figure 1", EYE, growth("soft_share"), "change", below=0, digits=3),
    Claim("12", "Without labels, sparsity ranks models by overfitting: within a recipe, sparser means a smaller gap between "
          "training and test accuracy.", S, NOT, lambda f: by_seed(gap_correlations(f)), "rho", below=0),
    Claim("13", "Across recipes at one size the sign turns: sparser goes with lower accuracy.", "from Tables 1 and 2",
          "rho below 0 in 10 of 10 columns", over_augmentations("sparsity", "accuracy"), "rho", below=0, own=True),
)  # fmt: skip
ACCURACY = (
    Claim("14", "Accuracy rises at every step of the training set.", TABLE2, "7 of 7 rows",
          steps("accuracy", lambda d: float(d.min())), "smallest step", above=0, **POINTS),
    Claim("15", "RandomCrop has the highest accuracy at every size.", f"section 3.3, {TABLE2}", "10 of 10 columns",
          margin("accuracy", "crop"), "margin", above=0, **POINTS),
    Claim("16a", "Combined is the least accurate at the smallest training set.", TABLE2, "10%",
          margin("accuracy", "combined", -1, where=SMALLEST), "margin", above=0, **POINTS),
    Claim("16b", "No transform is the least accurate from 20 to 80%.", TABLE2, "7 of 7 columns",
          margin("accuracy", "none", -1, where=lambda p, low, high: (p >= 20) & (p <= 80)), "margin", above=0, **POINTS),
    Claim("16c", "ColorJitter is the least accurate at the full training set.", TABLE2, "90 and 100%",
          margin("accuracy", "color", -1, where=FULL), "margin", above=0, **POINTS),
    Claim("17", "RandomCrop's gain over no transform shrinks as the training set grows.", TABLE2, "8.1 to 4.9 points",
          lambda f: difference("accuracy", "crop", "none", 0)(f) - difference("accuracy", "crop", "none", -1)(f), "shrinks by",
          above=0, **POINTS),
    Claim("18a", "Combined hurts at the smallest training set.", TABLE2, "-2.2 points",
          difference("accuracy", "combined", "none", 0), "gain", below=0, **POINTS),
    Claim("18b", "Combined helps at the full training set.", TABLE2, "+3.6 points",
          difference("accuracy", "combined", "none", -1), "gain", above=0, **POINTS),
    Claim("19", "Every single geometric augmentation beats ColorJitter from 20% on.", f"section 1, {TABLE2}",
          "36 of 36 cells", lambda f: by_seed((t := cells(f, "accuracy"))[t.index.get_level_values("percent") >= 20]
                                               .pipe(lambda t: t[GEOMETRIC].min(axis=1) - t["color"])),
          "margin of the weakest", above=0, **POINTS),
    Claim("20", "High accuracy does not imply a low MSE: in more than one pair of twenty the more accurate model looks further "
          "from the best.", f"section 3.3, {TABLE2}", "14.6% of pairs", lambda f: agreement(f)["discordant"], "share of pairs",
          above=0.05, **POINTS),
    Claim("20b", "The stronger reading: accuracy and MSE are hardly related (rho above -.5).", f"from {TABLE2}",
          "rho -.87: false", lambda f: agreement(f)["rho"], "rho", above=-0.5, own=True),
    Claim("21a", "The MSE falls at every step for RandomCrop and Combined.", TABLE2, "2 of 2 rows",
          steps("mse", lambda d: float(d.max()), "crop", "combined"), "largest step", below=0, digits=3),
    Claim("21b", "The MSE rises at some step for the other augmentations.", TABLE2, "5 of 5 rows",
          steps("mse", lambda d: float(d.max()), *(a for a in TITLES if a not in ("crop", "combined"))), "largest step",
          above=0, digits=3),
    Claim("22a", "At the full training set RandomPerspective and Combined look most like the best model.", TABLE2,
          ".032, .037", mse_order(["perspective", "combined"], 1), "closer by", above=0, digits=3),
    Claim("22b", "There no transform and ColorJitter look least like it.", TABLE2, ".066, .070",
          mse_order(["none", "color"], -1), "further by", above=0, digits=3),
    Claim("23", "The largest MSE is that of Combined at the smallest training set.", TABLE2, ".295",
          margin("mse", "combined", where=SMALLEST), "margin", above=0, digits=3),
    *(Claim(no, f"SCrIBE's {name} is higher than the softmax model's, as its authors trained that.", f"section 3.2, {TABLE3}",
            paper, lambda f, m=measure: gain(f, m, "published"), "difference", above=0, **POINTS)
      for no, name, measure, paper in (("24", "accuracy", "accuracy", "+.9 to +2.2 points"),
                                       ("25", "confidence", "confidence", "+2.0 to +3.5 points"),
                                       ("26", "ECE", "ece_10", "+.6 to +1.5 points"))),
    Claim("27a", "The difference in accuracy is small (within 2.5 points).", f"section 3.2, {TABLE3}", "at most 2.2",
          lambda f: gain(f, "accuracy", "published"), "difference", within=0.025, **POINTS),
    Claim("27b", "The difference in ECE is small (within 2 points).", f"section 3.2, {TABLE3}", "at most 1.5",
          lambda f: gain(f, "ece_10", "published"), "difference", within=0.02, **POINTS),
    *(Claim(no, f"Both models rank the augmentations alike in {name} (rank correlation at least .9).",
            f"section 3.2, {TABLE3}", paper, head_ranks(measure), "rho", above=0.9)
      for no, name, measure, paper in (("28a", "accuracy", "accuracy", "1.00"), ("28b", "confidence", "confidence", ".955"),
                                       ("28c", "ECE", "ece_10", ".991"))),
    Claim("29a", "Models are over-confident.", TABLE3, "14 of 14 cells", lambda f: by_seed(overconfidence(f)["over"]),
          "confidence minus accuracy", above=0, **POINTS),
    Claim("29b", "Over-confidence is the whole ECE, within .3 points.", TABLE3, "14 of 14 cells",
          lambda f: by_seed((t := overconfidence(f))["ece"].sub(t["over"]).abs()), "ECE minus over-confidence", below=0.003,
          scale=100),
    Claim("30", "With the same trunk and learning rate for both heads the gain of 24 is gone: less than the paper's smallest, "
          ".9 points.", "from the released notebooks", "trunk and learning rate differ",
          lambda f: gain(f, "accuracy"), "gain",
          below=0.009, own=True, **POINTS),
    Claim("30b", "With the best of three learning rates for each head the gain is gone too.", BOOK, NOT, rate_gain, "gain",
          below=0.009, own=True, **POINTS),
)  # fmt: skip
CALIBRATION = (
    Claim("31", "ECE falls as the training set grows (rank correlation at most -.9).", f"section 3.4, {FIGURE2}",
          "7 of 7 curves", size_rank("ece_10"), "rho", below=-0.9),
    Claim("32a", "Combined has the lowest ECE at every size.", f"section 3.4, {FIGURE2}", f"{EYE}, all sizes",
          margin("ece_10", "combined", -1), "margin", above=0, **POINTS),
    Claim("32b", "Combined has the lowest confidence at every size.", f"section 3.4, {FIGURE2}", f"{EYE}, all sizes",
          margin("confidence", "combined", -1), "margin", above=0, **POINTS),
    Claim("33", "Small regions mean poor calibration: over augmentations sparsity and ECE go together (rank correlation at "
          "least .8, mean over sizes).", "section 3.4", ".964 at 100%", over_augmentations("sparsity", "ece_10"), "rho",
          above=0.8),
    Claim("33b", "For small training sets, augmentations whose regions fall into more pieces are worse calibrated (rank "
          "correlation at least .8).", "section 3.4, Figures 1 and 2", EYE,
          over_augmentations("regions", "ece_10", SMALLEST), "rho", above=0.8),
    Claim("34", "Within an augmentation, over sizes, sparsity and ECE go against each other.", f"from {TABLE1} and {FIGURE2}",
          "opposite signs", within_augmentations("sparsity", "ece_10"), "rho", below=0, own=True),
)  # fmt: skip
T5 = "section 3.5"
CORRUPTION = (
    Claim("28d", "The two models show the same trends for various testing inputs: corruptions and severities rank alike (rank "
          "correlation of accuracy at least .9).", "section 3.2", WORDS, heads_alike, "rho", above=0.9),
    Claim("35", "Corruption lowers accuracy.", T5, "all perturbations degrade",
          lambda f: drop(f).groupby("seed")["value"].mean(), "drop", above=0, **POINTS),
    Claim("36", "The stronger the corruption, the lower the accuracy (rank correlation at most -.9).", T5, "not shown",
          lambda f: by_seed(evidence.wide(corrupted(f, "accuracy"), [*MODEL, "condition"], "level").apply(rank, axis=1)),
          "rho", below=-0.9),
    Claim("37", "Brightness, saturation, blurs and JPEG cost less accuracy than noise, spatter, snow, fog and contrast.", T5,
          f"not drastic, {WORDS}", lambda f: mean_of(drop(f), condition=HARSH) - mean_of(drop(f), condition=MILD),
          "harsh minus mild", above=0, **POINTS),
    Claim("38", "Noise is catastrophic even at its lowest level: worse than the mild group at level 3.", T5, WORDS,
          lambda f: mean_of(drop(f), condition=NOISE, level=1) - mean_of(drop(f), condition=MILD, level=3), "difference",
          above=0, **POINTS),
    Claim("39a", "Under noise accuracy follows the training set's size less than on clean images.", T5, "chaotic, in words",
          lambda f: by_seed((t := size_chaos("accuracy")(f))["clean"] - t["noisy"]), "difference of rho", above=0),
    Claim("39b", "Under noise so does calibration.", T5, "chaotic, in words",
          lambda f: by_seed((t := size_chaos("ece_10")(f))["noisy"] - t["clean"]), "difference of rho", above=0),
    Claim("39c", "RandomRotation keeps the trend more regular under noise than other augmentations.", T5, WORDS,
          rotation_regular, "difference of rho", above=0),
    Claim("40", "Strong brightness makes a highly overfit model (no transform, smallest set) say plane or ship more often.", T5,
          WORDS, class_rise("predicted", ("airplane", "ship"), percent=None, condition="brightness", level=5,
                            augmentation="none"), "rise", above=0, **POINTS),
    Claim("41", "Low contrast makes the models see deer, planes and ships.", T5, WORDS,
          class_rise("mask", ("deer", "airplane", "ship"), condition="contrast", level=(3, 4, 5)), "rise in the region",
          above=0, **POINTS),
    Claim("42a", "Noise, spatter and snow make the models see frogs and birds.", T5, WORDS,
          class_rise("mask", ("frog", "bird"), condition=NOISY), "rise in the region", above=0, **POINTS),
    Claim("42b", "At the highest level of noise almost all images show frog or bird (at least 80%; known from below).", T5,
          WORDS, lambda f: select(corrupted(f, ["present:frog", "present:bird"]), condition=NOISE, level=5)
          .groupby(["seed", "key", "condition"])["value"].max().groupby("seed").mean(), "share",
          above=0.8, scale=100, digits=0),
    Claim("43", "Strong saturation behaves like noise: more frogs and birds than at its lowest level.", T5, WORDS,
          lambda f: class_rise("mask", ("frog", "bird"), condition="saturate", level=5)(f)
          - class_rise("mask", ("frog", "bird"), condition="saturate", level=1)(f), "rise in the region", above=0, **POINTS),
    Claim("44a", "Fog makes the models see cats in more images.", T5, WORDS, class_rise("present", ("cat",), condition="fog"),
          "rise", above=0, **POINTS),
    Claim("44b", "Under fog Combined sees cats in the most images.", T5, WORDS, best_under("combined", ("fog",), "present:cat"),
          "margin", above=0, **POINTS),
    Claim("44c", "Combined sees cats in almost all foggy images (at least 80%).", T5, WORDS,
          class_rise("present", ("cat",), rise=False, condition="fog", augmentation="combined"), "share", above=0.8, scale=100,
          digits=0),
    *(Claim(f"{no}{letter}", f"{TITLES[name]} is best for {what}, in {said}.", T5, WORDS,
            best_under(name, conditions, measure, sign), "margin", above=0, **POINTS)
      for no, name, what, conditions in (
          ("45", "color", "brightness, contrast, saturation and fog", ("brightness", "contrast", "saturate", "fog")),
          ("46", "perspective", "defocus and motion blur", ("defocus_blur", "motion_blur")),
          ("47", "crop", "zoom blur", ("zoom_blur",)),
          ("48", "rotate", "gaussian and impulse noise, spatter and snow", NOISY))
      for letter, said, measure, sign in (("a", "accuracy", "accuracy", 1), ("b", "calibration (ECE)", "ece_10", -1))),
    Claim("49a", "Combined has the lowest ECE under corruption.", T5, "most corruptions, in words",
          best_under("combined", (*MILD, *HARSH), "ece_10", -1), "margin", above=0, **POINTS),
    Claim("49b", "Combined is not the most accurate under corruption.", T5, WORDS,
          best_under("combined", (*MILD, *HARSH)), "margin", below=0, **POINTS),
    Claim("50a", "Masks stay where they were under mild corruptions more than under harsh ones (severity 3).",
          f"{T5}, Figure 3", EYE, masks_move({"condition": MILD, "level": 3}, {"condition": HARSH, "level": 3}),
          "difference of MSE", above=0, digits=3),
    Claim("50b", "Even low levels of noise disrupt the masks: more than mild corruptions at severity 3.", T5, WORDS,
          masks_move({"condition": MILD, "level": 3}, {"condition": NOISE, "level": 1}), "difference of MSE",
          above=0, digits=3),
)  # fmt: skip
CONTROLS = (
    Claim("C1", "Trained for equally many updates, sparsity still grows with the size of the training set.", BOOK, NOT,
          growth("sparsity", protocol="updates"), "growth", above=0, own=True, digits=3),
    Claim("C2", "Trained for equally many updates, sparser still means a smaller gap between training and test accuracy.", BOOK,
          NOT, lambda f: by_seed(gap_correlations(f, "updates")), "rho", below=0, own=True),
    Claim("C3", "Sparsity grows with the training set whatever the r of the pooling.", BOOK, NOT, variants_rank("r ="), "rho",
          above=0, own=True),
    Claim("C4", "Sparsity grows with the training set for a coarser class map too.", BOOK, NOT, variants_rank("map "), "rho",
          above=0, own=True),
    Claim("C5", "Sparsity grows with the training set when the cut is at .3 or .7.", BOOK, NOT,
          lambda f: pd.DataFrame({t: size_rank(f"sparsity_{t}")(f) for t in ("30", "70")}).add_prefix("at ."), "rho", above=0,
          own=True),
    Claim("C6", "Maps are sparser where the prediction is right.", BOOK, NOT,
          lambda f: tested(f, "sparsity_right").groupby("seed")["value"].mean()
          - tested(f, "sparsity_wrong").groupby("seed")["value"].mean(), "difference", above=0, own=True, digits=3),
    Claim("C8", "Noise costs less when images are shrunk by areas, not by cubic interpolation without antialiasing.", BOOK, NOT,
          area_kinder, "difference", above=0, own=True, **POINTS),
    Claim("C9", "Enlarging first or corrupting directly: the corruptions keep their order (rank correlation at least .8).",
          BOOK, NOT, protocols_agree, "rho", above=0.8, own=True),
)  # fmt: skip
CLAIMS = (*SPARSITY, *ACCURACY, *CALIBRATION, *CORRUPTION, *CONTROLS)
