"""Paper 1's fifty claims and this book's controls, as predicates over the results, with the paper's evidence.

Where a claim has a threshold, the paper's own tables meet it; it was written down before the runs were read.
"""

from gazebook.studies.scribe.claims import accuracy, controls, corruption, sparsity

CLAIMS = (*sparsity.CLAIMS, *accuracy.CLAIMS, *corruption.CLAIMS, *controls.CLAIMS)

__all__ = ["CLAIMS", "accuracy", "controls", "corruption", "sparsity"]
