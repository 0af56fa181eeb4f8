"""What every model does on a backend of Keras; a program, too, to run it on another backend."""

import sys
from pathlib import Path

import numpy as np

BATCH, STEPS, EPOCHS = 8, 4, 1


def exercise(name, folder):
    """Build, predict, train an epoch, save and load one model.

    Args:
        name: of the model.
        folder: where the model is saved.

    Returns:
        Arrays by what was done: ``built``, ``solved``, ``trained`` and ``loaded``, each with the name of an
        output; ``loss`` of the epoch.
    """
    import keras
    from scipy import sparse

    import tfzoo
    from tests.zoo import NUM_ITEMS, NUM_USERS, build, random_inputs
    from tfzoo.models import model_info

    found = {}

    def keep(what, model, inputs):
        found.update({f"{what}/{key}": value for key, value in predict(model, inputs).items()})

    def predict(model, inputs):
        return model.predict(inputs, batch_size=BATCH, verbose=0)

    random = np.random.default_rng(5)
    model = build(name, seed=4, scale=0.1)
    inputs = {
        key: keras.ops.convert_to_numpy(value) for key, value in random_inputs(model, BATCH * STEPS).items()
    }
    model.compile(keras.optimizers.SGD(1e-3), loss=dict.fromkeys(model.output, "mse"))
    keep("built", model, inputs)
    assert all(np.ptp(values) > 1e-4 for values in found.values()), f"the outputs of {name} tell nothing"
    solve = model_info(name).solve
    if solve is not None:
        matrix = random.integers(0, 2, (NUM_USERS + 1, NUM_ITEMS + 1)).astype("float32")
        matrix[0] = matrix[:, 0] = 0
        solve(model, sparse.csr_matrix(matrix))
        keep("solved", model, inputs)
    if model.trainable_variables:
        before = [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]
        labels = {
            key: found[f"built/{key}"] + random.normal(size=found[f"built/{key}"].shape)
            for key in model.output
        }
        history = model.fit(inputs, labels, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
        found["loss"] = np.array(history.history["loss"])
        after = [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]
        assert any((one != other).any() for one, other in zip(before, after, strict=True)), name
        keep("trained", model, inputs)
    path = folder / f"{name}.keras"
    model.save(path)
    keep("loaded", tfzoo.load_model(path), inputs)
    last = next(what for what in ("trained", "solved", "built") if any(key.startswith(what) for key in found))
    for key in model.output:
        np.testing.assert_allclose(found[f"loaded/{key}"], found[f"{last}/{key}"], rtol=1e-5, atol=1e-5)
    return found


def draws(name):
    """Tell whether a model draws random numbers in training."""
    from tests.zoo import build, random_inputs

    model = build(name, seed=4)
    inputs = random_inputs(model, BATCH)
    one, other = (model(inputs, training=True) for _ in range(2))
    return any((np.asarray(one[key]) != np.asarray(other[key])).any() for key in one)


def compare(expected, found, *, chance=False):
    """Return the largest difference of two backends, relative where values are above 1.

    What a training draws differs by backend. Where it draws, only what precedes the training is compared,
    and the rest must be finite.
    """
    assert expected.keys() == set(found), sorted(set(expected) ^ set(found))
    largest = 0.0
    for key, values in expected.items():
        other = found[key]
        assert values.shape == other.shape, key
        assert np.isfinite(other).all(), key
        if not chance or key.startswith(("built", "solved")):
            error = np.abs(values - other) / np.maximum(np.abs(values), 1)
            largest = max(largest, float(np.max(error)))
    return largest


def table(folder):
    """Return the rows of docs/backends.md from the folders ``tensorflow``, ``jax`` and ``torch`` in one."""
    rows = []
    for path in sorted((folder / "tensorflow").glob("*.npz")):
        chance, cells = draws(path.stem), []
        for backend in ("jax", "torch"):
            with np.load(path) as expected, np.load(folder / backend / path.name) as found:
                cells.append(f"{compare(expected, found, chance=chance):.0e}")
        rows.append(f"| `{path.stem}` | {' | '.join(cells).replace('0e+00', '0')} |")
    return "\n".join(rows)


def main():
    """Write what models give, BACKEND FOLDER [NAME...], or print how they differ, ``table FOLDER``."""
    backend, folder, names = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    if backend == "table":
        print(table(folder))
        return
    folder.mkdir(parents=True, exist_ok=True)
    if backend != "tensorflow":
        # What needs no TensorFlow must do without it.
        sys.modules["tensorflow"] = None
    import keras

    assert keras.config.backend() == backend
    from tfzoo.models import list_models

    for name in names or list_models():
        np.savez(folder / f"{name}.npz", **exercise(name, folder))


if __name__ == "__main__":
    main()
