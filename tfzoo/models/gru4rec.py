"""GRU4Rec: a recurrent network over the events of a session."""

from __future__ import annotations

import keras
from keras import layers

from tfzoo.layers import BlockUniform, GRUStep, IdEmbedding, ItemScores
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Hidasi, Karatzoglou",
    title="Recurrent Neural Networks with Top-k Gains for Session-based Recommendations",
    venue="CIKM",
    year=2018,
    url="https://doi.org/10.1145/3269206.3271761",
)
EMBEDDINGS = ("shared", "separate", "none")


@register_model("gru4rec", task="next-item", family="sequence", paper=PAPER, small={"units": (6, 4)})
def GRU4Rec(
    num_users: int,
    num_items: int,
    *,
    units: tuple[int, ...] = (100,),
    embedding: str = "shared",
    embedding_dim: int | None = None,
    embedding_dropout: float = 0.0,
    hidden_dropout: float = 0.0,
    final_activation: str = "linear",
    elu_alpha: float = 1.0,
) -> keras.Model:
    """GRU over the events of a session; scores of all items for the next event.

    Hidasi, Karatzoglou, Baltrunas, Tikk, *Session-based Recommendations with Recurrent Neural
    Networks*, ICLR 2016, section 3, with the embeddings of section 4.3 of the paper of 2018.

    Args:
        num_users: number of known users; unused, as sessions are anonymous.
        num_items: number of known items.
        units: widths of the recurrent layers.
        embedding: ``"shared"`` (constrained): the table of the scores is the input embedding as
            well, of width ``units[-1]``; ``"separate"``: a table of its own; ``"none"``: a one-hot
            item goes straight into the gates of the first layer.
        embedding_dim: width of a separate embedding; ``units[0]`` if None.
        embedding_dropout: dropout rate on the input embedding.
        hidden_dropout: dropout rate on the new state of every layer. The state that the next step
            starts from is the dropped one, as in the authors' code.
        final_activation: of the scores: ``"linear"`` (cross-entropy, whose softmax is part of the
            loss), ``"elu"`` (BPR-max), ``"tanh"`` (TOP1 in 2016) or another of
            `tfzoo.layers.gru_cell.ACTIVATIONS`.
        elu_alpha: parameter of ``"elu"``.

    Returns:
        A functional model of one event a step: ``{"item_id": int32 [B], "state_0": float32
        [B, units[0]], ...}`` to ``{"state_0": float32 [B, units[0]], ..., "scores": float32
        [B, num_items + 1]}``. A session starts from states of 0; the unknown item 0 leaves them
        as they are. The layer ``item_scores`` scores chosen items, see `tfzoo.layers.ItemScores`.
        With I = num_items + 1 and one layer of H units there are I H + 6 H^2 + 3 H + I parameters
        when shared, 4 I H + 3 H^2 + 3 H + I without an embedding.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.GRU4Rec(943, 1682)
        >>> inputs = {"item_id": np.array([50, 172]), "state_0": np.zeros((2, 100))}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        None in the model. The initial weights follow the authors' code: uniform within
        sqrt(6 / (rows + columns)) for every gate's own matrix, biases 0.

    Raises:
        ValueError: ``units`` is empty, ``embedding`` is unknown, or an option of another kind of
            embedding is set.
    """
    del num_users
    if not units:
        raise ValueError("`units` needs at least one layer. Received: units=()")
    if embedding not in EMBEDDINGS:
        raise ValueError(f"`embedding` must be one of {EMBEDDINGS}. Received: embedding={embedding!r}")
    if embedding_dim is not None and embedding != "separate":
        raise ValueError(
            "`embedding_dim` is for a separate embedding only. "
            f"Received: embedding={embedding!r}, embedding_dim={embedding_dim}"
        )
    if embedding == "none" and embedding_dropout:
        raise ValueError(
            "`embedding_dropout` needs an embedding. "
            f"Received: embedding='none', embedding_dropout={embedding_dropout}"
        )
    item_id = keras.Input((), dtype="int32", name="item_id")
    before = {
        f"state_{number}": keras.Input((width,), dtype="float32", name=f"state_{number}")
        for number, width in enumerate(units)
    }
    item_scores = ItemScores(
        num_items + 1,
        units[-1],
        activation=final_activation,
        elu_alpha=elu_alpha,
        dtype="float32",
        name="item_scores",
    )
    if embedding == "shared":
        vector = item_scores(item_id, look_up=True)
    else:
        width, blocks = (3 * units[0], 3) if embedding == "none" else (embedding_dim or units[0], 1)
        vector = IdEmbedding(
            num_items + 1, width, embeddings_initializer=BlockUniform(blocks), name="item_embedding"
        )(item_id)
    if embedding_dropout:
        vector = layers.Dropout(embedding_dropout, name="embedding_dropout")(vector)
    after = {}
    for number, (name, state) in enumerate(before.items()):
        step = GRUStep(units[number], projected=embedding == "none" and number == 0, name=f"gru_{number}")
        vector = step(vector, state, item_id)
        if hidden_dropout:
            vector = layers.Dropout(hidden_dropout, dtype="float32", name=f"hidden_dropout_{number}")(vector)
        after[name] = vector
    inputs = {"item_id": item_id, **before}
    return keras.Model(inputs, {**after, "scores": item_scores(vector)}, name="gru4rec")
