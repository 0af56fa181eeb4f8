"""Loading of saved models, with what is missing said by name."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfzoo.errors import TfzooError, UsageError, nearest
from tfzoo.models.registry import import_plugins
from tfzoo.registration import PACKAGE, registered_names

if TYPE_CHECKING:
    import keras

SUFFIX = ".keras"
# Packages whose classes Keras imports by itself.
FOUND_BY_KERAS = ("builtins", "keras", "keras_cv", "keras_hub", "keras_nlp")
# What else a training leaves, by the end of its name.
OTHER_FILES = {
    ".weights.h5": "holds weights alone: build the model, and call its `load_weights`",
    ".npz": "holds the state of a training, not a model",
    ".tflite": "is an export for LiteRT, which Keras cannot read",
    ".onnx": "is an export for ONNX Runtime, which Keras cannot read",
    ".json": "is a text",
    ".yaml": "is a text",
}


def load_model(
    path: str | os.PathLike[str], *, custom_objects: Mapping[str, Any] | None = None, compile: bool = True
) -> keras.Model:
    """Load a model from the ``.keras`` file that ``model.save`` has written, in safe mode.

    The file of a model from another installed package imports that package, where it names its models in
    the entry-point group ``tfzoo.models``.

    Args:
        path: of the file.
        custom_objects: name -> class or function, for what is not registered with Keras.
        compile: compile the model as it was when it was saved.

    Returns:
        The model.

    Raises:
        UsageError: there is no such file, or it is not one that holds a model.
        TfzooError: the file is damaged, or holds a layer that is not known here; the message names it.
    """
    import keras

    path, known = Path(path), dict(custom_objects or {})
    _check_that_it_is_a_model(path)
    missing = list(_missing(path, known))
    if missing:
        import_plugins({module.partition(".")[0] for _, module in missing})
        missing = list(_missing(path, known))
    if missing:
        raise TfzooError(f"{path} cannot be loaded. " + " ".join(map(_advice, *zip(*missing, strict=True))))
    try:
        model: keras.Model = keras.saving.load_model(
            path, custom_objects=known, compile=compile, safe_mode=True
        )
    except Exception as error:
        # A damaged file can make the loader stumble anywhere; Keras quotes the whole model before the cause.
        cause = str(error).rpartition("Exception encountered: ")[2].strip()
        reason = (cause or type(error).__name__).splitlines()[0][:300]
        raise TfzooError(f"{path} cannot be loaded: {reason}{_versions(path, keras.__version__)}") from error
    return model


def _check_that_it_is_a_model(path: Path) -> None:
    """Raise `UsageError` where there is no file, or one that is something else by its kind or name."""
    if path.is_dir():
        inside = sorted(file.name for file in path.glob(f"*{SUFFIX}"))
        if inside:
            raise UsageError(f"{path} is a folder. Its model is {path / inside[0]}.")
        if (path / "saved_model.pb").exists():
            raise UsageError(
                f"{path} is an export for serving: load it with `tf.saved_model.load`. "
                f"Keras reads the file {SUFFIX} of the run that it was made from."
            )
        raise UsageError(f"{path} is a folder without a file {SUFFIX}.")
    if not path.exists():
        beside = [file.name for file in path.parent.glob(f"*{SUFFIX}")] if path.parent.is_dir() else []
        hint = f" {nearest(path.name, beside)}" if beside else ""
        raise UsageError(f"There is no file {path}.{hint}")
    if path.suffix != SUFFIX:
        what = next((what for end, what in OTHER_FILES.items() if path.name.endswith(end)), None)
        raise UsageError(
            f"{path} {what}." if what else f"{path} is not a file {SUFFIX}, as `model.save` writes."
        )


def _read(path: Path, member: str) -> Any:
    """Return a JSON text of a saved model."""
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(member))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise TfzooError(
            f"{path} is damaged or is not a saved model: it has no readable {member}. Save the model again."
        ) from error


def _missing(path: Path, custom_objects: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the registered name and the module of every class in the file that Keras cannot find."""
    import keras

    seen = set()
    for name, registered, module in _classes(_read(path, "config.json")):
        where = (registered, module)
        # Keras writes no module for its own marks and for classes of a script.
        found_by_keras = module.partition(".")[0] in FOUND_BY_KERAS if module else ">" not in registered
        if where in seen or found_by_keras:
            continue
        seen.add(where)
        known = any(keras.saving.get_registered_object(one, custom_objects) for one in (registered, name))
        if not known:
            yield where


def _classes(config: Any) -> Iterator[tuple[str, str, str]]:
    """Yield name, registered name and module of every serialised object."""
    if isinstance(config, dict):
        name, module = config.get("class_name"), config.get("module")
        if isinstance(name, str) and "config" in config:
            if name == "function":
                name = str(config["config"])
            yield name, str(config.get("registered_name") or name), str(module or "")
    parts = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    for part in parts:
        yield from _classes(part)


def _advice(registered: str, module: str) -> str:
    """Say what is missing, and what helps."""
    package, _, name = registered.rpartition(">")
    root = module.partition(".")[0]
    if root == PACKAGE or package == PACKAGE:
        return (
            f"It holds '{registered}', which this version of {PACKAGE} does not have; another one wrote it. "
            f"{nearest(name, registered_names())}"
        )
    home = f" of the module '{module}'" if module else ""
    needs = f"It holds '{registered}'{home}, which is not registered with Keras."
    if not module or not package:
        return f"{needs} Give it: load_model(..., custom_objects={{'{registered}': ...}})."
    if find_spec(root) is None:
        return f"{needs} The package '{root}' is not installed."
    return f"{needs} Import '{module}' before."


def _versions(path: Path, installed: str) -> str:
    """Return a sentence about the version of Keras that wrote the file, where it is another one."""
    wrote = _read(path, "metadata.json").get("keras_version", installed)
    return "" if wrote == installed else f" It was written by Keras {wrote}; this is Keras {installed}."
