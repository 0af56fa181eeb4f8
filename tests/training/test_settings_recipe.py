"""Recipes: defaults, checks with the nearest right name, files, data sets' own values, overrides."""

import signal
from importlib.resources import files

import pytest
import yaml

from tfzoo.data.datasets import list_datasets
from tfzoo.errors import UsageError
from tfzoo.models import list_models, model_info
from tfzoo.tasks import get_task
from tfzoo.training.recipe import list_protocols, list_recipes, load_recipe, resolve_builder
from tfzoo.training.settings import FilterSettings, Recipe, SplitSettings, TrainingSettings, parse

SHIPPED = [(model, recipe) for model in list_models() for recipe in list_recipes(model)]


@pytest.fixture
def recipe_file(tmp_path):
    """Return a function that writes a recipe and returns its path as text."""

    def write(values, name="own.yaml"):
        path = tmp_path / name
        path.write_text(values if isinstance(values, str) else yaml.safe_dump(values), encoding="utf-8")
        return str(path)

    return write


def test_defaults():
    recipe = Recipe(model="pmf", name="own")
    assert recipe.builder == {}
    assert recipe.task == {}
    assert recipe.reported is None
    assert recipe.pretraining is None
    assert recipe.filter == FilterSettings(
        min_rating=None, min_user_interactions=0, min_item_interactions=0, iterate=False
    )
    assert recipe.split == SplitSettings(
        kind="random", ratios=(0.7, 0.15, 0.15), folds=5, fold=None, name=None, validation=0.1, cold="keep"
    )
    assert recipe.training.model_dump() == {
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "momentum": 0.0,
        "schedule": "constant",
        "weight_decay": 0.0,
        "batch_size": 512,
        "epochs": 100,
        "patience": 10,
        "restore_best": True,
        "validate_every": 1,
        "fit_on": "train",
        "refit": False,
        "average": 0.0,
        "steps_per_call": None,
        "jit_compile": None,
        "checkpoint_seconds": 5.0,
    }


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="frozen"):
        TrainingSettings().epochs = 5


def measured(recipe):
    """Return the names of the test metrics that a run with a recipe gives."""
    task = get_task(model_info(recipe.model).task)
    settings = task.Settings(**recipe.task)
    if task.evaluation == "rating":
        return {"rmse", "mae"}
    if task.evaluation == "click":
        return {"auc", "log_loss"}
    return {f"{metric}@{cutoff}" for metric in settings.measured() for cutoff in settings.cutoffs}


@pytest.mark.parametrize(("model", "name"), SHIPPED)
def test_every_shipped_recipe_loads_for_every_data_set(model, name):
    text = (files("tfzoo.recipes") / model / f"{name}.yaml").read_text(encoding="utf-8")
    named = set(yaml.safe_load(text).get("datasets") or {})
    assert named <= set(list_datasets())
    for dataset in sorted({"ml-100k", "ml-1m", "a-data-set-nobody-has", *named}):
        recipe = load_recipe(model, dataset, name)
        assert (recipe.model, recipe.name) == (model, name)
        if recipe.reported is not None:
            assert recipe.reported.metrics.keys() <= measured(recipe), dataset
        # The resolved recipe is what the record stores: it must come back from its own JSON.
        assert Recipe(**recipe.model_dump(mode="json")) == recipe


def test_every_model_has_the_recipe_paper():
    assert {model for model in list_models() if "paper" not in list_recipes(model)} == set()


