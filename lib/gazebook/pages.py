"""What every chapter shows about itself: numbered tables, the profile at its head, the provenance at its foot."""

import base64
import html
import inspect
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from textwrap import dedent

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, SVG, Markdown, display
from IPython.display import Image as Picture
from matplotlib.figure import Figure
from myst_nb import glue
from PIL import Image

from gazebook import evidence, papers, plots
from gazebook.errors import GazebookError, check_known
from gazebook.evidence import Finding
from gazebook.ledger import Ledger
from gazebook.runs import PROFILES, Run

REFERENCE = ("data", "images", "models", "explain", "train", "metrics", "measure", "evidence", "papers")  # pages; else engine
NOT_IN_BRACKETS = re.compile(r",(?![^(]*\))")  # commas
WHAT = {
    "demo": "procedural scenes and tiny nets, made in minutes: trends, not accuracies",
    "cpu": "real images and drawn scenes, small networks",
    "paper": "the full grid, with the paper's network and length of training where they are known",
}


class Chapter:
    """A chapter of a paper: `axes` in force, the `runs` it shows, the `ledger`, and on demand the frame and the findings.

    Where a paper is studied at several scales, `axes` are those of the scale that is shown.
    """

    def __init__(self, name: str, profile: str, runs: Callable, train: bool, parameters: dict):
        self.paper, self.profile, self.parameters = papers.paper(name), profile, parameters
        self.name, self.ledger = name, Ledger.default()
        self.all_axes = self.paper.axes(profile, **parameters)
        shown = getattr(self.paper, "shown", lambda axes, ledger: axes)
        self.axes = shown(self.all_axes, self.ledger)
        self.runs: list[Run] = list(dict.fromkeys(runs(self.axes)))
        if train:
            papers.complete(self.runs, self.ledger)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The frame of the runs of `axes` that are there."""
        whole = self.all_scales
        return whole if self.axes == self.all_axes else evidence.select(whole, scale=self.axes.scale)

    @cached_property
    def all_scales(self) -> pd.DataFrame:
        """The frame of all scales at which the paper is studied."""
        return self.paper.results(self.ledger, self.all_axes)

    @cached_property
    def findings(self) -> dict[int, dict[str, Finding]]:
        """The findings on all claims of the paper by scale (the largest first) and name."""
        found = papers.findings(self.name, self.all_scales)
        return {scale: {f.claim.name: f for f in own} for scale, own in found.items()}

    def finding(self, name: str) -> Finding:
        """The finding on a claim at the scale that is shown."""
        scale = getattr(self.axes, "scale", 0)
        return self.findings.get(scale, next(iter(self.findings.values())))[name]

    def card(self, *numbers: str | int) -> pd.DataFrame:
        """The claims of these numbers (4 stands for 4a, 4b ...; none: all): claim, the paper's evidence, ours and the verdict,
        at each scale.
        """
        wanted = {str(number) for number in numbers}
        rows = {}
        for scale, found in self.findings.items():
            for name, f in found.items():
                if not wanted or name in wanted or name.rstrip("abcd") in wanted:
                    row = rows.setdefault(name, {"claim": f.claim.text, "paper": f.claim.paper})
                    title = f"ours, {scale:,} images" if len(self.findings) > 1 else "ours"
                    why = f" ({f.why})" if f.verdict == evidence.Verdict.NOT_TESTABLE and len(self.findings) == 1 else ""
                    row[title] = f"**{f.verdict}**{why}: {f.evidence}"
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("no.")

    def counts(self, own: bool = False, scale: int | None = None) -> dict[str, int]:
        """How many of the paper's claims (or of this book's) have which verdict at a scale (that which is shown)."""
        scale = getattr(self.axes, "scale", 0) if scale is None else scale
        found = self.findings.get(scale, next(iter(self.findings.values()))).values()
        verdicts = [f.verdict for f in found if f.claim.own == own]
        return {str(v): verdicts.count(v) for v in evidence.Verdict}

    def answer(self, name: str, sentences: dict[str, str]) -> str:
        """The sentence that fits the verdict on a claim ("else" for those not named), with its evidence: at the largest scale
        that decides it, else at the one that is shown.
        """
        found = {scale: own[name] for scale, own in self.findings.items()}
        decided = {scale: f for scale, f in found.items() if str(f.verdict) in ("supported", "contradicted", "mixed")}
        scale, finding = next(iter(decided.items()), (getattr(self.axes, "scale", 0), self.finding(name)))
        at = f", {scale:,} training images" if len(found) > 1 else ""
        why = f"; not testable here, {finding.why}" if finding.verdict == evidence.Verdict.NOT_TESTABLE else ""
        return f"{sentences.get(str(finding.verdict), sentences['else']).rstrip('.')} ({finding.evidence}{at}{why})."

    def foot(self) -> HTML:
        """The provenance of the page."""
        return foot(self.profile, self.runs, self.ledger, **self.parameters)


def open(name: str, profile: str, runs: Callable[..., list[Run]], *, train: bool = True, **parameters) -> Chapter:
    """Open a chapter of a paper: `runs(axes)` are those that it shows, trained now if they are missing and `train` is set;
    `parameters` are those of the paper's `axes`. Shows the note for the top of the page. Raises GazebookError.
    """
    check_known("profile", profile, PROFILES)
    plots.theme()
    chapter = Chapter(name, profile, runs, train, parameters)
    display(head(profile, chapter.runs, chapter.ledger))
    return chapter


def source(function: Callable) -> Markdown:
    """The code of a function of this library, as it computed the numbers of the page, with its page of the reference."""
    module = inspect.getmodule(function).__name__
    package = module.split(".")[1]
    page = package if package in REFERENCE else "engine"
    link = f"[`{module}`](../../reference/{page}.md)"
    return Markdown(f"{link}\n\n```python\n{dedent(inspect.getsource(function)).rstrip()}\n```")


FORMER_NAMES = {"procedural scenes (fine-grained)": "procedural fine-grained scenes"}  # in records of earlier versions


def head(profile: str, runs: Iterable[Run], ledger: Ledger) -> Markdown:
    """A note for the top of a page: its profile, its data, how many of its runs are there. Raises GazebookError on none."""
    runs = list(dict.fromkeys(runs))
    records = list(ledger.records(runs))
    if not records:
        raise GazebookError(
            f"no run of this page is in the ledger; train them with: gazebook grid {runs[0].study} --profile {profile}"
        )
    named = {NOT_IN_BRACKETS.split(r.provenance["data"]["source"])[0] for r in records}
    sources = sorted({FORMER_NAMES.get(name, name).replace("pictures", "images") for name in named})
    seeds = sorted({r.run.seed for r in records})
    text = f"**Profile `{profile}`** ({WHAT[profile]}). Data: {', '.join(sources)}. {len(records)} of {len(runs)} runs, "
    text += f"{len(seeds)} seed{'s' * (len(seeds) != 1)}; verdicts are of all runs of the part."
    if profile == "demo":
        text += " The published edition shows the same page on real images."
    else:
        text += f' To repeat it, open the notebook behind the rocket and set `profile = "{profile}"`.'
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


def slideshow(label: str, frames: Mapping[str, np.ndarray], alt: str, start: int = 0) -> HTML:
    """Images uint8 [H, W, 3] by caption that a slider goes through, by its arrow keys too; without scripts that at `start`.

    Everything is in the page: no server and no library is needed.
    """
    shown = []
    for image in frames.values():
        content, factor = io.BytesIO(), max(1, 256 // image.shape[0])
        Image.fromarray(image.repeat(factor, axis=0).repeat(factor, axis=1)).save(content, "PNG", optimize=True)
        shown.append(f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}")
    captions = [html.escape(caption) for caption in frames]
    options = json.dumps([shown, list(frames)]).replace("<", "\\u003c")
    code = (
        "const own=this.closest('.slideshow'),[images,captions]=JSON.parse(own.querySelector('script').textContent);"
        "own.querySelector('img').src=images[this.value];own.querySelector('output').value=captions[this.value];"
        "this.setAttribute('aria-valuetext',captions[this.value])"
    )
    return HTML(
        f'<figure class="slideshow"><script type="application/json">{options}</script>'
        f'<img class="dark-light" src="{shown[start]}" alt="{html.escape(alt)}">'
        f'<label>{html.escape(label)} <input type="range" min="0" max="{len(frames) - 1}" value="{start}" '
        f'aria-valuetext="{captions[start]}" oninput="{code}"></label> <output>{captions[start]}</output></figure>'
    )


def figure(key: str, fig: Figure) -> None:
    """Glue a figure under `key`, for a numbered and captioned `glue:figure` directive on the page: an SVG, or a PNG where it
    holds images.
    """
    kind = "png" if any(ax.images for ax in fig.axes) else "svg"
    content = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None  # the same figure is the same file
    fig.savefig(content, format=kind, dpi=fig.dpi, bbox_inches="tight", metadata=metadata)
    glue(key, Picture(content.getvalue()) if kind == "png" else SVG(content.getvalue().decode()), display=False)
    plt.close(fig)  # or the cell would show it a second time


def table(key: str, frame: pd.DataFrame, floatfmt: str | tuple[str, ...] = ".3f", **options) -> None:
    """Glue a table under `key`, for a numbered and captioned `table` directive on the page; an empty one says so."""
    if frame.empty:
        frame = pd.DataFrame({"": ["too few runs for it"]}, index=[""])
    shown = frame.map(_escaped).rename(index=_escaped, columns=_escaped).rename_axis(_escaped(frame.index.name))
    shown = shown.astype(object).where(frame.notna().to_numpy(), None)  # last: `map` would make NaN of None, and "nan" of that
    # "z": no -0.00
    formats = floatfmt.replace(".", "z.") if isinstance(floatfmt, str) else [f.replace(".", "z.") for f in floatfmt]
    glue(key, Markdown(shown.to_markdown(floatfmt=formats, missingval="", **options)), display=False)


def _escaped(cell: object) -> object:
    """Text as it may stand in a table of Markdown."""
    return cell.replace("|", "\\|") if isinstance(cell, str) else cell


def _distinct(values: Iterable[str]) -> str:
    return "; ".join(sorted(set(values)))


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{max(minutes, 1)} min"
