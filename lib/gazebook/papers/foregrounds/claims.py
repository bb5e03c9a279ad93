"""What paper 3's abstract finds, and this book's questions about its rulers, as effects over the frame.

Most were written as predicates when the first ten models of scenes at one seed had been looked at, before any result on images,
cues, transformers and contrastive networks; a review changed some when eighteen were known. In the second edition, when 57 runs
were known, all became effects over seeds: 1 to 3 are about own masks minus shuffled ones, since area alone moves RFS, and what
Grad-CAM says of transformers is taken where the paper's authors take it. The paper's text was unavailable: its findings are the
abstract's.
"""

import pandas as pd

from gazebook import evidence
from gazebook.evidence import Claim, select
from gazebook.papers.foregrounds.grid import (
    PROBED,
    PROBED_VIT,
    RESNET,
    ROBUST,
    SIMCLR,
    SIMCLR_VIT,
    TRANSFORMERS,
    VIT,
)
from gazebook.papers.foregrounds.results import (
    KINDS,
    SCORES,
    common_seed_rows,
    matched,
    of,
    of_family,
    proxies,
    score_ranks,
    truth_ranks,
    whole_seeds,
)

RANKS = 0.8  # rank correlation with the truth from which a ruler counts as good (notes of this book, before any run)


def parts(frame: pd.DataFrame) -> tuple[str, ...]:
    """Scenes and images; in the demo, whose images are the same scenes, those alone."""
    return frame.attrs.get("parts", ("scenes", "images"))


def per_part(effect):
    """An effect of (frame, part) as one column per part."""
    return lambda frame: pd.DataFrame({part: effect(frame, part) for part in parts(frame)})


def sensitivity(model: str, less: str):
    """RFS over all levels of a model minus another's, with own masks minus with shuffled ones, mean over kinds of noise."""

    def effect(frame: pd.DataFrame, part: str) -> pd.Series:
        rows = of_family(frame, "levels", part, model=[model, less], mask=["own", "shuffled"])
        table = evidence.wide(rows, "seed", ["model", "mask"]).reindex(columns=[(m, k) for m in (model, less)
                                                                                for k in ("own", "shuffled")])  # fmt: skip
        own = table.xs("own", axis=1, level="mask") - table.xs("shuffled", axis=1, level="mask")
        return own[model] - own[less]

    return per_part(effect)


def truth_difference(model: str, less: str):
    """What predictions follow, object minus background: of one model minus another."""

    def effect(frame: pd.DataFrame) -> pd.Series:
        table = evidence.wide(of_family(frame, "truth"), "seed", "model")
        return table[model] - table[less]

    return effect


def rises(frame: pd.DataFrame, part: str, models: tuple[str, ...]) -> pd.Series:
    """RFS at the highest level outside the warning zones minus at the lowest, by (seed, model), mean over kinds of noise; over
    the levels that all of the models have there.
    """
    rows = of_family(frame, "noise", part, mask="own", zone="", model=list(models))
    found = {}
    for (seed, kind), own in rows.groupby(["seed", "condition"]):
        table = own.pivot_table(index="level", columns="model", values="value").dropna()
        if len(table) > 1:
            found |= {(seed, kind, model): table[model].iloc[-1] - table[model].iloc[0] for model in table}
    rise = pd.Series(found, pd.MultiIndex.from_tuples(found, names=["seed", "kind", "model"]), dtype=float)
    return rise.groupby(["seed", "model"]).mean()


def transformers_rise(frame: pd.DataFrame, part: str) -> pd.Series:
    """`rises` of each transformer by itself, mean over them."""
    found = pd.concat([rises(frame, part, (model,)) for model in TRANSFORMERS]).unstack("model")
    return found.dropna().mean(axis=1)  # seeds that all of them have


def more_than_resnet(frame: pd.DataFrame, part: str) -> pd.Series:
    """`rises` of the ViT minus the residual network's."""
    table = rises(frame, part, (VIT, RESNET)).unstack("model")
    return table[VIT] - table[RESNET]


