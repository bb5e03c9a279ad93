"""Files that appear whole or not at all, and what is shown of their names."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from safetensors import SafetensorError

from gazebook.errors import DiskFullError, GazebookError

REMEDY = "free some disk space and run again"


@contextmanager
def atomic_write(target: Path, remedy: str = REMEDY) -> Iterator[Path]:
    """A temporary path beside `target` that takes its place on success and vanishes on any error.

    Its content is on the disk before it is renamed. A link is followed: what it leads to is replaced. Raises GazebookError
    with the remedy when it cannot be written, or is no file (a folder, a device).
    """
    check_output(target, remedy)
    given, target = target, Path(os.path.realpath(target))
    partial = target.with_name(f".{uuid4().hex}.partial{target.suffix}")  # libraries tell the format by the suffix
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, target)
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        kind = DiskFullError if full else GazebookError
        raise kind(f"cannot write {given} ({error}); {remedy}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def check_output(target: Path, remedy: str = REMEDY) -> None:
    """Raises GazebookError where `target` cannot be a file: no name, a folder, a device."""
    try:
        if not target.name or (target.exists() and not target.is_file()):
            raise GazebookError(f"cannot write to {str(target)!r}: it is no file; {remedy}")
    except OSError as error:
        raise GazebookError(f"cannot write {target} ({error.strerror}); {remedy}") from error


def printable(text: object) -> str:
    """Text on one line: control characters, and what is no Unicode (bytes of a file's name), as escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def user_path(text: str | Path) -> Path:
    """A path as people write it, with ~ for the home folder. Raises GazebookError where there is no home."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise GazebookError(f"{text} cannot be found ({error}); set HOME, or give the whole path") from error
