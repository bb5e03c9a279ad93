"""The overfit criterion as a tool: SCrIBE models, a folder of unlabelled pictures, a ranking with intervals."""

from gazebook.audit.measure import METRICS, audit, notes, summary
from gazebook.audit.models import Audited, load_model, published_models, told_apart
from gazebook.audit.pictures import Pictures, load_pictures
from gazebook.audit.report import figure, mask_figure, write_html

__all__ = [
    "METRICS",
    "Audited",
    "Pictures",
    "audit",
    "figure",
    "load_model",
    "load_pictures",
    "mask_figure",
    "notes",
    "published_models",
    "summary",
    "told_apart",
    "write_html",
]
