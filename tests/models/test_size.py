"""What a model takes before it is built, and what is refused for it."""

import time

import keras
import pytest

from tests.zoo import SMALL
from tfzoo.errors import UsageError
from tfzoo.models import create_model, list_models, model_info
from tfzoo.models.size import require_memory, size_of

GIB = 2**30


@pytest.mark.parametrize("name", ["pmf", "neumf", "ease", "mult-vae", "gru4rec", "popularity"])
def test_the_size_is_that_of_the_built_model(name):
    options = SMALL.get(name, {})
    found = size_of(name, 70, 50, **options)
    model = create_model(name, 70, 50, **options)
    assert found.weights == 4 * sum(weight.shape.num_elements() for weight in model.weights)
    assert found.trained == 4 * sum(weight.shape.num_elements() for weight in model.trainable_variables)


@pytest.mark.parametrize("name", ["pmf", "neumf", "gru4rec"])
def test_a_size_takes_no_memory_and_no_time(name):
    start = time.monotonic()
    assert size_of(name, 500_000_000, 500_000_000).weights > 4 * GIB
    assert time.monotonic() - start < 60


def test_weights_get_their_values_again_afterwards():
    keras.config.set_dtype_policy("mixed_bfloat16")
    size_of("pmf", 10, 10)
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(3)
    before = [keras.ops.convert_to_numpy(weight) for weight in create_model("pmf", 10, 10).weights]
    size_of("pmf", 10, 10)
    keras.utils.set_random_seed(3)
    after = [keras.ops.convert_to_numpy(weight) for weight in create_model("pmf", 10, 10).weights]
    assert all((one == other).all() for one, other in zip(before, after, strict=True))


def test_a_model_that_cannot_fit_is_refused_with_the_figure():
    refused = (
        ("pmf", 10**9, 10, {"embedding_dim": 8}, 0, r"its weights alone take 29\.8 GiB; there are 16\.0 GiB"),
        ("pmf", 10**9, 10, {"embedding_dim": 8}, 2, r"29\.8 GiB, and 89\.4 GiB with what training holds"),
        ("pmf", 10, 10, {"embedding_dim": 10**11}, 0, "does not fit"),
        # 7.5 GiB of weights fit, what Adam holds of them does not.
        ("pmf", 2 * 10**8, 10, {"embedding_dim": 10}, 2, r"22\.4 GiB with what training holds"),
    )
    for name, users, items, options, copies, message in refused:
        with pytest.raises(UsageError, match=message):
            require_memory(name, users, items, options, copies, 16 * GIB)
    require_memory("pmf", 2 * 10**8, 10, {"embedding_dim": 10}, 0, 16 * GIB)
    require_memory("pmf", 1000, 1000, {"embedding_dim": 10}, 3, 16 * GIB)


def test_a_share_of_all_units_is_no_dropout():
    tried = 0
    for name in list_models():
        for option in model_info(name).options:
            if not option.endswith("dropout"):
                continue
            for value in (1.0, 1, -0.1, float("nan")):
                tried += 1
                with pytest.raises(UsageError, match=rf"{option} must be at least 0 and below 1"):
                    create_model(name, 7, 5, **{**SMALL.get(name, {}), option: value})
    assert tried > 40
