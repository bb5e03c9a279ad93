"""The audit: any folder of images, any SCrIBE model, one line for what is wrong."""

import json
import re
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import EpsImagePlugin, Image
from torch import nn

from gazebook import cli, data, models, survey_report
from gazebook.data import sources
from gazebook.data.class_folders import open_folder
from gazebook.errors import GazebookError
from gazebook.measure import report
from gazebook.measure.opened import as_model, open_model, unique_names
from gazebook.measure.source import Row
from gazebook.measure.survey import Survey
from gazebook.train import checkpoint

FOREIGN = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.maps = torch.nn.Conv2d(3, 4, 8, 8)

    def cam(self, x):
        return self.maps(x)

    def forward(self, x):
        return self.maps(x).mean(dim=(2, 3))

def make():
    torch.manual_seed(0)
    return Net()

class Blind(torch.nn.Module):
    pass

net = make()
number = 3
"""


@pytest.fixture
def folder(tmp_path):
    """Scenes, a broken image, a grey one, one with transparency, one of one pixel, a text."""
    place = tmp_path / "pictures"
    (place / "more").mkdir(parents=True)
    for i, image in enumerate(data.load("scenes", "test", images=6).images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(place / f"scene{i}.png")
    Image.new("L", (50, 40), 90).save(place / "grey.jpg")
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(place / "clear.png")
    Image.new("RGB", (1, 1), "red").save(place / "more" / "one.png")
    Image.fromarray(np.arange(1600, dtype=np.uint16).reshape(40, 40) * 40).save(place / "deep.png")
    (place / "broken.png").write_bytes(b"\\x89PNG and then nothing")
    (place / "notes.txt").write_text("no picture")
    return place


@pytest.fixture
def checkpoint_file(tmp_path, tiny):
    def make(**changes):
        run = tiny.replace(**changes)
        file = tmp_path / f"{run.key}.safetensors"
        execution_model = models.initial_model(run, 10)
        checkpoint.save(file, execution_model, None, [], run=json.dumps(run.training.canonical()))
        return file

    return make


def call(monkeypatch, capsys, *arguments) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["gazebook", "audit", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capsys.readouterr()
    return end.value.code or 0, out, err


def test_images_of_every_kind_are_read_and_broken_ones_named(folder):
    found = open_folder(folder, 32, labels=False)
    images = found.select(torch.arange(len(found))).images
    assert images.shape == (10, 3, 32, 32) and images.dtype == torch.uint8
    assert found.skipped == {"broken.png": "no image, or damaged"} and "more/one" in found.ids
    by_name = dict(zip(found.ids, images, strict=True))
    assert (by_name["clear"] == 255).all(), "transparency is laid on white"
    assert (by_name["grey"] == by_name["grey"][:1]).all()
    assert by_name["more/one"].float().mean((1, 2)).tolist() == [255, 0, 0]
    assert by_name["deep"].max() > 200, "16 bits are scaled, not cut"
    assert torch.equal(by_name["scene2"], data.load("scenes", "test", images=6).images[2]), "of the right size: left as it is"
    assert open_folder(folder, 32, limit=3, labels=False).ids == found.ids[:2], "broken.png is the first of the three"


def test_names_cannot_forge_lines(folder):
    """Control characters in a file's name are shown escaped; other letters stay."""
    (folder / "scene0.png").rename(folder / "a\nnote: forged é.png")
    assert r"a\nnote: forged é" in open_folder(folder, 16).ids


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) print\n%%EOF\n"


