"""The matrix of models is asked for the models that a change touches, and for no others."""

import subprocess

import pytest

from tests.changed import changed_files, sources, touched_models
from tfzoo.models import list_models


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tfzoo/recipes/pmf/paper.yaml", ["pmf"]),
        ("tfzoo/models/ease.py", ["ease"]),
        # One builder with two names.
        ("tfzoo/models/edrs.py", ["edrs", "edrs-woe"]),
        ("tfzoo/models/registry.py", []),
        ("README.md", []),
    ],
)
def test_a_file_touches_the_models_that_are_made_of_it(path, expected):
    assert touched_models([path]) == expected


def test_a_layer_touches_its_users_and_those_of_its_users():
    touched = set(touched_models(["tfzoo/layers/id_embedding.py"]))
    # One asks for the layer through a tower, one by itself; a closed form has no embedding.
    assert {"edrs", "gmf"} <= touched
    assert not {"ease", "popularity"} & touched
    assert touched < set(list_models())


def test_those_whose_own_files_changed_come_first():
    found = touched_models(["tfzoo/layers/id_embedding.py", "tfzoo/models/svdpp.py"])
    assert found[0] == "svdpp"
    assert "edrs" in found


def test_a_model_is_made_of_its_file_and_of_layers():
    made_of = sources("edrs")
    assert {"tfzoo.models.edrs", "tfzoo.layers.towers"} <= made_of
    assert not any(name.startswith(("keras", "tfzoo.tasks")) for name in made_of)


def test_files_are_those_of_commits_of_the_working_tree_and_new_ones(tmp_path):
    def git(*arguments):
        command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init")
    for name in ("kept", "committed", "edited"):
        (tmp_path / name).write_text("one", encoding="utf-8")
    git("add", ".")
    git("commit", "-m", "first")
    first = git("rev-parse", "HEAD")
    (tmp_path / "committed").write_text("two", encoding="utf-8")
    git("commit", "-am", "second")
    (tmp_path / "edited").write_text("two", encoding="utf-8")
    (tmp_path / "a new ünal").write_text("one", encoding="utf-8")
    assert changed_files(first, tmp_path) == {"committed", "edited", "a new ünal"}
    assert changed_files("HEAD", tmp_path) == {"edited", "a new ünal"}
    with pytest.raises(subprocess.CalledProcessError):
        changed_files("no-such-commit", tmp_path)
