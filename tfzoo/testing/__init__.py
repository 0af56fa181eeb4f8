"""The checks that every model passes, for the models of other packages, too.

One line in a test of your own runs them all:

    from tfzoo.testing import check_model

    def test_my_model():
        check_model("my-model")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfzoo.testing.checks import CHECKS as CHECKS
    from tfzoo.testing.checks import check_model as check_model
    from tfzoo.testing.small import build as build
    from tfzoo.testing.small import random_inputs as random_inputs
    from tfzoo.testing.small import small as small

_HOMES = {
    "CHECKS": "checks",
    "check_model": "checks",
    "build": "small",
    "random_inputs": "small",
    "small": "small",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import on demand: `reload` runs where there is no TensorFlow."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tfzoo.testing' has no attribute {name!r}")
    return getattr(import_module(f"tfzoo.testing.{_HOMES[name]}"), name)
