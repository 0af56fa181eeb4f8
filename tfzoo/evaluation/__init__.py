"""Metrics as pure functions, and the evaluators that apply a protocol."""

from tfzoo.evaluation.evaluator import Evaluator, build_evaluator, evaluate_ratings, validate_ratings
from tfzoo.evaluation.metrics import mae, rmse, rmse_user_mean

__all__ = [
    "Evaluator",
    "build_evaluator",
    "evaluate_ratings",
    "mae",
    "rmse",
    "rmse_user_mean",
    "validate_ratings",
]
