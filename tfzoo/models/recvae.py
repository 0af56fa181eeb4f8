"""RecVAE: A New Variational Autoencoder for Top-N Recommendations (Shenbin et al. 2020)."""

from __future__ import annotations

from typing import Annotated, Any

import keras
from keras import layers, ops
from pydantic import Field

from tfzoo.models.registry import Paper, register_model
from tfzoo.models.step import Batch, Logs, Phase, Step, StepSettings, Tools

PAPER = Paper(
    authors="Shenbin, Alekseev, Tutubalina, Malykh, Nikolenko",
    title="RecVAE: A New Variational Autoencoder for Top-N Recommendations with Implicit Feedback",
    venue="WSDM, 528-536",
    year=2020,
    url="https://doi.org/10.1145/3336191.3371831",
)
LOG_2_PI = 1.8378770664093453
WIDE_LOG_VARIANCE = 10.0


class RecVAEStep(Step):
    """Trains the encoder and the decoder in turn (section 3.4), against a composite prior (3.2).

    The prior of a user's code is a mixture of N(0, I), a wide normal distribution, and what the encoder of
    the epoch before made of his row. The divergence is estimated from one code, and counts
    ``gamma * |x|`` for a user with ``|x|`` items (3.3).
    """

    class Settings(StepSettings):
        """How the two are trained.

        Attributes:
            gamma: weight of the divergence for each item of the user; null takes ``beta``.
            beta: the same weight for all users.
            mixture: weights of N(0, I), of the frozen encoder, and of the wide distribution.
            encoder_passes: passes over the data that train the encoder, an epoch.
            decoder_passes: passes that train the decoder, without dropout.
        """

        gamma: Annotated[float, Field(ge=0)] | None = 0.005
        beta: Annotated[float, Field(ge=0)] = 0.2
        mixture: tuple[float, float, float] = (3 / 20, 3 / 4, 1 / 10)
        encoder_passes: Annotated[int, Field(ge=1)] = 3
        decoder_passes: Annotated[int, Field(ge=1)] = 1

    logs = {"encoder": ("loss", "divergence"), "decoder": ("decoder_loss",)}  # noqa: RUF012
    refuses = "its encoder and its decoder are trained in turn"

    def __init__(self, tools: Tools, settings: Any) -> None:
        super().__init__(tools, settings)
        self.encoder, self.decoder = (tools.model.get_layer(part) for part in ("encoder", "decoder"))
        # Random at first, as in the authors' code: nobody has been encoded yet.
        self.prior = keras.models.clone_model(self.encoder)
        self.noise = keras.random.SeedGenerator(tools.seed)
        tools.optimizer("encoder", self.encoder.trainable_variables)
        tools.optimizer("decoder", self.decoder.trainable_variables)
        self.phases = (
            Phase("encoder", passes=settings.encoder_passes),
            Phase("decoder", passes=settings.decoder_passes),
        )

    def state(self) -> dict[str, list[Any]]:
        """Return the frozen encoder, and what the noise is drawn from."""
        return {"prior": self.prior.variables, "noise": [self.noise.state]}

    def on_epoch_start(self, epoch: int) -> None:
        """Freeze a copy of the encoder as the epoch before left it."""
        if epoch:
            self.prior.set_weights(self.encoder.get_weights())

    def step(self, phase: str, batch: Batch | None) -> Logs:
        """Train one of the two by one batch of rows."""
        assert batch is not None
        row, weight = batch.inputs["user_row"], batch.weight
        share = weight / ops.maximum(ops.sum(weight), 1.0)
        if phase == "decoder":
            mean, log_variance = self._encoded(self.encoder, row, training=False)
            code = self._drawn(mean, log_variance)
            return {"decoder_loss": self.tools.minimize("decoder", lambda: self._error(row, code, share))}

        def loss() -> tuple[Any, Any]:
            mean, log_variance = self._encoded(self.encoder, row, training=True)
            code = self._drawn(mean, log_variance)
            each = log_density(code, mean, log_variance) - self._log_prior(code, row)
            weights = self.settings.beta
            if self.settings.gamma is not None:
                weights = self.settings.gamma * ops.sum(row, axis=-1, keepdims=True)
            divergence = ops.sum(ops.sum(weights * each, axis=-1) * share)
            return self._error(row, code, share) + divergence, divergence

        value, divergence = self.tools.minimize("encoder", loss)
        return {"loss": value, "divergence": divergence}

    def _encoded(self, encoder: keras.Model, row: Any, *, training: bool) -> tuple[Any, Any]:
        return ops.split(encoder(row, training=training), 2, axis=-1)

    def _drawn(self, mean: Any, log_variance: Any) -> Any:
        noise = keras.random.normal(ops.shape(mean), dtype="float32", seed=self.noise)
        return mean + noise * ops.exp(log_variance / 2)

    def _log_prior(self, code: Any, row: Any) -> Any:
        """Return the logarithm of the prior's density of each component of the codes, ``[B, k]``."""
        old_mean, old_log_variance = self._encoded(self.prior, row, training=False)
        parts = (
            (0.0, 0.0),
            (ops.stop_gradient(old_mean), ops.stop_gradient(old_log_variance)),
            (0.0, WIDE_LOG_VARIANCE),
        )
        weighted = [
            log_density(code, mean, log_variance) + ops.log(share)
            for share, (mean, log_variance) in zip(self.settings.mixture, parts, strict=True)
            if share > 0
        ]
        return ops.logsumexp(ops.stack(weighted, axis=-1), axis=-1)

    def _error(self, row: Any, code: Any, share: Any) -> Any:
        """Return the multinomial negative log-likelihood, over items a sum and over users a mean."""
        # Column 0 is the unknown item, which nobody has.
        scores = self.decoder(code, training=True)[:, 1:]
        return -ops.sum(ops.sum(row[:, 1:] * ops.log_softmax(scores, axis=-1), axis=-1) * share)


