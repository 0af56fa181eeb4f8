"""The pages of the models: what is committed, what their blocks do, and their parts by hand."""

import json
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import keras
import pytest

from tests.zoo import quick
from tfzoo.cli.main import build_parser
from tfzoo.data.datasets import load_dataset
from tfzoo.data.datasets.registry import by_hand
from tfzoo.models import Paper, list_models, model_info, registry
from tfzoo.models.registry import ModelInfo
from tfzoo.reporting.catalogue import best_summary, figure_text, summaries_by_model
from tfzoo.reporting.citation import bibtex
from tfzoo.reporting.code_blocks import EXAMPLES
from tfzoo.reporting.curve_drawing import draw_curve
from tfzoo.reporting.model_page import docstring_sections, model_files
from tfzoo.reporting.model_settings import recipes_of, setting_rows
from tfzoo.reporting.pages import index_page, page_files
from tfzoo.reporting.parameters import count_formula
from tfzoo.tasks import get_task

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "models"
QUICK = ("edrs", "gru4rec", "ease")
STALE = "write the pages again: tfzoo pages"
EVERY = quick(list_models(), QUICK)


@pytest.fixture(scope="module")
def summaries():
    return summaries_by_model(ROOT / "results")


def page(name):
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def block(name, language):
    return re.findall(rf"```{language}\n(.*?)```", page(name), re.DOTALL)


def test_the_index_is_what_the_records_give(summaries):
    assert page("index") == index_page(summaries), STALE


@pytest.mark.parametrize("name", EVERY)
def test_a_page_is_what_the_registry_and_the_records_give(name, summaries):
    for path, text in page_files([name], summaries):
        assert (PAGES / path).read_text(encoding="utf-8") == text, STALE


def test_there_is_a_page_and_a_graph_for_every_model_and_nothing_else():
    names = set(list_models())
    assert {path.stem for path in PAGES.glob("*.md")} == {*names, "index"}
    assert {path.stem for path in (PAGES / "graphs").iterdir()} == names
    shown = {name for name in names if f"curves/{name}.svg" in page(name)}
    assert {path.stem for path in (PAGES / "curves").iterdir()} == shown


def test_drawings_are_small_and_links_lead_somewhere():
    for path in PAGES.rglob("*.svg"):
        assert path.stat().st_size < 30_000
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    for path in PAGES.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (PAGES / target).exists(), f"{path.name}: {target}"


@pytest.mark.parametrize("name", EVERY)
def test_the_keras_block_runs(name):
    (code,) = block(name, "python")
    names: dict = {}
    exec(compile(code, f"{name}.md", "exec"), names)
    assert set(names["outputs"]) == set(names["model"].output)


@pytest.mark.parametrize("name", list_models())
def test_the_commands_parse(name):
    train, serve = block(name, "sh")
    parser = build_parser()
    commands = [line.removesuffix(" &") for line in (train + serve).splitlines() if line.startswith("tfzoo ")]
    parsed = [parser.parse_args(shlex.split(command)[1:]) for command in commands]
    trained = [options for options in parsed if options.command == "train"]
    assert not by_hand(trained[0].dataset) or get_task(model_info(name).task).needs.clicks
    run = next(options.run for options in parsed if options.command == "export")
    if get_task(model_info(name).task).needs.clicks:
        assert {options.model for options in trained} == {name}
        assert not any(options.command == "recommend" for options in parsed)
        assert re.search(rf"/v1/models/{name}-[a-z0-9-]+/metadata", serve)
        return
    asked = next(options for options in parsed if options.command == "recommend")
    assert {options.model for options in (asked, *trained)} == {name}
    assert (asked.dataset, "paper") in {(options.dataset, options.recipe) for options in trained}
    assert run == Path(f"runs/{name}-{asked.dataset}-paper/seed-0")
    request = json.loads(re.search(r"curl -d '(.*)'", serve)[1])
    from_history = get_task(model_info(name).task).reads_history
    assert ("history" in request["instances"][0]) == from_history == (asked.history is not None)
    assert request["signature_name"] == ("recommend_from_history" if from_history else "recommend")


def test_a_page_names_the_inputs_of_its_model():
    assert "| input | `item_row` | `[B, users + 1]` | float32 |" in page("i-autorec")
    assert "| output | `scores` | `[B, items + 1]` | float32 |" in page("ease")
    assert "`items² + 2·items + 1`, on ml-100k 2,832,489. None is found by gradient descent." in page("ease")


def test_reconstructions_say_so():
    for name in list_models():
        assert ("**A reconstruction.**" in page(name)) == model_info(name).reconstruction


