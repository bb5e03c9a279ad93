"""What do image classifiers look at? The library behind the study book.

One way through the house: notebook parameters -> runs -> ledger (found? else fit, evaluate, record) -> tables,
figures, claims -> page.
"""

__version__ = "0.1.0"
