"""Where data is looked for, and what is said when it is not there."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from gazebook.errors import GazebookError


def cache_folder() -> Path:
    """The user's cache folder for gazebook; downloads go there."""
    return Path(platformdirs.user_cache_dir("gazebook"))


def search_folders(name: str, root: str | Path | None = None) -> list[Path]:
    """Folders that may hold data set `name`, best first: `root`, else $GAZEBOOK_DATA, else the user's cache."""
    if root is not None:
        root = Path(root)
        if not root.is_dir():
            raise GazebookError(f"data folder {root} does not exist; correct root, or leave it out")
        return [root / name, root]
    places = [Path(os.environ["GAZEBOOK_DATA"]) / name] if os.environ.get("GAZEBOOK_DATA") else []
    return [*places, cache_folder() / "data" / name]


@contextmanager
def staging(target: Path):
    """A temporary folder beside `target` that becomes `target` on success and vanishes on any error."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise GazebookError(
            f"cannot write to {target.parent} ({error.strerror}); set GAZEBOOK_DATA to a folder that you may write to"
        ) from error
    try:
        yield partial
        try:
            os.replace(partial, target)
        except OSError:
            if not target.is_dir():  # else another process was first, and its folder is as good
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
