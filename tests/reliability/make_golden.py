"""Write the golden files anew: ``python -m tests.reliability.make_golden``.

Only after a format was changed on purpose: these files stand for what users have on their disks.
"""

import json
import shutil
import tempfile
from pathlib import Path

import yaml

from tests.reliability.golden_models import (
    EXPORTED,
    KERAS_FILES,
    ask,
    built,
    built_for_export,
    golden_table,
    outputs,
)
from tfzoo.data.splits import Split
from tfzoo.experiment import Experiment
from tfzoo.runs import run
from tfzoo.serving.export import export_saved_model
from tfzoo.tasks import get_task
from tfzoo.training.recipe import load_recipe

FOLDER = Path(__file__).parent / "golden"
SMALL_RUN = ("training.epochs=2", "training.jit_compile=false", "builder.embedding_dim=3")


def main():
    """Write every file."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    expected = {}
    for name in KERAS_FILES:
        model = built(name)
        model.save(FOLDER / f"{name}.keras")
        expected[name] = outputs(model)
    train = golden_table()
    # A run: record, vocabularies, and a recipe as it was resolved.
    recipe = load_recipe(EXPORTED, train.name, overrides=SMALL_RUN)
    (FOLDER / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")), encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        record, folder = run(Experiment.prepare(recipe, train, 0), Path(scratch))
        shutil.copy(folder / "record.json", FOLDER / "record.json")
        shutil.copytree(folder / "vocabulary", FOLDER / "vocabulary")
        task = get_task("rating")()
        model = built_for_export(train)
        features = task.features(model, Split(train, train, train, ""), train)
        version = export_saved_model(
            model, task.scorer(model, features), train, Path(scratch) / "export", metadata={"model": EXPORTED}
        )
        # Packed, because its graph is ten times as large as all the rest.
        shutil.make_archive(str(FOLDER / "saved_model"), "zip", version)
        expected["saved_model"] = ask(version)
    expected["test"] = record.metrics["test"]
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
