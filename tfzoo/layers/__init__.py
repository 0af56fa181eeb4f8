"""Keras layers and sub-models that two models or more use; `keras` and `keras.ops` only."""

from tfzoo.layers.id_embedding import IdEmbedding, KnownIdPenalty
from tfzoo.layers.towers import dot_head, embedding_tower, mlp_head, row_tower, two_tower_model

__all__ = [
    "IdEmbedding",
    "KnownIdPenalty",
    "dot_head",
    "embedding_tower",
    "mlp_head",
    "row_tower",
    "two_tower_model",
]
