"""What every chapter shows about itself: numbered tables, the profile at its head, the provenance at its foot."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown
from matplotlib.figure import Figure
from myst_nb import glue

from gazebook.errors import GazebookError
from gazebook.ledger import Ledger
from gazebook.runs import PROFILES, Run

NOT_IN_BRACKETS = re.compile(r",(?![^(]*\))")  # commas
WHAT = {
    "demo": "procedural scenes and tiny nets, made in minutes: trends, not accuracies",
    "cpu": "real images, small nets, a reduced grid",
    "paper": "the full grid, with the paper's net and length of training where they are known",
}


def head(profile: str, runs: Iterable[Run], ledger: Ledger) -> Markdown:
    """A note for the top of a page: its profile, its data, how many of its runs are there. Raises GazebookError on none."""
    if profile not in PROFILES:
        raise GazebookError(f"unknown profile {profile!r}; choose from {', '.join(PROFILES)}")
    runs = list(dict.fromkeys(runs))
    records = list(ledger.records(runs))
    if not records:
        raise GazebookError(
            f"no run of this page is in the ledger; train them with: gazebook grid {runs[0].study} --profile {profile}"
        )
    sources = sorted({NOT_IN_BRACKETS.split(r.provenance["data"]["source"])[0] for r in records})
    seeds = sorted({r.run.seed for r in records})
    text = f"**Profile `{profile}`** ({WHAT[profile]}). Data: {', '.join(sources)}. {len(records)} of {len(runs)} runs, "
    text += f"{len(seeds)} seed{'s' * (len(seeds) != 1)}."
    if profile == "demo":
        text += " The published edition shows the same page on real images."
    return Markdown(f"> {text}")


def foot(profile: str, runs: Iterable[Run], ledger: Ledger, **parameters) -> HTML:
    """The provenance of a page: profile, parameters in force, versions, devices, wall time, ledger keys."""
    records = list(ledger.records(dict.fromkeys(runs)))
    origins = [r.provenance for r in records]
    seconds = sum(o["seconds"] for o in origins)
    days = sorted(o["date"][:10] for o in origins)
    fields = {
        "profile": profile,
        "parameters": ", ".join(f"{name} = {value!r}" for name, value in parameters.items()) or "none",
        "runs": f"{len(records)}, trained in {_duration(seconds)} of one worker's time",
        "gazebook": _distinct(f"{o['gazebook']} ({o['commit']})" for o in origins),
        "versions": _distinct(f"Python {o['python']}, torch {o['torch']}" for o in origins),
        "device": _distinct(o["device"] for o in origins),
        "data": _distinct(f"{o['data']['source']}, test images sha256 {o['data']['test_sha256'][:12]}" for o in origins),
        "dates": days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}",
    }
    rows = "".join(f"<tr><th scope='row'>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in fields.items())
    keys = " ".join(f"<code>{r.run.key}</code>" for r in records)
    return HTML(
        f"<details class='provenance'><summary>Provenance: how these numbers came about</summary><table>{rows}</table>"
        f"<details><summary>Ledger keys of the {len(records)} runs</summary><p>{keys}</p></details></details>"
    )


def figure(key: str, fig: Figure) -> None:
    """Glue a figure under `key`, for a numbered and captioned `glue:figure` directive on the page."""
    glue(key, fig, display=False)
    plt.close(fig)  # or the cell would show it a second time


def table(key: str, frame: pd.DataFrame, floatfmt: str | tuple[str, ...] = ".3f", **options) -> None:
    """Glue a table under `key`, for a numbered and captioned `table` directive on the page; an empty one says so."""
    if frame.empty:
        frame = pd.DataFrame({"": ["too few runs for it"]})
    shown = frame.astype(object).where(frame.notna(), None)  # NaN would be printed
    text = shown.to_markdown(floatfmt=floatfmt, missingval="", **options)
    glue(key, Markdown(text), display=False)


def interval(value: float, low: float, high: float, unit: str, digits: int = 2) -> str:
    """'+0.12 points, 95% interval -0.30 to +0.54'; says so when there are too few seeds for an interval."""
    text = f"{value:+.{digits}f} {unit}"
    if not (np.isfinite(low) and np.isfinite(high)):
        return f"{text} (one seed: no interval)"
    return f"{text}, 95% interval {low:+.{digits}f} to {high:+.{digits}f}"


def _distinct(values: Iterable[str]) -> str:
    return "; ".join(sorted(set(values)))


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{max(minutes, 1)} min"
