"""What several tests share."""

from gazebook.execute import execute as execute_with
from gazebook.papers import rulers


def execute(run, **options):
    """One run measured with its own paper's rulers."""
    return execute_with(run, rulers(run), **options)
