"""Models by name."""

import inspect
import subprocess
import sys

import pytest

import tfzoo
from tfzoo import models
from tfzoo.errors import UsageError, nearest
from tfzoo.models import Paper, create_model, list_models, model_info, register_model, registry
from tfzoo.tasks import TASKS
from tfzoo.training.recipe import list_recipes

KNOWN = {"biased-mf", "dcf", "delcr", "delcr-woe", "edrs", "edrs-woe", "pmf"}
PAPER = Paper("A. Author", "A Title", "A Venue", 2020)


# Models of fields have no table of users or items.
COUNTED = [name for name in list_models() if model_info(name).task != "click"]


def test_all_models_are_listed_in_order():
    names = list_models()
    assert set(names) >= KNOWN
    assert names == sorted(set(names))
    assert tfzoo.list_models() == names


def test_the_list_of_names_is_that_of_the_builders():
    built = {info.name for info in map(model_info, list_models())}
    assert built == set(registry._REGISTRY)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package of one module that offers a model by an entry point, for this test alone."""
    registry.builders()  # What is imported only once must be in the registry that stays.
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    monkeypatch.syspath_prepend(tmp_path)

    def write(model, module, code):
        (tmp_path / f"{module}.py").write_text(code, encoding="utf-8")
        metadata = tmp_path / f"{module}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[tfzoo.models]\n{model} = {module}\n")

    return write


PLUGIN = """
from tfzoo.layers import dot_head, embedding_tower, two_tower_model
from tfzoo.models import Paper, register_model

@register_model("{name}", task="rating", paper=Paper("Me", "Mine", "Here", 2026))
def Mine(num_users: int, num_items: int, *, embedding_dim: int = 3):
    \"\"\"Build mine.\"\"\"
    sizes = (("user", num_users), ("item", num_items))
    towers = (embedding_tower(side, size, embedding_dim) for side, size in sizes)
    return two_tower_model(*towers, dot_head(embedding_dim), name="{name}")
