"""Paper 3: sensitivity to foregrounds, backgrounds and visual attributes (RIVAL10; Moayeri et al. 2022)."""

from gazebook.studies.foregrounds.runs import (
    AXES,
    axes,
    checkpoints,
    cues,
    grid,
    on_pictures,
    on_scenes,
    pictures,
    scenes,
    with_cue,
)

TITLE = "RIVAL10: sensitivity to foregrounds, backgrounds and attributes"
CLAIMS = ()


def results(ledger, axes):
    return None


def evaluate(model, run, train, test, device="cpu"):
    import torch
    from gazebook.train import to_float

    model.eval()
    with torch.no_grad():
        right = torch.cat([model(to_float(x)).argmax(1) for x in test.images.split(250)]) == test.labels
    return [{"split": "test", "condition": "clean", "accuracy": float(right.float().mean())}], {}
