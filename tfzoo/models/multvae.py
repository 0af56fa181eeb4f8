"""Mult-VAE and Mult-DAE: Variational Autoencoders for Collaborative Filtering (Liang et al. 2018)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from tfzoo.layers import GaussianCode
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Liang, Krishnan, Hoffman, Jebara",
    title="Variational Autoencoders for Collaborative Filtering",
    venue="WWW, 689-698",
    year=2018,
    url="https://doi.org/10.1145/3178876.3186150",
)


@register_model(
    "mult-vae",
    task="reconstruction",
    family="autoencoder",
    paper=PAPER,
    small={"hidden_units": (9,), "latent_dim": 6},
)
def MultVAE(
    num_users: int,
    num_items: int,
    *,
    hidden_units: tuple[int, ...] = (600,),
    latent_dim: int = 200,
    input_dropout: float = 0.5,
    kl_cap: float = 0.2,
    total_anneal_steps: int = 200_000,
    dense_l2: float = 0.0,
) -> keras.Model:
    """Variational auto-encoder of a user's row with a multinomial likelihood: Mult-VAE^PR.

    Sections 2.1 to 2.3. The row is scaled to unit length and thinned by dropout, an encoder gives
    mean and log-variance of a normal code, and a decoder mirrors it. The KL divergence from
    N(0, I) enters the loss with a weight beta that grows with the training steps up to a cap
    (section 2.2.2). The multinomial likelihood is the task's loss ``multinomial``. The layer
    ``code`` is a `GaussianCode`; ``model.get_layer("code").beta`` tells beta.

    Args:
        num_users: number of known users; the scores depend on the row alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is the unknown item.
        hidden_units: widths of the encoder's hidden layers; the decoder has them in reverse.
        latent_dim: width k of the code.
        input_dropout: dropout rate on the row of unit length.
        kl_cap: largest beta.
        total_anneal_steps: steps in which beta would grow to 1; 0 for ``kl_cap`` from the start.
        dense_l2: L2 on the kernels, not on the biases.

    Returns:
        A functional model: ``{"user_row": float32 [B, num_items + 1]}`` to
        ``{"scores": float32 [B, num_items + 1]}``, logits. With ``n = num_items + 1``, h = 600
        and k = 200 it has ``n h + h + 2 k h + 2 k + k h + h + h n + n`` trainable parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.MultVAE(943, 1682)
        >>> inputs = {"user_row": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        None in the model; sizes, initial values and annealing are those of the authors' code on
        MovieLens-20M. There beta takes 40,000 steps to 0.2, which smaller data never sees: let
        ``total_anneal_steps`` end the growth at about 85% of training.

    Raises:
        ValueError: ``kl_cap`` or ``total_anneal_steps`` is negative.
    """
    row = keras.Input((num_items + 1,), dtype="float32", name="user_row")
    hidden = _stack(_thinned(row, input_dropout), hidden_units, "encoder", dense_l2)
    statistics = _dense(2 * latent_dim, None, "statistics", dense_l2, dtype="float32")(hidden)
    code = GaussianCode(kl_cap=kl_cap, total_anneal_steps=total_anneal_steps, dtype="float32", name="code")(
        statistics, row
    )
    return _decoded(row, code, hidden_units, num_items, dense_l2, name="mult-vae")


@register_model("mult-dae", task="reconstruction", family="autoencoder", paper=PAPER, small={"latent_dim": 6})
def MultDAE(
    num_users: int,
    num_items: int,
    *,
    hidden_units: tuple[int, ...] = (),
    latent_dim: int = 200,
    input_dropout: float = 0.5,
    dense_l2: float = 2e-5,
) -> keras.Model:
    """Denoising auto-encoder of a user's row with a multinomial likelihood: Mult-DAE.

    Section 2.2.3. The row is scaled to unit length and thinned by dropout; all layers but the
    last are tanh. The multinomial likelihood is the task's loss ``multinomial``.

    Args:
        num_users: number of known users; the scores depend on the row alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is the unknown item.
        hidden_units: widths of the encoder's hidden layers; the decoder has them in reverse.
        latent_dim: width k of the code.
        input_dropout: dropout rate on the row of unit length.
        dense_l2: L2 on the kernels, not on the biases.

    Returns:
        A functional model: ``{"user_row": float32 [B, num_items + 1]}`` to
        ``{"scores": float32 [B, num_items + 1]}``, logits. With ``n = num_items + 1`` and
        k = 200 it has ``n k + k + k n + n`` trainable parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.MultDAE(943, 1682)
        >>> inputs = {"user_row": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        None in the model; sizes, initial values and penalty are those of the authors' code on
        MovieLens-20M, where lambda is 0.01 a batch of 500: 2e-5.
    """
    row = keras.Input((num_items + 1,), dtype="float32", name="user_row")
    hidden = _stack(_thinned(row, input_dropout), hidden_units, "encoder", dense_l2)
    code = _dense(latent_dim, "tanh", "code", dense_l2)(hidden)
    return _decoded(row, code, hidden_units, num_items, dense_l2, name="mult-dae")


def _thinned(row: Any, rate: float) -> Any:
    # In float16 the smallest allowed length rounds to 0, and empty rows would become NaN.
    unit = layers.UnitNormalization(dtype="float32", name="unit_length")(row)
    return layers.Dropout(rate, name="input_dropout")(unit)


def _decoded(
    row: Any, code: Any, hidden_units: tuple[int, ...], num_items: int, l2: float, *, name: str
) -> keras.Model:
    hidden = _stack(code, tuple(reversed(hidden_units)), "decoder", l2)
    scores = _dense(num_items + 1, None, "scores", l2, dtype="float32")(hidden)
    return keras.Model({"user_row": row}, {"scores": scores}, name=name)


def _stack(tensor: Any, units: tuple[int, ...], part: str, l2: float) -> Any:
    for position, width in enumerate(units, start=1):
        tensor = _dense(width, "tanh", f"{part}_{position}", l2)(tensor)
    return tensor


def _dense(width: int, activation: str | None, name: str, l2: float, **options: Any) -> layers.Dense:
    return layers.Dense(
        width,
        activation=activation,
        kernel_initializer="glorot_uniform",
        bias_initializer=keras.initializers.TruncatedNormal(stddev=0.001),
        kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
        name=name,
        **options,
    )