def cue_recall(frame: pd.DataFrame) -> pd.Series:
    """Recall of the planted cue among the five worst-aligned images minus its share among all that are named so. Runs in which
    all of those show it, or none, or in which they are five or fewer, decide nothing.
    """
    rows = of(frame, "discovery", "cues", level=5, condition="delta_density")
    rows = rows[(rows["chance"] > 0) & (rows["chance"] < 1) & (rows["n"] > 5)]
    return (rows["value"] - rows["chance"]).groupby(rows["seed"]).mean()


def alignment(score: str, other: str):
    """A mean score with the model's own saliency and the images' own masks minus a control's, mean over the family."""

    def effect(frame: pd.DataFrame, part: str) -> pd.Series:
        rows = common_seed_rows(frame, "alignment", part, condition=score, mask=["own", other])
        table = evidence.wide(rows, ["seed", "model"], "mask")
        return (table["own"] - table[other]).groupby("seed").mean()

    return per_part(effect)


def thirds(frame: pd.DataFrame) -> pd.Series:
    """RFS under noise of fixed sigma: on the third of the images with the largest objects minus the smallest."""
    table = evidence.wide(whole_seeds(frame, of(frame, "thirds", condition="sigma")), ["seed", "key"], "third")
    return (table["large"] - table["small"]).groupby("seed").mean()


def own_minus_shuffled(frame: pd.DataFrame) -> pd.Series:
    """RFS under L2 noise in the images' own masks minus in masks of others."""
    table = evidence.wide(whole_seeds(frame, of(frame, "levels", condition="l2")), ["seed", "key"], "mask")
    return (table["own"] - table["shuffled"]).groupby("seed").mean()


def proxy_rank(*ways: str):
    """Rank correlation over attributes of the loss by a proxy and by removal, mean over models."""
    return lambda frame: proxies(frame).groupby("seed")[list(ways)].mean().mean(axis=1)


def units_of(way: str, other: str, mask: str | None = None):
    """Share of units that one way names as removal does minus another way's, mean over models; the probed supervised networks,
    whose units are those of the networks that they probe, are left out.
    """

    def effect(frame: pd.DataFrame) -> pd.Series:
        rows = whole_seeds(frame, of(frame, "units"))
        rows = rows[~rows["model"].isin((PROBED, PROBED_VIT))]
        if mask is None:
            table = evidence.wide(rows, ["seed", "key", "mask"], "condition")
        else:
            table = evidence.wide(select(rows, condition=mask), ["seed", "key"], "mask")
        return (table[way] - table[other]).groupby("seed").mean()

    return effect


def clearer_units(frame: pd.DataFrame) -> pd.Series:
    """Share of units on which both sides agree: adversarially trained residual networks minus standard ones."""
    table = evidence.wide(of(frame, "units", condition="both sides agree", mask="as they come"), "seed", "model")
    return table[ROBUST] - table[RESNET]


def ruler_rank(rows_of):
    """Rank correlation with the truth of RFS: one column per kind of noise."""
    return lambda frame: truth_ranks(frame, rows_of(frame)).rename(columns=KINDS)


def matched_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """RFS of the family on scenes at one mean accuracy, for both kinds of noise."""
    return pd.concat([matched(frame, "scenes", kind)[1] for kind in KINDS])


