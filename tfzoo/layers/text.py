"""Parts of networks that read documents: word table, convolution with max over time, tower."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


@keras.saving.register_keras_serializable("tfzoo")
class WordTable(keras.layers.Layer):
    """The vectors of all words; id 0 is padding.

    It hands out the whole table rather than the vectors of a document: `TextConvolution` works
    on each word of the vocabulary once, not on each place where it stands.

    Args:
        vocabulary_size: number of word ids, that of padding included.
        embedding_dim: width of a vector.
        initializer: initialiser of the table.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        tokens: int32 ``[B, T]``; they only tie the table to the model's inputs.

    Returns:
        float ``[vocabulary_size, embedding_dim]``.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        initializer: str | keras.Initializer = "uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.embedding_dim = vocabulary_size, embedding_dim
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the table."""
        shape = (self.vocabulary_size, self.embedding_dim)
        self.embeddings = self.add_weight(shape=shape, initializer=self.initializer, name="embeddings")
        self.built = True

    def call(self, tokens: Any) -> Any:
        """Return the table."""
        return ops.convert_to_tensor(self.embeddings)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int, int]:
        """Return the shape of the table."""
        return self.vocabulary_size, self.embedding_dim

    def set_rows(self, rows: NDArray, vectors: NDArray) -> None:
        """Replace the vectors of some word ids: int ``[m]``, float ``[m, embedding_dim]``."""
        table = np.array(ops.convert_to_numpy(self.embeddings))
        table[rows] = vectors
        self.embeddings.assign(table)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "initializer": keras.initializers.serialize(self.initializer),
        }


@keras.saving.register_keras_serializable("tfzoo")
class TextConvolution(keras.layers.Layer):
    """Convolution over a document, relu, and the largest value of each filter over time.

    Equal to ``Conv1D(filters, kernel_size, padding="same", activation="relu")`` on the words'
    vectors (zero for padding) and the maximum over the windows whose middle is a word: padding
    never wins, and more of it changes nothing. A document without words gives zeros.

    Only the window that wins gets a gradient. So in training the filters are applied to the
    vocabulary without one, which finds the winners, and again to the winners alone with one: 3.4
    times as fast as the two standard layers (batch 128, 500 words, 20,000 words, 2 CPU cores).
    Otherwise the largest values themselves are enough; ONNX and LiteRT have no operation for
    Keras' ``argmax``.

    Args:
        filters: number of filters.
        kernel_size: words a window.
        initializer: initialiser of the filters.
        bias_initializer: initialiser of their biases.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        tokens: int32 ``[B, T]``, 0 for padding.
        table: vectors of the words, float ``[V, D]``, from `WordTable`.
        training: whether a gradient is wanted.

    Returns:
        float ``[B, filters]``.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        initializer: str | keras.Initializer = "glorot_uniform",
        bias_initializer: str | keras.Initializer = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if filters < 1 or kernel_size < 1:
            raise ValueError(
                "`filters` and `kernel_size` must be at least 1. "
                f"Received: filters={filters}, kernel_size={kernel_size}"
            )
        self.filters, self.kernel_size = filters, kernel_size
        self.initializer = keras.initializers.get(initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, tokens_shape: tuple[int | None, ...], table_shape: tuple[int, int]) -> None:
        """Create the filters."""
        shape = (self.kernel_size, table_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer=self.initializer, name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer=self.bias_initializer, name="bias")
        self.built = True

    def call(self, tokens: Any, table: Any, training: bool = False) -> Any:
        """Return the largest value of each filter."""
        before = (self.kernel_size - 1) // 2
        padded = ops.pad(tokens, [[0, 0], [before, self.kernel_size - 1 - before]])
        if not training:
            largest = ops.max(self._windows(tokens, padded, table), axis=1) + self.bias
            return ops.relu(largest) * ops.max(self._known(tokens), axis=1)
        windows = self._windows(tokens, padded, table)
        winners = ops.cast(ops.argmax(ops.stop_gradient(windows), axis=1), "int32")
        total = self.bias
        for offset in range(self.kernel_size):
            words = ops.take_along_axis(padded, winners + offset, axis=1)
            vectors = ops.take(table, words, axis=0) * self._known(words)
            total = total + ops.einsum("bfd,df->bf", vectors, self.kernel[offset])
        return ops.relu(total) * ops.max(self._known(tokens), axis=1)

    def _windows(self, tokens: Any, padded: Any, table: Any) -> Any:
        """Return the value of each window without the bias, ``[B, T, filters]``, -inf where no word is."""
        length = tokens.shape[1]
        # Padding adds nothing to a window; the words of the table other than row 0 do.
        words = table * self._known(ops.arange(table.shape[0], dtype="int32"))
        total = ops.where(ops.not_equal(tokens, 0), 0.0, -np.inf)[:, :, None]
        total = ops.cast(total, self.compute_dtype)
        for offset in range(self.kernel_size):
            values = ops.matmul(words, self.kernel[offset])
            total = total + ops.take(values, padded[:, offset : offset + length], axis=0)
        return total

    def _known(self, words: Any) -> Any:
        return ops.cast(ops.not_equal(words, 0), self.compute_dtype)[..., None]

    def compute_output_shape(
        self, tokens_shape: tuple[int | None, ...], table_shape: tuple[int, int]
    ) -> tuple[int | None, ...]:
        """Return the shape of the output."""
        return tokens_shape[0], self.filters

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "initializer": keras.initializers.serialize(self.initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


@keras.saving.register_keras_serializable("tfzoo")
class TextWindows(TextConvolution):
    """Convolution over a document and relu, with a vector for each of its places.

    Equal to ``Conv1D(filters, kernel_size, padding="same", activation="relu")`` on the words' vectors
    (zero for padding), and zeros where no word is. Unlike Keras' layer it runs on the NumPy backend.

    Args:
        filters, kernel_size, initializer, bias_initializer, **kwargs: as for `TextConvolution`.

    Call arguments:
        tokens: int32 ``[B, T]``, 0 for padding.
        table: vectors of the words, float ``[V, D]``, from `WordTable`.

    Returns:
        float ``[B, T, filters]``, not negative.
    """

    def call(self, tokens: Any, table: Any, training: bool = False) -> Any:
        """Return the value of each window."""
        length, before = tokens.shape[1], (self.kernel_size - 1) // 2
        padded = ops.pad(tokens, [[0, 0], [before, self.kernel_size - 1 - before]])
        # A gradient needs the vocabulary's values once; without one most of the words do not occur.
        if training:
            windows = self._windows(tokens, padded, table) + self.bias
        else:
            vectors = ops.take(table, padded, axis=0) * self._known(padded)
            windows = self.bias
            for offset in range(self.kernel_size):
                windows = windows + ops.matmul(vectors[:, offset : offset + length], self.kernel[offset])
        return ops.relu(windows) * self._known(tokens)

    def compute_output_shape(
        self, tokens_shape: tuple[int | None, ...], table_shape: tuple[int, int]
    ) -> tuple[int | None, ...]:
        """Return the shape of the output."""
        return *tokens_shape, self.filters


def text_tower(
    side: str,
    words: WordTable,
    document_length: int,
    *,
    filters: int,
    kernel_size: int,
    latent_dim: int,
    dropout: float = 0.0,
    activation: str | None = "relu",
) -> keras.Model:
    """Build document -> words -> convolution -> max over time -> one fully connected layer.

    Args:
        side: ``"user"`` or ``"item"``; the model is named ``<side>_tower``.
        words: the table of words. Two towers need a table each: Keras cannot load a layer that is
            part of two sub-models.
        document_length: number of words of a document, ``T``.
        filters: number of filters.
        kernel_size: words a window.
        latent_dim: width of the vector.
        dropout: dropout rate on the largest values of the filters.
        activation: activation of the fully connected layer.

    Returns:
        A model from ``{"<side>_tokens": int32 [B, T]}`` to a vector float32 ``[B, latent_dim]``.
    """
    tokens = keras.Input((document_length,), dtype="int32", name=f"{side}_tokens")
    start = keras.initializers.Constant(0.1)
    largest = TextConvolution(filters, kernel_size, bias_initializer=start, name=f"{side}_convolution")(
        tokens, words(tokens)
    )
    if dropout:
        largest = keras.layers.Dropout(dropout)(largest)
    vector = keras.layers.Dense(
        latent_dim, activation=activation, bias_initializer=start, name=f"{side}_latent"
    )(largest)
    vector = keras.layers.Activation("linear", dtype="float32", name="vector")(vector)
    return keras.Model({f"{side}_tokens": tokens}, vector, name=f"{side}_tower")
