"""The ledger: atomic, content-addressed, mergeable, and plain about damage."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from gazebook.errors import GazebookError
from gazebook.ledger import SUFFIX, Ledger, Record, describe
from gazebook.runs import Run

RUN = Run(study="scribe", augmentation="crop", seed=2)


def record(run=RUN, value=0.5):
    rows = [{"condition": "clean", "split": s, "accuracy": value, "sparsity": None} for s in ("test", "train")]
    arrays = {"attention": np.arange(12, dtype=np.uint8).reshape(3, 2, 2), "reliability": np.eye(3)}
    return Record(run, rows, arrays, [{"epoch": 1, "loss": 0.1}], {"gazebook": "0", "seconds": 1.0})


def test_what_is_written_is_read(tmp_path):
    ledger = Ledger(tmp_path)
    assert RUN not in ledger and ledger.missing([RUN]) == [RUN]
    ledger.write(record())
    found = ledger.read(RUN)
    assert RUN in ledger and found.run == RUN and found.rows == record().rows
    assert found.history == [{"epoch": 1, "loss": 0.1}] and found.provenance["seconds"] == 1.0
    for name, array in record().arrays.items():
        assert np.array_equal(found.arrays[name], array) and found.arrays[name].dtype == array.dtype


def test_one_file_a_run_nothing_else_and_readable_without_us(tmp_path):
    file = Ledger(tmp_path).write(record())
    assert [p.name for p in tmp_path.iterdir()] == [f"{RUN.key}{SUFFIX}"]
    assert set(zipfile.ZipFile(file).namelist()) == {"record.json", "attention.npy", "reliability.npy"}
    assert Ledger(tmp_path / "b").write(record()).read_bytes() == file.read_bytes()


def test_the_table_is_tidy(tmp_path):
    ledger = Ledger(tmp_path)
    other = RUN.replace(seed=3, data_options={"size": 64})
    ledger.write(record())
    ledger.write(record(other, 0.7))
    frame = ledger.frame([RUN, other, RUN.replace(seed=9)])
    assert len(frame) == 4 and set(frame["seed"]) == {2, 3} and set(frame["key"]) == {RUN.key, other.key}
    assert frame.groupby("seed")["accuracy"].mean().to_dict() == {2: 0.5, 3: 0.7}
    assert frame.groupby("data_options").size().to_dict() == {"{}": 2, '{"size": 64}': 2}
    assert ledger.frame([]).empty


@pytest.mark.parametrize("damage", ["truncated", "empty", "bit"])
def test_a_damaged_record_is_named_and_not_merged(tmp_path, damage):
    ledger = Ledger(tmp_path / "a")
    file = ledger.write(record())
    content = bytearray(file.read_bytes())
    if damage == "bit":
        content[len(content) // 3] ^= 0xFF
    file.write_bytes({"truncated": content[:100], "empty": b"", "bit": content}[damage])
    with pytest.raises(GazebookError, match=r"is damaged.*delete it and run again"):
        ledger.read(RUN)
    target = Ledger(tmp_path / "b")
    with pytest.raises(GazebookError, match="is damaged"):
        target.merge(ledger)
    assert target.keys() == []


def rewritten(file, target, change):
    """A record's archive with its JSON changed as text."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content.decode()) if name == "record.json" else content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: re.sub(r'"accuracy": [\d.]+', '"accuracy": NaN', text), "NaN stands where a number should"),
        (lambda text: re.sub(r'"accuracy": [\d.]+', '"accuracy": -Infinity', text), "-Infinity stands where"),
        (lambda text: re.sub(r'"seed": \d+', '"seed": 77', text), "it is of run"),
        (lambda text: json.dumps(json.loads(text) | {"provenance": None}), "its rows or its provenance"),
        (lambda text: json.dumps(json.loads(text) | {"rows": ["none"]}), "its rows or its provenance"),
    ],
)
def test_a_record_that_no_run_can_have_written_is_damaged(tmp_path, change, message):
    ledger = Ledger(tmp_path)
    file = ledger.write(record())
    rewritten(file, tmp_path / "changed", change)
    os.replace(tmp_path / "changed", file)
    with pytest.raises(GazebookError, match=f"is damaged .*{message}"):
        ledger.read(RUN)


def test_a_record_that_unpacks_to_too_much_is_not_unpacked(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path)
    ledger.write(record())
    monkeypatch.setattr("gazebook.ledger.LARGEST", 100)
    with pytest.raises(GazebookError, match=r"is damaged .*it unpacks to"):
        ledger.read(RUN)


def test_ledgers_merge_by_key(tmp_path):
    a, b = Ledger(tmp_path / "a"), Ledger(tmp_path / "b")
    other = RUN.replace(seed=3)
    a.write(record())
    b.write(record(other))
    b.write(record(value=0.9))
    assert a.merge(b) == 1 and a.merge(b) == 0
    assert a.read(RUN).rows[0]["accuracy"] == 0.5, "what is there stays"
    assert a.keys() == sorted([RUN.key, other.key])
    shutil.copytree(tmp_path / "a", tmp_path / "copy")  # copying is merging
    assert Ledger(tmp_path / "copy").read(other).run == other


def test_published_results_are_read_and_never_written(tmp_path):
    published = Ledger(tmp_path / "published")
    published.write(record())
    ledger = Ledger(tmp_path / "own", [published.folder])
    assert RUN in ledger and not (tmp_path / "own").exists()
    ledger.write(record(RUN.replace(seed=7)))
    assert published.keys() == [RUN.key]


def test_a_missing_run_says_how_to_train_it(tmp_path):
    with pytest.raises(GazebookError, match=r"not in .*gazebook grid scribe"):
        Ledger(tmp_path).read(RUN)


def test_numbers_that_are_none_are_kept_and_nan_is_refused(tmp_path):
    broken = Record(RUN, [{"accuracy": float("nan")}])
    with pytest.raises(ValueError, match="not JSON compliant"):
        Ledger(tmp_path).write(broken)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_gives_a_clear_error_and_leaves_nothing(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    try:
        (mount / "filler").write_bytes(os.urandom(50_000))
        large = Record(RUN, [], {"noise": np.random.default_rng(0).integers(0, 256, 200_000).astype(np.uint8)})
        with pytest.raises(GazebookError, match=r"No space left.*free disk space"):
            Ledger(mount).write(large)
        assert [p.name for p in mount.iterdir()] == ["filler"]
    finally:
        subprocess.run(["umount", mount], check=True)


def test_many_processes_on_one_ledger(tmp_path):
    """Four processes write the same and different records at once: all are whole."""
    code = (
        "import sys, numpy as np\n"
        "from gazebook.ledger import Ledger, Record\n"
        "from gazebook.runs import Run\n"
        "for seed in range(12):\n"
        "    noise = np.random.default_rng(seed).integers(0, 256, 50_000).astype(np.uint8)\n"
        f"    Ledger({str(tmp_path)!r}).write(Record(Run(study='s', seed=seed), [dict(seed=seed)], dict(noise=noise)))\n"
    )
    crew = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [p.wait() for p in crew] == [0] * 4
    ledger = Ledger(tmp_path)
    assert len(list(tmp_path.iterdir())) == 12
    for seed in range(12):
        assert ledger.read(Run(study="s", seed=seed)).rows == [{"seed": seed}]


def test_the_default_ledger_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("GAZEBOOK_RESULTS", str(tmp_path / "mine"))
    assert Ledger.default().folder == tmp_path / "mine"


def test_a_run_in_words():
    assert describe(RUN) == "scribe resnet8 on scenes, crop, 100%, 30 epochs, seed 2"
