"""How long one recommendation takes: an export in C++, the same in Python, and Keras' `Model.predict`.

Run from a clone, see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.serving.cpp_replay import CannotCompileError, measure, program, read_records, replay
from tfzoo.cli.common import reopen
from tfzoo.errors import TfzooError, UsageError
from tfzoo.experiment import Experiment
from tfzoo.files import write_text
from tfzoo.runs import load_model
from tfzoo.serving.export import METADATA, latest_version
from tfzoo.serving.warmup import WARMUP_FILE, prediction_log
from tfzoo.training.record import FILE_NAME, RunRecord, environment
from tfzoo.training.settings import Recipe, parse

SAVED_MODEL = "saved_model.pb"


@dataclass(frozen=True)
class Times:
    """Microseconds of one answer."""

    p50_us: float
    p99_us: float


@dataclass(frozen=True)
class Row:
    """What was measured for one export.

    Attributes:
        export: ``<model>-<dataset>/<version>``.
        user_id: whom the items are recommended to.
        cpp: through the C++ program, from the bytes of the request to the bytes of the answer.
        call: through the signature that `tf.saved_model.load` gives, from tensors to arrays.
        predict: through `Model.predict`, from ready inputs to a sorted list; None without a run.
        same_items: share of the C++ program's items that `Model.predict` leads to as well.
    """

    export: str
    user_id: int | str
    cpp: Times
    call: Times
    predict: Times | None
    same_items: float | None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    options = _parser().parse_args(argv)
    try:
        _check(options)
        program()
        rows = [_measure(version, options) for version in find_exports(options.export)]
    except (TfzooError, CannotCompileError) as error:
        print(f"serving_latency: error: {error}", file=sys.stderr)
        return 1
    print(_table(rows))
    if options.output is not None:
        found = environment()
        document = {
            "k": options.k,
            "batch": 1,
            "repeat": options.repeat,
            "hardware": {**found["hardware"], "processor": _processor()},
            "versions": found["versions"],
            "commit": found["commit"],
            "results": [asdict(row) for row in rows],
        }
        write_text(options.output, json.dumps(document, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="serving_latency", description=__doc__)
    parser.add_argument(
        "--export", type=Path, required=True, help="a version of an export, or a folder of exports"
    )
    parser.add_argument("--run", type=Path, help="the run that was exported, or a folder of runs")
    parser.add_argument("--k", type=int, default=10, help="items to recommend (default: 10)")
    parser.add_argument("--repeat", type=int, default=1000, help="answers to measure (default: 1000)")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    return parser


def _check(options: argparse.Namespace) -> None:
    for name in ("k", "repeat"):
        value = getattr(options, name)
        if value < 1:
            raise UsageError(f"--{name} must be 1 or more. Received {value}.")


def find_exports(folder: Path) -> list[Path]:
    """Return the folder itself if it is a version, else the newest version of every export below."""
    if (folder / SAVED_MODEL).is_file():
        return [folder]
    models = {path.parent.parent for path in folder.glob(f"**/{SAVED_MODEL}") if path.parent.name.isdigit()}
    if not models:
        raise UsageError(f"--export {folder}: there is no {SAVED_MODEL} in it or below.")
    return [latest_version(model) for model in sorted(models)]


def find_run(folder: Path | None, metadata: dict[str, Any]) -> Path | None:
    """Return the run, in a folder or below, that an export was made of, by the export's ``tfzoo.json``."""
    if folder is None:
        return None
    for path in sorted(folder.glob(f"**/{FILE_NAME}")):
        record = RunRecord.load(path)
        made_by = record.model, record.dataset, record.seed
        if made_by != tuple(metadata.get(key) for key in ("model", "dataset", "seed")):
            continue
        exported = parse(Recipe, metadata["recipe"], METADATA)
        if exported == parse(Recipe, record.recipe, str(path)):
            return path.parent
    print(f"No run in {folder} made this export; without Model.predict.", file=sys.stderr)
    return None


