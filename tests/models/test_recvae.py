"""RecVAE: parameters, the divergence, and the limits of its step."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from tests.zoo import small
from tfzoo.models import create_model
from tfzoo.models.recvae import RecVAEStep, log_density
from tfzoo.models.step import Batch


class FakeTools:
    seed = 0

    def __init__(self, model):
        self.model, self.losses = model, {}

    def optimizer(self, name, variables, **changes):
        self.losses[name] = [variable.path for variable in variables]

    def minimize(self, name, loss):
        return loss()


def rows(users=6, items=20, seed=0):
    row = (np.random.default_rng(seed).random((users, items + 1)) < 0.3).astype("float32")
    row[:, 0] = 0
    return row


def step_of(**settings):
    keras.utils.set_random_seed(1)
    model = create_model("recvae", 6, 20, hidden_units=8, latent_dim=3)
    return RecVAEStep(FakeTools(model), RecVAEStep.Settings(**settings))


def batch(row):
    return Batch({"user_row": row}, {}, np.ones(len(row), "float32"), 0)


@pytest.mark.parametrize(("columns", "expected"), [(1682, 3_036_682), (3706, 4_657_906)])
def test_the_number_of_parameters_is_that_of_the_authors_code(columns, expected):
    model = create_model("recvae", 1, columns - 1)
    assert sum(np.prod(variable.shape) for variable in model.trainable_variables) == expected


def test_the_density_is_that_of_the_normal_distribution():
    random = np.random.default_rng(0)
    code, mean, log_variance = random.normal(size=(3, 4, 5))
    expected = stats.norm(mean, np.exp(log_variance / 2)).logpdf(code)
    np.testing.assert_allclose(log_density(code, mean, log_variance), expected, rtol=1e-5)


def test_the_prior_is_the_mixture_by_hand():
    step, row = step_of(), rows()
    code = np.random.default_rng(1).normal(size=(6, 3)).astype("float32")
    old = ops.convert_to_numpy(step.prior(row))
    densities = [
        stats.norm(0, 1).pdf(code),
        stats.norm(old[:, :3], np.exp(old[:, 3:] / 2)).pdf(code),
        stats.norm(0, np.exp(5.0)).pdf(code),
    ]
    expected = np.log(sum(w * d for w, d in zip((0.15, 0.75, 0.1), densities, strict=True)))
    np.testing.assert_allclose(step._log_prior(code, row), expected, rtol=1e-4)


def test_against_its_own_copy_the_divergence_is_zero():
    step, row = step_of(mixture=(0.0, 1.0, 0.0)), rows()
    step.encoder.get_layer("input_dropout").rate = 0.0
    step.on_epoch_start(1)
    assert float(step.step("encoder", batch(row))["divergence"]) == pytest.approx(0, abs=1e-5)


def test_the_divergence_grows_with_the_items_of_a_user():
    step, row = step_of(gamma=0.5), rows()
    step.encoder.get_layer("input_dropout").rate = 0.0
    first = float(step.step("encoder", batch(row))["divergence"])
    double = step_of(gamma=1.0)
    double.encoder.get_layer("input_dropout").rate = 0.0
    assert float(double.step("encoder", batch(row))["divergence"]) == pytest.approx(2 * first, rel=1e-5)
    without = step_of(gamma=0.0).step("encoder", batch(row))
    assert float(without["divergence"]) == 0


def test_padding_does_not_count():
    row, weight = rows(), np.array([1, 1, 1, 1, 0, 0], "float32")
    losses = []
    for users in (6, 4):
        step = step_of(gamma=None, beta=0.0)
        step.encoder.get_layer("input_dropout").rate = 0.0
        step._drawn = lambda mean, log_variance: mean
        found = step.step("encoder", Batch({"user_row": row[:users]}, {}, weight[:users], 0))
        losses.append(float(found["loss"]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_each_part_has_an_optimizer_of_its_own():
    step = step_of()
    assert all(path.startswith(("block", "norm", "statistics")) for path in step.tools.losses["encoder"])
    assert all(path.startswith("item_scores") for path in step.tools.losses["decoder"])
    assert len(step.tools.losses["encoder"]) + len(step.tools.losses["decoder"]) == len(
        step.tools.model.trainable_variables
    )


def test_inference_uses_the_mean():
    model, row = small("recvae", 6, 20), rows()
    statistics = model.get_layer("encoder")(row)
    mean = statistics[:, : statistics.shape[-1] // 2]
    np.testing.assert_allclose(
        model({"user_row": row})["scores"], model.get_layer("decoder")(mean), rtol=1e-5
    )
