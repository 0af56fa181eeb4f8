"""What is wrong with an installation, in the same words wherever it shows, and what mends it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from tfzoo.errors import TfzooError
from tfzoo.installation import version

# What is wrong, and what mends it.
Problem: TypeAlias = "tuple[str, str]"
TENSORFLOW = "tensorflow"


def not_working(problems: Sequence[Problem]) -> TfzooError:
    """Return the error of an installation that cannot be used."""
    wrong = "; ".join(what for what, _ in problems)
    mending = ", and ".join(dict.fromkeys(how for _, how in problems))
    return TfzooError(f"the installation does not work: {wrong}. Mend it with: {mending}")


def import_problem(reason: str) -> Problem:
    """Return what is said where TensorFlow or Keras cannot be imported."""
    path, settings = keras_settings()
    chosen = os.environ.get("KERAS_BACKEND", settings.get("backend", TENSORFLOW))
    mending = reinstall() if chosen == TENSORFLOW else _backend_mending()
    if "configuration" in reason and settings:
        # So Keras calls what it cannot use of its settings.
        mending = f"correcting or removing {path}"
    return f"TensorFlow or Keras cannot be imported ({reason})", mending


def backend_problem(name: str) -> Problem:
    """Return what is said where Keras runs on another library than TensorFlow."""
    return f"Keras runs on '{name}'", _backend_mending()


def _backend_mending() -> str:
    path, settings = keras_settings()
    if settings.get("backend", TENSORFLOW) == TENSORFLOW:
        return "setting KERAS_BACKEND=tensorflow or leaving it unset"
    return f'setting KERAS_BACKEND=tensorflow, or "backend" to "tensorflow" in {path}'


def keras_settings() -> tuple[Path, dict[str, Any]]:
    """Return the file of Keras' own settings, and what it holds; nothing where Keras ignores it too."""
    # Where Keras looks; nothing is written there.
    home = Path.home() if os.access(Path.home(), os.W_OK) else Path("/tmp")  # nosec B108
    folder = os.environ.get("KERAS_HOME") or home / ".keras"
    path = Path(folder).expanduser() / "keras.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return path, {}
    return path, settings if isinstance(settings, dict) else {}


def checkout() -> Path | None:
    """Return the folder of the clone that tfzoo is imported from; None where it is installed by itself."""
    folder = Path(__file__).parents[2]
    return folder if (folder / "setup.cfg").is_file() else None


def reinstall() -> str:
    """Return the command that installs what tfzoo needs."""
    found = checkout()
    return f"pip install -e {found}" if found else f"pip install --upgrade 'tfzoo=={version()}'"