@pytest.mark.parametrize("protocol", list_protocols())
def test_a_protocol_says_how_data_is_filtered_divided_and_measured(protocol):
    text = (files("tfzoo.recipes") / "protocols" / f"{protocol}.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    assert values.keys() <= {"filter", "split", "task", "training"}
    recipe = load_recipe("ease", "ml-1m", "paper", protocol=protocol)
    assert recipe.name == f"paper-{protocol}"
    assert recipe.reported is None
    assert recipe.split == SplitSettings(**values["split"])
    assert recipe.filter == FilterSettings(**values.get("filter", {}))
    assert recipe.builder == load_recipe("ease", "ml-1m").builder
    cutoffs = values.get("task", {}).get("cutoffs")
    assert cutoffs is None or recipe.task["cutoffs"] == cutoffs


def test_the_values_of_a_recipe_win_over_its_protocol(recipe_file):
    path = recipe_file({"protocol": "leave-one-out-99", "split": {"negatives": 20}})
    recipe = load_recipe("gmf", "toy", path)
    assert (recipe.split.kind, recipe.split.leave, recipe.split.negatives) == ("leave-out", 1, 20)
    assert recipe.name == "own"
    changed = load_recipe("gmf", "toy", path, protocol="leave-one-out", overrides=["split.leave=3"])
    assert (changed.split.leave, changed.split.negatives) == (3, None)


@pytest.mark.parametrize(
    "overrides",
    [
        ["split.folds=3"],
        ["split.kind=random", "split.folds=3"],
        ["split.folds=3", "split.kind=random"],
        ["split.kind=leave-out", "split.ratios=[0.8, 0.1, 0.1]"],
        ["split.name=u1"],
    ],
)
def test_a_setting_that_the_kind_of_split_does_not_read_is_refused(overrides, recipe_file):
    (group,) = {text.split("=")[0] for text in overrides} - {"split.kind"}
    message = (
        rf"'{group}' is of the kind .*, and split\.kind is (random|leave-out), which reads (ratios|leave)"
    )
    with pytest.raises(UsageError, match=message):
        load_recipe("pmf", "toy", overrides=overrides)
    values = {}
    for key, value in (text.removeprefix("split.").split("=") for text in overrides):
        values[key] = yaml.safe_load(value)
    with pytest.raises(UsageError, match=message):
        load_recipe("pmf", "toy", recipe_file({"split": values}))
    with pytest.raises(UsageError, match=message):
        load_recipe("pmf", "toy", recipe_file({"datasets": {"toy": {"split": values}}}))


def test_what_is_said_of_one_kind_of_split_stays_where_another_is_chosen(recipe_file):
    said = recipe_file(
        {"split": {"ratios": [0.8, 0.1, 0.1]}, "datasets": {"toy": {"split": {"kind": "per-user"}}}}
    )
    assert load_recipe("pmf", "toy", said).split.ratios == (0.8, 0.1, 0.1)
    chosen = load_recipe("pmf", "other", said, overrides=["split.kind=k-fold", "split.folds=3"]).split
    assert (chosen.kind, chosen.folds) == ("k-fold", 3)
    # What earlier versions wrote of a random split: the first fold.
    assert load_recipe("pmf", "toy", overrides=["split.fold=0", "split.leave=1"]).split.kind == "random"


def test_no_model_is_refitted_with_held_out_users():
    for model in ("popularity", "item-knn", "ease"):
        assert load_recipe(model, "ml-1m").training.refit
        assert not load_recipe(model, "ml-1m", protocol="strong-generalization").training.refit


@pytest.mark.parametrize("dataset", ["ml-100k", "amazon-musical-instruments", "reviews"])
def test_models_of_reviews_and_of_ratings_are_measured_on_one_split(dataset, recipe_file):
    ratios = (0.8, 0.1, 0.1) if dataset.startswith("amazon") else (0.7, 0.15, 0.15)
    for model in ("deepconn", "adrs", "baseline", "biased-mf", "item-knn-rating"):
        for recipe in ("paper", "tuned"):
            assert load_recipe(model, dataset, recipe).split.ratios == ratios
    own = recipe_file({"split": {"kind": "k-fold"}})
    assert load_recipe("baseline", dataset, own).split.kind == "k-fold"
    cold = load_recipe("baseline", dataset, overrides=["split.cold=drop"]).split
    assert (cold.ratios, cold.cold) == (ratios, "drop")


def test_an_unknown_protocol_is_refused(recipe_file):
    message = r"Unknown protocol 'leave-on-out'\. Did you mean .*'leave-one-out'"
    with pytest.raises(UsageError, match=message):
        load_recipe("gmf", "toy", "paper", protocol="leave-on-out")
    with pytest.raises(UsageError, match=message):
        load_recipe("gmf", "toy", recipe_file({"protocol": "leave-on-out"}))


def test_pretraining_settings(recipe_file):
    values = {"alpha": 0.25, "training": {"epochs": 3, "optimizer": "sgd"}}
    recipe = load_recipe("neumf", "toy", recipe_file({"pretraining": values}))
    assert recipe.pretraining.alpha == 0.25
    assert (recipe.pretraining.training.epochs, recipe.pretraining.training.optimizer) == (3, "sgd")
    assert Recipe(**recipe.model_dump(mode="json")) == recipe
    for key, message in (("alpha", "pretraining.alpha"), ("beta", "unknown key 'beta' in 'pretraining'")):
        with pytest.raises(UsageError, match=message):
            load_recipe("neumf", "toy", recipe_file({"pretraining": {key: 1.5}}))


def test_a_model_without_parts_cannot_be_pretrained():
    with pytest.raises(UsageError, match=r"model 'gmf' has no parts to pre-train"):
        load_recipe("gmf", "toy", overrides=["pretraining.alpha=0.5"])


def test_paper_figures_and_settings_of_edrs():
    recipe = load_recipe("edrs", "ml-100k")
    assert recipe.reported.metrics == {"mae": 0.626, "rmse": 0.831}
    assert load_recipe("edrs", "ml-1m").reported.metrics == {"mae": 0.605, "rmse": 0.801}
    assert load_recipe("edrs", "other").reported is None
    assert recipe.training.learning_rate == 1e-4
    assert recipe.training.batch_size == 512
    assert recipe.split.ratios == (0.7, 0.15, 0.15)
    assert recipe.builder["tower_units"] == [80, 40]


def test_values_of_a_data_set_replace_single_values(recipe_file):
    path = recipe_file(
        {
            "builder": {"embedding_dim": 4, "lookup_l2": 0.5},
            "training": {"epochs": 3, "batch_size": 7},
            "datasets": {
                "toy": {
                    "builder": {"embedding_dim": 6},
                    "training": {"epochs": 9},
                    "reported": {"source": "Table 1", "metrics": {"rmse": 0.5}},
                },
            },
        }
    )
    toy, other = (load_recipe("pmf", name, path) for name in ("toy", "other"))
    assert toy.name == "own"
    assert toy.builder == {"embedding_dim": 6, "lookup_l2": 0.5}
    assert (toy.training.epochs, toy.training.batch_size) == (9, 7)
    assert toy.reported.metrics == {"rmse": 0.5}
    assert other.builder == {"embedding_dim": 4, "lookup_l2": 0.5}
    assert other.training.epochs == 3
    assert other.reported is None


def test_a_recipe_may_build_on_another(recipe_file):
    base = recipe_file({"training": {"epochs": 3, "batch_size": 7}, "task": {"loss": "mae"}}, "first.yaml")
    middle = recipe_file({"base": base, "training": {"epochs": 5, "patience": 2}}, "middle.yaml")
    recipe = load_recipe("pmf", "toy", recipe_file({"base": middle, "training": {"patience": 4}}))
    assert recipe.name == "own"
    assert recipe.task["loss"] == "mae"
    assert (recipe.training.epochs, recipe.training.batch_size, recipe.training.patience) == (5, 7, 4)


def test_a_recipe_may_build_on_one_of_the_package_and_its_data_sets(recipe_file):
    path = recipe_file({"base": "paper", "datasets": {"ml-1m": {"training": {"patience": 2}}}})
    recipe, paper = load_recipe("edrs", "ml-1m", path), load_recipe("edrs", "ml-1m")
    assert recipe.training == paper.training.model_copy(update={"patience": 2})
    assert recipe.reported == paper.reported


def test_a_recipe_describes_itself_whatever_its_base_says_of_a_data_set(recipe_file):
    own = {
        "description": "Of the base.",
        "datasets": {"toy": {"description": "Of the base on toy."}, "x": None},
    }
    base = recipe_file(own, "first.yaml")
    silent = recipe_file({"base": base}, "silent.yaml")
    assert load_recipe("pmf", "toy", silent).description == "Of the base on toy."
    other = recipe_file({"base": base, "description": "Its own."}, "other.yaml")
    assert load_recipe("pmf", "toy", other).description == "Its own."
    both = {"base": base, "description": "Its own.", "datasets": {"toy": {"description": "Its own on toy."}}}
    assert load_recipe("pmf", "toy", recipe_file(both, "both.yaml")).description == "Its own on toy."


def test_figures_of_another_source_replace_those_of_the_base(recipe_file):
    printed = {"source": "Table 1", "metrics": {"rmse": 0.5, "mae": 0.4}, "remark": "It leaks."}
    base = recipe_file({"reported": printed}, "first.yaml")
    other = recipe_file(
        {"base": base, "reported": {"source": "Table 2", "metrics": {"rmse": 0.6}}}, "other.yaml"
    )
    reported = load_recipe("pmf", "toy", other).reported
    assert (reported.source, reported.metrics, reported.remark) == ("Table 2", {"rmse": 0.6}, "")
    same = recipe_file({"base": base, "reported": {"remark": "It leaks more."}}, "same.yaml")
    reported = load_recipe("pmf", "toy", same).reported
    assert (reported.metrics, reported.remark) == ({"rmse": 0.5, "mae": 0.4}, "It leaks more.")


@pytest.mark.parametrize(
    ("base", "message"),
    [("papre", "Unknown recipe 'papre'"), ("none.yaml", "Recipe file not found"), (5, "recipe '5'")],
)
def test_an_unknown_base_is_refused(recipe_file, base, message):
    with pytest.raises(UsageError, match=message):
        load_recipe("pmf", "toy", recipe_file({"base": base}))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer against an endless loop")
def test_recipes_that_build_on_each_other_are_refused(recipe_file, tmp_path):
    first, second = str(tmp_path / "first.yaml"), str(tmp_path / "second.yaml")
    recipe_file({"base": second}, "first.yaml")
    recipe_file({"base": first}, "second.yaml")

    def too_long(*_):
        raise TimeoutError("load_recipe runs for ever")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, 2)
    try:
        with pytest.raises(UsageError, match=r"first\.yaml|second\.yaml"):
            load_recipe("pmf", "toy", first)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_empty_file_gives_the_defaults(recipe_file):
    recipe = load_recipe("pmf", "toy", recipe_file(""))
    assert recipe.training == TrainingSettings()
    assert recipe.task == {"loss": "mse", "mask_target": True, "rows_from": "train", "examples": "pairs"}


