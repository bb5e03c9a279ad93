"""Part 5's questions, as effects over the frame. All were written down before the first model was measured for this part."""

import pandas as pd

from gazebook.evidence import Claim, Estimate
from gazebook.papers.synthesis.results import NUMBERS, TRUTH, agreement, numbers, rank_estimate, towards_object

RANKS = 0.8  # rank correlation with the truth from which a ruler counts as good, as in part 3
RFS = ("RFS, fixed sigma", "RFS, L2 norm")


def with_truth(name: str):
    """Rank correlation of a ruler with the truth over the models of scenes, one a seed."""
    return lambda frame: agreement(frame)[name, TRUTH]


def between_rulers(frame: pd.DataFrame) -> pd.Series:
    """Mean rank correlation of two rulers, accuracy left out, over the models of scenes; one a seed."""
    table = agreement(frame)
    return table[[pair for pair in table if TRUTH not in pair and "accuracy" not in pair]].mean(axis=1)


def gap_and_sensitivity(frame: pd.DataFrame) -> pd.Series:
    """Rank correlation of BG-gap and RFS over the models of scenes, mean over kinds of noise; one a seed."""
    return agreement(frame)[[("BG-gap", name) for name in RFS]].mean(axis=1)


def beyond_accuracy(frame: pd.DataFrame) -> pd.Series:
    """Rank correlation with the truth: the mean of the rulers of parts 2 and 3 that cut or disturb, minus accuracy's own."""
    table = agreement(frame)
    own = [name for name in ("BG-gap", "adversarial backgrounds", *RFS) if (name, TRUTH) in table]
    return table[[(name, TRUTH) for name in own]].mean(axis=1) - table["accuracy", TRUTH]


def on_photographs(a: str, b: str):
    """Rank correlation of two rulers over the networks of ImageNet."""

    def effect(frame: pd.DataFrame) -> Estimate | None:
        table = towards_object(numbers(frame, "photographs"))
        return rank_estimate(table[a], table[b]) if {a, b} <= set(table) else None

    return effect


OWN = {"source": "this book", "paper": "not measured", "own": True, "what": "rho"}
CLAIMS = (
    *(Claim(f"S{i}", f"{name[0].upper()}{name[1:]} ranks models of scenes as the truth does (rank correlation at least .8).",
            effect=with_truth(name), above=RANKS, **OWN)
      for i, name in enumerate(NUMBERS, 1)),
    Claim("S10", "Rulers agree with one another better than by chance.", effect=between_rulers, above=0, **OWN),
    Claim("S11", "BG-gap and relative foreground sensitivity rank models of scenes alike (at least .5).",
          effect=gap_and_sensitivity, above=0.5, **OWN),
    Claim("S12", "Cutting and disturbing tell more of the truth than accuracy does.", effect=beyond_accuracy, above=0, **OWN),
    Claim("S13", "On photographs networks with a smaller BG-gap have a higher RFS (fixed sigma).",
          effect=on_photographs("BG-gap", RFS[0]), above=0, **OWN),
    Claim("S14", "And so under noise of one L2 norm.", effect=on_photographs("BG-gap", RFS[1]), above=0, **OWN),
    Claim("S15", "On photographs more accurate networks are fooled by fewer backgrounds.",
          effect=on_photographs("accuracy", "adversarial backgrounds"), above=0, **OWN),
)  # fmt: skip
