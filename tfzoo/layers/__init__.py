"""Keras layers and sub-models that two models or more use; `keras` and `keras.ops` only."""

from tfzoo.layers.id_embedding import IdEmbedding, KnownIdPenalty
from tfzoo.layers.losses import AbsoluteError, SquaredError
from tfzoo.layers.towers import dot_head, embedding_tower, mlp_head, row_tower, two_tower_model

__all__ = [
    "AbsoluteError",
    "IdEmbedding",
    "KnownIdPenalty",
    "SquaredError",
    "dot_head",
    "embedding_tower",
    "mlp_head",
    "row_tower",
    "two_tower_model",
]
