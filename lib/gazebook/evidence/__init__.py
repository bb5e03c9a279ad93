"""The statistics that all papers share: one frame, one estimate, one way to judge a claim."""

from gazebook.evidence.bootstrap import hierarchical_interval
from gazebook.evidence.claims import Claim, Effect, Finding, Verdict, judge, scorecard
from gazebook.evidence.estimate import Estimate
from gazebook.evidence.frame import common_seeds, select, wide
