"""DLRM: the example that its authors print, its size, its limits."""

import keras
import numpy as np
import pytest

from tests.zoo import build, call
from tfzoo.errors import UsageError
from tfzoo.models import create_model
from tfzoo.models.dlrm import DotInteraction, UniformByRows

FIELDS = (4, 3, 5)

# The debug example of the README of the authors' code; weights of layers are rows of outputs there.
TABLES = [
    [[0.05438, -0.11105], [0.42513, 0.34167], [-0.1426, -0.45641], [-0.19523, -0.10181]],
    [[0.23667, 0.57199], [-0.16638, 0.30316], [0.10759, 0.22136]],
    [[-0.49338, -0.14301], [-0.36649, -0.22139]],
]
WEIGHTS = {
    "bottom_1": (
        [
            [0.51313, 0.66662, 0.10591, 0.13089],
            [0.32198, 0.66156, 0.84651, 0.55326],
            [0.85445, 0.38484, 0.31679, 0.35426],
        ],
        [0.17108, 0.82911, 0.33867],
    ),
    "bottom_2": ([[0.55237, 0.57855, 0.52153], [0.00269, 0.98835, 0.90534]], [0.20764, 0.29249]),
    "hidden_1": (
        [
            [0.52001, 0.90191, 0.98363, 0.25754, 0.56436, 0.80697, 0.39437, 0.73107],
            [0.16107, 0.6007, 0.86586, 0.98352, 0.07937, 0.42835, 0.20454, 0.45064],
            [0.54776, 0.09333, 0.29686, 0.92758, 0.569, 0.45741, 0.75353, 0.74186],
            [0.04858, 0.7087, 0.83924, 0.16594, 0.781, 0.28654, 0.30647, 0.66526],
        ],
        [0.11139, 0.66487, 0.88786, 0.69631],
    ),
    "hidden_2": (
        [[0.44033, 0.43821, 0.7651, 0.56564], [0.0849, 0.58267, 0.81484, 0.33707]],
        [0.92758, 0.75072],
    ),
}
LAST, LAST_BIAS = [[0.57406, 0.75164]], [0.07915]
NUMBERS = [[0.69647, 0.28614, 0.22685, 0.55131], [0.71947, 0.42311, 0.98076, 0.68483]]
READ = [
    [2.34830, 3.20108, 2.09205, 2.38676, 0.29605, -1.56932, -0.23145, -0.21337],
    [3.11465, 4.32682, 2.49136, 0.79350, -0.00987, -2.15549, -0.26956, 0.03873],
]


def test_the_example_of_the_authors_comes_out():
    # A bag of two values, as the second example has in its first field, is the row of their sum.
    tables = [np.array(table) for table in TABLES]
    tables[0] = np.vstack([tables[0], tables[0][0] + tables[0][1]])
    sizes = [len(table) for table in tables]
    model = create_model(
        "dlrm", 1, 1, field_sizes=sizes, dense_size=4, embedding_dim=2, bottom_units=(3,), hidden_units=(4, 2)
    )
    model.get_layer("field_embeddings").set_weights([np.vstack(tables)])
    for name, (rows, bias) in WEIGHTS.items():
        model.get_layer(name).set_weights([np.transpose(rows), np.array(bias)])
    model.get_layer("network").set_weights([np.transpose(LAST)])
    model.get_layer("bias").set_weights([np.array(LAST_BIAS)])
    inputs = {
        "fields": np.array([[1, 0, 1], [4, 1, 0]], np.int32),
        "dense": np.array(NUMBERS, np.float32),
    }
    read = keras.Model(model.input, model.get_layer("hidden_1").input)
    np.testing.assert_allclose(read.predict(inputs, verbose=0), READ, atol=3e-5)
    clicks = call(model, inputs)["click"]
    np.testing.assert_allclose(clicks, [1.000000, 0.999999], atol=1e-6)
    assert np.mean((clicks - [0.55679, 0.15896]) ** 2) == pytest.approx(0.45189, abs=1e-5)


def test_the_number_of_parameters_is_that_of_the_script_for_criteo():
    model = create_model("dlrm", 1, 1, field_sizes=[1] * 26, dense_size=13)
    assert model.count_params() == 475_985 + 16 * 26


@pytest.mark.parametrize("with_itself", [False, True])
def test_each_pair_is_multiplied_once(with_itself):
    vectors = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
    pairs = [(i, j) for i in range(4) for j in range(i + 1) if with_itself or j < i]
    expected = [[float(v[i] @ v[j]) for i, j in pairs] for v in vectors]
    layer = DotInteraction(with_itself)
    np.testing.assert_allclose(layer(vectors), expected, atol=1e-5)
    assert layer.compute_output_shape((None, 4, 3)) == (None, len(pairs))


def test_a_single_field_with_numbers_is_multiplied_with_them():
    model = build("dlrm", 0, field_sizes=(4,), dense_size=2)
    inputs = {"fields": np.array([[3]], np.int32), "dense": np.array([[0.5, 2.0]], np.float32)}
    read = keras.Model(model.input, model.get_layer("hidden_1").input)(inputs).numpy()[0]
    row = model.get_layer("field_embeddings").embeddings.numpy()[3]
    assert read.shape == (5,)
    assert read[4] == pytest.approx(float(read[:4] @ row), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "width"),
    [
        ({"dense_size": 0}, 3),
        ({"with_itself": True, "dense_size": 0}, 6),
        ({"dense_size": 2}, 4 + 6),
        ({"interaction": "concat", "dense_size": 0}, 3 * 4),
        ({"interaction": "concat", "dense_size": 2}, 4 * 4),
    ],
)
def test_the_last_network_reads_as_many_numbers_as_the_formula_says(options, width):
    model = build("dlrm", 0, field_sizes=FIELDS, **options)
    assert model.get_layer("hidden_1").input.shape == (None, width)


def test_a_single_vector_has_no_pair():
    with pytest.raises(UsageError, match="two vectors"):
        create_model("dlrm", 1, 1, field_sizes=(4,))


def test_rows_of_small_tables_start_wider():
    table = np.asarray(UniformByRows([4, 10_000], seed=1)((10_004, 8)))
    assert 0.3 < np.abs(table[:4]).max() <= 0.5
    assert 0.009 < np.abs(table[4:]).max() <= 0.01


@pytest.mark.parametrize("part", [DotInteraction(True), UniformByRows([3, 4], seed=2)])
def test_parts_come_back_from_their_configuration(part):
    assert type(part).from_config(part.get_config()).get_config() == part.get_config()
