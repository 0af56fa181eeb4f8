"""What docs/serving.md says of single models is true of all of them."""

import re
from pathlib import Path

from tests.serving.keras_truth import HISTORY_TASKS, RANKING_MODELS, features_of, small_model
from tests.zoo import task_of
from tfzoo.cli.main import build_parser
from tfzoo.models import list_models
from tfzoo.serving.connections import ConnectionLimits
from tfzoo.serving.limits import Limits
from tfzoo.serving.request_body import NOT_COUNTED

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def named_after(words):
    """Return the names in the brackets that follow some words."""
    inside = PAGE.partition(words)[2].partition(")")[0]
    return re.findall(r"`([a-z0-9-]+)`", inside)


def test_the_page_has_the_limits_of_the_server():
    table = PAGE.partition("**Limits.**")[2].partition("\n\nA `k`")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if "|" in line][
        2:
    ]
    limits, options = {row[0]: row[1] for row in rows}, {row[0]: row[2].strip("`") for row in rows}
    defaults = vars(build_parser().parse_args(["serve"]))
    own, connections = Limits(), ConnectionLimits()
    for what, value in {
        "body of a request": f"{own.max_body_bytes // 2**20} MiB",
        "bodies of all requests, in so far as they are larger than 64 KiB": "32 times that",
        "rows of a request": own.max_rows,
        "elements of all its inputs": own.max_elements,
        "values of an output, such as rows times K": own.max_outputs,
        "time until the head of a request is there": f"{connections.head_seconds:.0f} s",
        "time until its body is there": f"{own.timeout:.0f} s",
        "time until its answer is there": f"{own.timeout:.0f} s",
        "time until the client has taken the answer": f"{connections.read_seconds:.0f} s",
        "pause between two requests of a connection": f"{connections.idle_seconds:.0f} s",
        "requests that wait for their answers": own.max_concurrency,
        "connections": f"{connections.total}, or as many as files may be open",
        "connections of one address": "half of them",
    }.items():
        assert limits.pop(what) == str(value)
    assert limits == {}
    assert own.max_bodies_bytes == 32 * own.max_body_bytes
    assert NOT_COUNTED == 64 * 2**10
    assert connections.per_address == connections.total // 2
    for what, option in options.items():
        if option:
            given = defaults[option.removeprefix("--").replace("-", "_")]
            expected = {
                "--max-body-bytes": own.max_body_bytes,
                "--max-outputs": own.max_outputs,
                "--header-timeout": connections.head_seconds,
                "--timeout": own.timeout,
                "--max-concurrency": own.max_concurrency,
                "--max-connections": None,
                "--max-connections-per-address": None,
            }[option]
            assert given == expected, what


def test_the_page_names_the_models_that_read_histories():
    of_the_tasks = [name for name in list_models() if task_of(name) in HISTORY_TASKS]
    assert named_after("those that rank for a history (") == of_the_tasks


def test_the_page_names_the_models_whose_scores_are_inner_products(train):
    found = []
    for name in RANKING_MODELS:
        model = small_model(name, train)
        task, features = features_of(name, model, train)
        found += [name] if task.scorer(model, features).factors() is not None else []
    assert named_after("Where scores are inner products (") == found
