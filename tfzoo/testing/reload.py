"""A program: load saved models on a backend of Keras, and print how far their outputs are from kept ones.

Run as ``python -m tfzoo.testing.reload FOLDER`` with ``KERAS_BACKEND`` set, see `differences`. It imports no
library before Keras, so that a backend is tested as it is without TensorFlow.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SECONDS = 600


def save(path: Path, model: Any, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
    """Write a model to ``path``, and inputs and what it gives for them beside it, for `differences`."""
    import numpy as np

    model.save(path)
    arrays: dict[str, Any] = {key: np.asarray(value) for key, value in inputs.items()}
    np.savez(path.with_suffix(".in.npz"), **arrays)
    np.savez(path.with_suffix(".out.npz"), **outputs)


def differences(folder: Path, backends: tuple[str, ...], seconds: float = SECONDS) -> dict[str, Any]:
    """Load all models of a folder in a process of its own for each backend, side by side.

    Args:
        folder: with what `save` has written.
        backends: names of Keras' backends.
        seconds: for how long to wait at most.

    Returns:
        By backend and name of the file, the largest difference of an output, relative where it is above 1.

    Raises:
        AssertionError: a process failed; the message ends with what it wrote.
    """
    path = os.pathsep.join(filter(None, sys.path))
    running = {
        backend: subprocess.Popen(
            [sys.executable, "-m", "tfzoo.testing.reload", str(folder)],
            env={
                **os.environ,
                "KERAS_BACKEND": backend,
                "PYTHONPATH": path,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for backend in backends
    }
    found = {}
    for backend, process in running.items():
        output, error = process.communicate(timeout=seconds)
        if process.returncode != 0:
            raise AssertionError(f"on Keras' backend {backend}: {error[-3000:]}")
        found[backend] = json.loads(output.splitlines()[-1])
    return found


def main(folder: Path) -> None:
    """Print the differences on this process' backend as JSON."""
    loaded = {"keras", "tensorflow", "numpy"} & sys.modules.keys()
    if loaded:
        raise AssertionError(f"importing tfzoo has imported {loaded}")
    backend = os.environ["KERAS_BACKEND"]
    if backend == "numpy" and importlib.util.find_spec("jax") is None:
        _stand_in_for_jax()
    import keras
    import numpy as np

    from tfzoo.models.saved import load_model

    if keras.backend.backend() != backend:
        raise AssertionError(f"Keras runs on {keras.backend.backend()}, expected {backend}")
    found: dict[str, float] = {}
    for path in sorted(folder.glob("*.keras")):
        model = load_model(path, compile=False)
        inputs = np.load(path.with_suffix(".in.npz"), allow_pickle=False)
        expected = np.load(path.with_suffix(".out.npz"), allow_pickle=False)
        outputs = model(
            {key: keras.ops.convert_to_tensor(inputs[key]) for key in inputs.files}, training=False
        )
        if outputs.keys() != set(expected.files):
            raise AssertionError(f"{path.name} has the outputs {sorted(outputs)}, not {expected.files}")
        for key, array in expected.items():
            output = keras.ops.convert_to_numpy(outputs[key])
            if (output.shape, output.dtype) != (array.shape, array.dtype):
                raise AssertionError(f"{path.name}, {key}: {output.dtype} {output.shape}, not {array.shape}")
            error = float(np.max(np.abs(output - array) / np.maximum(np.abs(array), 1)))
            found[path.stem] = max(found.get(path.stem, 0.0), error)
    print(json.dumps(found))


def _stand_in_for_jax() -> None:
    """Let the NumPy backend, which borrows convolution and FFT from JAX, be imported without it.

    The stand-in gives no numbers, so that a model that needs them fails.
    """
    from unittest.mock import MagicMock

    for name in ("jax", "keras.src.backend.jax", "keras.src.backend.jax.math"):
        sys.modules[name] = MagicMock()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
