"""Keras layers and sub-models that two models or more use; `keras` and `keras.ops` only."""

from tfzoo.layers.attentive_pooling import AttentivePooling
from tfzoo.layers.closed_form import (
    ComputedModel,
    ItemFactors,
    ItemOffset,
    ItemWeights,
    column_products,
    computed,
    known_columns,
)
from tfzoo.layers.corruption import Corruption
from tfzoo.layers.cosine_head import ScaleAndOffset, cosine_pair_head, cosine_rating_head, unit_length
from tfzoo.layers.factorization_machine import FactorizationMachine
from tfzoo.layers.feature_towers import feature_head, feature_tower
from tfzoo.layers.field_models import (
    click_model,
    click_term,
    embed_fields,
    field_inputs,
    field_model,
    relu_layers,
)
from tfzoo.layers.fields import FieldEmbedding, NumberEmbedding, PairProducts
from tfzoo.layers.gru_cell import BlockUniform, GRUStep, ItemScores
from tfzoo.layers.histories import CausalAttention, Positions
from tfzoo.layers.id_embedding import IdEmbedding, KnownIdPenalty
from tfzoo.layers.item_table import ItemTable
from tfzoo.layers.losses import AbsoluteError, SquaredError
from tfzoo.layers.neighbours import IdTable, NeighbourMean, RowResiduals, neighbour_model
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
from tfzoo.layers.product_dense import ProductDense
from tfzoo.layers.self_attention import self_attentive_states
from tfzoo.layers.session_state import SessionCounts, SessionNeighbours, StateScores
from tfzoo.layers.set_embedding import BaselineResiduals, SetEmbedding
from tfzoo.layers.stored_users import StoredUsers
from tfzoo.layers.text import TextConvolution, TextWindows, WordTable, text_tower
from tfzoo.layers.tied import Bias, TiedProjection
from tfzoo.layers.towers import dot_head, embedding_tower, mlp_head, row_tower, set_counts, two_tower_model
from tfzoo.layers.variational import GaussianCode

__all__ = [
    "AbsoluteError",
    "AttentivePooling",
    "BaselineResiduals",
    "Bias",
    "BlockUniform",
    "CausalAttention",
    "ComputedModel",
    "Corruption",
    "FactorizationMachine",
    "FieldEmbedding",
    "FrequencyPenalty",
    "GRUStep",
    "GaussianCode",
    "IdEmbedding",
    "IdTable",
    "ItemFactors",
    "ItemOffset",
    "ItemScores",
    "ItemTable",
    "ItemWeights",
    "KnownIdPenalty",
    "NeighbourMean",
    "NumberEmbedding",
    "PairDense",
    "PairDot",
    "PairOutput",
    "PairProducts",
    "Positions",
    "ProductDense",
    "RowResiduals",
    "ScaleAndOffset",
    "SessionCounts",
    "SessionNeighbours",
    "SetEmbedding",
    "SquaredError",
    "StateScores",
    "StoredUsers",
    "TextConvolution",
    "TextWindows",
    "TiedProjection",
    "WordTable",
    "catalogue_scores",
    "click_model",
    "click_term",
    "column_products",
    "computed",
    "cosine_pair_head",
    "cosine_rating_head",
    "dot_head",
    "dot_pair_head",
    "embed_fields",
    "embedding_tower",
    "factor_tower",
    "feature_head",
    "feature_tower",
    "field_inputs",
    "field_model",
    "gmf_head",
    "implicit_model",
    "known_columns",
    "mlp_head",
    "mlp_pair_head",
    "neighbour_model",
    "neumf_head",
    "relu_layers",
    "row_tower",
    "self_attentive_states",
    "set_counts",
    "text_tower",
    "two_tower_model",
    "unit_length",
]
