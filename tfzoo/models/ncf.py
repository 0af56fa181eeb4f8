"""Neural collaborative filtering (He et al.): GMF, MLP, NeuMF, and NeuMF's pre-training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfzoo.errors import UsageError
from tfzoo.layers import (
    dot_pair_head,
    factor_tower,
    gmf_head,
    implicit_model,
    mlp_pair_head,
    neumf_head,
)
from tfzoo.models.registry import Paper, Pretraining, register_model

SIDES = ("user", "item")
PAPER = Paper(
    authors="He, Liao, Zhang, Nie, Hu, Chua",
    title="Neural Collaborative Filtering",
    venue="WWW 26, 173-182",
    year=2017,
    url="https://doi.org/10.1145/3038912.3052569",
)


@register_model("gmf", task="implicit", family="matrix-factorisation", paper=PAPER)
def GMF(
    num_users: int,
    num_items: int,
    *,
    embedding_dim: int = 8,
    embedding_l2: float = 0.0,
    embedding_dropout: float = 0.0,
    initial_stddev: float = 0.01,
    output_bias: bool = True,
    fixed_output: bool = False,
    biases: bool = False,
) -> keras.Model:
    """Generalised matrix factorisation: an inner product with a trained weight per factor.

    Section 3.2, Eq. 9: ``sigmoid(h . (p_u * q_i) + b)``.

    Args:
        num_users: number of known users; user ids are ``1..num_users``, 0 is the unknown user.
        num_items: number of known items; item ids are ``1..num_items``, 0 is the unknown item.
        embedding_dim: number of factors, the paper's "predictive factors".
        embedding_l2: L2 on the looked-up rows, mean over the batch.
        embedding_dropout: dropout rate on the factors.
        initial_stddev: standard deviation of the initial factors.
        output_bias: the output unit has a bias ``b``, as in the authors' code.
        fixed_output: ``h`` is all ones and there is no ``b``: plain matrix factorisation with a
            logistic loss, which needs a larger ``initial_stddev`` (0.1).
        biases: add a trainable bias of the user and of the item to the logit.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_id": int32 [B]}`` to
        ``{"score": float32 [B]}``, a probability. With ``m = num_users + 1`` and ``n = num_items
        + 1`` table rows it has ``k (m + n) + k + 1`` parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.GMF(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "user_id": np.array([1, 2])}
        >>> model.predict(inputs, verbose=0)["score"].shape
        (2,)

    Differences from the paper:
        The authors' code charges L2 on whole tables at every step; here on the rows that a batch
        looks up. The output's bias is in their code, not in Eq. 9. Dropout, biases of users and
        items and ``fixed_output`` are not in the paper and are off by default; together with
        tuned settings they make the matrix factorisation of Rendle et al. (RecSys 2020).
    """
    towers = _towers(
        num_users,
        num_items,
        {"gmf": embedding_dim},
        initial_stddev=initial_stddev,
        embedding_l2=embedding_l2,
        embedding_dropout=embedding_dropout,
        bias=biases,
    )
    width = embedding_dim + biases
    if fixed_output:
        head = dot_pair_head(width, biases=biases)
    else:
        head = gmf_head(width, output_bias=output_bias, biases=biases)
    return implicit_model(*towers, head, name="gmf", probability=True)


@register_model("mlp", task="implicit", family="perceptron", paper=PAPER)
def MLP(
    num_users: int,
    num_items: int,
    *,
    layers: tuple[int, ...] = (64, 32, 16, 8),
    embedding_l2: float = 0.0,
    dense_l2: float = 0.0,
    embedding_dropout: float = 0.0,
    dropout: float = 0.0,
    initial_stddev: float = 0.01,
    output_bias: bool = True,
    biases: bool = False,
) -> keras.Model:
    """A multi-layer perceptron on the concatenation of a user and an item embedding.

    Section 3.3, Eq. 10.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        layers: width of the concatenation, which is twice that of an embedding, and then of the
            hidden layers, all relu.
        embedding_l2: L2 on the looked-up rows, mean over the batch.
        dense_l2: L2 on the kernels of the hidden layers.
        embedding_dropout: dropout rate on the embeddings.
        dropout: dropout rate after each hidden layer.
        initial_stddev: standard deviation of the initial embeddings.
        output_bias: the output unit has a bias.
        biases: add a trainable bias of the user and of the item to the logit.

    Returns:
        A functional model as from `GMF`, with ``32 (m + n) + 2,753`` parameters by default.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.MLP(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "user_id": np.array([1, 2])}
        >>> model.predict(inputs, verbose=0)["score"].shape
        (2,)

    Differences from the paper:
        L2 is on looked-up rows, see `GMF`. The first layer multiplies user and item by their own
        part of its kernel: the same numbers as after a concatenation, for less work. Dropout
        and biases of users and items are not in the paper and are off by default.

    Raises:
        ValueError: ``layers`` does not start with an even number.
    """
    width = _embedding_width(layers)
    towers = _towers(
        num_users,
        num_items,
        {"mlp": width},
        initial_stddev=initial_stddev,
        embedding_l2=embedding_l2,
        embedding_dropout=embedding_dropout,
        bias=biases,
    )
    head = mlp_pair_head(
        width + biases,
        width + biases,
        units=tuple(layers[1:]),
        dense_l2=dense_l2,
        dropout=dropout,
        output_bias=output_bias,
        biases=biases,
    )
    return implicit_model(*towers, head, name="mlp", probability=True)


def merge_pretrained(
    neumf: keras.Model, gmf: keras.Model, mlp: keras.Model, alpha: float = 0.5
) -> keras.Model:
    """Start NeuMF from a trained GMF and a trained MLP (section 3.4.1, Eq. 13).

    Embeddings and hidden layers are copied; the output kernel becomes
    ``[alpha h_GMF; (1 - alpha) h_MLP]``, and biases are mixed likewise. NeuMF's logit is then
    ``alpha`` times GMF's plus ``1 - alpha`` times MLP's. The paper trains on with plain SGD.

    Args:
        neumf: a model from `NeuMF`; its weights are overwritten.
        gmf: a model from `GMF` with the factors of ``neumf``.
        mlp: a model from `MLP` with the layers of ``neumf``.
        alpha: share of GMF, in [0, 1].

    Returns:
        ``neumf``.

    Raises:
        UsageError: the models do not fit together; ``neumf`` is then left as it was.
    """
    if not 0 <= alpha <= 1:
        raise UsageError(f"alpha, the share of GMF in NeuMF, must lie in [0, 1]. Received {alpha}.")
    merged: dict[tuple[str, str], list[Any]] = {}
    for side in SIDES:
        tower = f"{side}_tower"
        merged[tower, f"{side}_gmf"] = _weights(gmf, tower, f"{side}_gmf")
        merged[tower, f"{side}_mlp"] = _weights(mlp, tower, f"{side}_mlp")
        if _has_layer(neumf, tower, f"{side}_bias"):
            ours, theirs = (_weights(model, tower, f"{side}_bias")[0] for model in (gmf, mlp))
            merged[tower, f"{side}_bias"] = [alpha * ours + (1 - alpha) * theirs]
    for model in (neumf, mlp):
        for layer in model.get_layer("head").layers:
            if layer.name.startswith("hidden_"):
                merged["head", layer.name] = _weights(mlp, "head", layer.name)
    ours, theirs = (_weights(model, "head", "output") for model in (gmf, mlp))
    if len(ours) != len(theirs):
        raise UsageError("GMF and MLP must both have an output bias, or neither, to be merged into NeuMF.")
    kernel = [np.concatenate([alpha * ours[0], (1 - alpha) * theirs[0]])] if ours else []
    biases = [alpha * a + (1 - alpha) * b for a, b in zip(ours[1:], theirs[1:], strict=True)]
    merged["head", "output"] = kernel + biases
    for (part, name), weights in merged.items():
        needed = [weight.shape for weight in _weights(neumf, part, name)]
        found = [weight.shape for weight in weights]
        if needed != found:
            raise UsageError(
                f"NeuMF's '{part}' has weights of shape {needed} in '{name}', and the pre-trained "
                f"models give {found}. Build all three with the same users, items and sizes."
            )
    for (part, name), weights in merged.items():
        neumf.get_layer(part).get_layer(name).set_weights(weights)
    return neumf


@register_model(
    "neumf",
    task="implicit",
    family="perceptron",
    paper=PAPER,
    pretraining=Pretraining(("gmf", "mlp"), merge_pretrained),
)
def NeuMF(
    num_users: int,
    num_items: int,
    *,
    embedding_dim: int = 8,
    layers: tuple[int, ...] = (64, 32, 16, 8),
    embedding_l2: float = 0.0,
    dense_l2: float = 0.0,
    embedding_dropout: float = 0.0,
    dropout: float = 0.0,
    initial_stddev: float = 0.01,
    output_bias: bool = True,
    biases: bool = False,
) -> keras.Model:
    """Neural matrix factorisation: GMF and MLP side by side under one output unit.

    Section 3.4, Eq. 12. The two branches share no embeddings. A tower's vector is that of the
    GMF branch followed by that of the MLP branch. See `merge_pretrained` for Eq. 13.

    Args:
        num_users: number of known users.
        num_items: number of known items.
        embedding_dim: number of factors of the GMF branch.
        layers: widths of the MLP branch, see `MLP`.
        embedding_l2: L2 on the looked-up rows of both branches, mean over the batch.
        dense_l2: L2 on the kernels of the hidden layers.
        embedding_dropout: dropout rate on the embeddings.
        dropout: dropout rate after each hidden layer.
        initial_stddev: standard deviation of the initial embeddings.
        output_bias: the output unit has a bias.
        biases: add a trainable bias of the user and of the item to the logit.

    Returns:
        A functional model as from `GMF`, with ``40 (m + n) + 2,761`` parameters by default.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.NeuMF(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "user_id": np.array([1, 2])}
        >>> model.predict(inputs, verbose=0)["score"].shape
        (2,)

    Differences from the paper:
        As for `GMF` and `MLP`. The authors' code has an L2 coefficient for each branch; here one.

    Raises:
        ValueError: ``layers`` does not start with an even number, or has no hidden layer.
    """
    width = _embedding_width(layers)
    towers = _towers(
        num_users,
        num_items,
        {"gmf": embedding_dim, "mlp": width},
        initial_stddev=initial_stddev,
        embedding_l2=embedding_l2,
        embedding_dropout=embedding_dropout,
        bias=biases,
    )
    head = neumf_head(
        embedding_dim,
        width,
        units=tuple(layers[1:]),
        dense_l2=dense_l2,
        dropout=dropout,
        output_bias=output_bias,
        biases=biases,
    )
    return implicit_model(*towers, head, name="neumf", probability=True)


def _towers(
    num_users: int, num_items: int, widths: dict[str, int], **options: Any
) -> tuple[keras.Model, keras.Model]:
    user_tower, item_tower = (
        factor_tower(side, num_ids, widths, **options)
        for side, num_ids in zip(SIDES, (num_users, num_items), strict=True)
    )
    return user_tower, item_tower


def _embedding_width(layers: tuple[int, ...]) -> int:
    if not layers or layers[0] < 2 or layers[0] % 2:
        raise ValueError(
            "`layers` must start with the width of user and item embedding together, an even number. "
            f"Received: layers={tuple(layers)}"
        )
    return layers[0] // 2


def _has_layer(model: keras.Model, part: str, name: str) -> bool:
    return any(layer.name == name for layer in model.get_layer(part).layers)


def _weights(model: keras.Model, part: str, name: str) -> list[Any]:
    if not _has_layer(model, part, name):
        raise UsageError(
            f"Model '{model.name}' has no layer '{name}' in '{part}', which a merge into NeuMF needs. "
            "Give NeuMF, GMF and MLP, in this order, built with the same options."
        )
    return model.get_layer(part).get_layer(name).get_weights()