def _measure(version: Path, options: argparse.Namespace) -> Row:
    print(f"{version} ...", file=sys.stderr)
    user = _first_user(version)
    nothing = tf.zeros([1, 0], _item_dtype(version))
    inputs = {"user_id": user, "k": tf.constant([options.k]), "exclude_ids": nothing}
    request = prediction_log("recommend", inputs).SerializeToString()
    ((answer,),) = replay([(version, [request])])
    if answer.error:
        raise TfzooError(f"{version}: {answer.error}")
    (times,) = measure(version, [request], options.repeat)
    raw = user.numpy()[0]
    raw = raw.decode() if isinstance(raw, bytes) else int(raw)
    run = find_run(options.run, json.loads((version / "assets.extra" / METADATA).read_text(encoding="utf-8")))
    predict = same = None
    if run is not None:
        ask = _with_keras(run, raw, options.k)
        listed = [
            item.decode() if isinstance(item, bytes) else int(item) for item in answer.outputs["item_ids"][0]
        ]
        same = len(set(listed) & set(ask())) / len(listed)
        predict = _times(ask, max(20, options.repeat // 10))
    return Row(
        export="/".join(version.resolve().parts[-2:]),
        user_id=raw,
        cpp=Times(float(times["p50_us"]), float(times["p99_us"])),
        call=_times(_with_signature(version, inputs), options.repeat),
        predict=predict,
        same_items=same,
    )


def _first_user(version: Path) -> tf.Tensor:
    """Return the user of the first warm-up request, who has the most interactions."""
    return tf.constant(tf.make_ndarray(_warm_up_inputs(version)["user_id"])[:1])


def _item_dtype(version: Path) -> tf.DType:
    return tf.as_dtype(_warm_up_inputs(version)["exclude_ids"].dtype)


def _warm_up_inputs(version: Path) -> Any:
    from tensorflow_serving.apis import prediction_log_pb2

    path = version / "assets.extra" / WARMUP_FILE
    if not path.is_file():
        raise UsageError(
            f"{version} has no warm-up requests. Export it with tensorflow-serving-api installed."
        )
    for record in read_records(path):
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        if request.model_spec.signature_name == "recommend":
            return request.inputs
    raise UsageError(f"{path} has no request for the signature 'recommend'.")


def _with_signature(version: Path, inputs: dict[str, tf.Tensor]) -> Callable[[], Any]:
    loaded = tf.saved_model.load(str(version))
    recommend = loaded.signatures["recommend"]

    def ask() -> Any:
        # The loaded model must live as long as its signature.
        return loaded and {name: output.numpy() for name, output in recommend(**inputs).items()}

    return ask


def _with_keras(run: Path, raw: int | str, k: int) -> Callable[[], list[int | str]]:
    """Return what asks the model of a run for the raw ids of the best items that the user does not have."""
    experiment, _ = reopen(run, None)
    model, train = load_model(run), experiment.split.train
    user = int(train.users.lookup(raw))
    scores = _catalogue(experiment, model, user)
    blocked = np.zeros(train.num_items + 1, bool)
    for part in (train, *experiment.known_beside_training()):
        # Rows that a filter left out have a vocabulary of their own.
        rows = part.user_id == int(part.users.lookup(raw))
        blocked[train.items.lookup(part.items.decode(part.item_id[rows]))] = True
    if experiment.task.scorer(model, experiment.features(model)).hides_untrained:
        blocked |= train.item_counts() == 0
    blocked[0] = True

    def ask() -> list[int | str]:
        eligible = np.where(blocked, -np.inf, scores())
        best = np.argpartition(-eligible, min(k, len(eligible)) - 1)[:k]
        return train.items.decode(best[np.argsort(-eligible[best])]).tolist()

    return ask


def _catalogue(experiment: Experiment, model: keras.Model, user: int) -> Callable[[], np.ndarray]:
    """Return what computes the scores of all items with `Model.predict`; the inputs are made beforehand."""
    features, task = experiment.features(model), experiment.task.name
    items = np.arange(experiment.split.train.num_items + 1, dtype=np.int32)
    if task == "next-item":
        history = experiment.task.scorer(model, features).histories[user].numpy()
        return _after_events(model, history[history > 0])
    if task == "reconstruction":
        inputs = features.inputs(tf.constant([user]))
    elif task == "implicit":
        inputs = {"user_id": np.full_like(items, user), "item_id": items}
    else:
        inputs = features.inputs(tf.fill(items.shape, user), tf.constant(items))
    arrays = {name: np.asarray(values) for name, values in inputs.items()}
    (output,) = model.output
    return lambda: model.predict(arrays, batch_size=len(items), verbose=0)[output].reshape(-1)


def _after_events(model: keras.Model, events: np.ndarray) -> Callable[[], np.ndarray]:
    empty = {
        name: np.zeros((1, *tensor.shape[1:]), np.float32)
        for name, tensor in model.input.items()
        if name != "item_id"
    }

    def scores() -> np.ndarray:
        outputs = empty
        for event in events:
            states = {name: outputs[name] for name in empty}
            outputs = model.predict({"item_id": np.array([event], np.int32), **states}, verbose=0)
        return outputs["scores"][0]

    return scores


def _times(ask: Callable[[], Any], repeat: int) -> Times:
    for _ in range(max(5, repeat // 5)):
        ask()
    times = np.empty(repeat)
    for number in range(repeat):
        started = time.perf_counter()
        ask()
        times[number] = (time.perf_counter() - started) * 1e6
    return Times(*np.percentile(times, [50, 99]).tolist())


def _table(rows: Sequence[Row]) -> str:
    """Return a Markdown table; times in milliseconds, and how many times as long as C++ the others take."""
    titles = ["export", "C++ p50 / p99 ms", "tf.saved_model.load", "Model.predict", "same items"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in rows:
        cells = [row.export, *(_cell(times, row.cpp) for times in (row.cpp, row.call, row.predict))]
        cells.append("" if row.same_items is None else f"{row.same_items:.0%}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(times: Times | None, base: Times) -> str:
    if times is None:
        return ""
    text = f"{times.p50_us / 1000:.3g} / {times.p99_us / 1000:.3g}"
    return text if times is base else f"{text} ({times.p50_us / base.p50_us:.1f} x)"


def _processor() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), None)


if __name__ == "__main__":
    # The C++ program uses the CPU as well.
    tf.config.set_visible_devices([], "GPU")
    sys.exit(main())
