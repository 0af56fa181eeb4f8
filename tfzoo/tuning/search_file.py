"""What a folder of a search is for, so that other trials are never added to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tfzoo.errors import TfzooError
from tfzoo.experiment import Experiment
from tfzoo.files import write_text
from tfzoo.training.changes import describe_changes, differences, flat_settings
from tfzoo.training.search import Range
from tfzoo.training.settings import Recipe

FILE = "search.json"
ELSEWHERE = "Give another --output."


class Search(BaseModel):
    """A search: what its trials have in common.

    Attributes:
        recipe: the resolved recipe that it begins with.
        space: what may be tried.
        data: where the data is from, as a record says it.
        data_fingerprint: of the data as it was read.
        seed: of split, trainings and sampler.
        folds: see `tfzoo.tuning.trials.measure`.
        precision: that trials compute in.
        device: that trials compute on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: dict[str, Any]
    space: dict[str, Range]
    data: dict[str, Any]
    data_fingerprint: str
    seed: int
    folds: int | None
    precision: str
    device: str

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        space: dict[str, Range],
        experiment: Experiment,
        folds: int | None = None,
        *,
        precision: str = "float32",
        device: str = "auto",
    ) -> Search:
        """Describe a search; see the attributes."""
        return cls(
            recipe=recipe.model_dump(mode="json"),
            space=space,
            data=experiment.data,
            data_fingerprint=experiment.data_fingerprint,
            seed=experiment.seed,
            folds=folds,
            precision=precision,
            device=device,
        )

    @classmethod
    def load(cls, folder: Path) -> Search:
        """Read the description in a folder; raises `TfzooError` where it is none."""
        path = folder / FILE
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise TfzooError(f"{path} does not describe a search: {reason}. {ELSEWHERE}") from None

    def claim(self, folder: Path) -> bool:
        """Write the description into a folder, or find this very search there.

        Returns:
            Whether the search is gone on with.

        Raises:
            TfzooError: the folder holds another search, or other files.
        """
        if not (folder / FILE).is_file():
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise TfzooError(f"{folder} exists and holds no search. {ELSEWHERE}")
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / FILE, self.model_dump_json(indent=1) + "\n")
            return False
        there = Search.load(folder)
        if other := self._difference(there):
            raise TfzooError(f"{folder} holds a search {other}. {ELSEWHERE}")
        return True

    def _difference(self, there: Search) -> str:
        """Say in words what another search is of that this one is not of; an empty text for the same."""
        model = str(there.recipe["model"])
        if model != self.recipe["model"]:
            return f"for settings of {model}"
        changes = differences(flat_settings(self.recipe), flat_settings(there.recipe))
        if changes:
            return f"that begins with other settings: {describe_changes(changes)}"
        if there.space != self.space:
            names = [
                path for path in {**self.space, **there.space} if self._range(path) != there._range(path)
            ]
            found = "; ".join(f"{path} {there._range(path)}" for path in names)
            return f"of another space: {found}"
        if there.data_fingerprint != self.data_fingerprint:
            kinds = ("dataset", "file", "frame")
            source = next((there.data[kind] for kind in kinds if kind in there.data), "other data")
            return f"on other data: {source}"
        for name in ("seed", "folds", "precision"):
            if getattr(there, name) != getattr(self, name):
                return f"with {name} {getattr(there, name)}"
        return ""

    def _range(self, path: str) -> str:
        return str(self.space[path]) if path in self.space else "as it is"
