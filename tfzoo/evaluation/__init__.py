"""Metrics as pure functions, and the evaluators that apply a protocol."""

from tfzoo.evaluation.evaluator import EVALUATORS, Evaluator, build_evaluator
from tfzoo.evaluation.metrics import mae, rmse, rmse_user_mean
from tfzoo.evaluation.rating import evaluate_ratings, validate_ratings

__all__ = [
    "EVALUATORS",
    "Evaluator",
    "build_evaluator",
    "evaluate_ratings",
    "mae",
    "rmse",
    "rmse_user_mean",
    "validate_ratings",
]
