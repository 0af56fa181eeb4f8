"""Matrix factorisation for implicit feedback: BMF and BPR-MF."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfzoo.layers import dot_pair_head, factor_tower, implicit_model
from tfzoo.models.registry import Paper, register_model

BMF_PAPER = Paper(
    authors="Elmimouni, Khairaldin, Razig",
    title="Recommendation Systems: From Basics to Deep Neural Networks",
    venue="ENSAE Paris (venue and year not printed)",
    year=None,
    url="https://github.com/arazig/Advanced-ML-project",
)
BPR_PAPER = Paper(
    authors="Rendle, Freudenthaler, Gantner, Schmidt-Thieme",
    title="BPR: Bayesian Personalized Ranking from Implicit Feedback",
    venue="UAI 25, 452-461",
    year=2009,
    url="https://arxiv.org/abs/1205.2618",
)


def count_interactions(model: keras.Model, matrix: Any) -> None:
    """Give BMF's penalties the number of training interactions of every user and item.

    Args:
        model: a model from `BMF`.
        matrix: `scipy.sparse.csr_matrix` float32 ``[num_users + 1, num_items + 1]``, one entry
            for every training pair.
    """
    for axis, side in ((1, "user"), (0, "item")):
        counts = np.asarray(matrix.getnnz(axis=axis), np.float32)
        model.get_layer(f"{side}_tower").get_layer(f"{side}_penalty").counts.assign(counts)


@register_model(
    "bmf", task="implicit", family="matrix-factorisation", paper=BMF_PAPER, solve=count_interactions
)
def BMF(
    num_users: int,
    num_items: int,
    *,
    embedding_dim: int = 10,
    embedding_l2: float = 0.1,
    frequency_exponent: float = 0.5,
    embedding_dropout: float = 0.0,
    initial_stddev: float = 0.1,
) -> keras.Model:
    """Binary matrix factorisation: a logistic inner product, regularised by frequency.

    The binary model of section 2 with the regularisation of the experiments: a user (or item)
    with ``n`` training interactions is charged ``embedding_l2 / n^frequency_exponent``. There
    are no biases.

    Args:
        num_users: number of known users; user ids are ``1..num_users``, 0 is the unknown user.
        num_items: number of known items; item ids are ``1..num_items``, 0 is the unknown item.
        embedding_dim: number of factors.
        embedding_l2: lambda: L2 on a looked-up row of an id with one interaction.
        frequency_exponent: 0.5 as in the authors' code, 1 as in the paper's text.
        embedding_dropout: dropout rate on the factors.
        initial_stddev: standard deviation of the initial factors.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_id": int32 [B]}`` to
        ``{"score": float32 [B]}``, a probability, with ``embedding_dim (num_users + num_items +
        2)`` trained parameters, and the numbers of interactions, which `count_interactions`
        sets before training.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.BMF(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "user_id": np.array([1, 2])}
        >>> model.predict(inputs, verbose=0)["score"].shape
        (2,)

    Differences from the paper:
        Sizes, lambda and exponent are those of the authors' code, where the text gives none or
        others. The penalty's gradient is lambda times the factors, as in the code; the text has
        twice that. Both factors are updated at once; the code updates the item's with the
        user's new value. The code trains on positives alone, never shuffled, by plain gradient
        descent; that task and optimiser are the recipe's matter.
    """
    user_tower, item_tower = (
        factor_tower(
            side,
            num_ids,
            {"embedding": embedding_dim},
            initial_stddev=initial_stddev,
            embedding_l2=embedding_l2,
            frequency_exponent=frequency_exponent,
            embedding_dropout=embedding_dropout,
        )
        for side, num_ids in (("user", num_users), ("item", num_items))
    )
    return implicit_model(user_tower, item_tower, dot_pair_head(embedding_dim), name="bmf", probability=True)


@register_model("bpr-mf", task="implicit", family="matrix-factorisation", paper=BPR_PAPER)
def BPRMF(
    num_users: int,
    num_items: int,
    *,
    embedding_dim: int = 64,
    embedding_l2: float = 0.0025,
    item_bias: bool = False,
    embedding_dropout: float = 0.0,
    initial_stddev: float = 0.1,
) -> keras.Model:
    """Matrix factorisation for pairwise learning: the inner product of a user and an item vector.

    Section 5.1 (the model; the pairwise objective of section 4 is the task's loss ``bpr``).

    Args:
        num_users: number of known users.
        num_items: number of known items.
        embedding_dim: number of factors.
        embedding_l2: L2 on the looked-up rows and item biases, mean over the batch.
        item_bias: add a trainable bias of the item. A bias of the user would change no ranking.
        embedding_dropout: dropout rate on the factors.
        initial_stddev: standard deviation of the initial factors.

    Returns:
        A functional model: ``{"user_id": int32 [B], "item_id": int32 [B]}`` to
        ``{"score": float32 [B]}``, any real number, with ``embedding_dim (num_users + num_items +
        2)`` parameters, and ``num_items + 1`` more with ``item_bias``.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.BPRMF(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "user_id": np.array([1, 2])}
        >>> model.predict(inputs, verbose=0)["score"].shape
        (2,)

    Differences from the paper:
        It has a regularisation constant each for users, positive and negative items, found by a
        search and not printed; here they are one. Number of factors, initial values and lambda
        are not given as one setting there and are ours. The item bias, common in libraries, is
        not in the paper's model and is off by default. Triples are drawn in epochs over all positives
        instead of with replacement.
    """
    user_tower, item_tower = (
        factor_tower(
            side,
            num_ids,
            {"embedding": embedding_dim},
            initial_stddev=initial_stddev,
            embedding_l2=embedding_l2,
            embedding_dropout=embedding_dropout,
            bias=item_bias and side == "item",
        )
        for side, num_ids in (("user", num_users), ("item", num_items))
    )
    head = dot_pair_head(embedding_dim + item_bias, item_bias=item_bias)
    return implicit_model(user_tower, item_tower, head, name="bpr-mf", probability=False)
