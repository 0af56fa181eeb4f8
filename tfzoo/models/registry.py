"""Which models there are, by name."""

from __future__ import annotations

import fnmatch
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

from tfzoo.errors import UsageError, nearest
from tfzoo.models.glossary import our_word

if TYPE_CHECKING:
    import keras
    from scipy import sparse

    from tfzoo.models.step import Step

Solve = Callable[["keras.Model", "sparse.csr_matrix"], None]
OTHER_FAMILY = "other"
COUNTS = ("num_users", "num_items")
ENTRY_POINTS = "tfzoo.models"
_Builder = TypeVar("_Builder", bound=Callable[..., Any])


@dataclass(frozen=True)
class Paper:
    """Where a model was published.

    Attributes:
        authors: as the paper prints them, shortened with *et al.*
        title: title of the paper.
        venue: journal or conference, or what is known of it.
        year: year of publication, None where the paper prints none.
        url: DOI or address, empty where there is none.
    """

    authors: str
    title: str
    venue: str
    year: int | None
    url: str = ""

    def __str__(self) -> str:
        return f"{self.authors}. {self.title}. {self.venue}{f', {self.year}' if self.year else ''}."


@dataclass(frozen=True)
class Pretraining:
    """How a model is put together from models that were trained before it.

    Attributes:
        parts: names of these models.
        merge: called with the model, the trained parts and the share ``alpha`` of the first.
    """

    parts: tuple[str, ...]
    merge: Callable[..., Any]


@dataclass(frozen=True)
class ModelInfo:
    """What the registry knows of one model.

    Attributes:
        name: lower case with hyphens.
        task: name of the learning problem, see `tfzoo.tasks`.
        paper: where it was published.
        builder: the function that builds it.
        summary: first line of the builder's docstring.
        solve: sets the weights that gradient descent does not (closed forms, counts) from the
            training matrix, float32 ``[num_users + 1, num_items + 1]`` with an entry for every
            distinct interaction: its rating for rating models, else 1. None where there are none.
        pretraining: how it may start from trained parts; None where it has none.
        reconstruction: the paper could not be read in full, and what it leaves open was chosen; no
            figure of ours is ever called reproduced.
        family: what kind of model it is, one word to look for models by.
        step: what a batch does to the weights; None for one gradient of the task's loss.
        non_negative_by: the builder's option that keeps predicted ratings at 0 or above, unless it is
            None or false; empty where there is none.
        small: arguments of the builder that make a small model, for `tfzoo.testing`.
    """

    name: str
    task: str
    paper: Paper
    builder: Callable[..., keras.Model]
    summary: str
    solve: Solve | None = None
    pretraining: Pretraining | None = None
    reconstruction: bool = False
    family: str = OTHER_FAMILY
    step: type[Step] | None = None
    non_negative_by: str = ""
    small: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """The builder's keyword arguments, with their defaults and types."""
        return dict(inspect.signature(self.builder, eval_str=True).parameters)

    @property
    def sizes(self) -> tuple[str, ...]:
        """The builder's arguments that the data decides, beside the numbers of users and items."""
        required = [name for name, one in self.options.items() if one.default is inspect.Parameter.empty]
        return tuple(name for name in required if name not in COUNTS)


_REGISTRY: dict[str, ModelInfo] = {}
_DECLARATION = re.compile(r'^@register_model\(\s*"([^"]+)"', re.MULTILINE)


def register_model(
    name: str,
    *,
    task: str,
    paper: Paper,
    solve: Solve | None = None,
    pretraining: Pretraining | None = None,
    reconstruction: bool = False,
    family: str = OTHER_FAMILY,
    step: type[Step] | None = None,
    non_negative_by: str = "",
    small: Mapping[str, Any] | None = None,
) -> Callable[[_Builder], _Builder]:
    """Put the decorated builder into the registry under ``name``.

    Args:
        name: lower case with hyphens, not yet taken.
        task: name of the task that trains the model.
        paper: where the model was published.
        solve: see `ModelInfo`.
        pretraining: see `ModelInfo`.
        reconstruction: see `ModelInfo`.
        family: see `ModelInfo`; those of the package's models are ``matrix-factorisation``,
            ``towers``, ``perceptron``, ``autoencoder``, ``closed-form``, ``neighbourhood``, ``baseline``,
            ``text``, ``sequence``, ``side-features`` and ``click``.
        step: see `ModelInfo`.
        non_negative_by: see `ModelInfo`.
        small: see `ModelInfo`; None where the model is small by its defaults.

    Returns:
        A decorator that returns the builder unchanged; it may be applied more than once.
    """

    def register(builder: _Builder) -> _Builder:
        if name in _REGISTRY:
            raise ValueError(f"A model named '{name}' is registered already.")
        summary = (inspect.getdoc(builder) or "").partition("\n")[0]
        _REGISTRY[name] = ModelInfo(
            name,
            task,
            paper,
            builder,
            summary,
            solve,
            pretraining,
            reconstruction,
            family,
            step,
            non_negative_by,
            small or {},
        )
        return builder

    return register


