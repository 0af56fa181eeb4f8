"""Solving the models that are computed and not trained, outside of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scipy import sparse

from tfzoo.data.interactions import Interactions
from tfzoo.errors import UsageError
from tfzoo.models import model_info

if TYPE_CHECKING:
    import keras


def fit_closed_form(
    model: keras.Model, data: Interactions | sparse.spmatrix, name: str | None = None
) -> keras.Model:
    """Set the weights of ``model`` that gradient descent does not: closed forms, neighbours, counts.

    Args:
        model: a model such as `tfzoo.models.EASE`, or one with counts beside what is trained.
        data: the training part, of as many users and items as the model; or a sparse matrix ``[num_users + 1,
            num_items + 1]`` with one entry for each distinct interaction, its rating for models of ratings,
            else 1. Interactions need TensorFlow, a matrix does not.
        name: of the model in `tfzoo.list_models`; None where that is ``model.name``.

    Returns:
        The model itself.

    Raises:
        UsageError: nothing of the model is computed, it is no model of tfzoo, or it is of other data.
    """
    info = model_info(name or model.name)
    if info.solve is None:
        raise UsageError(
            f"Nothing of '{info.name}' is computed in closed form: compile it and call fit, or tfzoo.fit."
        )
    if not sparse.issparse(data):
        from tfzoo.tasks import get_task

        data = get_task(info.task)().matrix(data)
    info.solve(model, sparse.csr_matrix(data, dtype="float32"))
    return model
