"""GRU4Rec's losses, against worked numbers and a NumPy version with plain loops."""

import numpy as np
import pytest
import tensorflow as tf

from tfzoo.layers import session_losses as losses

# One slot, its target and three negatives; the softmax over the negatives is known by hand.
ROW = [2.0, 1.0, 0.0, -1.0]
NAMES = ("cross_entropy", "bpr", "top1", "top1_max", "bpr_max")


def value(name, scores, active=None, **options):
    scores = np.atleast_2d(np.array(scores, np.float32))
    active = np.ones(len(scores), np.float32) if active is None else np.array(active, np.float32)
    return getattr(losses, name)(tf.constant(scores), tf.constant(active), **options).numpy()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_hand(name, scores, active, bpreg=1.0):
    """Return the losses of all slots, one score at a time."""
    batch, columns = np.shape(scores)
    used = [column for column in range(columns) if column >= batch or active[column]]
    result = np.zeros(batch)
    for row in range(batch):
        if not active[row]:
            continue
        r = np.array(scores[row], np.float64)
        negatives = [column for column in used if column != row]
        total = sum(np.exp(r[j]) for j in negatives)
        s = {j: np.exp(r[j]) / total for j in negatives}
        if name == "cross_entropy":
            result[row] = -np.log(np.exp(r[row]) / (np.exp(r[row]) + total))
        elif name == "bpr":
            result[row] = sum(-np.log(sigmoid(r[row] - r[j])) for j in negatives)
        elif name == "top1":
            every = [sigmoid(r[j] - r[row]) + sigmoid(r[j] ** 2) for j in used]
            result[row] = np.mean(every) - sigmoid(r[row] ** 2) / len(used)
        elif name == "top1_max":
            result[row] = sum(s[j] * (sigmoid(r[j] - r[row]) + sigmoid(r[j] ** 2)) for j in negatives)
        else:
            won = sum(s[j] * sigmoid(r[row] - r[j]) for j in negatives)
            result[row] = -np.log(won) + bpreg * sum(s[j] * r[j] ** 2 for j in negatives)
    return result


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cross_entropy", 0.440190),
        ("bpr", 3 * 0.162926),
        # Mean over negatives 0.799229; the target's own column adds sigmoid(0) to the four.
        ("top1", (3 * 0.799229 + 0.5) / 4),
        ("top1_max", 0.886865),
        ("bpr_max", 0.993977),
    ],
)
def test_worked_example(name, expected):
    np.testing.assert_allclose(value(name, ROW), [expected], rtol=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_those_of_plain_loops(name):
    scores = np.random.default_rng(0).normal(scale=1.5, size=(4, 9))
    np.testing.assert_allclose(value(name, scores), by_hand(name, scores, [1, 1, 1, 1]), rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_idle_slots_are_neither_targets_nor_negatives(name):
    random = np.random.default_rng(1)
    scores, active = random.normal(size=(4, 7)), [1, 0, 1, 0]
    found = value(name, scores, active)
    np.testing.assert_allclose(found, by_hand(name, scores, active), rtol=1e-5)
    np.testing.assert_array_equal(found[[1, 3]], 0)
    disturbed = scores.copy()
    disturbed[:, [1, 3]] = 50 * random.normal(size=(4, 2))
    np.testing.assert_allclose(value(name, disturbed, active), found, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_idle_slots_get_no_gradient(name):
    scores = tf.constant(np.random.default_rng(2).normal(size=(3, 5)), tf.float32)
    active = tf.constant([1.0, 0.0, 1.0])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        total = tf.reduce_sum(getattr(losses, name)(scores, active))
    gradient = tape.gradient(total, scores).numpy()
    assert not gradient[1].any()
    assert not gradient[:, 1].any()
    assert gradient[[0, 2]][:, [0, 2, 3, 4]].all()


@pytest.mark.parametrize("name", NAMES)
def test_losses_and_gradients_stay_finite(name):
    scores = tf.constant([[-80.0, 90.0, 60.0, -70.0], [90.0, -90.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    for active in ([1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]):
        with tf.GradientTape() as tape:
            tape.watch(scores)
            each = getattr(losses, name)(scores, tf.constant(active))
        assert np.isfinite(each).all()
        assert np.isfinite(tape.gradient(each, scores)).all()


@pytest.mark.parametrize("name", ["cross_entropy", "bpr", "top1_max", "bpr_max"])
def test_a_lone_slot_without_extra_samples_has_no_loss(name):
    # TOP1 is left out: its target's own column adds a constant.
    np.testing.assert_allclose(value(name, [[1.5, 0.3], [0.1, 2.0]], [1, 0]), [0, 0], atol=1e-6)


def test_cross_entropy_of_two_slots_is_the_logistic_loss_of_the_difference():
    scores = [[1.2, -0.4], [0.3, 0.8]]
    np.testing.assert_allclose(
        value("cross_entropy", scores), [np.log1p(np.exp(-1.6)), np.log1p(np.exp(-0.5))], rtol=1e-6
    )


def test_bpr_max_with_one_negative_and_no_penalty_is_bpr():
    scores = [[0.7, -0.2]]
    np.testing.assert_allclose(value("bpr_max", scores, bpreg=0.0), value("bpr", scores), rtol=1e-6)


@pytest.mark.parametrize("bpreg", [0.0, 0.5, 1.95])
def test_the_penalty_of_bpr_max_is_free(bpreg):
    softmax = np.exp(ROW[1:]) / np.exp(ROW[1:]).sum()
    penalty = (softmax * np.square(ROW[1:])).sum()
    expected = value("bpr_max", ROW, bpreg=0.0) + bpreg * penalty
    np.testing.assert_allclose(value("bpr_max", ROW, bpreg=bpreg), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["bpr_max", "top1_max"])
def test_the_softmax_leaves_the_target_out(name):
    # With the target in the softmax its huge score would leave nothing for the negatives.
    softmax = np.exp(ROW[1:]) / np.exp(ROW[1:]).sum()
    squares = np.square(ROW[1:])
    expected = (softmax * (squares if name == "bpr_max" else sigmoid(squares))).sum()
    np.testing.assert_allclose(value(name, [40.0, *ROW[1:]]), [expected], rtol=1e-5)


def test_the_logq_correction_is_subtracted_from_the_scores():
    scores = np.random.default_rng(3).normal(size=(2, 6)).astype(np.float32)
    log_proposal = np.log([5.0, 1.0, 2.0, 9.0, 4.0, 4.0]).astype(np.float32)
    corrected = value("cross_entropy", scores, log_proposal=tf.constant(log_proposal), logq=0.7)
    np.testing.assert_allclose(corrected, value("cross_entropy", scores - 0.7 * log_proposal), rtol=1e-6)
    unused = value("cross_entropy", scores, log_proposal=tf.constant(log_proposal), logq=0.0)
    np.testing.assert_allclose(unused, value("cross_entropy", scores), rtol=1e-6)


@pytest.mark.parametrize(("logq", "expected"), [(1.0, np.log([0.5, 0.3, 0.15, 0.05])), (0.0, np.zeros(4))])
def test_logq_decides_whether_scores_learn_popularity(logq, expected):
    """Targets that no context tells apart: corrected scores are log-popularities, others are flat."""
    popularity = np.array([0.5, 0.3, 0.15, 0.05])
    random = np.random.default_rng(0)
    columns = random.choice(4, size=(1500, 96), p=popularity)
    log_support = tf.constant(np.log(100 * popularity), tf.float32)
    table = tf.Variable(tf.zeros(4))

    @tf.function
    def train(columns):
        for step in tf.range(tf.shape(columns)[0]):
            with tf.GradientTape() as tape:
                scores = tf.tile(tf.gather(table, columns[step])[tf.newaxis], [32, 1])
                proposal = tf.gather(log_support, columns[step])
                each = losses.cross_entropy(scores, tf.ones(32), log_proposal=proposal, logq=logq)
                mean = tf.reduce_mean(each)
            table.assign_sub(0.5 * tf.convert_to_tensor(tape.gradient(mean, table)))

    train(tf.constant(columns))
    found = table.numpy()
    np.testing.assert_allclose(found - found.mean(), expected - expected.mean(), atol=0.15)
