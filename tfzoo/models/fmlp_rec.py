"""FMLP-Rec: Filter-enhanced MLP is All You Need for Sequential Recommendation (Zhou et al. 2022)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tfzoo.layers import ItemTable, Positions
from tfzoo.layers.activations import gelu
from tfzoo.models.registry import Paper, register_model

PAPER = Paper(
    authors="Zhou, Yu, Zhao, Wen",
    title="Filter-enhanced MLP is All You Need for Sequential Recommendation",
    venue="WWW, 2388-2399",
    year=2022,
    url="https://doi.org/10.1145/3485447.3512111",
)
EPSILON = 1e-12


@keras.saving.register_keras_serializable("tfzoo")
class FrequencyFilter(keras.layers.Layer):
    """Multiplies each frequency of a sequence by a trained complex number of each component.

    The Fourier transform runs over the events, with the factor ``1 / sqrt(L)`` both ways; the filter is the
    same as a circular convolution as long as the sequence. Transforms are products with fixed matrices, which
    every runtime has, and at the lengths of histories they are no slower than fast transforms.

    Args:
        initial_stddev: of the real and imaginary parts.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        values: float ``[B, L, d]``.

    Returns:
        float ``[B, L, d]``.
    """

    def __init__(self, initial_stddev: float = 0.02, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial_stddev = float(initial_stddev)

    def build(self, input_shape: Any) -> None:
        """Make the filter, two numbers for each frequency and component."""
        length, width = input_shape[1:]
        self._length, frequencies = length, length // 2 + 1
        for part in ("real", "imaginary"):
            weight = self.add_weight(
                shape=(frequencies, width),
                initializer=keras.initializers.RandomNormal(stddev=self.initial_stddev),
                name=part,
            )
            setattr(self, part, weight)

    def call(self, values: Any) -> Any:
        """Filter."""
        cosine, sine, weight = fourier(self._length)
        constants = (ops.convert_to_tensor(one, self.compute_dtype) for one in (cosine, sine, weight))
        cosine, sine, weight = constants
        # X = sum_t x_t (cos - i sin), Y = X (a + i b), y_t = sum_f w_f (Re Y cos - Im Y sin).
        real, imaginary = ops.matmul(cosine, values), -ops.matmul(sine, values)
        kept = real * self.real - imaginary * self.imaginary
        turned = real * self.imaginary + imaginary * self.real
        back, across = ops.transpose(cosine * weight), ops.transpose(sine * weight)
        return ops.matmul(back, kept) - ops.matmul(across, turned)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the values."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "initial_stddev": self.initial_stddev}


def fourier(length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cosines and sines of the real Fourier transform, and how often each frequency counts back.

    Returns:
        float64 ``[F, L]`` twice, with the factor ``1 / sqrt(L)``, and ``[F, 1]``, for ``F = L // 2 + 1``.
    """
    frequencies = np.arange(length // 2 + 1)
    # Whole turns are taken off before the angle is computed, which keeps its digits.
    angle = 2 * np.pi * (np.outer(frequencies, np.arange(length)) % length) / length
    # A real sequence has each frequency twice, but for the mean and, of an even length, the fastest.
    once = (frequencies == 0) | (2 * frequencies == length)
    return np.cos(angle) / length**0.5, np.sin(angle) / length**0.5, np.where(once, 1.0, 2.0)[:, None]


@register_model(
    "fmlp-rec",
    task="sequence",
    family="sequence",
    paper=PAPER,
    small={"history_length": 4, "embedding_dim": 6},
)
def FMLPRec(
    num_users: int,
    num_items: int,
    *,
    history_length: int = 50,
    embedding_dim: int = 64,
    blocks: int = 2,
    dropout: float = 0.5,
    initial_stddev: float = 0.02,
) -> keras.Model:
    """Trained filters over the frequencies of a history, with a network a block, and no attention.

    Section 3. The items and learned positions, layer-normed, pass through blocks of one filter of all
    frequencies and a point-wise network four times as wide; each adds to what it reads and is layer-normed.
    The last state is scored by its inner products with the same item vectors. A filter reads the whole
    history, padding too, so there is one state a history, and none after earlier events.

    Args:
        num_users: number of known users; scores depend on the history alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is padding.
        history_length: L, events that are read, the last ones of a longer history.
        embedding_dim: width d of items and states.
        blocks: number of blocks.
        dropout: rate on embeddings, filtered states and networks.
        initial_stddev: of tables, filters and networks.

    Returns:
        A functional model: ``{"history": int32 [B, L]}``, right-aligned, to ``{"scores": float32
        [B, num_items + 1]}`` and ``{"states": float32 [B, 1, d]}``, both after the last event. It has
        ``(n + 1) d + L d + 2 d + b (2 (L // 2 + 1) d + 8 d^2 + 9 d)`` parameters for n items and b blocks.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.FMLPRec(943, 1682)
        >>> inputs = {"history": np.zeros((2, 50), int)}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        None in the model. In the authors' code each user also gives one example of nothing but padding, which
        is left out, and the row of padding is not trained.
    """
    normal = keras.initializers.RandomNormal(stddev=initial_stddev)
    history = keras.Input((history_length,), dtype="int32", name="history")
    table = ItemTable(num_items, embedding_dim, embeddings_initializer=_copy(normal), name="items")
    vectors = Positions(_copy(normal), name="positions")(table(history, look_up=True))
    hidden = layers.Dropout(dropout, name="embedding_dropout")(_norm("embedding_norm")(vectors))
    for number in range(1, blocks + 1):
        filtered = FrequencyFilter(initial_stddev, name=f"filter_{number}")(hidden)
        filtered = layers.Dropout(dropout, name=f"filter_dropout_{number}")(filtered)
        hidden = _norm(f"filter_norm_{number}")(filtered + hidden)
        # Only the last state is scored, and after the last filter each event goes its own way.
        hidden = hidden[:, -1:] if number == blocks else hidden
        inner = layers.Dense(
            4 * embedding_dim, activation=gelu, kernel_initializer=_copy(normal), name=f"network_{number}_1"
        )(hidden)
        outer = layers.Dense(embedding_dim, kernel_initializer=_copy(normal), name=f"network_{number}_2")(
            inner
        )
        outer = layers.Dropout(dropout, name=f"network_dropout_{number}")(outer)
        hidden = _norm(f"network_norm_{number}")(outer + hidden)
    states = layers.Identity(dtype="float32", name="states")(hidden[:, -1:])
    return keras.Model(
        {"history": history}, {"scores": table(states[:, -1]), "states": states}, name="fmlp-rec"
    )


def _norm(name: str) -> layers.LayerNormalization:
    return layers.LayerNormalization(epsilon=EPSILON, dtype="float32", name=name)


def _copy(initializer: keras.Initializer) -> keras.Initializer:
    """Return the same initializer with random numbers of its own."""
    return initializer.clone()
