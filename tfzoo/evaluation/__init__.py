"""Metrics as pure functions, and the evaluator that applies a protocol."""

from tfzoo.evaluation.evaluator import evaluate_ratings, validate_ratings
from tfzoo.evaluation.metrics import mae, rmse, rmse_user_mean

__all__ = ["evaluate_ratings", "mae", "rmse", "rmse_user_mean", "validate_ratings"]
