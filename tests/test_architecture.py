"""The import rule: a module imports from its own room and from lower floors, and nothing else."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tfzoo"
FLOORS = (
    {"errors", "installation", "machine", "registration"},
    {"discovery"},
    {"files"},
    {"data", "layers"},
    {"problems", "losses", "sampling"},
    {"models", "inputs"},
    {"tasks"},
    {"training", "evaluation", "serving"},
    {"reporting", "metrics", "closed_forms"},
    {"experiment"},
    {"runs", "data_notes", "all_lists", "explaining"},
    {"tuning", "updates"},
    {"pretrained", "api", "testing"},
    {"pretrained_build"},
    {"cli"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
WITHOUT_FLOOR = {"tfzoo", "tfzoo.__main__", "tfzoo.recipes"}


def read_package():
    """Return module name -> source of every module of the package."""
    sources = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = path.read_text(encoding="utf-8")
    return sources


def imports(module, source, modules):
    """Return the absolute names that a module imports, inside functions too."""
    is_package = any(other.startswith(module + ".") for other in modules)
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parents = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parents, base] if base else parents)
            names = {f"{base}.{alias.name}" for alias in node.names}
            found.update(name if name in modules else base for name in names)
    return found


def room(name):
    return name.split(".")[1] if name.startswith("tfzoo.") else None


def graph(sources):
    return {module: imports(module, source, sources) for module, source in sources.items()}


def wrong_floors(edges):
    """Return the imports that go up, or sideways to another room."""
    return sorted(
        f"{module} imports {target}"
        for module, targets in edges.items()
        if module not in WITHOUT_FLOOR
        for target in targets
        if room(target) is not None and room(target) != room(module)
        if FLOOR[room(target)] >= FLOOR[room(module)]
    )


def cycle(edges):
    """Return the modules of one import cycle, or an empty list."""
    done = set()

    def visit(module, path):
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(edges.get(module, ())):
            if target in edges and (found := visit(target, [*path, module])):
                return found
        done.add(module)
        return []

    for module in sorted(edges):
        if found := visit(module, []):
            return found
    return []


@pytest.fixture(scope="module")
def edges():
    return graph(read_package())


def test_every_module_has_a_floor(edges):
    assert len(edges) > 20
    homeless = {module for module in edges if module not in WITHOUT_FLOOR and room(module) not in FLOOR}
    assert homeless == set()


def test_modules_import_from_their_room_and_lower_floors(edges):
    assert wrong_floors(edges) == []


def test_there_are_no_import_cycles(edges):
    assert cycle(edges) == []


def test_nothing_imports_the_command_line(edges):
    importers = [
        module
        for module, targets in edges.items()
        if room(module) != "cli" and module != "tfzoo.__main__"
        if any(target == "scripts" or target.startswith(("scripts.", "tfzoo.cli")) for target in targets)
    ]
    assert importers == []


@pytest.mark.parametrize(
    ("rooms", "forbidden"),
    [
        (("models", "layers"), ("tensorflow", "tf_keras", "tfzoo.data")),
        (("data", "errors"), ("keras", "tf_keras")),
        (tuple(FLOOR), ("tensorflow_recommenders", "tf_keras", "tensorflow.keras", "tensorflow.python")),
    ],
)
def test_rooms_do_not_know_these_libraries(edges, rooms, forbidden):
    offenders = [
        f"{module} imports {target}"
        for module, targets in edges.items()
        if room(module) in rooms
        for target in targets
        if any(target == name or target.startswith(name + ".") for name in forbidden)
        if not target.startswith("tfzoo") or room(target) != room(module)
        # The one module that is there to reach the library made for Keras 2.
        if (module, target) != ("tfzoo.serving.tfrs_index", "tensorflow_recommenders.layers")
    ]
    assert offenders == []


def test_importing_the_package_imports_nothing_of_it(edges):
    assert {target for target in edges["tfzoo"] if target.startswith("tfzoo")} == {"tfzoo.registration"}
    assert not any(target.startswith("tfzoo") for target in edges["tfzoo.registration"])


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("tfzoo.data.new", "from tfzoo.layers import IdEmbedding"),
        ("tfzoo.layers.new", "def f():\n    import tfzoo.models.mf"),
        ("tfzoo.models.new", "from tfzoo.tasks import get_task"),
        ("tfzoo.models.new", "from ..tasks import get_task"),
        ("tfzoo.training.new", "from tfzoo import evaluation"),
        ("tfzoo.errors", "if TYPE_CHECKING:\n    from tfzoo.data.splits import Split"),
        ("tfzoo.experiment", "from tfzoo.cli.main import main"),
    ],
)
def test_the_rule_finds_a_wrong_import(module, source):
    sources = {**read_package(), module: source}
    assert [text.split()[0] for text in wrong_floors(graph(sources))] == [module]


def test_the_rule_allows_what_goes_down():
    sources = {**read_package(), "tfzoo.training.new": "from tfzoo.models import mf\nimport tfzoo.errors"}
    assert wrong_floors(graph(sources)) == []


def test_a_cycle_is_found():
    sources = {"tfzoo.a": "from tfzoo.b import c", "tfzoo.b": "from tfzoo import a", "tfzoo.d": ""}
    assert cycle(graph(sources)) == ["tfzoo.a", "tfzoo.b", "tfzoo.a"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
