"""Keras layers and sub-models that two models or more use; `keras` and `keras.ops` only."""

from tfzoo.layers.factorization_machine import FactorizationMachine
from tfzoo.layers.gru_cell import BlockUniform, GRUStep, ItemScores
from tfzoo.layers.id_embedding import IdEmbedding, KnownIdPenalty
from tfzoo.layers.losses import AbsoluteError, SquaredError
from tfzoo.layers.pair_head import (
    catalogue_scores,
    dot_pair_head,
    factor_tower,
    gmf_head,
    implicit_model,
    mlp_pair_head,
    neumf_head,
)
from tfzoo.layers.pair_layers import FrequencyPenalty, PairDense, PairDot, PairOutput
from tfzoo.layers.text import TextConvolution, WordTable, text_tower
from tfzoo.layers.towers import dot_head, embedding_tower, mlp_head, row_tower, two_tower_model

__all__ = [
    "AbsoluteError",
    "BlockUniform",
    "FactorizationMachine",
    "FrequencyPenalty",
    "GRUStep",
    "IdEmbedding",
    "ItemScores",
    "KnownIdPenalty",
    "PairDense",
    "PairDot",
    "PairOutput",
    "SquaredError",
    "TextConvolution",
    "WordTable",
    "catalogue_scores",
    "dot_head",
    "dot_pair_head",
    "embedding_tower",
    "factor_tower",
    "gmf_head",
    "implicit_model",
    "mlp_head",
    "mlp_pair_head",
    "neumf_head",
    "row_tower",
    "text_tower",
    "two_tower_model",
]
