"""Export to runtimes other than TensorFlow, ONNX Runtime and LiteRT: dense ids in, scores out."""

from __future__ import annotations

import contextlib
import importlib
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.data.interactions import Interactions
from tfzoo.errors import UsageError, nearest
from tfzoo.serving.export import check_finite, item_titles, publish, write_metadata, writing_version

SAVED_MODEL = "tf_saved_model"
# ONNX files are protocol buffers and LiteRT files are FlatBuffers; both count bytes with 31 bits.
MAX_WEIGHT_BYTES = 2**31 - 1


class MissingOperationsError(Exception):
    """A format has no equivalent of some of the model's operations; holds their names."""


@dataclass(frozen=True)
class Format:
    """What Keras can export to.

    Attributes:
        name: as Keras and ``--format`` call it, and the name of the extra that installs its packages.
        title: as people call it.
        file: name of the file.
        keras_version: the first version of Keras that writes it.
        packages: what it needs beside TensorFlow and Keras.
        write: writes a model to a path and returns what is worth knowing of the file; raises
            `MissingOperationsError`.
    """

    name: str
    title: str
    file: str
    keras_version: tuple[int, int]
    packages: tuple[str, ...]
    write: Callable[[keras.Model, Path], dict[str, Any]]


def get_format(name: str) -> Format:
    """Return a format whose packages are installed.

    Args:
        name: one of `FORMATS`.

    Raises:
        UsageError: there is no such format, a package is missing, or Keras is too old.
    """
    if name not in FORMATS:
        raise UsageError(f"There is no format '{name}'. {nearest(name, FORMATS)}")
    found = FORMATS[name]
    install = f"Install what it needs with: pip install 'tfzoo[{name}]'"
    if tuple(int(part) for part in keras.__version__.split(".")[:2]) < found.keras_version:
        first = ".".join(map(str, found.keras_version))
        raise UsageError(f"Format '{name}' needs Keras {first} or newer, not {keras.__version__}. {install}")
    for package in found.packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise UsageError(f"Format '{name}' needs the package '{package}': {error}. {install}") from error
    return found


