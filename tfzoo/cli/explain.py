"""``tfzoo explain``: why a model gives an item to a user, or a click its probability."""

from __future__ import annotations

import argparse
from typing import Any

from tfzoo.cli.common import configure_device, reopen
from tfzoo.cli.item_lists import MOST_COMPARED
from tfzoo.cli.output import answer, more, print_table, say
from tfzoo.cli.paths import run_of
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.errors import UsageError, nearest
from tfzoo.experiment import Experiment
from tfzoo.explaining import LEAVE_ONE_OUT, explain, explain_fields
from tfzoo.runs import load_model
from tfzoo.tasks.click_features import FieldScorer

TOLD = {
    LEAVE_ONE_OUT: "what the score loses without it, exactly",
    "nearest": "cosine with the item; the model remembers no single interaction",
}


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    if options.k < 1:
        raise UsageError(f"--k must be at least 1. Received {options.k}.")
    options.precision = "float32"
    configure_device(options)
    folder = run_of(options.run)
    experiment, record = reopen(folder, options.data)
    model = load_model(folder)
    scorer = experiment.task.scorer(model, experiment.features(model))
    if isinstance(scorer, FieldScorer):
        _explain_click(scorer, experiment, options)
        return
    if options.user is None or options.item is None or options.row is not None:
        raise UsageError("Give --user and --item; --row is for models of clicks.")
    train = experiment.split.train
    user = _dense(train.users, options.user, "--user")
    item = _dense(train.items, options.item, "--item")
    found = explain(experiment, scorer, user, item)
    titles = train.item_features.get("title")
    what = f"{options.item}{f', {titles[item]}' if titles is not None else ''}"
    say(f"{record.model} on {record.dataset}: item {what} for user {options.user}, score {found.score:.4f}")
    say(f"{len(found.item_id)} past items; {TOLD[found.kind]}:")
    rows: list[tuple[str, ...]] = []
    for past, part in zip(train.items.decode(found.item_id).tolist(), found.part, strict=True):
        title = "" if titles is None else str(titles[int(train.items.lookup([past])[0])])
        if len(rows) < options.k:
            rows.append((str(past), *([title] if titles is not None else []), f"{part:+.4f}"))
        more("parts", {"item": past, **({"title": title} if titles is not None else {}), "part": float(part)})
    print_table(("item", *(["title"] if titles is not None else []), "part"), rows, right=("part",))
    answer(kind=found.kind, score=found.score, user=options.user, item=options.item)


def _explain_click(scorer: FieldScorer, experiment: Experiment, options: argparse.Namespace) -> None:
    if options.row is None or options.user is not None or options.item is not None:
        raise UsageError("A model of clicks explains a row of its test part: give --row, counted from 1.")
    log: Any = experiment.split.test
    click, parts = explain_fields(scorer, log, options.row - 1)
    say(f"Row {options.row} of the test part: probability of a click {click:.4f}")
    say("What its logit loses where a field is unknown, exactly:")
    rows = [(name, f"{part:+.4f}") for name, part in list(parts.items())[: options.k]]
    print_table(("field", "part"), rows, right=("part",))
    answer(kind=LEAVE_ONE_OUT, click=click, row=options.row, parts=parts)


def _dense(vocabulary: Vocabulary, raw: str, option: str) -> int:
    found = int(vocabulary.lookup([raw])[0])
    if found == 0:
        # Comparing with every one of very many ids would take minutes.
        hint = f" {nearest(raw, vocabulary.ids.tolist())}" if len(vocabulary) <= MOST_COMPARED else ""
        raise UsageError(f"{option} {raw} is not in the data of the run.{hint}")
    return found
