"""The ledger: results on disk, one small file a run, atomic and content-addressed.

A record is a zip file named by its run's key. It holds `record.json` (run, rows, history, provenance) and one .npy
file for each array that figures need. Files appear whole or not at all, so any number of processes may fill one
folder, and two ledgers merge by copying.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from gazebook.errors import GazebookError
from gazebook.files import atomic_write, user_path
from gazebook.runs import Run

SUFFIX = ".run.zip"
LARGEST = 10**9  # bytes that a record may unpack to; the largest published one has some millions


@dataclass(frozen=True)
class Record:
    """What one run gave: a row a condition, the training history, arrays for figures, and where it comes from."""

    run: Run
    rows: list[dict]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    history: list[dict] = field(default_factory=list)
    provenance: dict = field(default_factory=dict)


class Ledger:
    """A folder of records. `published` names further folders that are read, never written."""

    def __init__(self, folder: str | Path, published: Iterable[str | Path] = ()):
        self.folder = Path(folder)
        self.folders = (self.folder, *(Path(p) for p in published))
        self._damaged: set[tuple[Path, int]] = set()  # records, with the time of their last change, that cannot be read

    @classmethod
    def default(cls) -> Ledger:
        """`$GAZEBOOK_RESULTS`, else results/ in the project; the published results of the project are read as well."""
        project = project_folder()
        folder = user_path(os.environ.get("GAZEBOOK_RESULTS") or (project or Path.cwd()) / "results")
        return cls(folder, [project / "book" / "results"] if project else [])

    @property
    def work(self) -> Path:
        """Locks, checkpoints and logs of runs in flight."""
        return self.folder / ".work"

    def __contains__(self, run: Run) -> bool:
        return self.file(run) is not None

    def missing(self, runs: Iterable[Run], verify: bool = False) -> list[Run]:
        """The runs that have no record, in the given order; with `verify` also those whose record is damaged, each told in a
        line.
        """
        runs = list(runs)
        for file in filter(None, map(self.file, runs)) if verify else ():
            try:
                _read(file)
            except GazebookError as error:
                self._damaged.add((file, file.stat().st_mtime_ns))
                print(f"gazebook: {error}", file=sys.stderr)
        return [run for run in runs if run not in self]

    def keys(self) -> list[str]:
        """All keys, sorted."""
        return sorted({f.name.removesuffix(SUFFIX) for folder in self.folders for f in folder.glob(f"*{SUFFIX}")})

    def read(self, run: Run) -> Record:
        """The record of a run. Raises GazebookError when it is missing or damaged."""
        file = self.file(run)
        if file is None:
            raise GazebookError(
                f"run {run.key} ({describe(run)}) is not in {self.folder}; train it with: gazebook grid {run.study} "
                "--profile NAME, or by its notebook with train: true"
            )
        return _read(file)

    def write(self, record: Record) -> Path:
        """Store a record atomically and return its file. Raises GazebookError when the disk is full or read-only."""
        target = self.folder / f"{record.run.key}{SUFFIX}"
        with atomic_write(target, "free disk space or set GAZEBOOK_RESULTS to another folder") as partial:
            partial.write_bytes(_encode(record))
        return target

    def merge(self, other: Ledger, runs: Iterable[Run] | None = None) -> int:
        """Copy the records (of `runs`, or all) that `other` has and this one has not; returns how many.

        A damaged record raises GazebookError and is not copied.
        """
        keys = other.keys() if runs is None else [run.key for run in runs if run in other]
        new = [key for key in keys if not (self.folder / f"{key}{SUFFIX}").exists()]
        for key in new:
            source = next(f for f in (folder / f"{key}{SUFFIX}" for folder in other.folders) if f.exists())
            self.write(_read(source))
        return len(new)

    def merge_weights(self, other: Ledger, runs: Iterable[Run]) -> int:
        """Copy the trained weights of `runs` that `other` has and this one has not; returns how many."""
        pairs = [(other.weights_file(run), self.folder / "weights" / f"{run.training.key}.safetensors") for run in runs]
        new = [(source, target) for source, target in pairs if source.exists() and not target.exists()]
        for source, target in new:
            with atomic_write(target) as partial:
                shutil.copyfile(source, partial)
        return len(new)

    def records(self, runs: Iterable[Run]) -> Iterator[Record]:
        """The records of those of `runs` that are there."""
        return (self.read(run) for run in runs if run in self)

    def frame(self, runs: Iterable[Run]) -> pd.DataFrame:
        """A tidy table: a row for each run that is there and each of its conditions; the run's fields, its key, the metrics."""
        rows = [
            {**{k: _cell(v) for k, v in record.run.to_dict().items()}, "key": record.run.key, **row}
            for record in self.records(runs)
            for row in record.rows
        ]
        return pd.DataFrame(rows)

    def file(self, run: Run) -> Path | None:
        """The file of a run's record; None without one, or where it is known to be damaged."""
        files = (folder / f"{run.key}{SUFFIX}" for folder in self.folders)
        return next((f for f in files if f.exists() and (f, f.stat().st_mtime_ns) not in self._damaged), None)

    def weights_file(self, run: Run) -> Path:
        """Where the trained weights of a run are kept, or will be; runs that differ in their evaluation share one file."""
        files = [folder / "weights" / f"{run.training.key}.safetensors" for folder in self.folders]
        return next((f for f in files if f.exists()), files[0])