@pytest.mark.parametrize(
    ("override", "group", "key", "expected"),
    [
        ("training.learning_rate=1e-3", "training", "learning_rate", 1e-3),
        ("training.learning_rate=2E-4", "training", "learning_rate", 2e-4),
        ("training.epochs=7", "training", "epochs", 7),
        ("training.patience=null", "training", "patience", None),
        ("training.patience=", "training", "patience", None),
        ("training.restore_best=false", "training", "restore_best", False),
        ("training.schedule=cosine", "training", "schedule", "cosine"),
        ("split.ratios=[0.8, 0.1, 0.1]", "split", "ratios", (0.8, 0.1, 0.1)),
        ("split.kind=given", "split", "kind", "given"),
        ("filter.min_rating=4", "filter", "min_rating", 4.0),
        ("training.refit=true", "training", "refit", True),
        (" training.epochs =3", "training", "epochs", 3),
    ],
)
def test_overrides_have_the_type_of_their_setting(override, group, key, expected):
    recipe = load_recipe("pmf", "ml-100k", overrides=[override])
    value = getattr(getattr(recipe, group), key)
    assert value == expected
    assert type(value) is type(expected)


def test_overrides_reach_builder_and_task_and_the_last_one_wins():
    recipe = load_recipe(
        "edrs",
        "ml-100k",
        overrides=["builder.tower_units=[8, 4]", "task.loss=mae", "training.epochs=2", "training.epochs=4"],
    )
    assert list(recipe.builder["tower_units"]) == [8, 4]
    assert recipe.task["loss"] == "mae"
    assert recipe.training.epochs == 4


