"""Lines to copy: train a model, use it in Keras, serve it."""

from __future__ import annotations

import json
from collections.abc import Iterable

import keras

from tfzoo.data.datasets.registry import by_hand
from tfzoo.models import ModelInfo
from tfzoo.reporting.catalogue import DATASET
from tfzoo.tasks import get_task

# An id of a user and ids of items, as the data sets have them.
EXAMPLES = {
    "ml-100k": ("42", ("50", "172", "181")),
    "amazon-musical-instruments": ("A2IBPI20UZIR0U", ("1384719342",)),
    "yoochoose1_64": ("", ("37151", "37149", "37146")),
}
# An impression of each click log.
IMPRESSIONS = {
    "frappe": {
        **{"user": 42, "item": 1572, "daytime": 5042, "weekday": 5047, "isweekend": 5053, "homework": 5055},
        **{"cost": 5058, "weather": 5060, "country": 5070, "city": 5150},
    }
}
ANY = ("1", ("1", "2"))
ROWS = ("user_row", "item_row")
# Not of the task rating, yet it reads ratings.
GRADED = ("dmf",)


def train_block(info: ModelInfo, dataset: str, recipes: Iterable[str]) -> str:
    """Return the commands that train a model, with each recipe that a page shows.

    Where the data set must be fetched by hand, a command for one that need not be comes first, if any.
    """
    data = "" if dataset == DATASET else f" --dataset {dataset}"
    lines = [f"tfzoo train --model {info.name}{data}"]
    if by_hand(dataset):
        anywhere = [] if get_task(info.task).needs.clicks else [f"tfzoo train --model {info.name}"]
        lines = [
            *anywhere,
            f"# {dataset} has no public address; once its files are in $TFZOO_DATA_DIR:",
            *lines,
        ]
    if "tuned" in recipes:
        lines.append(f"tfzoo train --model {info.name}{data} --recipe tuned --seeds 5")
    return "\n".join(lines)


def serve_block(info: ModelInfo, dataset: str) -> str:
    """Return the commands that export a trained model, ask it, and serve it."""
    export, run = f"{info.name}-{dataset}", f"runs/{info.name}-{dataset}-paper/seed-0"
    data = "" if dataset == DATASET else f" --dataset {dataset}"
    if get_task(info.task).needs.clicks:
        lines = [
            f"tfzoo export --run {run}",
            f"tfzoo serve saved_models --model {export} &",
            f"curl localhost:8501/v1/models/{export}/metadata  # names and types of the fields",
        ]
        if dataset in IMPRESSIONS:
            body = json.dumps({"instances": [IMPRESSIONS[dataset]]})
            lines += [f"curl -d '{body}' \\", f"    localhost:8501/v1/models/{export}:predict"]
        return "\n".join(lines)
    user, items = EXAMPLES.get(dataset, ANY)
    who = f"--history {','.join(items)}" if get_task(info.task).reads_history else f"--user {user}"
    # Numbers are numbers in JSON; the ids of the reviews are texts.
    quote = '"{}"'.format if user and not user.isdigit() else str
    if get_task(info.task).reads_history:
        signature, asked = "recommend_from_history", f'"history": [{", ".join(map(quote, items))}]'
    else:
        signature, asked = "recommend", f'"user_id": {quote(user)}'
    body = f'{{"signature_name": "{signature}", "instances": [{{{asked}, "k": 10, "exclude_ids": []}}]}}'
    lines = [
        f"tfzoo export --run {run}",
        f"tfzoo recommend --model {info.name}{data} {who} --k 10",
        f"tfzoo serve saved_models --model {export} &",
        f"curl -d '{body}' \\",
        f"    localhost:8501/v1/models/{export}:predict",
    ]
    return "\n".join(lines)


def keras_block(info: ModelInfo, model: keras.Model, sizes: tuple[int, int]) -> str:
    """Return a program that builds a model, calls it, and goes on with it in Keras.

    Args:
        info: of the model.
        model: built for ``sizes``.
        sizes: numbers of users and items.
    """
    rating, trained = get_task(info.task).needs.rating, bool(model.trainable_weights)
    names = [layer.name for layer in model.layers]
    lines = [
        "import keras",
        "import numpy as np",
        "",
        "import tfzoo",
        "",
        f"num_users, num_items = {sizes[0]}, {sizes[1]}",
        f'model = tfzoo.create_model("{info.name}", num_users, num_items)',
        "inputs = {",
        *(f'    "{name}": {_example(tensor)},' for name, tensor in model.input.items()),
        "}",
    ]
    row = next((name for name in ROWS if name in model.input), None)
    if row is not None:
        place = {"user_row": "[0, 50]", "item_row": "[0, 42]"}[row]
        graded = rating or info.name in GRADED
        meaning = "= 4  # a rating, 0 for none" if graded else "= 1  # for each item of the user"
        lines.append(f'inputs["{row}"]{place} {meaning}')
    lines.append("outputs = model(inputs)")
    lines += [
        f'print(outputs["{name}"].shape)  # {_shape(tensor, sizes)} {tensor.dtype}'
        for name, tensor in model.output.items()
    ]
    lines.append("")
    if rating and trained:
        lines += [
            'model.compile("adam", loss="mse")',
            'model.fit(inputs, {"rating": np.array([4.0, 2.0], "float32")}, verbose=0)',
        ]
    if "user_tower" in names:
        needed = [tensor.name for tensor in model.get_layer("user_tower").inputs]
        given = ", ".join(f'"{name}": inputs["{name}"]' for name in needed)
        lines += [
            'user_tower = model.get_layer("user_tower")  # a Keras model of its own, as item_tower is',
            f"user_vectors = user_tower({{{given}}})",
        ]
    elif "scores" in model.output:
        lines += [
            'best_scores, best_items = keras.ops.top_k(outputs["scores"][:, 1:], 10)  # 0 is no item',
            "best_items = best_items + 1",
        ]
    if not any("keras." in line for line in lines[1:]):
        lines.remove("import keras")
    return "\n".join(lines)


def _example(tensor: keras.KerasTensor) -> str:
    """Return an expression for two examples of an input."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if tensor.shape[1:] == ():
        values = "[42, 7]" if tensor.name == "user_id" else "[50, 172]"
        return f'np.array({values}, "{dtype}")'
    width = {"user_row": "num_items + 1", "item_row": "num_users + 1"}.get(tensor.name, tensor.shape[1])
    kind = "ones" if tensor.name.endswith("tokens") else "zeros"
    return f'np.{kind}((2, {width}), "{dtype}")'


def _shape(tensor: keras.KerasTensor, sizes: tuple[int, int]) -> str:
    names = {sizes[1] + 1: "num_items + 1", sizes[0] + 1: "num_users + 1"}
    inner = "".join(f" {names.get(size, size)}," for size in tensor.shape[1:])
    return f"(2,{inner[:-1]})" if inner else "(2,)"
