"""The command line."""

import re
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from gazebook.errors import GazebookError, check_known
from gazebook.files import atomic_write, check_output, printable
from gazebook.ledger import Ledger, describe, project_folder
from gazebook.machine import keep_memory
from gazebook.runs import PROFILES

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A reproducible study book: what do image classifiers look at?",
)

Profile = Annotated[str, typer.Option("--profile", help=f"Which results: {', '.join(PROFILES)}.")]
Workers = Annotated[int | None, typer.Option(help="Processes that train at once; default: one a core, two on a GPU.", min=1)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, or another of torch's.")]
Scheduler = Annotated[
    str | None,
    typer.Option(help="Address of a running Dask cluster that trains, such as tcp://10.0.0.5:8786.", metavar="ADDRESS"),
]
Budget = Annotated[str | None, typer.Option(help="Stop cleanly before this time has passed: 9m, 2h, 1h30m.")]


@app.command(epilog="Examples: gazebook book · gazebook book --profile cpu --no-train · gazebook book --profile published")
def book(
    profile: Annotated[
        str,
        typer.Option("--profile", help=f"Which results: {', '.join(PROFILES)}; or published: the best there is."),
    ] = "demo",
    train: Annotated[bool, typer.Option(help="Train the runs that the ledger lacks.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Execute every notebook, also those that are up to date.")] = False,
    workers: Workers = None,
    device: Device = "auto",
    scheduler: Scheduler = None,
) -> None:
    """Train what is missing, execute the notebooks, render the book, print the path of its first page."""
    from gazebook import book as pages
    from gazebook.notebooks import project

    started = time.monotonic()
    folder = project()
    known = profile if profile == pages.PUBLISHED else _known(profile)
    train = train and profile != pages.PUBLISHED
    with _stoppable(), pages.alone(folder):
        given = {"profile": known, "train": train}
        pages.make(folder, given, force, workers=workers, device=device, scheduler=scheduler)
        typer.echo("rendering", err=True)
        index = pages.render(folder)
    typer.echo(f"{index}")
    typer.echo(f"done in {time.monotonic() - started:.0f} s", err=True)


@app.command(
    epilog="Examples: gazebook run notebooks/scribe/implicit-background.ipynb -p augmentation crop · "
    "gazebook run notebooks/scribe/overfitting-without-labels.ipynb -p profile cpu -p seeds '[0]' --output mine.ipynb"
)
def run(
    notebook: Annotated[Path, typer.Argument(help="A notebook of the book.")],
    parameter: Annotated[
        list[str] | None, typer.Option("-p", help="NAME VALUE, as often as needed.", metavar="NAME VALUE")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Where the executed notebook goes; default: results/notebooks/.")] = None,
    profile: Annotated[str | None, typer.Option("--profile", help="Short for -p profile NAME.")] = None,
    timeout: Annotated[str | None, typer.Option(help="End a cell that runs for longer: 10m, 1h.")] = None,
) -> None:
    """Execute one notebook with other parameters. Runs that are in the ledger are not trained again."""
    from gazebook import book as pages

    given = _pairs(parameter or []) | ({"profile": _known(profile)} if profile is not None else {})
    target = output or Ledger.default().folder / "notebooks" / notebook.name
    if target.suffix != ".ipynb":
        raise GazebookError(f"the output {target} is not a notebook; give a name that ends in .ipynb")
    with _stoppable():
        typer.echo(pages.execute(notebook, target, given, timeout=None if timeout is None else parse_budget(timeout)))


@app.command(
    epilog="Examples: gazebook grid scribe · gazebook grid scribe backgrounds --profile cpu --budget 2h · "
    "gazebook grid scribe --scheduler tcp://10.0.0.5:8786"
)
def grid(
    papers: Annotated[
        list[str], typer.Argument(help="scribe, backgrounds, foregrounds, distraction, synthesis.", metavar="PAPER...")
    ],
    profile: Profile = "demo",
    budget: Budget = None,
    workers: Workers = None,
    device: Device = "auto",
    scheduler: Scheduler = None,
) -> None:
    """Train and record the missing runs of papers; survives being killed, and goes on where it was."""
    from gazebook.papers import complete
    from gazebook.papers import grid as runs_of

    seconds = None if budget is None else parse_budget(budget)
    runs = [run for paper in papers for run in runs_of(paper, profile)]
    with _stoppable():
        outcome = complete(runs, Ledger.default(), workers=workers, device=device, budget=seconds, scheduler=scheduler)
    text = f"{outcome.done} runs recorded, {outcome.missing} missing"
    typer.echo(text + ("; the budget is spent: the same call goes on from here" if outcome.budget_spent else ""))


@app.command(epilog="Example: gazebook status --profile cpu")
def status(profile: Profile = "demo") -> None:
    """What is done, what is missing, and how long it will take."""
    from gazebook.engine import cost
    from gazebook.machine import default_workers
    from gazebook.papers import PAPERS
    from gazebook.papers import grid as runs_of

    ledger = Ledger.default()
    for name in PAPERS:
        runs = runs_of(name, _known(profile))
        missing = ledger.missing(runs)
        line = f"{name} {profile}: {len(runs) - len(missing)} of {len(runs)} runs done"
        done = [r.provenance for r in ledger.records(runs)]
        if missing and done:
            shown = sum(cost(r) for r in runs if r in ledger)
            seconds = sum(cost(r) for r in missing) * sum(o["seconds"] for o in done) / max(shown, 1)
            line += f"; {len(missing)} missing, about {seconds / 60:.0f} min of one worker ({default_workers('cpu')} here)"
        elif missing:
            line += f"; {len(missing)} missing"
        typer.echo(line)
        for run_ in missing[:10]:
            typer.echo(f"  missing {run_.key} {describe(run_)}")
        if len(missing) > 10:
            typer.echo(f"  and {len(missing) - 10} more")


@app.command(epilog="Examples: gazebook data · gazebook data cifar10 --root /path/to/folder")
def data(
    name: Annotated[str, typer.Argument(help="A data set; scenes needs no files.")] = "scenes",
    root: Annotated[Path | None, typer.Option(help="Folder to look in; default: $GAZEBOOK_DATA, or the cache.")] = None,
) -> None:
    """Find (or make, or download) a data set and say what it holds."""
    from gazebook import data as sets

    failed = []
    for split in sets.SPLITS:
        try:
            found = sets.load(name, split, root=root)
        except GazebookError as error:  # some sets have but one split
            failed.append(error)
            continue
        shape = "x".join(map(str, found.images.shape[2:]))
        typer.echo(f"{name} {split}: {len(found)} images of {shape} px, {found.num_classes} classes, from {found.source}")
        typer.echo(f"  sha256 {found.fingerprint}")
    if len(failed) == len(sets.SPLITS):
        raise failed[-1]
    for error in failed:
        typer.echo(error)


@app.command(epilog="Examples: gazebook claims --profile cpu · gazebook claims --profile cpu --csv claims.csv")
def claims(
    profile: Profile = "demo",
    csv: Annotated[Path | None, typer.Option(help="Write one row per paper, scale and claim.")] = None,
) -> None:
    """The claims of every paper with our evidence and verdict at each scale, from the runs in the ledger."""
    from gazebook.papers import PAPERS, scorecards

    table = scorecards(Ledger.default(), _known(profile))
    if csv is not None:
        with atomic_write(csv, "give another --csv") as partial:
            table.to_csv(partial, index=False)
    for (name, scale), card in table.groupby(["part", "scale"], sort=False):
        counts = ", ".join(f"{n} {verdict}" for verdict, n in card["verdict"].value_counts().items())
        typer.echo(f"{PAPERS[name].TITLE}{f', {scale:,} images' if scale else ''}: {counts}")
        for row in card.itertuples(index=False):
            typer.echo(f"{row[2]:>4}  {row.verdict:<17} {row.claim}\n      paper: {row.paper}\n      ours: {row.ours}")
    if csv:
        typer.echo(f"{csv}")


@app.command(
    epilog="Examples: gazebook measure efficientnet-lite0 photos/ --html report.html · gazebook measure timm/resnet50.a1_in1k "
    "mynet.onnx photos/ --rulers erasing,corruption · gazebook measure mypackage.nets:make_net scenes --size 32 --limit 200"
)
def measure(
    arguments: Annotated[
        list[str], typer.Argument(help="Models (a name of timm, torchvision/NAME, PACKAGE.MODULE:NAME, a .safetensors, .onnx, "
                                  ".tflite, .pt or .pt2 file), then a folder of images or a data set of the book.",
                                  metavar="MODEL... IMAGES"),
    ],
    rulers: Annotated[str, typer.Option(help="Some of the rulers, joined by commas; default: all that can be used.")] = "",
    html: Annotated[Path | None, typer.Option(help="Write a self-contained report.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write one row per model and measure.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON instead of the table.")] = False,
    limit: Annotated[int | None, typer.Option(help="Use at most so many images.", min=1)] = None,
    labels: Annotated[Path | None, typer.Option(help="Names of the models' classes, one a line.")] = None,
    map: Annotated[Path | None, typer.Option(help="CSV: MODEL_CLASS,FOLDER_CLASS; ImageNet's is built in.")] = None,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Class folders are no labels.")] = False,
    size: Annotated[int | None, typer.Option(help="Side of the models' input in pixels.", min=8, max=4096)] = None,
    mean: Annotated[str | None, typer.Option(help="Mean of red, green, blue in [0, 1], such as .485,.456,.406.")] = None,
    std: Annotated[str | None, typer.Option(help="Standard deviation, such as .229,.224,.225.")] = None,
    crop: Annotated[float | None, typer.Option(help="Middle share of each side that the models see.")] = None,
    device: Device = "auto",
) -> None:  # fmt: skip
    """Measure classifiers with every ruler of the book, on your images: what do they look at?"""
    from gazebook import survey_report
    from gazebook.machine import choose_device
    from gazebook.measure import survey as surveys
    from gazebook.measure.opened import open_model, unique_names
    from gazebook.measure.source import Source
    from gazebook.measure.standard import chosen_rulers
    from gazebook.models.formats import Preprocessing

    *specs, where = arguments
    if not specs:
        raise GazebookError("give at least one model and then the images, such as: gazebook measure efficientnet-lite0 photos/")
    wanted = tuple(filter(None, (name.strip() for name in rulers.split(","))))
    chosen_rulers(wanted)
    surveys.is_data_set(where)
    for file, option in ((html, "--html"), (csv, "--csv")):
        if file is not None:
            check_output(file, f"give another {option}")
    given = Preprocessing(size, _colours("--mean", mean), _colours("--std", std), crop)
    device, names, failed, opened = choose_device(device), _lines(labels), [], []
    started = time.monotonic()
    with _stoppable("nothing was written"):
        for spec in specs:
            try:
                opened.append(open_model(spec, given, labels=names, device=device))
            except GazebookError as error:
                failed.append(str(error))
        if not opened:
            raise GazebookError("; ".join(failed))
        models = unique_names(opened)
        images = surveys.open_images(where, max(m.size for m in models), limit=limit, labels=not no_labels)
        source = Source.of(images, limit)
        found = surveys.survey(models, source, wanted, map_file=map, device=device)
    failed += found.failed
    if not len(found.frame) and not found.stopped:
        raise GazebookError("; ".join(failed) or f"no ruler fits: {'; '.join(found.left_out)}")
    cut = None if source.cuttable is None else len(source.cut)
    said = survey_report.notes(found, models, getattr(images, "skipped", {}), cut)
    told = [f"Could not be measured: {line}" for line in failed]
    if csv and len(found.frame):
        with atomic_write(csv, "give another --csv") as partial:
            found.frame.to_csv(partial, index=False)
    if html and len(found.frame):
        survey_report.write_page(html, found, models, told + said, images.name, time.monotonic() - started)
    typer.echo(found.frame.to_json(orient="records") if json else survey_report.summary(found).to_string())
    for line in (*(f"note: {note}" for note in said), *filter(None, (csv, html))):
        typer.echo(line, err=json)
    if found.stopped:
        typer.echo("gazebook: stopped; what was finished is written", err=True)
        raise typer.Exit(128 + signal.SIGINT)
    if failed:
        raise GazebookError(f"{len(failed)} of {len(specs)} models could not be measured: {'; '.join(failed)}")


def _colours(option: str, text: str | None) -> tuple[float, float, float] | None:
    """Three numbers, joined by commas, or one for all colours."""
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3) or not all(abs(n) <= 255 for n in numbers):
        raise GazebookError(
            f"{option} is {text[:40]!r}; give a number, or three of red, green and blue, such as .485,.456,.406"
        )
    return tuple(numbers * (3 // len(numbers)))


def _lines(file: Path | None) -> tuple[str, ...] | None:
    """The lines of a file of names."""
    if file is None:
        return None
    try:
        return tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except UnicodeDecodeError as error:
        raise GazebookError(f"{file} is no text of UTF-8; save it again") from error


@app.command(
    epilog="Examples: gazebook audit photos/ · gazebook audit photos/ results/weights/*.safetensors --html report.html"
)
def audit(
    images: Annotated[str, typer.Argument(help="A folder of images; no labels are needed.")],
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Models with class maps, as of `measure`; default: those that come with the project."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a self-contained report.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write one row per model and measure.")] = None,
    limit: Annotated[int | None, typer.Option(help="Use at most so many images.", min=1)] = None,
    size: Annotated[int | None, typer.Option(help="Side of the models' input in pixels.", min=8, max=4096)] = None,
    device: Device = "auto",
) -> None:
    """Rank models by overfitting, without labels: short for `measure MODEL... IMAGES --rulers sparsity --no-labels`."""
    chosen = models or published_models()
    if not chosen:
        raise GazebookError("no model is given and none comes with this installation; give SCrIBE checkpoints")
    measure([*chosen, images], "sparsity", html, csv, limit=limit, no_labels=True, size=size, device=device)


@app.command(epilog="Example: gazebook publish --profile cpu")
def publish(profile: Profile) -> None:
    """Copy the records of a profile, and the weights of a few models, from the working ledger to book/results/."""
    from gazebook.notebooks import project
    from gazebook.papers import PAPERS
    from gazebook.papers import grid as runs_of

    published = Ledger(project() / "book" / "results")
    runs = [run for name in PAPERS for run in runs_of(name, _known(profile))]
    copied = published.merge(Ledger.default(), runs)
    kept = [run for paper in PAPERS.values() for run in paper.checkpoints(paper.AXES[profile])]
    weights = published.merge_weights(Ledger.default(), kept)
    typer.echo(
        f"{copied} records copied to {published.folder}, {len(published.missing(runs))} of {len(runs)} are missing there; "
        f"weights of {weights} models copied"
    )


def published_models() -> list[str]:
    """The checkpoints of one recipe, trained for equal epochs, that come with the project's checkout."""
    from gazebook.train import checkpoint

    folder = project_folder()
    files = sorted((folder / "book" / "results" / "weights").glob("*.safetensors")) if folder else []
    runs = {str(file): checkpoint.run_of(file) for file in files}
    return [file for file, run in runs.items() if run.study == "scribe" and "updates" not in run.canonical()]


def parse_budget(text: str) -> float:
    """'9m', '2h', '90s', '1h30m' or plain seconds -> seconds. Raises GazebookError."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text.strip())
    if not text.strip() or not match or len(text) > 12:
        raise GazebookError(f"cannot read the time {text[:40]!r}; write it like 9m, 2h or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


class _Stopped(KeyboardInterrupt):
    """The signal that asked the program to end."""


def _stop(number: int, _frame) -> None:
    raise _Stopped(number)


@contextmanager
def _stoppable(then: str = "the same call goes on from here"):
    """Ctrl-C and its like end long work with one line that says what becomes of it."""
    try:
        yield
    except KeyboardInterrupt as stop:
        typer.echo(f"gazebook: stopped; {then}", err=True)
        raise typer.Exit(128 + (stop.args[0] if stop.args else signal.SIGINT)) from None


def _known(profile: str) -> str:
    check_known("profile", profile, PROFILES)
    return profile


def _pairs(words: list[str]) -> dict[str, str]:
    return dict(word.split("\0", 1) for word in words)


def _join_parameters(arguments: list[str]) -> list[str]:
    """papermill's `-p NAME VALUE` as the single value that the parser expects of an option."""
    joined, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        joined.append(word)
        if word == "-p":
            if len(rest) < 2:
                raise GazebookError("-p needs a NAME and a VALUE, such as: -p profile cpu")
            joined.append(f"{rest.pop(0)}\0{rest.pop(0)}")
    return joined


def main() -> None:
    """Entry point: errors that a user can act on become one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):  # a console that lacks a character shows its code
        stream.reconfigure(errors="backslashreplace")
    keep_memory()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _stop)
    try:
        app(_join_parameters(sys.argv[1:]))
    except GazebookError as error:
        typer.echo(f"gazebook: {printable(error)}", err=True)
        sys.exit(2)
    except OSError as error:  # a path that is too long, locked, or gone
        place = f"{error.filename}: " if error.filename else ""
        typer.echo(f"gazebook: {printable(f'{place}{error.strerror or error}')}; correct the path or its permissions", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
