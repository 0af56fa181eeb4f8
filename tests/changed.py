"""Which models a change touches: those that are made of a file that differs from an earlier commit."""

import subprocess
import sys
from inspect import ismodule
from pathlib import Path

from tfzoo.models import list_models, model_info

ROOT = Path(__file__).parents[1]
# What all models register with makes none of them another model.
SHARED = {f"tfzoo.models.{name}" for name in ("glossary", "registry", "step")}


def changed_files(commit, root=ROOT):
    """Return the paths, from the root, that differ from a commit or are new; commits in between count.

    Raises:
        subprocess.CalledProcessError: the folder has no such commit.
    """
    found = []
    for asked in (["diff", "--name-only", commit], ["ls-files", "--others", "--exclude-standard"]):
        command = ["git", *asked, "-z", "--"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        found += done.stdout.split("\0")
    return {path for path in found if path}


def home(value):
    """Return the name of the module that something was written in."""
    return value.__name__ if ismodule(value) else getattr(value, "__module__", None) or ""


def sources(name):
    """Return the modules that a model is made of: its own, and those of models and layers that it uses."""
    waiting, found = {model_info(name).builder.__module__}, set()
    while waiting:
        found |= waiting
        used = {home(value) for module in waiting for value in vars(sys.modules[module]).values()}
        waiting = {one for one in used if one.startswith(("tfzoo.models.", "tfzoo.layers."))} - found - SHARED
    return found


def touched_models(files):
    """Return the models that a change of files touches, first those whose own code or recipes changed."""
    own, by_layers = [], []
    for name in list_models():
        made_of = {f"{module.replace('.', '/')}.py" for module in sources(name)}
        recipes = f"tfzoo/recipes/{name}/"
        touching = [path for path in files if path in made_of or path.startswith(recipes)]
        if any(not path.startswith("tfzoo/layers/") for path in touching):
            own.append(name)
        elif touching:
            by_layers.append(name)
    return own + by_layers