def test_no_image_reaches_ghostscript(tmp_path, monkeypatch):
    """Whatever a file is called, Pillow would hand PostScript to the first `gs` there is."""
    called = tmp_path / "called"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gs").write_text(f"#!/bin/sh\ntouch {called}\n")
    (tmp_path / "bin" / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # Pillow remembers what it found
    place = tmp_path / "images"
    place.mkdir()
    for name in ("a.jpg", "b.png", "c.eps", "d.ps"):
        (place / name).write_bytes(POSTSCRIPT)
    with pytest.raises(GazebookError, match="holds no readable image"):
        open_folder(place, 16)
    for encoded in (POSTSCRIPT, place / "a.jpg"):
        with pytest.raises(GazebookError, match="does not decode"):
            sources.decode(encoded, "it", "")
    assert not called.exists()


def test_the_ranking_is_by_sparsity_with_intervals():
    base = np.random.default_rng(0).uniform(0.2, 0.4, 40)
    values = {"low": base, "high": base + 0.3, "same": base + 0.3 + np.tile([-0.01, 0.01], 20)}
    rows = {("sparsity", name): [Row("sparsity", v), Row("entropy", np.ones(40))] for name, v in values.items()}
    lines = [
        {"model": name, "against": "", "ruler": "sparsity", "measure": row.measure, "value": row.values.mean(),
         "low": row.values.mean() - 0.01, "high": row.values.mean() + 0.01}
        for (_, name), own in rows.items() for row in own
    ]  # fmt: skip
    ranked = survey_report.ranking(Survey(pd.DataFrame(lines), rows))
    assert list(ranked["rank"]) == ["1 ≈", "2", "3"], "a tie is no rank; a constant difference is clear, image by image"
    assert set(ranked.index[:2]) == {"high", "same"} and ranked.index[2] == "low"
    assert ranked.loc["low", "sparsity"] == f"{base.mean():.3f} [{base.mean() - 0.01:.3f}, {base.mean() + 0.01:.3f}]"
    assert list(ranked.columns) == ["rank", "sparsity", "entropy"]


def test_measures_of_an_image_by_hand():
    class Fixed(nn.Module):
        def cam(self, x):
            maps = torch.full((len(x), 3, 4, 4), -9.0)
            maps[:, 1, :2] = 9.0
            return maps

        def forward(self, x):
            return models.lse_pool(self.cam(x))

    fixed = as_model(Fixed(), size=4, class_names=("x", "y", "z"))
    black = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    images = data.ImageSet("two", "test", black, torch.zeros(2, dtype=torch.int64), (), "here")
    frame = report(fixed, images, ["sparsity"], progress=False)
    value = frame.set_index("measure")["value"]
    assert value["sparsity"] == 0.5 and value["regions"] == value["classes"] == 1
    p = Fixed()(torch.zeros(1, 3, 4, 4)).softmax(1).double()
    assert value["entropy"] == pytest.approx(float(-(p * p.log()).sum()), abs=1e-6)


def test_the_command_ranks_and_writes_a_report(monkeypatch, capsys, folder, checkpoint_file, tmp_path):
    files = [checkpoint_file(seed=seed) for seed in (0, 1)]
    page, rows = tmp_path / "report.html", tmp_path / "rows.csv"
    code, out, _ = call(monkeypatch, capsys, folder, *files, "--html", page, "--csv", rows)
    assert code == 0 and "none, 100% of 60 images, seed 1" in out and "rank" in out
    assert "could not be read: 1 images (first broken.png: no image, or damaged)" in out
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg;base64,") == 1 and "seed 0" in text and not re.search(r"(src|href)=.http", text)
    assert set(pd.read_csv(rows)["measure"]) == {"sparsity", "classes", "regions", "entropy"}


def test_it_is_short_for_measure(monkeypatch, capsys, folder, checkpoint_file):
    file = str(checkpoint_file())
    _, ours, _ = call(monkeypatch, capsys, folder, file)
    monkeypatch.setattr(sys, "argv", ["gazebook", "measure", file, str(folder), "--rulers", "sparsity", "--no-labels"])
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().out == ours


def test_models_of_different_recipes_are_flagged(monkeypatch, capsys, folder, checkpoint_file):
    _, out, _ = call(monkeypatch, capsys, folder, checkpoint_file(), checkpoint_file(augmentation="crop", fraction=0.5))
    assert "The models differ in augmentation: sparsity ranks models of one recipe only" in out
    _, out, _ = call(monkeypatch, capsys, folder, checkpoint_file(), checkpoint_file(fraction=0.5))
    assert "The models differ" not in out


def test_models_with_the_same_name_are_told_apart(checkpoint_file):
    same = [open_model(checkpoint_file(head_options={"r": r})) for r in (0.5, 5.0)]
    assert same[0].name == same[1].name
    assert [m.name for m in unique_names(same)] == [f"{same[0].name} (1)", f"{same[0].name} (2)"]
    assert unique_names(same[:1]) == same[:1]


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    (tmp_path / "foreign_nets.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "foreign_nets"
    sys.modules.pop("foreign_nets", None)


def test_any_module_with_cam_can_be_audited(monkeypatch, capsys, folder, foreign):
    code, out, _ = call(monkeypatch, capsys, folder, f"{foreign}:make", f"{foreign}:net", "--size", "40")
    assert code == 0 and "foreign_nets:make" in out and "How some models were trained is not known here" in out


def test_without_models_those_of_the_project_are_audited(monkeypatch, capsys, folder):
    code, out, err = call(monkeypatch, capsys, folder)
    if not cli.published_models():
        assert code == 2 and "no model is given" in err
    else:
        assert code == 0 and out.count("images, seed") == len(cli.published_models())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nowhere.safetensors", "does not exist; gazebook grid scribe leaves checkpoints in"),
        ("photo.jpg", "unknown pretrained model 'photo.jpg'; give a name of timm"),
        ("no_such_package:net", "could not be loaded (ModuleNotFoundError"),
        ("{foreign}:missing", "could not be loaded (AttributeError"),
        ("{foreign}:Blind", "Blind failed on 2 images of"),
        ("{foreign}:number", "could not be loaded (TypeError"),
    ],
)
def test_what_is_no_model_is_one_line(monkeypatch, capsys, folder, foreign, model, message):
    code, _, err = call(monkeypatch, capsys, folder, model.format(foreign=foreign))
    assert code == 2 and message in err and len(err.strip().splitlines()) == 1


