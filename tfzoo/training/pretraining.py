"""Starting a model from smaller ones that were trained first, as the NCF paper does."""

from __future__ import annotations

from typing import Any

import keras

from tfzoo.data.interactions import Interactions
from tfzoo.errors import TfzooError, UsageError
from tfzoo.models import create_model, model_info
from tfzoo.tasks import Task
from tfzoo.training.distributed import Distribution
from tfzoo.training.settings import PretrainingSettings
from tfzoo.training.trainer import Trainer


def pretrain(
    model: keras.Model,
    name: str,
    options: dict[str, Any],
    task: Task,
    features: Any,
    train: Interactions,
    settings: PretrainingSettings,
    *,
    seed: int,
    distribution: Distribution | None = None,
) -> None:
    """Train the parts of a model by themselves, and give their weights to it.

    Args:
        model: the model; its weights are overwritten.
        name: its name in the registry.
        options: the builder's arguments it was built with; a part gets those that it knows.
        task: the learning problem of all of them.
        features: from the task.
        train: the training part.
        settings: how to train the parts, and how to merge them.
        seed: fixes initial weights, order and sampling.
        distribution: the devices to train on; None for one.

    Raises:
        UsageError: the model is not put together from parts.
    """
    pretraining = model_info(name).pretraining
    if pretraining is None:
        raise UsageError(f"Model '{name}' has no parts to pre-train; leave the recipe's 'pretraining' out.")
    parts = []
    for part in pretraining.parts:
        known = model_info(part).options
        chosen = {key: value for key, value in options.items() if key in known}
        keras.utils.set_random_seed(seed)
        with (distribution or Distribution()).scope():
            built = create_model(part, train.num_users, train.num_items, **chosen)
        try:
            trainer = Trainer(
                built, task, features, train, settings.training, seed=seed, distribution=distribution
            )
            trainer.fit(None)
        except TfzooError as error:
            raise TfzooError(f"Pre-training '{part}' for '{name}' (pretraining.training): {error}") from error
        parts.append(built)
    pretraining.merge(model, *parts, alpha=settings.alpha)
