"""CIFAR-10 from Parquet, from torchvision's layout, by download; and everything that can be wrong with it."""

import hashlib
import io
import os
import pickle
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from gazebook import data
from gazebook.errors import GazebookError


def picture(seed: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def write_parquet(
    folder: Path, images: list[bytes], name: str = "test-00000-of-00001.parquet", image_column: str = "img"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = {image_column: [{"bytes": b, "path": None} for b in images], "label": [i % 10 for i in range(len(images))]}
    pq.write_table(pa.table(rows), folder / name)
    return folder / name


@pytest.fixture(autouse=True)
def no_cache(tmp_path, monkeypatch):
    """Nothing is found in, or written to, the user's own folders."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GAZEBOOK_DATA", raising=False)


def test_parquet_pixels_and_labels_come_through(tmp_path):
    write_parquet(tmp_path / "cifar10", [encoded(picture(i)) for i in range(12)])
    found = data.load("cifar10", "test", root=tmp_path)
    assert found.images.shape == (12, 3, 32, 32) and found.images.dtype == torch.uint8
    assert np.array_equal(found.images[3].permute(1, 2, 0).numpy(), picture(3))
    assert found.labels.tolist() == [i % 10 for i in range(12)]
    assert found.source == "CIFAR-10, Parquet: test-00000-of-00001.parquet"
    assert len(data.load("cifar10", "test", root=tmp_path / "cifar10")) == 12  # the folder itself


def test_several_parquet_files_and_the_environment_variable(tmp_path, monkeypatch):
    for part in range(2):
        write_parquet(tmp_path / "cifar10", [encoded(picture(part), "JPEG")] * 5, f"train-0000{part}-of-00002.parquet")
    monkeypatch.setenv("GAZEBOOK_DATA", str(tmp_path))
    found = data.load("cifar10", "train")
    assert len(found) == 10 and found.source.startswith("CIFAR-10 (JPEG)")


@pytest.mark.parametrize(
    "damage", ["truncated", "columns", "not an image", "size", "empty file", "shard", "labels", "rows", "text"]
)
def test_damaged_parquet_is_one_line_with_a_remedy(tmp_path, damage):
    good = [encoded(picture(i)) for i in range(4)]
    bad = {"not an image": b"no picture", "size": encoded(picture(0, 16))}.get(damage, good[0])
    column = "image" if damage == "columns" else "img"
    file = write_parquet(tmp_path / "cifar10", [bad, *good], image_column=column)
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    if damage == "empty file":
        file.write_bytes(b"")
    if damage == "shard":
        file.rename(file.with_name("test-00000-of-00002.parquet"))
    table = {"labels": [0, 1, 2, 3, 12], "rows": [], "text": ["a"] * 5}.get(damage)
    if table is not None:
        images = [{"bytes": b, "path": None} for b in [bad, *good][: len(table)]]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        pq.write_table(pa.table({"img": pa.array(images, kind), "label": pa.array(table, None if table else pa.int64())}), file)
    with pytest.raises(GazebookError) as error:
        data.load("cifar10", "test", root=tmp_path)
    text = str(error.value)
    assert "\n" not in text and any(word in text for word in ("fetch", "use the", "has 32 x 32", "complete it"))


@pytest.mark.parametrize("name", ["test-00000-of-00001 (1).parquet", "test-00001-of-00002.parquet", "test-copy.parquet"])
def test_a_file_too_many_is_named_and_not_read_twice(tmp_path, name):
    for file in ("test-00000-of-00001.parquet", name):
        write_parquet(tmp_path / "cifar10", [encoded(picture(0))], file)
    with pytest.raises(GazebookError, match=r"remove what is not|complete it"):
        data.load("cifar10", "test", root=tmp_path)


@pytest.mark.parametrize("folder", ["plain_text", "data"])
def test_the_hub_s_own_folder_is_found(tmp_path, folder):
    write_parquet(tmp_path / "cifar10" / folder, [encoded(picture(0))] * 3)
    assert len(data.load("cifar10", "test", root=tmp_path)) == 3


@pytest.mark.parametrize("cell", ["null image", "null bytes", "no bytes", "a number"])
def test_a_row_without_an_image_is_one_line_with_its_number(tmp_path, cell):
    good = {"bytes": encoded(picture(0)), "path": None}
    bad = {"null image": None, "null bytes": {"bytes": None, "path": None}, "no bytes": {"bytes": b"", "path": None}}.get(cell)
    file = write_parquet(tmp_path / "cifar10", [])
    rows = [good, bad, good] if cell != "a number" else [{"bytes": i, "path": None} for i in range(3)]
    pq.write_table(pa.table({"img": rows, "label": [0, 1, 2]}), file)
    with pytest.raises(GazebookError, match="row 0 of test" if cell == "a number" else "row 1 of test in"):
        data.load("cifar10", "test", root=tmp_path)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda root: data.load("cifar100", "test"), "unknown data set 'cifar100'; choose from scenes, cifar10"),
        (lambda root: data.load("cifar10", "validation"), "unknown split 'validation'.*train, test"),
        (lambda root: data.load("cifar10", "test", root=root / "nowhere"), "does not exist"),
        (lambda root: data.load("scenes", "test", colour=3), "does not know that option"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(tmp_path, call, match):
    with pytest.raises(GazebookError, match=match):
        call(tmp_path)


def official_archive(folder: Path) -> tuple[str, list, list]:
    """An archive in CIFAR-10's own layout with ten images a batch; returns its md5 and the md5 of each batch."""
    batches = folder / CIFAR10.base_folder
    batches.mkdir(parents=True)
    sums = {}
    for name in (*(n for n, _ in CIFAR10.train_list), *(n for n, _ in CIFAR10.test_list), CIFAR10.meta["filename"]):
        content = {"data": np.stack([picture(i).transpose(2, 0, 1).ravel() for i in range(10)]), "labels": list(range(10))}
        if name == CIFAR10.meta["filename"]:
            content = {"label_names": list(data.class_names("cifar10"))}
        (batches / name).write_bytes(pickle.dumps(content))
        sums[name] = hashlib.md5((batches / name).read_bytes()).hexdigest()
    with tarfile.open(folder / CIFAR10.filename, "w:gz") as archive:
        archive.add(batches, CIFAR10.base_folder)
    md5 = hashlib.md5((folder / CIFAR10.filename).read_bytes()).hexdigest()
    return md5, sums


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A local server that offers the small archive; torchvision's real download code is pointed at it."""
    offered = tmp_path / "offered"
    md5, sums = official_archive(offered)
    handler = partial(SimpleHTTPRequestHandler, directory=str(offered))
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{httpd.server_port}/{CIFAR10.filename}")
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5)
    monkeypatch.setattr(CIFAR10, "train_list", [[n, sums[n]] for n, _ in CIFAR10.train_list])
    monkeypatch.setattr(CIFAR10, "test_list", [[n, sums[n]] for n, _ in CIFAR10.test_list])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": sums[CIFAR10.meta["filename"]]})
    monkeypatch.setenv("GAZEBOOK_DATA", str(tmp_path / "store"))
    yield httpd
    httpd.shutdown()
    httpd.server_close()


def everything_under(folder: Path) -> list[str]:
    return [str(p.relative_to(folder)) for p in folder.rglob("*")] if folder.exists() else []


def test_download_then_found_without_the_network(server, tmp_path, capsys):
    first = data.load("cifar10", "train")
    assert len(first) == 50 and first.source == "CIFAR-10, torchvision download"
    assert "downloading" in capsys.readouterr().out
    server.shutdown()
    second = data.load("cifar10", "test")
    assert len(second) == 10 and np.array_equal(second.images[2].permute(1, 2, 0).numpy(), picture(2))


def test_a_wrong_checksum_leaves_nothing_behind(server, tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR10, "tgz_md5", "0" * 32)
    with pytest.raises(GazebookError, match=r"download of cifar10 failed.*run again"):
        data.load("cifar10", "train")
    assert everything_under(tmp_path / "store") == []


def test_no_network_leaves_nothing_behind(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(GazebookError, match="check the network"):
        data.load("cifar10", "train")
    assert everything_under(tmp_path / "store") == []


def test_an_unwritable_place_is_named(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GAZEBOOK_DATA", str(tmp_path / "file"))
    with pytest.raises(GazebookError, match=r"cannot write to .*GAZEBOOK_DATA"):
        data.load("cifar10", "train")


def test_a_damaged_torchvision_folder_is_named(server, tmp_path):
    data.load("cifar10", "train")
    batch = tmp_path / "store" / "cifar10" / CIFAR10.base_folder / "data_batch_3"
    batch.write_bytes(b"broken")
    with pytest.raises(GazebookError, match=r"is damaged.*delete that folder"):
        data.load("cifar10", "train")


def test_an_incomplete_folder_is_named_before_anything_is_downloaded(server, tmp_path):
    write_parquet(tmp_path / "store" / "cifar10", [encoded(picture(0))])
    with pytest.raises(GazebookError, match=r"holds no train-\*.parquet; add it"):
        data.load("cifar10", "train")
    (tmp_path / "store" / "cifar10" / "test-00000-of-00001.parquet").rename(tmp_path / "store" / "cifar10" / "notes.txt")
    with pytest.raises(GazebookError, match="holds neither Parquet files nor cifar-10-batches-py"):
        data.load("cifar10", "test")


def test_two_downloads_at_once_end_well(server, tmp_path):
    found = []
    crew = [threading.Thread(target=lambda: found.append(len(data.load("cifar10", "test")))) for _ in range(2)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert found == [10, 10]
    assert [p.name for p in (tmp_path / "store").iterdir()] == ["cifar10"]


REAL = os.environ.get("GAZEBOOK_DATA", "")


@pytest.mark.skipif(not (Path(REAL) / "cifar10").is_dir() or not REAL, reason="real CIFAR-10 is absent: set GAZEBOOK_DATA")
def test_the_real_images_are_whole_and_balanced():
    found = data.load("cifar10", "test", root=REAL)
    assert found.images.shape == (10_000, 3, 32, 32)
    assert torch.bincount(found.labels).tolist() == [1000] * 10
    mean = found.images.float().mean(dim=(0, 2, 3)) / 255
    assert torch.allclose(mean, torch.tensor((0.4914, 0.4822, 0.4465)), atol=0.01)  # the study's normalisation
