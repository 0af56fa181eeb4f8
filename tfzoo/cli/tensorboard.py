"""What ``tfzoo train --tensorboard`` writes beside the record."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfzoo.evaluation.groups import known_counts
from tfzoo.evaluation.vectors import id_vectors
from tfzoo.experiment import Experiment
from tfzoo.runs import load_model
from tfzoo.training.checkpoint import TrainingState
from tfzoo.training.record import RunRecord
from tfzoo.training.tensorboard import FOLDER, EventLog, write_projector


class Board:
    """Follows a run: curves while it trains, vectors of the items in the end.

    Args:
        run: folder of the run.
        resume: whether the run goes on where an earlier process stopped.

    Attributes:
        folder: what TensorBoard is to be pointed at.
    """

    def __init__(self, run: Path, *, resume: bool) -> None:
        self.folder = run / FOLDER
        self._run, self._stage = run, ""
        self._log = EventLog(self.folder, resume=resume)

    def on_stage(self, stage: str) -> None:
        """Note which training follows."""
        self._stage = stage

    def on_epoch(self, state: TrainingState) -> None:
        """Write what the last epoch has measured."""
        self._log.write(self._stage, state.history)

    def finish(self, experiment: Experiment, record: RunRecord) -> None:
        """Write what is missing of the curves, and the vectors of the items that training has seen."""
        for stage, refit in (("", False), ("refit", True)):
            self._log.write(stage, [row for row in record.history if ("refit" in row) == refit])
        self._log.close()
        final, model = experiment.refitted(), load_model(self._run)
        items = final.interactions.items
        vectors = id_vectors(model, final.features(model), "item", len(items))
        if vectors is None:
            return
        seen = np.flatnonzero(known_counts(final.split)[1][1:])
        columns = {"item_id": items.decode(seen + 1)}
        for name, column in final.interactions.item_features.items():
            if column.ndim == 1:
                columns[name] = column[seen + 1]
        write_projector(self.folder, vectors[seen], columns)
