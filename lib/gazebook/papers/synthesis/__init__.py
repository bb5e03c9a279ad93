"""Part 5: do the rulers of the four papers agree, with one another and with what models of scenes are known to rely on?"""

from gazebook.papers.synthesis.claims import CLAIMS
from gazebook.papers.synthesis.grid import AXES, RULERS, axes, checkpoints, everything, family, grid, photographs
from gazebook.papers.synthesis.results import gate, results

TITLE = "Synthesis: do the rulers agree?"
