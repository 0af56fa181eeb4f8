"""Negative items: drawn with NumPy, or inside a graph of TensorFlow."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tfzoo.data.sampling import sample_negatives

if TYPE_CHECKING:
    from tfzoo.data.negatives import NegativeSampler

__all__ = ["NegativeSampler", "sample_negatives"]


def __getattr__(name: str) -> Any:
    """Import the sampler for graphs when it is asked for, since it needs TensorFlow."""
    if name != "NegativeSampler":
        raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
    return import_module("tfzoo.data.negatives").NegativeSampler
