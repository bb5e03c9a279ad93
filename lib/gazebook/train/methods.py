"""Ways of training by name: what a run's `method` and `method_options` stand for."""

from gazebook.errors import GazebookError
from gazebook.train.adversarial import Adversarial
from gazebook.train.contrastive import Contrastive
from gazebook.train.distraction import Distraction
from gazebook.train.mixing import Mixing

METHODS = {"adversarial": Adversarial, "contrastive": Contrastive, "distraction": Distraction, "mixing": Mixing}
PLAIN = "plain"


def named(name: str, options: dict | None = None):
    """The intervention for `fit`, None for plain training. Raises GazebookError for a name or an option that is not known."""
    if name == PLAIN and not options:
        return None
    if name not in METHODS:
        raise GazebookError(f"unknown method {name!r} with options {options}; choose from {', '.join((PLAIN, *METHODS))}")
    try:
        return METHODS[name](**(options or {}))
    except TypeError as error:
        raise GazebookError(f"cannot train {name}: {error}; see gazebook.train.{name}") from error