def test_overrides_win_over_the_values_of_the_data_set():
    assert load_recipe("edrs", "ml-1m").training.epochs == 100
    assert load_recipe("edrs", "ml-1m", overrides=["training.epochs=5"]).training.epochs == 5


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epoch=5", r"unknown key 'epoch' in 'training'. Did you mean 'epochs'\?"),
        ("traning.epochs=5", r"unknown key 'traning'. Did you mean 'training'"),
        ("training.epochs=many", r"'training.epochs'.*Received 'many'"),
        ("training.epochs=2.5", r"'training.epochs'.*Received 2.5"),
        ("training.epochs=0", r"'training.epochs'.*Received 0"),
        ("training.batch_size=0", r"'training.batch_size'.*Received 0"),
        ("training.batch_size=null", r"'training.batch_size'"),
        ("training.learning_rate=0", r"'training.learning_rate'.*greater than 0"),
        ("training.learning_rate=-1", r"'training.learning_rate'.*greater than 0"),
        ("training.optimizer=adamm", r"'training.optimizer'.*'adam'"),
        ("training.momentum=0.5", r"only sgd, rmsprop, gru4rec-adagrad take a momentum.*'adam'"),
        ("training.validate_every=0", r"'training.validate_every'"),
        ("filter.min_user_interactions=-1", r"'filter.min_user_interactions'"),
        ("split.negatives=0", r"'split.negatives'"),
        ("training.average=1.0", r"'training.average'.*less than 1"),
        ("training.patience=0", r"'training.patience'"),
        ("split.kind=radnom", r"'split.kind'.*'random'"),
        ("split.ratios=[0.5, 0.5]", r"'split.ratios"),
        ("split.validation=1", r"'split.validation'"),
        ("task.los=mse", r"unknown key 'los'. Did you mean 'loss'\?"),
        ("task.loss=rmse", r"'loss'.*'mse'"),
        ("builder.embeding_dim=3", r"has no option 'embeding_dim'. Did you mean 'embedding_dim'"),
        ("builder.embedding_dim=three", r"'embedding_dim'.*Received 'three'"),
        ("builder.num_users=3", r"has no option 'num_users'"),
        ("training.epochs.x=5", r"'epochs' is a value, not a group"),
        ("epochs=5", r"--set takes group.key=value.*Received 'epochs=5'"),
        ("training.epochs", r"--set takes group.key=value"),
        ("training.=5", r"--set takes group.key=value"),
        ("training.epochs=[1", r"training.epochs=\[1: the value is not valid YAML"),
        ("training.epochs=.nan", r"'training.epochs'"),
    ],
)
def test_wrong_overrides_are_refused_with_a_hint(override, message):
    with pytest.raises(UsageError, match=message):
        load_recipe("pmf", "ml-100k", overrides=[override])