def test_formulas_of_counts():
    check = (943, 1682)
    assert count_formula(lambda u, i: 10 * (u + 1) + 10 * (i + 1) + 18_001, check) == (
        "10·users + 10·items + 18,021"
    )
    assert count_formula(lambda u, i: (u + 2) * (i - 3), check) == "users·items - 3·users + 2·items - 6"
    assert count_formula(lambda u, i: i * (i - 1) // 2, check) == "1/2·items² - 1/2·items"
    assert count_formula(lambda u, i: 1234, check) == "1,234"
    with pytest.raises(ValueError, match="do not grow as"):
        count_formula(lambda u, i: min(u, 500), check)


def test_citations_say_what_is_known_and_no_more():
    def cite(*paper):
        return bibtex(ModelInfo("my-model", "rating", Paper(*paper), builder=None, summary=""))

    assert cite(
        "Da'u, Müller et al.", "Wide & deep", "Venue 3(1), 5-9", 2016, "https://doi.org/10.1/x_y"
    ) == (
        "@misc{dau2016mymodel,\n  author = {Da'u and Müller and others},\n  title = {{Wide \\& deep}},\n"
        "  howpublished = {Venue 3(1), 5-9},\n  year = {2016},\n  doi = {10.1/x_y},\n}"
    )
    unknown = cite("Élan", "T", "V", None)
    assert unknown.startswith("@misc{elanmymodel,")
    assert not re.search("year|doi|url", unknown)
    assert "  url = {https://arxiv.org/abs/1},\n}" in cite("A", "T", "V", 2000, "https://arxiv.org/abs/1")


def test_settings_stand_beside_each_other():
    info = model_info("edrs")
    rows = dict(setting_rows(info, recipes_of(info, "ml-100k"), trained=True))
    assert rows["training.learning_rate"] == ["0.0001", "0.002"]
    assert rows["builder.tower_units"] == ["[80, 40]", "[128]"]
    assert rows["builder.biases"] == ["false", "true"]
    assert "training.jit_compile" not in rows
    untrained = dict(setting_rows(info, recipes_of(info, "ml-100k"), trained=False))
    assert set(rows) - set(untrained) == {key for key in rows if key.startswith("training.")}


def test_what_a_tuned_recipe_has_cost_stands_on_its_page_or_that_it_is_not_recorded():
    assert "of ml-100k, seeds 0 and 1. Search budget not recorded." in page("edrs")
    assert "Search budget" not in page("fm")


def test_the_figure_of_a_model_is_of_an_honest_recipe(summaries):
    found = {summary.recipe: summary for summary in summaries["edrs"] if summary.first.dataset == "ml-100k"}
    assert found["oversampled"].mean("rmse") < found["tuned"].mean("rmse") < found["paper"].mean("rmse")
    assert best_summary(summaries["edrs"]) is found["tuned"]
    assert best_summary([found["paper"], found["oversampled"]]) is found["paper"]
    assert best_summary([found["oversampled"]]) is None
    assert figure_text(found["tuned"]) == f"rmse {found['tuned'].text('rmse')} (ml-100k, tuned)"
    assert figure_text(None) == "no record"


def test_sections_of_docstrings_have_no_markup_of_python():
    sections = docstring_sections(model_info("mult-vae"))
    assert sections["Differences from the paper"].startswith("None in the model; sizes, initial values")
    assert sections["Differences from the paper"].endswith("at about 85% of training.")
    assert "``" not in sections[""]
    assert "Args" not in sections[""]
    for name in list_models():
        assert docstring_sections(model_info(name))["Differences from the paper"], name


@pytest.mark.parametrize("task", ["rating", "implicit"])
def test_a_new_model_has_a_page_without_recipes_and_records(task, monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))

    @registry.register_model("my-model", task=task, paper=Paper("Me", "My model", "My venue", 2026))
    def MyModel(num_users, num_items):
        """One line that says what it is."""
        inputs = {name: keras.Input((), dtype="int32", name=name) for name in ("user_id", "item_id")}
        factors = [keras.layers.Embedding(min(num_users, 500) + 1, 3)(tensor) for tensor in inputs.values()]
        output = {"rating": "rating", "implicit": "score"}[task]
        return keras.Model(inputs, {output: keras.layers.Dot(-1, name="dot")(factors)})

    files = model_files(registry.model_info("my-model"), [])
    assert set(files) == {"my-model.md", "graphs/my-model.svg"}
    text = files["my-model.md"]
    assert "| family | other |" in text
    assert "no polynomial of users and items`, on ml-100k 3,006." in text
    for part in ("Nothing is recorded for this model yet.", "There is none.", "The builder does not say."):
        assert part in text
    exec(compile(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], "my-model.md", "exec"), {})


@pytest.mark.data
def test_the_ids_of_the_examples_are_those_of_the_data():
    for name, (user, items) in EXAMPLES.items():
        data = load_dataset(name)
        assert (data.items.lookup(list(items)) > 0).all()
        assert not user or data.users.lookup([user])[0] > 0


def test_a_curve_needs_two_epochs(summaries):
    first = next(s.first for s in summaries["rmf"] if s.first.history)
    monitor = f"val_{get_task(first.task)().monitor}"
    history = [{"epoch": 1.0, "loss": 3.0, monitor: 2.0}, {"epoch": 3.0, "loss": 1.0, monitor: 1.0}]
    drawn = draw_curve(first.model_copy(update={"history": history, "best_epoch": 3}))
    lines = re.findall(r'd="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)" stroke="(#\w+)"', drawn)
    # Epoch 1 stands on the left axis and epoch 3 on the right one; both figures fall to the lower end.
    assert [(x0, y0, x1, y1) for x0, y0, x1, y1, _ in lines] == [("62.0", "26.0", "498.0", "220.0")] * 2
    assert len({colour for *_, colour in lines}) == 2
    assert "best epoch, 3" in drawn
    flat = [{**row, "loss": 1.0} for row in history]
    assert 'd="M62.0 220.0L498.0 220.0"' in draw_curve(first.model_copy(update={"history": flat}))
    assert draw_curve(first.model_copy(update={"history": history[:1]})) is None
    assert draw_curve(first.model_copy(update={"history": []})) is None
