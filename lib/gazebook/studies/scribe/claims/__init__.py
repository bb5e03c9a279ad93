"""Paper 1's fifty claims and this book's controls, as predicates over the results, with the paper's evidence.

Where a claim of the paper's tables has a threshold, those tables meet it. All were written down before the runs were read.
"""

from gazebook.studies.scribe.claims import accuracy, controls, corruption, sparsity

CLAIMS = (*sparsity.CLAIMS, *accuracy.CLAIMS, *corruption.CLAIMS, *controls.CLAIMS)

__all__ = ["CLAIMS", "accuracy", "controls", "corruption", "sparsity"]
