"""Where the runs of tests lie: what was changed of a recipe makes the end of a folder's name."""

import re
from pathlib import Path

from tfzoo.training.folders import run_folder
from tfzoo.training.recipe import load_recipe


def seed_of(output, name, seed=0):
    """Return the folder of the only run that is called so, whatever was changed of its recipe."""
    wanted = re.compile(re.escape(name) + "(-[0-9a-f]{6})?")
    (run,) = (entry for entry in Path(output).iterdir() if wanted.fullmatch(entry.name))
    return run / f"seed-{seed}"


def run_of(model, dataset, overrides, seed=0):
    """Return the folder of a run on a file of one's own, before it is there, as a text."""
    return str(run_folder(Path("runs"), load_recipe(model, "", overrides=overrides), dataset, seed))
