"""One word for one idea: what the builders' arguments are called that models of several files have."""

from __future__ import annotations

from collections.abc import Iterable

# By argument, what it means wherever a model has it; a table of docs/architecture.md is written of it.
WORDS = {
    "num_users": "number of known users; their ids are 1 to this, 0 is the unknown one",
    "num_items": "number of known items",
    "embedding_dim": "width of the vector that is learned for an id, a word or a field",
    "hidden_units": "width of the hidden layer, or widths of several from the input on",
    "tower_units": "widths of the layers of each of two equal towers",
    "user_units": "widths of the layers of the user's tower, where it differs from the item's",
    "item_units": "widths of the layers of the item's tower",
    "head_units": "widths of the hidden layers over what the towers give",
    "units": "width or widths of layers that are not fully connected, or of one factor's network",
    "layers": "widths of the hidden layers from the concatenated embeddings on",
    "latent_dim": "width of the code that is learned of a row or a document",
    "factors": "number of factors of a matrix",
    "neighbours": "number of similar users or items that count",
    "history_length": "number of last events that are read",
    "document_length": "number of words that are read of the reviews of one user or item",
    "vocabulary_size": "rows of the table of words, two more than there are words",
    "field_sizes": "rows of each field's table, the unknown value's among them",
    "dense_size": "number of numbers beside the fields",
    "user_features": "width of the users' side features",
    "item_features": "width of the items' side features",
    "blocks": "number of equal blocks of layers, one after the other",
    "heads": "number of heads of an attention",
    "residual": "where the inputs of a block's layers are added to their outputs",
    "tied": "whether what goes in and what comes out share one table",
    "filters": "number of filters of a convolution",
    "kernel_size": "words or events that a filter spans",
    "dropout": "share of the outputs of hidden layers that a step drops",
    "embedding_dropout": "share of the components of looked-up vectors that a step drops",
    "input_dropout": "share of the input's entries that a step drops",
    "tower_dropout": "share of the outputs of the towers that a step drops",
    "embedding_l2": "L2 on the looked-up vectors of a pair, mean over the batch, of models of ranked lists",
    "lookup_l2": "L2 on the looked-up vectors, for each example, of models of ratings",
    "table_l2": "L2 on whole tables at every step",
    "bias_l2": "L2 on the looked-up biases; null for that of the vectors",
    "dense_l2": "L2 on the weights of fully connected layers",
    "output_l2": "L2 on the outputs of the towers",
    "l2": "L2 of a model that has one such number: on all its weights, or of its closed form",
    "l2_user": "shrinks the offsets of users with few ratings",
    "l2_item": "shrinks the offsets of items with few ratings",
    "frequency_exponent": "the penalty of a row is divided by the id's count to this power",
    "shrinkage": "shrinks the similarity of two that have little in common",
    "initial_stddev": "standard deviation of the initial vectors",
    "initial_range": "initial vectors of words lie between plus and minus this",
    "hidden_activation": "activation of the hidden layers",
    "last_activation": "activation of the last layer of each tower",
    "rating_activation": "activation of the predicted rating; null for none",
    "mean_rating": "constant that is added to the predicted rating; `auto` for the training mean",
    "rating_scale": "lowest and highest rating, to which predictions are bound",
    "biases": "whether the user and the item have a bias each",
    "output_bias": "whether the last layer has a bias",
    "train_words": "whether the vectors of words are trained",
    "binary_hidden": "whether the hidden layer learns from binary values",
    "similarity": "name of the measure of similarity",
    "weighting": "how entries of the matrix are weighted before similarities are computed",
    "neighbours_of": "whose neighbours are kept: of each item, or of what is scored",
    "popularity_tiebreak": "whether the more popular of two equal items ranks first",
    "threshold": "least similarity that counts",
    "min_support": "least number of common ratings that counts",
    "centre": "what is subtracted from ratings before they are compared",
    "alternations": "passes over what belongs to users and to items, in turn",
}
# What papers, other libraries and older recipes call the same.
OTHER_WORDS = {
    "embedding_dim": (
        "embedding_size",
        "emb_dim",
        "emb_size",
        "embed_dim",
        "num_factors",
        "n_factors",
        "d_model",
    ),
    "hidden_units": (
        "hidden_dim",
        "hidden_dims",
        "hidden_size",
        "hidden_sizes",
        "hidden_layers",
        "mlp_units",
    ),
    "dropout": ("dropout_rate", "drop_rate", "dropout_prob", "dropout_p", "hidden_dropout_rate"),
    "embedding_l2": ("l2_embedding", "embedding_reg", "embeddings_l2", "emb_l2", "reg", "regularization"),
    "lookup_l2": ("embedding_l2", "l2_embedding", "embedding_reg", "reg", "regularization"),
    "dense_l2": ("kernel_l2", "weights_l2", "l2_dense", "weight_decay"),
    "history_length": ("max_len", "maxlen", "max_seq_len", "sequence_length", "max_sequence_length"),
    "latent_dim": ("code_dim", "latent_size", "bottleneck_dim"),
    "neighbours": ("neighbors", "num_neighbors", "k_neighbors"),
    "blocks": ("num_blocks", "num_layers", "n_layers"),
    "heads": ("num_heads", "n_heads"),
    "initial_stddev": ("init_std", "initializer_range", "stddev"),
}


def our_word(word: str, options: Iterable[str]) -> str | None:
    """Return what one of ``options`` is that others call ``word``; None where none is.

    Args:
        word: no option of the model.
        options: the model's own.
    """
    return next((option for option in options if word in OTHER_WORDS.get(option, ())), None)
