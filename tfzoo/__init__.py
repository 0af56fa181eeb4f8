"""tfzoo: recommender models for TensorFlow and Keras 3 that match their papers."""

from importlib import import_module
from typing import Any

from tfzoo.registration import register

_HOMES = {
    "FittedModel": "tfzoo.api",
    "Interactions": "tfzoo.data.interactions",
    "TunedSettings": "tfzoo.api",
    "compare": "tfzoo.api",
    "evaluate_ranking": "tfzoo.evaluation.any_score",
    "fit": "tfzoo.api",
    "fit_closed_form": "tfzoo.closed_forms",
    "from_dataframe": "tfzoo.data.datasets.files",
    "from_file": "tfzoo.data.datasets.files",
    "load": "tfzoo.api",
    "tune": "tfzoo.api",
    "list_datasets": "tfzoo.data.datasets",
    "load_dataset": "tfzoo.data.datasets",
    "create_model": "tfzoo.models",
    "list_models": "tfzoo.models",
    "load_model": "tfzoo.models.saved",
    "model_info": "tfzoo.models",
    "list_pretrained": "tfzoo.pretrained",
    "load_pretrained": "tfzoo.pretrained",
    "load_recipe": "tfzoo.training.recipe",
    "losses": "tfzoo.losses",
    "metrics": "tfzoo.metrics",
    "models": "tfzoo.models",
    "sampling": "tfzoo.sampling",
    "retrieval_vectors": "tfzoo.models.retrieval",
}

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: TensorFlow takes seconds to import."""
    if name == "__version__":
        return import_module("tfzoo.installation").version()
    if name not in _HOMES:
        raise AttributeError(f"module 'tfzoo' has no attribute {name!r}")
    module = import_module(_HOMES[name])
    return module if module.__name__ == f"tfzoo.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    """Name what is imported later, too."""
    return sorted({*globals(), *__all__})


register()