ABSTRACT, BOOK, FIELD, NOT = "abstract", "this book", "said in the field", "not measured"
CLAIMS = (
    Claim("1", "In ResNets, adversarial training (radius 3) lowers relative foreground sensitivity.", ABSTRACT, "stated",
          sensitivity(ROBUST, RESNET), "difference of RFS", below=0, least=0.02),
    Claim("2", "Contrastive training lowers it in ResNets.", ABSTRACT, "stated, CLIP and SimCLR", sensitivity(SIMCLR, PROBED),
          "difference of RFS", below=0, least=0.02),
    Claim("3", "Contrastive training lowers it in transformers (an analogue: CLIP is missing, these images have no captions).",
          ABSTRACT, "stated, CLIP", sensitivity(SIMCLR_VIT, PROBED_VIT), "difference of RFS", below=0, least=0.02),
    Claim("4", "Transformers raise it as noise grows.", ABSTRACT, "stated", per_part(transformers_rise), "rise of RFS", above=0,
          least=0.02),
    Claim("5", "More than ResNets do.", "follow-up's figure, as read off", "DeiT-S rises longer than RN50",
          per_part(more_than_resnet), "difference", above=0, least=0.02),
    Claim("6", "The images with the worst-aligned saliency show spurious features.", ABSTRACT, "images", cue_recall,
          "recall minus chance", above=0, least=0.05),
    Claim("7", "Saliency points at the object, more than at objects of other images (delta density).", BOOK,
          "assessed by the abstract", alignment("delta_density", "shuffled masks"), "difference", above=0, own=True, digits=3),
    Claim("C1", "Adversarially trained ResNets (radius 3) really follow objects less, relative to backgrounds.", BOOK, NOT,
          truth_difference(ROBUST, RESNET), "difference", below=0, own=True),
    Claim("C2", "So do contrastive ResNets.", BOOK, NOT, truth_difference(SIMCLR, PROBED), "difference", below=0, own=True),
    Claim("C3", "RFS ranks models of all kinds of training scenes as the truth does (rank correlation at least .8).", BOOK, NOT,
          ruler_rank(lambda f: of(f, "levels", mask="own")), "rho", above=RANKS, own=True),
    Claim("C4", "RFS ranks the family, trained on the same scenes, as the truth does (at least .8).", BOOK, NOT,
          ruler_rank(lambda f: of_family(f, "levels", mask="own")), "rho", above=RANKS, own=True),
    Claim("C5", "RFS at matched accuracy does so (at least .8).", BOOK, NOT, ruler_rank(matched_rows), "rho", above=RANKS,
          own=True),
    Claim("C6", "RFS under noise of fixed sigma grows with the object's area.", BOOK, NOT, thirds, "large minus small", above=0,
          own=True),
    Claim("C7", "With masks of other images RFS is lower than with the images' own.", BOOK, NOT, own_minus_shuffled,
          "own minus shuffled", above=0, own=True),
    Claim("C8", "Greying an attribute ranks attributes as removing them does (at least .8).", BOOK, NOT, proxy_rank("grey"),
          "rho", above=RANKS, own=True),
    Claim("C9", "Noise in an attribute does so (at least .8).", BOOK, NOT, proxy_rank("sigma", "l2"), "rho", above=RANKS,
          own=True),
    Claim("C10", "Saliency alignment ranks models as the truth does (at least .8, mean over five scores).", BOOK, NOT,
          lambda frame: score_ranks(frame).rename(columns=SCORES), "rho", above=RANKS, own=True),
    Claim("C11", "Saliency finds objects better than a Gaussian in the middle (average precision).", BOOK, NOT,
          alignment("average_precision", "centred Gaussian"), "difference", above=0, own=True),
    Claim("C11b", "And by precision, the share of saliency inside.", BOOK, NOT, alignment("precision", "centred Gaussian"),
          "difference", above=0, own=True),
    Claim("C12", "Where a unit fires says better what it stands for than its top images do.", BOOK, NOT,
          units_of("location", "top images"), "difference", above=0, own=True),
    Claim("C13", "Top images say it better where attributes are independent within each class.", BOOK, NOT,
          units_of("independent in a class", "as they come", "top images"), "difference", above=0, own=True),
    Claim("C14", "Units of adversarially trained networks are easier to name.", FIELD, NOT, clearer_units, "difference",
          above=0, own=True),
)  # fmt: skip