def export_to_format(
    model: keras.Model,
    train: Interactions,
    folder: Path,
    name: str,
    *,
    metadata: dict[str, Any],
    words: Sequence[str] | None = None,
) -> Path:
    """Write the next version of a model for a runtime other than TensorFlow.

    The file computes what the Keras model computes, float32, from the inputs of the Keras model:
    dense ids, rows or states, any number of examples at once. Inputs and outputs have the names
    of the Keras model and stand in the order of their names; an output that has the name of an
    input, such as a state, is called ``next_<name>``.

    Args:
        model: the trained model.
        train: the training part, for the vocabularies.
        folder: ``EXPORT_DIR/<model>-<dataset>-<format>``; the export becomes the subfolder named
            by the next whole number, written beside and renamed into place.
        name: of the format, one of `FORMATS`.
        metadata: what to write into ``tfzoo.json`` beside the description of the file.
        words: the model's, for ``words.txt``: line n has the word id n + 1, other words have 1.

    Returns:
        The folder of the new version. It holds the model's file, ``users.txt`` and ``items.txt``
        (line n, counted from 1 and ended by a line feed, is the raw id with the dense id n),
        ``tfzoo.json`` and, where the items have titles, ``titles.json``.

    Raises:
        UsageError: the format is not there, see `get_format`, or cannot hold the model.
        TfzooError: the folder cannot be written, or weights of the model are not finite.
    """
    chosen = get_format(name)
    check_finite(model)
    _check_precision(model, chosen)
    _check_size(model, chosen)
    graph = _with_distinct_names(model)
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with writing_version(folder) as temporary:
            target = temporary / "model"
            target.mkdir()
            try:
                with _without_warnings_of_the_converter():
                    written = chosen.write(graph, target / chosen.file)
            except MissingOperationsError as error:
                raise UsageError(
                    f"The model cannot be exported as {chosen.title}, which has no equivalent of the "
                    f"operations {error}. Export it with --format {SAVED_MODEL}."
                ) from error
            described = {**metadata, "format": name, "file": chosen.file, **written}
            described |= {**_describe(graph, train), "export_versions": _versions(chosen)}
            write_metadata(target, described, train.items, item_titles(train))
            train.users.save(target / "users.txt")
            train.items.save(target / "items.txt")
            if words is not None:
                (target / "words.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
            return publish(target, folder)
    finally:
        # Folders that are still empty were made for an export that has failed.
        with contextlib.suppress(OSError):
            for path in new:
                path.rmdir()


def _write_onnx(graph: keras.Model, path: Path) -> dict[str, Any]:
    import onnx

    graph.export(str(path), format="onnx", verbose=False, input_signature=_signature(graph))
    written = onnx.load(path)
    opsets = {opset.domain: opset.version for opset in written.opset_import}
    missing = set()
    for node in written.graph.node:
        try:
            onnx.defs.get_schema(node.op_type, opsets.get(node.domain, 0), node.domain)
        except onnx.defs.SchemaError:
            # The converter copies what it does not know, and leaves it to the runtime to fail.
            missing.add(node.op_type)
    if missing:
        raise MissingOperationsError(", ".join(sorted(missing)))
    for value in (*written.graph.input, *written.graph.output):
        # The converter gives the first dimension of each input and output a name of its own.
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for value in written.graph.output:
        # It also loses sizes on the way through loops and transforms, which the model knows.
        for dim, size in zip(value.type.tensor_type.shape.dim, graph.output[value.name].shape, strict=True):
            if size is not None:
                dim.dim_value = size
    onnx.save(written, path)
    return {"opset": opsets[""]}


def _write_litert(graph: keras.Model, path: Path) -> dict[str, Any]:
    # By default Keras lets through TensorFlow's own operations, which need a larger runtime.
    builtin = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    signature = _signature(graph)
    try:
        with _unrolled(graph):
            graph.export(
                str(path), format="litert", verbose=False, input_signature=signature, target_spec=builtin
            )
    except Exception as error:
        # TensorFlow does not make the class of this error public.
        missing = re.search(r"^TF Select ops: (.+)$", str(error), re.MULTILINE)
        if type(error).__name__ != "ConverterError" or missing is None:
            raise
        raise MissingOperationsError(missing[1]) from error
    return {"signature": "serving_default"}


@contextlib.contextmanager
def _unrolled(graph: keras.Model) -> Iterator[None]:
    """Write the steps of recurrent layers one after another: LiteRT's loops want a batch of fixed size."""
    looped = [layer for layer in _layers(graph) if isinstance(layer, keras.layers.RNN) and not layer.unroll]
    for layer in looped:
        layer.unroll = True
    try:
        yield
    finally:
        for layer in looped:
            layer.unroll = False


FORMATS = {
    "onnx": Format("onnx", "ONNX", "model.onnx", (3, 8), ("onnx", "tf2onnx"), _write_onnx),
    "litert": Format("litert", "LiteRT", "model.tflite", (3, 13), (), _write_litert),
}


def _signature(graph: keras.Model) -> list[dict[str, keras.InputSpec]]:
    # Without it, Keras takes a model that was loaded and not called yet for unfinished.
    inputs = graph.input.items()
    return [{name: keras.InputSpec(shape=i.shape, dtype=i.dtype, name=name) for name, i in inputs}]


def _with_distinct_names(model: keras.Model) -> keras.Model:
    """Rename outputs that have the name of an input, which ONNX does not allow; weights are shared."""
    outputs = {f"next_{key}" if key in model.input else key: value for key, value in model.output.items()}
    return keras.Model(model.input, outputs, name=model.name)


def _check_precision(model: keras.Model, chosen: Format) -> None:
    # LiteRT has no half-precision kernels, and ONNX Runtime rounds in other places than TensorFlow.
    for layer in _layers(model):
        if layer.compute_dtype in ("float16", "bfloat16"):
            raise UsageError(
                f"The model was trained with precision {layer.dtype_policy.name}, in which a {chosen.title} "
                "runtime would give other scores. Train it with --precision float32, or export it with "
                f"--format {SAVED_MODEL}."
            )


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _check_size(model: keras.Model, chosen: Format) -> None:
    size = sum(math.prod(weight.shape) * np.dtype(weight.dtype).itemsize for weight in model.weights)
    if size > MAX_WEIGHT_BYTES:
        raise UsageError(
            f"The weights of the model take {size:,} bytes, and a file in the format {chosen.title} holds at "
            f"most {MAX_WEIGHT_BYTES:,}. Export it with --format {SAVED_MODEL}."
        )


def _describe(graph: keras.Model, train: Interactions) -> dict[str, Any]:
    """Return what a client must know of inputs, outputs and ids."""
    vocabularies = {"users": train.users, "items": train.items}
    return {
        "inputs": _tensors(graph.input, _input_meanings(graph)),
        "outputs": _tensors(graph.output, _output_meanings(graph)),
        "vocabularies": {key: {"dtype": v.dtype, "count": len(v)} for key, v in vocabularies.items()},
        "untrained_items": (np.flatnonzero(train.item_counts()[1:] == 0) + 1).tolist(),
    }


def _tensors(tensors: dict[str, Any], meanings: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "dtype": tensors[name].dtype,
            "shape": list(tensors[name].shape),
            "meaning": meanings[name],
        }
        for name in sorted(tensors)
    ]


def _input_meanings(graph: keras.Model) -> dict[str, str]:
    document = "word ids of the reviews that {}, cut or right-padded with 0; see words.txt"
    cell = "the rating" if "rating" in graph.output else "1"
    states = {
        name: f"0 at the first event of a session, then next_{name} of the event before"
        for name in graph.input
        if name.startswith("state_")
    }
    return {
        "user_id": "dense id of the user, 0 if unknown",
        "item_id": "dense id of the item, 0 if unknown",
        "user_row": f"{cell} at the dense ids of the items that the user has, 0 elsewhere and at 0",
        "user_tokens": document.format("the user wrote"),
        "item_tokens": document.format("were written about the item"),
        "history": "dense ids of the last items, oldest first, left-padded with 0",
        "history_gaps": "seconds from each of history to the next one, from the last to now; 0 at padding",
        "fields": "row of each field of an impression, 0 for a value that training lacks",
        "dense": "numbers of an impression, scaled as in training",
        "item_row": f"{cell} at the dense ids of the users that have the item, 0 elsewhere and at 0",
        **states,
    }


def _output_meanings(graph: keras.Model) -> dict[str, str]:
    states = {f"next_{name}": "state after the event" for name in graph.input}
    return {
        "rating": "predicted rating, not clipped to the rating scale",
        "states": "state of each user at each place of history",
        "click": "probability of a click",
        "logit": "logarithm of the odds of a click",
        "score": "score of the pair, the larger the better",
        "scores": "score of each item at its dense id, the larger the better; at 0 there is no item",
        **states,
    }


def _versions(chosen: Format) -> dict[str, str]:
    modules = {package: importlib.import_module(package) for package in chosen.packages}
    versions = {"tensorflow": tf, "keras": keras, **modules}
    return {package: module.__version__ for package, module in versions.items()}


@contextlib.contextmanager
def _without_warnings_of_the_converter() -> Iterator[None]:
    with warnings.catch_warnings():
        # Keras looks for a name that NumPy has retired.
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
        yield
