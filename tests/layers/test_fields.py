import keras
import numpy as np
import pytest

from tfzoo.layers import FieldEmbedding, NumberEmbedding, PairProducts, field_model

SIZES = (3, 4)


def test_each_field_has_rows_of_its_own():
    layer = FieldEmbedding(SIZES, 2)
    layer.build((None, 2))
    layer.embeddings.assign(np.arange(14).reshape(7, 2))
    assert layer(np.array([[0, 0], [2, 3]])).numpy().tolist() == [[[0, 1], [6, 7]], [[4, 5], [12, 13]]]


def test_rows_without_training_get_the_mean_of_their_field():
    layer = FieldEmbedding(SIZES, 1)
    layer.build((None, 2))
    layer.embeddings.assign(np.array([[9], [1], [3], [9], [5], [9], [7]]))
    layer.fill_unseen([np.array([0, 2, 1]), np.array([1, 1, 0, 4])])
    assert layer.embeddings.numpy().ravel().tolist() == [2, 1, 3, 9, 5, 7, 7]


def test_the_penalty_is_on_the_whole_table():
    layer = FieldEmbedding(SIZES, 2, l2=0.5, initializer="ones")
    layer.build((None, 2))
    assert float(layer.losses[0]) == 0.5 * 14


def test_numbers_scale_their_vectors():
    layer = NumberEmbedding(2)
    layer.build((None, 2))
    layer.vectors.assign(np.array([[1, 2], [3, 4]]))
    assert layer(np.array([[2.0, -1.0]])).numpy().tolist() == [[[2, 4], [-3, -4]]]


def test_pair_products_are_the_double_loop():
    vectors = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
    expected = [sum(float(v[i] @ v[j]) for i in range(4) for j in range(i)) for v in vectors]
    np.testing.assert_allclose(PairProducts()(vectors)[:, 0], expected, atol=1e-5)
    np.testing.assert_allclose(PairProducts()(vectors[:, ::-1])[:, 0], expected, atol=1e-5)
    assert PairProducts()(vectors[:, :1]).numpy().ravel().tolist() == [0] * 5


def test_pair_products_are_float32_in_a_model_of_half_precision():
    vectors = np.full((1, 3, 2), 1000, np.float16)
    assert float(PairProducts()(vectors)[0, 0]) == 3 * 2 * 1e6


@pytest.mark.parametrize("layer", [FieldEmbedding(SIZES, 2, 0.5, "ones"), NumberEmbedding(3, 0.5, "ones")])
def test_layers_come_back_from_their_configuration(layer):
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FieldEmbedding((), 2), "sizes"),
        (lambda: FieldEmbedding((2, 0), 2), "sizes"),
        (lambda: FieldEmbedding((2,), 0), "width"),
        (lambda: NumberEmbedding(0), "width"),
        (lambda: field_model("m", (), 0, linear=True, pairs=False), "fields or numbers"),
    ],
)
def test_sizes_that_make_no_model_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_click_is_the_sigmoid_of_the_logit():
    model = field_model("m", SIZES, 2, linear=True, pairs=True, embedding_dim=3, initial_stddev=1.0)
    inputs = {"fields": np.array([[1, 2], [0, 3]]), "dense": np.array([[0.5, -1], [0, 2]], np.float32)}
    outputs = model(inputs)
    np.testing.assert_allclose(outputs["click"], keras.ops.sigmoid(outputs["logit"]), rtol=1e-6)
    assert outputs["logit"].shape == (2,)
