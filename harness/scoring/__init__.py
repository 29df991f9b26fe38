"""Scores of a tournament: numpy in, numbers out. Knows no database, no files and no screen."""

from harness.scoring.bootstrap import RESAMPLES, SEED, Intervals
from harness.scoring.detections import Detections
from harness.scoring.duels import Duels, Queries
from harness.scoring.entry import Entry, Track
from harness.scoring.figures import clean_accuracy, coverage, mean_scores
from harness.scoring.formula import Basis, TrackScores, formula_of
from harness.scoring.ranking import display_order
from harness.scoring.results import Results, RunCounts, complete
from harness.scoring.shares import pair_scores, unlabelled_earned
from harness.scoring.tally import Cells, Tally, tally
from harness.scoring.tracks import RoundScores, score_round, score_tracks
from harness.scoring.verdicts import CORRECT, LABELLED, TARGET, Layout, Verdicts
from harness.scoring.views import View

__all__ = [
    "CORRECT",
    "LABELLED",
    "RESAMPLES",
    "SEED",
    "TARGET",
    "Basis",
    "Cells",
    "Detections",
    "Duels",
    "Entry",
    "Intervals",
    "Layout",
    "Queries",
    "Results",
    "RoundScores",
    "RunCounts",
    "Tally",
    "Track",
    "TrackScores",
    "Verdicts",
    "View",
    "clean_accuracy",
    "complete",
    "coverage",
    "display_order",
    "formula_of",
    "mean_scores",
    "pair_scores",
    "score_round",
    "score_tracks",
    "tally",
    "unlabelled_earned",
]