def log_density(code: Any, mean: Any, log_variance: Any) -> Any:
    """Return the logarithm of the normal density, component by component."""
    return -0.5 * (LOG_2_PI + log_variance + ops.square(code - mean) * ops.exp(-log_variance))


@register_model(
    "recvae",
    task="reconstruction",
    family="autoencoder",
    paper=PAPER,
    step=RecVAEStep,
    small={"hidden_units": 9, "latent_dim": 6},
)
def RecVAE(
    num_users: int,
    num_items: int,
    *,
    hidden_units: int = 600,
    latent_dim: int = 200,
    input_dropout: float = 0.5,
) -> keras.Model:
    """Variational auto-encoder of a user's row whose encoder and decoder are trained in turn.

    Section 3. The encoder has five dense blocks with layer normalisation, each of which also reads
    the sum of all blocks before it; the decoder is one linear layer. Prior, loss and order of training are
    those of `RecVAEStep`.

    Args:
        num_users: number of known users; the scores depend on the row alone.
        num_items: number of known items; item ids are ``1..num_items``, 0 is the unknown item.
        hidden_units: width of the encoder's blocks.
        latent_dim: width k of the code.
        input_dropout: dropout rate on the row of unit length, while the encoder is trained.

    Returns:
        A functional model: ``{"user_row": float32 [B, num_items + 1]}`` to
        ``{"scores": float32 [B, num_items + 1]}``, logits. With ``n = num_items + 1``, h = 600 and
        k = 200 it has ``n h + h + 4 (h^2 + h) + 10 h + 2 (h k + k) + k n + n`` trainable parameters.

    Example:
        >>> import numpy as np
        >>> import tfzoo
        >>> model = tfzoo.models.RecVAE(943, 1682)
        >>> inputs = {"user_row": np.zeros((2, 1683))}
        >>> model.predict(inputs, verbose=0)["scores"].shape
        (2, 1683)

    Differences from the paper:
        Initial weights are Glorot's uniform ones. A row without items is encoded as zeros instead of
        being divided by its length.
    """
    row = keras.Input((num_items + 1,), dtype="float32", name="user_row")
    encoder = _encoder(num_items + 1, hidden_units, latent_dim, input_dropout)
    code = keras.Input((latent_dim,), dtype="float32", name="code")
    decoder = keras.Model(
        code, layers.Dense(num_items + 1, dtype="float32", name="item_scores")(code), name="decoder"
    )
    mean = layers.Identity(name="mean")(encoder(row)[:, :latent_dim])
    return keras.Model({"user_row": row}, {"scores": decoder(mean)}, name="recvae")


def _encoder(width: int, units: int, latent_dim: int, rate: float) -> keras.Model:
    row = keras.Input((width,), dtype="float32", name="row")
    # In float16 the smallest allowed length rounds to 0, and empty rows would become NaN.
    hidden = layers.UnitNormalization(dtype="float32", name="unit_length")(row)
    hidden = layers.Dropout(rate, name="input_dropout")(hidden)
    blocks: list[Any] = []
    for number in range(1, 6):
        dense = layers.Dense(units, name=f"block_{number}")(blocks[-1] if blocks else hidden)
        summed = layers.Add(name=f"sum_{number}")([dense, *blocks]) if blocks else dense
        active = layers.Activation("swish", name=f"swish_{number}")(summed)
        blocks.append(layers.LayerNormalization(epsilon=0.1, name=f"norm_{number}")(active))
    statistics = layers.Dense(2 * latent_dim, dtype="float32", name="statistics")(blocks[-1])
    return keras.Model(row, statistics, name="encoder")