@pytest.mark.parametrize("value", [".nan", ".inf"])
def test_a_learning_rate_must_be_finite(value):
    with pytest.raises(UsageError, match="learning_rate"):
        load_recipe("pmf", "ml-100k", overrides=[f"training.learning_rate={value}"])


def test_all_problems_are_named_at_once():
    with pytest.raises(UsageError) as caught:
        load_recipe("pmf", "ml-100k", overrides=["training.epoch=5", "training.batch_size=0"])
    assert "'epoch'" in str(caught.value)
    assert "'training.batch_size'" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainig": {"epochs": 1}}, r"unknown key 'trainig'. Did you mean 'training'"),
        ({"training": 5}, r"'training'"),
        ({"builder": [1]}, r"'builder'"),
        ({"task": "mse"}, r"'task'"),
        ({"datasets": ["toy"]}, r"datasets"),
        ({"datasets": {"toy": 5}}, r"toy"),
        ({"reported": {"sorce": "Table 1", "metrics": {}}}, r"unknown key 'sorce' in 'reported'"),
        ({"reported": {"source": "Table 1", "metrics": {"rmse": "low"}}}, r"reported.metrics.rmse"),
        ("- training", "expected groups of settings"),
        ("training: [", "not valid YAML"),
    ],
)
def test_wrong_files_are_refused(recipe_file, values, message):
    with pytest.raises(UsageError, match=message):
        load_recipe("pmf", "toy", recipe_file(values))


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_bytes(b"\xff\xfe\x00training")
    with pytest.raises(UsageError, match=r"own\.yaml"):
        load_recipe("pmf", "toy", str(path))


def test_unknown_names_are_refused_with_the_nearest(tmp_path):
    with pytest.raises(UsageError, match=r"Unknown model 'edsr'\. Did you mean 'edrs'"):
        load_recipe("edsr", "ml-100k")
    with pytest.raises(UsageError, match=r"Unknown recipe 'papre' of edrs\. Did you mean 'paper'"):
        load_recipe("edrs", "ml-100k", "papre")
    with pytest.raises(UsageError, match=r"Recipe file not found: .*none\.yaml"):
        load_recipe("edrs", "ml-100k", str(tmp_path / "none.yaml"))


def test_a_recipe_name_cannot_leave_the_package():
    with pytest.raises(UsageError, match="Unknown recipe"):
        load_recipe("edrs", "ml-100k", "../pmf/paper")


def test_builder_options_get_the_types_of_the_signature():
    recipe = load_recipe(
        "edrs", "toy", overrides=["builder.biases=true", "builder.dropout=0", "builder.last_activation=null"]
    )
    assert recipe.builder["biases"] is True
    assert type(recipe.builder["dropout"]) is float
    assert recipe.builder["last_activation"] is None


def test_auto_is_kept_in_the_recipe_and_filled_in_from_the_task():
    recipe = load_recipe("pmf", "toy", overrides=["builder.rating_scale=auto", "builder.link=sigmoid"])
    assert recipe.builder["mean_rating"] == "auto"
    resolved = resolve_builder(recipe, {"mean_rating": 3.25, "rating_scale": (1.0, 5.0)})
    assert resolved["mean_rating"] == 3.25
    assert resolved["rating_scale"] == (1.0, 5.0)
    assert resolved["link"] == "sigmoid"
    assert resolved["embedding_dim"] == recipe.builder["embedding_dim"]


def test_auto_where_nothing_can_be_worked_out_is_refused():
    with pytest.raises(UsageError, match="embedding_dim"):
        load_recipe("pmf", "toy", overrides=["builder.embedding_dim=auto"])


def test_parse_names_the_place():
    with pytest.raises(UsageError, match=r"^my file: unknown key 'fold_number'"):
        parse(SplitSettings, {"fold_number": 2}, "my file")