"""


def test_models_of_installed_packages_are_found(install):
    install("from-outside", "outside_one", PLUGIN.format(name="from-outside"))
    assert list_models("from-*") == ["from-outside"]
    assert "outside_one" not in sys.modules
    assert create_model("from-outside", 4, 6).count_params() == 3 * (5 + 7)
    with pytest.raises(UsageError, match="Did you mean 'from-outside'"):
        model_info("from-outsid")


def test_an_installed_package_that_is_broken_breaks_its_own_model_alone(install):
    install("from-outside", "outside_two", "import no_such_module")
    message = r"'from-outside' of the installed package 'outside_two'.*No module named 'no_such_module'"
    with pytest.raises(UsageError, match=message):
        model_info("from-outside")
    assert create_model("edrs", 4, 6).name == "edrs"
    assert models.EDRS is model_info("edrs").builder


def test_an_installed_package_must_register_what_it_promises(install):
    install("from-outside", "outside_three", PLUGIN.format(name="another"))
    with pytest.raises(
        UsageError, match=r"is not registered there: expected @register_model\(\"from-outside\""
    ):
        model_info("from-outside")


def test_an_installed_package_cannot_take_the_name_of_a_model(install):
    before = model_info("edrs")
    install("edrs", "outside_four", "raise RuntimeError")
    assert model_info("edrs") is before
    assert list_models("edrs") == ["edrs"]


def test_names_are_listed_without_importing_keras():
    code = (
        "import sys, tfzoo; tfzoo.list_models(); print({'keras', 'tensorflow', 'pandas'} & set(sys.modules))"
    )
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert listed.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("edrs", ["edrs"]),
        ("*-woe", ["delcr-woe", "edrs-woe"]),
        ("edrs*", ["edrs", "edrs-woe"]),
        (["pmf", "d?f"], ["dcf", "pmf"]),
        (["pmf", "p*f"], ["pmf"]),
        ("no-such-model", []),
        ([], []),
    ],
)
def test_patterns(pattern, expected):
    assert [name for name in list_models(pattern) if name in KNOWN] == expected


def test_an_unknown_model_names_the_nearest():
    with pytest.raises(UsageError, match=r"Unknown model 'edsr'\. Did you mean .*'edrs'"):
        create_model("edsr", 2, 2)
    with pytest.raises(UsageError, match=r"Unknown model 'zzzz'\. Valid: .*biased-mf"):
        model_info("zzzz")


def test_a_name_in_capitals_is_near_its_model():
    assert nearest("PMF", ["pmf", "edrs"]) == "Did you mean 'pmf'?"
    assert nearest("NeuMF", ["nnmf", "neumf"]) == "Did you mean 'neumf'?"


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(UsageError, match=r"'edrs' has no option 'tower_unit'.*'tower_units'"):
        create_model("edrs", 2, 2, tower_unit=(3,))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 5), "num_users must be at least 1. Received 0"),
        ((5, -1), "num_items must.*Received -1"),
        (("3", 5), "num_users must be a whole number. Received '3'"),
        ((5, None), "num_items must be a whole number. Received None"),
        ((5, 2.0), "num_items must be a whole number. Received 2.0"),
    ],
)
@pytest.mark.parametrize("name", COUNTED)
def test_sizes_that_are_none_are_refused(name, sizes, message):
    with pytest.raises(UsageError, match=message):
        create_model(name, *sizes)


def test_a_name_is_registered_once(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))

    def builder(num_users, num_items):
        """Build nothing."""

    assert register_model("new", task="rating", paper=PAPER)(builder) is builder
    assert model_info("new").builder is builder
    assert model_info("new").summary == "Build nothing."
    assert "new" in list_models()
    for name in ("new", "edrs"):
        with pytest.raises(ValueError, match=f"'{name}' is registered already"):
            register_model(name, task="rating", paper=PAPER)(builder)


def test_one_builder_may_have_two_names():
    assert model_info("dcf").builder is model_info("delcr-woe").builder
    assert model_info("dcf").paper != model_info("delcr-woe").paper


def test_builders_are_attributes_of_the_package():
    assert models.EDRS is model_info("edrs").builder
    assert tfzoo.models.PMF is model_info("pmf").builder
    for name in ("NoSuchModel", "_private"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'"):
            getattr(models, name)


def test_options_are_those_of_the_signature():
    options = model_info("pmf").options
    assert options["embedding_dim"].default == 10
    assert options["rating_scale"].annotation == tuple[float, float]


def test_papers_print_as_references():
    assert str(PAPER) == "A. Author. A Title. A Venue, 2020."
    assert str(Paper("A. Author", "A Title", "A Venue", None)) == "A. Author. A Title. A Venue."


@pytest.mark.parametrize("name", list_models())
def test_every_model_has_a_card(name):
    info = model_info(name)
    assert name == name.lower()
    assert info.task in TASKS
    assert info.paper.authors
    assert info.paper.title
    assert info.paper.venue
    doc = inspect.getdoc(info.builder)
    assert info.summary == doc.splitlines()[0]
    assert info.summary.endswith(".")
    lines = doc.splitlines()
    for section in ("Args:", "Returns:", "Differences from the paper:"):
        assert lines.count(section) == 1
    for option in info.options:
        assert f"\n    {option}: " in doc


@pytest.mark.parametrize("name", list_models())
def test_every_model_takes_sizes_and_keyword_options_with_defaults(name):
    options = model_info(name).options
    if name in COUNTED:
        assert list(options)[:2] == ["num_users", "num_items"]
    for option in list(options.values())[2 if name in COUNTED else 0 :]:
        assert option.kind is inspect.Parameter.KEYWORD_ONLY
        assert option.default is not inspect.Parameter.empty
        assert option.annotation is not inspect.Parameter.empty


@pytest.mark.parametrize("name", list_models())
def test_every_model_has_the_papers_recipe(name):
    assert "paper" in list_recipes(name)
