"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gazebook.errors import GazebookError


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` that takes its place on success and vanishes on any error.

    Raises GazebookError when the disk is full or read-only.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, target)
    except OSError as error:
        raise GazebookError(f"cannot write {target} ({error}); free some disk space, or choose another folder") from error
    finally:
        partial.unlink(missing_ok=True)
