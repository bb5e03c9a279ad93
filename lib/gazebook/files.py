"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from safetensors import SafetensorError

from gazebook.errors import GazebookError


@contextmanager
def atomic_write(target: Path, remedy: str = "free some disk space and run again") -> Iterator[Path]:
    """A temporary path beside `target` that takes its place on success and vanishes on any error.

    Its content is on the disk before it is renamed. Raises GazebookError with the remedy when it cannot be written.
    """
    partial = target.with_name(f".{target.name}.{uuid4().hex}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, target)
    except (OSError, SafetensorError) as error:
        raise GazebookError(f"cannot write {target} ({error}); {remedy}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
