"""tfzoo: recommender models for TensorFlow and Keras 3 that match their papers."""

from importlib import import_module
from typing import Any

_HOMES = {
    "Interactions": "tfzoo.data.interactions",
    "from_dataframe": "tfzoo.data.datasets.files",
    "from_file": "tfzoo.data.datasets.files",
    "list_datasets": "tfzoo.data.datasets",
    "load_dataset": "tfzoo.data.datasets",
    "create_model": "tfzoo.models",
    "list_models": "tfzoo.models",
    "model_info": "tfzoo.models",
    "list_pretrained": "tfzoo.pretrained",
    "load_pretrained": "tfzoo.pretrained",
    "load_recipe": "tfzoo.training.recipe",
    "models": "tfzoo.models",
}

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: TensorFlow takes seconds to import."""
    if name == "__version__":
        return import_module("tfzoo.installation").version()
    if name not in _HOMES:
        raise AttributeError(f"module 'tfzoo' has no attribute {name!r}")
    module = import_module(_HOMES[name])
    return module if name == "models" else getattr(module, name)
