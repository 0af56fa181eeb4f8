"""The trials of a search in a file, by Optuna: what is tried next, and what is ended early."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfzoo.errors import TfzooError, UsageError
from tfzoo.training.search import Range
from tfzoo.tuning.trials import Outcome, Report

FILE = "trials.sqlite3"
NAME = "tfzoo"
# Trials before any is ended early, and trials that are drawn at random before the sampler learns.
BEFORE_PRUNING, RANDOM_TRIALS = 4, 10
Measure = Callable[[dict[str, Any], Report], Outcome]


@dataclass(frozen=True)
class Trial:
    """A trial that has ended.

    Attributes:
        number: counted from 1.
        state: ``complete``, ``pruned`` (ended early) or ``failed``.
        value: its figure; None where it failed, the last one where it was ended early.
        settings: ``group.key`` -> value.
        seconds: that it took.
        epochs: that it trained.
        best_epoch: see `Outcome`.
        reason: why it failed.
    """

    number: int
    state: str
    value: float | None
    settings: dict[str, Any]
    seconds: float = 0.0
    epochs: int = 0
    best_epoch: int = 0
    reason: str = ""


def optuna() -> Any:
    """Import Optuna; raises `UsageError` with the name of the extra where it is missing."""
    try:
        import optuna as library
    except ImportError:
        raise UsageError("A search for settings needs an extra: pip install 'tfzoo[tune]'.") from None
    library.logging.set_verbosity(library.logging.ERROR)
    return library


class Study:
    """The trials of one search.

    Several processes may ask for trials at once. What the n-th trial tries depends on the seed, on n and on
    the trials that have ended before, so that one process repeats its trials, and goes on after it was
    killed as if it had not been.

    Args:
        folder: that holds the file of the trials.
        space: what may be tried.
        seed: of the search.
        maximize: larger figures are better.
        warm_up: epochs or folds of a trial before it may be ended early.
    """

    def __init__(
        self, folder: Path, space: Mapping[str, Range], *, seed: int, maximize: bool, warm_up: int
    ) -> None:
        self._library, self.space, self._seed, self.maximize = optuna(), space, seed, maximize
        storage = self._library.storages.RDBStorage(
            f"sqlite:///{(folder / FILE).absolute()}", engine_kwargs={"connect_args": {"timeout": 60}}
        )
        # Optuna counts steps from 0, epochs and folds are counted from 1.
        pruner = self._library.pruners.MedianPruner(BEFORE_PRUNING, warm_up + 1)
        direction = "maximize" if maximize else "minimize"
        self._study = self._library.create_study(
            storage=storage, study_name=NAME, direction=direction, pruner=pruner, load_if_exists=True
        )

    def begin(self, first: Mapping[str, Any] | None = None) -> None:
        """Forget trials that a killed process has left half done, and name the settings of the first trial.

        No other process may work on the study.

        Args:
            first: settings within the space, which the first of all trials tries; None to draw them.
        """
        states = self._library.trial.TrialState
        trials = self._study.get_trials(deepcopy=False)
        for trial in trials:
            if trial.state == states.RUNNING:
                self._study.tell(trial.number, state=states.FAIL)
        if not trials and first is not None:
            self._study.enqueue_trial({path: self._stored(path, value) for path, value in first.items()})

    def run(self, wanted: int, measure: Measure, on_trial: Callable[[Trial], None] | None = None) -> None:
        """Try until so many trials have been begun, those of other processes and of earlier calls among them.

        Args:
            wanted: number of trials.
            measure: trains with settings; told how to report what it knows so far.
            on_trial: called after each trial of this process.
        """
        states = self._library.trial.TrialState
        while len(self._begun()) < wanted:
            trial = self._study.ask()
            rank = sum(one.number <= trial.number for one in self._begun())
            if rank > wanted:
                # Another process has taken the last one meanwhile.
                self._study.tell(trial, state=states.FAIL)
                return
            seed = int(np.random.SeedSequence([self._seed, rank]).generate_state(1)[0])
            self._study.sampler = self._library.samplers.TPESampler(n_startup_trials=RANDOM_TRIALS, seed=seed)
            settings = {path: self._suggest(trial, path) for path in self.space}
            self._measure(trial, settings, measure)
            if on_trial is not None:
                on_trial(next(one for one in self.trials() if one.number == rank))

    def trials(self) -> list[Trial]:
        """Return the trials that have ended, in the order in which they were begun."""
        states = self._library.trial.TrialState
        names = {states.COMPLETE: "complete", states.PRUNED: "pruned", states.FAIL: "failed"}
        found = []
        for number, trial in enumerate(self._begun(), start=1):
            if trial.state not in names:
                continue
            about = trial.user_attrs
            settings = {path: self._shown(path, value) for path, value in trial.params.items()}
            found.append(
                Trial(
                    number,
                    names[trial.state],
                    trial.value if trial.state != states.FAIL else None,
                    {path: settings[path] for path in self.space if path in settings},
                    about.get("seconds", 0.0),
                    about.get("epochs", 0),
                    about.get("best_epoch", 0),
                    about.get("reason", ""),
                )
            )
        return found

    def best(self) -> Trial:
        """Return the best trial that was not ended early; raises `TfzooError` where there is none."""
        trials = self.trials()
        complete = [trial for trial in trials if trial.state == "complete"]
        if not complete:
            reasons = [trial.reason for trial in trials if trial.reason]
            why = f" The first: {reasons[0]}" if reasons else ""
            raise TfzooError(f"None of {len(trials)} trials has ended with a figure.{why}")
        sign = -1.0 if self.maximize else 1.0
        return min(complete, key=lambda trial: (sign * float(trial.value or 0.0), trial.number))

    def _measure(self, trial: Any, settings: dict[str, Any], measure: Measure) -> None:
        states = self._library.trial.TrialState
        started = time.perf_counter()
        reached = 0

        def report(step: int, value: float) -> None:
            nonlocal reached
            reached = step
            trial.report(value, step)
            if trial.should_prune():
                raise self._library.TrialPruned

        try:
            outcome = measure(settings, report)
        except self._library.TrialPruned:
            self._note(trial, started, epochs=reached)
            self._study.tell(trial, state=states.PRUNED)
        except TfzooError as error:
            self._note(trial, started, epochs=reached, reason=str(error))
            self._study.tell(trial, state=states.FAIL)
        else:
            self._note(trial, started, epochs=outcome.epochs, best_epoch=outcome.best_epoch)
            self._study.tell(trial, outcome.value)

    def _note(self, trial: Any, started: float, **about: Any) -> None:
        about["seconds"] = round(time.perf_counter() - started, 3)
        for name, value in about.items():
            trial.set_user_attr(name, value)

    def _begun(self) -> list[Any]:
        """Return the trials that count: without those that wait, and those that nobody has finished."""
        states = self._library.trial.TrialState
        return [
            trial
            for trial in self._study.get_trials(deepcopy=False)
            if trial.state != states.WAITING
            and (trial.state != states.FAIL or trial.user_attrs.get("reason"))
        ]

    def _suggest(self, trial: Any, path: str) -> Any:
        values = self.space[path]
        if values.choices is not None:
            stored = trial.suggest_categorical(path, [json.dumps(choice) for choice in values.choices])
        elif values.whole:
            stored = trial.suggest_int(path, values.low, values.high, log=values.log)
        else:
            stored = trial.suggest_float(
                path, float(values.low or 0), float(values.high or 0), log=values.log
            )
        return self._shown(path, stored)

    def _stored(self, path: str, value: Any) -> Any:
        return value if self.space[path].choices is None else json.dumps(value)

    def _shown(self, path: str, stored: Any) -> Any:
        """Return a value as it is used: numbers with six digits, which people can read and repeat."""
        values = self.space[path]
        if values.choices is not None:
            return json.loads(stored)
        return int(stored) if values.whole else float(f"{stored:.6g}")
