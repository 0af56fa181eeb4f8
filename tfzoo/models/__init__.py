"""One paper a file: Keras functional builders, and the registry of their names.

Every module of this package is found by itself: a builder that `register_model` decorates is
listed by `list_models` and is an attribute of this package, such as ``tfzoo.models.EDRS``.
"""

from typing import Any

from tfzoo.models import registry
from tfzoo.models.registry import (
    ModelInfo,
    Paper,
    create_model,
    list_models,
    model_info,
    register_model,
)

__all__ = ["ModelInfo", "Paper", "create_model", "list_models", "model_info", "register_model"]


def __getattr__(name: str) -> Any:
    """Find a builder by its function name."""
    if not name.startswith("_"):
        builders = registry.builders()
        if name in builders:
            return builders[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name every builder, too."""
    return sorted({*globals(), *registry.builders()})
