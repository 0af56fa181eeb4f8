"""Models with trained weights, by name.

A pretrained model is a folder: ``model.keras``, ``vocabulary/``, the run's ``record.json``, and
``provenance.json`` with the checksums of the others and where the weights come from. It lies in the
package for the small ones, or in the cache for those that `tfzoo.pretrained_build.build` has made.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import keras

from tfzoo.data.download import cache_dir
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import TfzooError, UsageError, nearest
from tfzoo.files import file_checksum, restore_folder
from tfzoo.models import create_model
from tfzoo.training.record import FILE_NAME, MODEL

PROVENANCE = "provenance.json"
SHIPPED = Path(__file__).parent / "pretrained_models"
NEEDED = {MODEL, FILE_NAME, "vocabulary/users.txt", "vocabulary/items.txt", "vocabulary/types.json"}


@dataclass(frozen=True)
class Pretrained:
    """What a pretrained model was trained with.

    Attributes:
        model: name of the model.
        dataset: what it was trained on.
        recipe: name of its recipe.
        seed: of split, weights and order.
    """

    model: str
    dataset: str
    recipe: str
    seed: int = 0

    @property
    def name(self) -> str:
        """What `load_pretrained` calls it."""
        return f"{self.model}-{self.dataset}"


class Vocabularies(NamedTuple):
    """Raw ids of users and items; dense ids are their positions, counted from 1."""

    users: Vocabulary
    items: Vocabulary


_TUNED = ("biased-mf", "bpr-mf", "cdae", "delcr", "edrs", "edrs-woe", "gmf", "mult-dae", "mult-vae", "neumf")
_CATALOGUE = {
    entry.name: entry
    for entry in (
        *(Pretrained(model, "ml-100k", "tuned") for model in (*_TUNED, "pmf", "svdpp")),
        *(Pretrained(model, "ml-100k", "paper") for model in ("ease", "i-autorec")),
        *(Pretrained(model, "ml-1m", "tuned") for model in ("biased-mf", "edrs", "gmf", "pmf", "svdpp")),
    )
}


def list_pretrained() -> list[str]:
    """Return the names that `load_pretrained` knows, sorted; not all have weights on this machine."""
    return sorted(_CATALOGUE)


def pretrained_info(name: str) -> Pretrained:
    """Return what a pretrained model was trained with; raises `UsageError` where there is none."""
    if name not in _CATALOGUE:
        of_the_model = [known for known in _CATALOGUE if known.startswith(f"{name}-")]
        raise UsageError(
            f"There is no pretrained model '{name}'. {nearest(name, of_the_model or _CATALOGUE)}"
        )
    return _CATALOGUE[name]


def built_folder(name: str) -> Path:
    """Return where the weights lie that were built on this machine."""
    return cache_dir() / "pretrained" / name


def pretrained_folder(name: str) -> Path | None:
    """Return the folder of a pretrained model, None where it is not on this machine.

    One that was built here stands before the one that came with tfzoo.
    """
    pretrained_info(name)
    built = built_folder(name)
    with contextlib.suppress(OSError):
        # What cannot be written here is looked at as it is.
        restore_folder(built)
    folders = (built, SHIPPED / name)
    return next((folder for folder in folders if folder.is_dir()), None)


@overload
def load_pretrained(name: str, *, with_vocabulary: Literal[False] = False) -> keras.Model: ...
@overload
def load_pretrained(name: str, *, with_vocabulary: Literal[True]) -> tuple[keras.Model, Vocabularies]: ...


def load_pretrained(
    name: str, *, with_vocabulary: bool = False
) -> keras.Model | tuple[keras.Model, Vocabularies]:
    """Load a model with trained weights; nothing is downloaded.

    Args:
        name: one of `list_pretrained`, such as ``edrs-ml-100k``.
        with_vocabulary: also return the raw ids that the dense ids of its inputs stand for.

    Returns:
        The model, not compiled; with ``with_vocabulary`` the model and its `Vocabularies`.

    Raises:
        UsageError: there is no such model, or its weights are not on this machine.
        TfzooError: its files are damaged, or of a version of tfzoo whose model was another.
    """
    folder = pretrained_folder(name)
    if folder is None:
        raise UsageError(
            f"The weights of '{name}' do not come with tfzoo. Train them with: tfzoo pretrained build {name}"
        )
    model = _build(pretrained_info(name).model, folder, verify(folder))
    return (model, load_vocabularies(folder)) if with_vocabulary else model


def _build(model: str, folder: Path, provenance: dict[str, Any]) -> keras.Model:
    """Build the model by its own code, and read the weights alone.

    What Keras writes of a model's graph can be read by that version of Keras and newer ones only.
    """
    users, items = load_vocabularies(folder)
    precision = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(provenance["precision"])
        built = create_model(model, len(users), len(items), **provenance["builder"])
        built.load_weights(folder / MODEL)
    except (KeyError, TypeError, ValueError) as error:
        raise TfzooError(
            f"The weights in {folder} are not of this version of tfzoo ({str(error).splitlines()[0][:200]}). "
            f"Train them with: tfzoo pretrained build {folder.name}"
        ) from error
    finally:
        keras.config.set_dtype_policy(precision)
    return built


def load_vocabularies(folder: Path) -> Vocabularies:
    """Return the raw ids of the folder of a run or of a pretrained model."""
    texts = folder / "vocabulary"
    types = json.loads((texts / "types.json").read_text(encoding="utf-8"))
    return Vocabularies(*(Vocabulary.load(texts / f"{side}.txt", types[side]) for side in ("users", "items")))


def verify(folder: Path) -> dict[str, Any]:
    """Check every file of a pretrained model against its checksum.

    Args:
        folder: of the pretrained model.

    Returns:
        What ``provenance.json`` says.

    Raises:
        TfzooError: a file is missing or is not the one that was written.
    """
    try:
        provenance: dict[str, Any] = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
        files = {str(path): str(file["sha256"]) for path, file in provenance["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise _damaged(folder, PROVENANCE, "is missing or cannot be read") from None
    for path in sorted(NEEDED - set(files)):
        raise _damaged(folder, PROVENANCE, f"does not name {path}")
    for path, expected in files.items():
        if not (folder / path).is_file():
            raise _damaged(folder, path, "is missing")
        if file_checksum(folder / path) != expected:
            raise _damaged(folder, path, "has another checksum than when it was written")
    return provenance


def _damaged(folder: Path, file: str, what: str) -> TfzooError:
    mending = "Install tfzoo again, or" if folder.parent == SHIPPED else "Remove that folder, and"
    return TfzooError(
        f"The pretrained model in {folder} is damaged: {file} {what}. {mending} train it with: "
        f"tfzoo pretrained build {folder.name}"
    )