def describe(run: Run) -> str:
    """A run in a few words, for people."""
    if run.updates == 0:
        return f"pretrained {run.trunk} on {run.data}"
    length = f"{run.updates} updates" if run.updates else f"{run.epochs} epochs"
    images = run.data if run.variant == "original" else f"{run.data} ({run.variant})"
    return f"{run.head} {run.trunk} on {images}, {run.augmentation}, {run.fraction:.0%}, {length}, seed {run.seed}"


def project_folder() -> Path | None:
    """The checkout that holds the current folder, or the one that an editable install points to; None without one."""
    for start in (Path.cwd(), Path(__file__).parent):
        for folder in (start, *start.parents):
            if (folder / "_config.yml").exists() and (folder / "lib" / "gazebook").is_dir():
                return folder
    return None


def _encode(record: Record) -> bytes:
    text = {
        "run": record.run.to_dict(),
        "key": record.run.key,
        "rows": record.rows,
        "history": record.history,
        "provenance": record.provenance,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(_entry("record.json"), json.dumps(text, indent=1, allow_nan=False))
        for name, array in record.arrays.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            archive.writestr(_entry(f"{name}.npy"), content.getvalue())
    return buffer.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    """A zip entry without the time of day: the same record is the same file."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _read(file: Path) -> Record:
    try:
        with zipfile.ZipFile(file) as archive:
            if (size := sum(entry.file_size for entry in archive.infolist())) > LARGEST:
                raise ValueError(f"it unpacks to {size / 1e9:.1f} GB")
            text = json.loads(archive.read("record.json"), parse_constant=_refuse)
            arrays = {
                Path(name).stem: np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
                for name in archive.namelist()
                if name.endswith(".npy")
            }
            run = Run.from_dict(text["run"])
            if f"{run.key}{SUFFIX}" != file.name:
                raise ValueError(f"it is of run {run.key}")
            if not isinstance(text["provenance"], dict) or not all(isinstance(row, dict) for row in text["rows"]):
                raise TypeError("its rows or its provenance are none")
            return Record(run, text["rows"], arrays, text["history"], text["provenance"])
    except (zipfile.BadZipFile, zlib.error, OSError, KeyError, ValueError, EOFError, TypeError) as error:
        raise GazebookError(f"the record {file} is damaged ({error}); delete it and run again") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} stands where a number should")


def _cell(value):
    """Lists and dicts as text, so that a table can be grouped by any column."""
    with contextlib.suppress(TypeError):
        hash(value)
        return value
    return json.dumps(value)
