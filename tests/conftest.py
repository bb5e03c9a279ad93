"""Shared by all tests: the suite touches no user's folders, and one thread a process keeps two cores busy with two."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from filelock import FileLock

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")

from gazebook import book, cluster, data, kernels
from gazebook.runs import Run


@pytest.fixture(scope="session")
def scenes():
    """A small training set of scenes."""
    return data.load("scenes", "train", images=200)


@pytest.fixture
def tiny():
    """A run that takes a second: a few scenes, one epoch."""
    return Run(
        study="scribe",
        train_images=60,
        test_images=60,
        data_options={"images": 120},
        epochs=1,
        batch_size=20,
        trunk_options={"widths": [8, 8, 8]},
    )


ROOT = Path(__file__).parent.parent
MAKES_THE_BOOK, LOOK_AT_IT = "test_book.py", ("test_browser.py", "test_pages.py")
TINY = {
    "overrides": {"data_options": {"images": 160}, "train_images": 120, "test_images": 60, "epochs": 1, "batch_size": 30},
    "fractions": [0.2, 1.0],
    "control_updates": 3,
    "evaluation": {"direct": 6, "upsampled": 4, "upsampled_area": 4, "examples": 2},
    "pictures": 20,
}


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The whole book, made once for all processes: its HTML."""
    several = "PYTEST_XDIST_WORKER" in os.environ
    place = tmp_path_factory.getbasetemp().parent if several else tmp_path_factory.mktemp("site")
    page = place / "project" / "book" / "_build" / "html" / "index.html"
    with FileLock(place / "project.lock"):
        return page.parent if page.exists() else made(place / "project")


def made(folder: Path) -> Path:
    """The whole book, executed with tiny parameters into a copy of the sources, rendered without a warning: its HTML."""
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    generated = shutil.ignore_patterns("_build", "chapters", "results", "mathjax")
    shutil.copytree(ROOT / "book", folder / "book", ignore=generated)
    shutil.copy(ROOT / "_config.yml", folder)
    kernels.preloaded()
    with pytest.MonkeyPatch.context() as patch, cluster.local(2) as workers:
        patch.setenv("GAZEBOOK_SCHEDULER", workers.scheduler_address)  # or each chapter would start workers of its own
        patch.setenv("GAZEBOOK_RESULTS", str(folder / "results"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))  # of corrupted images
        book.make(folder, TINY)
        return book.render(folder).parent


def pytest_collection_modifyitems(items):
    """Fast tests first in one process. In several the making of the book first, then slow tests, so that none waits for the
    last, and at the end what looks at the book.
    """
    order = (MAKES_THE_BOOK, "slow", "", *LOOK_AT_IT) if "PYTEST_XDIST_WORKER" in os.environ else ("", "slow")

    def place(item) -> int:
        slow = "slow" if item.get_closest_marker("slow") else ""
        return next(order.index(kind) for kind in (item.path.name, slow) if kind in order)

    items.sort(key=place)


def pytest_xdist_make_scheduler(config, log):
    """In several processes each file stays in one, but for the pages that a browser visits: each page stays in one. (Groups of
    pytest-xdist 3.8 are without effect in pytest 9.2.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            page = test.partition("[")[2] if Path(file).name == LOOK_AT_IT[0] else ""
            return f"{file} {len(page) % 3}" if page else file

    config.option.loadscopereorder = False  # the order above, not the files with the most tests first
    return ByFile(config, log)