def list_models(pattern: str | Sequence[str] = "*") -> list[str]:
    """Return the sorted names of the models that match ``pattern``.

    Models of other installed packages, which name them in the entry-point group ``tfzoo.models``, are
    among them; nothing is imported for that.

    Args:
        pattern: a name with shell wildcards, such as ``"*-woe"``, or several of them.
    """
    patterns = [pattern] if isinstance(pattern, str) else list(pattern)
    names = {*_REGISTRY, *declared_in(), *_installed()}
    return sorted(name for name in names if any(fnmatch.fnmatch(name, p) for p in patterns))


def model_info(name: str) -> ModelInfo:
    """Return what is known of a model.

    Raises:
        UsageError: there is no model of that name, and the message names the nearest ones; or an
            installed package promises it and cannot be imported.
    """
    _load()
    if name not in _REGISTRY:
        installed = _installed()
        if name not in installed:
            raise UsageError(f"Unknown model '{name}'. {nearest(name, {*_REGISTRY, *installed})}")
        _import_installed(installed[name])
    return _REGISTRY[name]


def create_model(name: str, num_users: int, num_items: int, **options: Any) -> keras.Model:
    """Build a model by name.

    Args:
        name: a name from `list_models`.
        num_users: number of known users; dense user ids are ``1..num_users``.
        num_items: number of known items; dense item ids are ``1..num_items``.
        **options: the builder's keyword arguments; those left out have the paper's values.

    Returns:
        A functional Keras model with dict inputs and dict outputs.

    Raises:
        UsageError: unknown model or option, a size below 1, or a value that makes no model.
    """
    info = model_info(name)
    check_options(info, options)
    counts = dict(zip(COUNTS, (num_users, num_items), strict=True))
    # A model of fields or of content alone has no table of users or items.
    counts = {size: value for size, value in counts.items() if size in info.options}
    for size, value in counts.items():
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise UsageError(f"{size} must be a whole number. Received {value!r}.")
        if value < 1:
            raise UsageError(f"{size} must be at least 1. Received {value}.")
    lacking = [size for size in info.sizes if size not in options]
    if lacking:
        raise UsageError(f"Model '{name}' needs {', '.join(lacking)}, which the data decides.")
    for option, value in options.items():
        # Keras takes a share of 1, at which nothing is left to learn from.
        if option.endswith("dropout") and isinstance(value, (int, float)) and not 0 <= value < 1:
            raise UsageError(f"Model '{name}': {option} must be at least 0 and below 1. Received {value}.")
    try:
        return info.builder(**counts, **options)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"Model '{name}' cannot be built with {options}: {error}") from error


def builders() -> dict[str, Callable[..., keras.Model]]:
    """Return every registered builder by its function name."""
    _load()
    return {info.builder.__name__: info.builder for info in _REGISTRY.values()}


def declared_in() -> dict[str, str]:
    """Return the file of each of the package's models, by the name of the model.

    The names are read in the source: importing it takes Keras, and seconds.
    """
    sources = (file for file in files("tfzoo.models").iterdir() if file.name.endswith(".py"))
    return {
        name: file.name for file in sources for name in _DECLARATION.findall(file.read_text(encoding="utf-8"))
    }


def check_options(info: ModelInfo, options: Iterable[str]) -> None:
    """Raise `UsageError` if the builder of ``info`` does not take one of ``options``."""
    known = [option for option in info.options if option not in COUNTS]
    for option in options:
        if option not in known:
            ours = our_word(option, known)
            hint = nearest(option, known) if ours is None else f"It is called '{ours}' here."
            raise UsageError(f"Model '{info.name}' has no option '{option}'. {hint}")


def _installed() -> dict[str, EntryPoint]:
    """Return by name what other installed packages offer; one that takes a name of ours is never asked."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def import_plugins(packages: Iterable[str]) -> None:
    """Import what installed packages of these names offer, so that their layers are registered."""
    wanted = set(packages)
    for entry in _installed().values():
        if entry.module.partition(".")[0] in wanted and entry.name not in _REGISTRY:
            _import_installed(entry)


def _import_installed(entry: EntryPoint) -> None:
    """Import the model of an installed package: alone and when asked for, lest it break the others."""
    package = entry.dist.name if entry.dist is not None else "?"
    where = f"Model '{entry.name}' of the installed package '{package}' ({entry.value})"
    try:
        entry.load()
    except Exception as error:  # Code of others may raise anything.
        raise UsageError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
    if entry.name not in _REGISTRY:
        raise UsageError(f'{where} is not registered there: expected @register_model("{entry.name}", ...).')


def _load() -> None:
    """Import every module of this package; each registers its models."""
    package = importlib.import_module("tfzoo.models")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"tfzoo.models.{module.name}")