def test_checkpoints_that_are_not_ours_or_have_no_background(monkeypatch, capsys, folder, checkpoint_file, tmp_path):
    (tmp_path / "noise.safetensors").write_bytes(b"noise")
    with pytest.raises(GazebookError, match="is not a checkpoint of this project"):
        open_model(tmp_path / "noise.safetensors")
    softmax = checkpoint_file(head="softmax")
    code, _, err = call(monkeypatch, capsys, folder, softmax)
    assert code == 2 and "no class maps with a background" in err
    code, out, _ = call(monkeypatch, capsys, folder, softmax, checkpoint_file())
    assert code == 0 and "Left out, sparsity: there are no class maps with a background" in out


def test_folders_without_pictures(monkeypatch, capsys, tmp_path, checkpoint_file):
    file = checkpoint_file()
    empty = tmp_path / "empty"
    empty.mkdir()
    code, _, err = call(monkeypatch, capsys, empty, file)
    assert code == 2 and "holds no readable image, none; give a folder" in err
    (empty / "a.png").write_bytes(b"nothing")
    code, _, err = call(monkeypatch, capsys, empty, file)
    assert code == 2 and "1 that cannot be read (first a.png)" in err
    code, _, err = call(monkeypatch, capsys, tmp_path / "nowhere", file)
    assert code == 2 and "is not a folder" in err


def test_outputs_that_cannot_be_written_are_one_line(monkeypatch, capsys, folder, checkpoint_file, tmp_path):
    file = checkpoint_file()
    (tmp_path / "in-the-way").write_text("")
    before = {f.name for f in tmp_path.iterdir()}
    for option, target in (("--html", "in-the-way/a.html"), ("--csv", "in-the-way/a.csv")):
        code, _, err = call(monkeypatch, capsys, folder, file, option, tmp_path / target)
        assert code == 2 and "cannot write" in err and re.search("give a(nother| name)", err)
    assert {f.name for f in tmp_path.iterdir()} == before, "nothing half-written stays behind"
