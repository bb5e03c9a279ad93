"""The paper's sentences against its own formulas and tables: slips that arithmetic proves, and sentences to read with care.

No run is needed.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from gazebook.metrics import rank_correlation
from gazebook.studies.scribe.tables import agreement, paper_table1, paper_table2, paper_table3

TEST_IMAGES = 10_000


def slips() -> pd.DataFrame:
    """A row a sentence: where, what the paper says, what its own numbers say, and whether that is a slip."""
    columns = ["where", "the paper says", "its own formulas and tables say"]
    slip = pd.DataFrame([_gradient(), _augmentation_lowers()], columns=columns).assign(kind="slip")
    care = pd.DataFrame([_steps(), _mse(), _significance(), _sign()], columns=columns).assign(kind="read with care")
    return pd.concat([slip, care], ignore_index=True)


def _gradient() -> tuple[str, str, str]:
    v = torch.linspace(-1, 1, 10, dtype=torch.float64, requires_grad=True)
    line = (-v.exp() / (1 + v.exp().sum())).detach()
    (gradient,) = torch.autograd.grad(F.softplus(torch.logsumexp(v, dim=0)), v)
    assert torch.allclose(gradient, -line)
    text = "its background line is minus the gradient of the background loss, its foreground line plus that of the class loss"
    return "2.1", "one gradient formula for background and foreground", text


def _augmentation_lowers() -> tuple[str, str, str]:
    wide = paper_table1().pivot(index="percent", columns="augmentation", values="sparsity")
    others = wide.drop(columns="none")
    above = others.gt(wide["none"], axis=0).sum()
    names = ", ".join(f"{name} {count}" for name, count in above[above > 0].items())
    text = f"{int(above.sum())} of {others.size} cells lie above no transform ({names})"
    return "3.4", "data augmentations cause the maps to be less sparse, as shown in Table 1", text


def _steps() -> tuple[str, str, str]:
    wide = paper_table1().pivot(index="percent", columns="augmentation", values="sparsity")
    steps = np.diff(wide, axis=0)
    text = f"{int((steps < 0).sum())} of {steps.size} steps go down, by at most {-steps.min():.3f}"
    return "2.2", "sparsity exhibits an increasing trend for all augmentation settings", text


def _mse() -> tuple[str, str, str]:
    rho, share = agreement(paper_table2())
    text = f"rank correlation {rho:.2f}; {share:.1%} of the pairs of models are discordant"
    return "3.3", "high accuracy does not necessarily come with low MSE, and vice versa", text


def _significance() -> tuple[str, str, str]:
    wide = paper_table3().pivot(index="augmentation", columns="head", values="accuracy")
    gain = wide["scribe"] - wide["softmax"]
    error = np.sqrt(sum(wide[h] * (1 - wide[h]) for h in wide) / TEST_IMAGES)
    z = gain / error
    text = (
        f"on {TEST_IMAGES:,} test images the gains are {z.min():.1f} to {z.max():.1f} standard errors, {(z > 1.96).sum()} of "
    )
    return "3.2", "the differences between the models are not significant", f"{text}{len(z)} above 1.96"


def _sign() -> tuple[str, str, str]:
    both = paper_table1().merge(paper_table2(), on=["augmentation", "percent"])
    within = [rank_correlation(g["sparsity"], g["accuracy"]) for _, g in both.groupby("augmentation")]
    across = [rank_correlation(g["sparsity"], g["accuracy"]) for _, g in both.groupby("percent")]
    text = f"sparsity and accuracy: rho {min(within):.2f} to {max(within):.2f} within a recipe, {min(across):.2f} to "
    text += f"{max(across):.2f} across recipes"
    return "2.2", "the measure can be used to determine the relative levels of overfit among multiple models", text
