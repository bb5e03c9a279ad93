"""How a set of scenes was drawn, so that the same scenes can be drawn again with one thing changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gazebook.data.scenes.objects import World
from gazebook.data.scenes.render import Rendered, render
from gazebook.data.scenes.specs import EVERYDAY, Specs, draw


@dataclass(frozen=True, eq=False)
class Drawing:
    """Scenes by number, int [N], at a side in pixels, with the `parameters` of `draw`; `drawing[index]` are some of them."""

    numbers: np.ndarray
    split: str
    size: int
    parameters: dict = field(default_factory=dict)

    def __getitem__(self, index) -> Drawing:
        return replace(self, numbers=self.numbers[index])

    @property
    def world(self) -> World:
        """Which classes and attributes there are."""
        return self.parameters.get("world", EVERYDAY)

    def specs(self, background: str | np.ndarray | None = None, without: Sequence[str] = (), **parameters) -> Specs:
        """What is in the scenes, on another background (a name, or int [N]), without some attributes, or with other
        parameters of `draw`. Raises GazebookError for names that there are not.
        """
        specs = draw(self.numbers, split=self.split, **(self.parameters | parameters))
        specs = specs if background is None else specs.on_background(background)
        return specs.without(*without, world=self.world) if without else specs

    def __call__(self, **changes) -> Rendered:
        """The scenes, with the changes of `specs`."""
        return render(self.specs(**changes), self.size, self.world)
