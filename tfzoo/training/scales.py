"""What a scale of ratings asks of a recipe: thresholds that follow it, and models that reach below 0."""

from __future__ import annotations

from tfzoo.data.interactions import Interactions
from tfzoo.errors import UsageError
from tfzoo.models import ModelInfo
from tfzoo.training.settings import Recipe


def follow_scale(recipe: Recipe, interactions: Interactions) -> tuple[Recipe, list[str]]:
    """Bring the least rating of a recipe, where the recipe says of which scale it is, to the data's scale.

    Ratings from 0 or more up to the same highest one, such as half stars, are taken as of that scale.

    Args:
        recipe: the recipe.
        interactions: the whole data set.

    Returns:
        The recipe with a least rating of the data's own scale, and a sentence if it is another number.
    """
    least, given = recipe.filter.min_rating, recipe.filter.min_rating_of
    if given is None:
        return recipe, []
    found, notes = least, []
    scale = None if interactions.rating is None else interactions.rating_scale
    if least is not None and scale is not None and not (scale[0] >= 0 and scale[1] == given[1]):
        found = scale[0] + (least - given[0]) / (given[1] - given[0]) * (scale[1] - scale[0])
        notes = [
            f"the recipe keeps ratings of at least {least:g} on a scale of {given[0]:g} to {given[1]:g}; on "
            f"that of {scale[0]:g} to {scale[1]:g} these are {found:g} and above; --min-rating says otherwise"
        ]
    changes = {"min_rating": found, "min_rating_of": None}
    return recipe.model_copy(update={"filter": recipe.filter.model_copy(update=changes)}), notes


def refuse_negative(recipe: Recipe, info: ModelInfo, lowest: float, name: str) -> None:
    """Raise `UsageError` where ratings are below 0, and the model as the recipe builds it cannot be.

    Args:
        recipe: the recipe.
        info: its model.
        lowest: the lowest rating.
        name: of the data.
    """
    option = info.non_negative_by
    if lowest >= 0 or not option:
        return
    default = info.options[option].default
    value = recipe.builder.get(option, default)
    if value in (None, False, "linear"):
        return
    off = "false" if isinstance(default, bool) else "null"
    raise UsageError(
        f"'{name}' has ratings down to {lowest:g}, and '{info.name}' with {option}={value} predicts none "
        f"below 0. Give --set builder.{option}={off}, or take another model."
    )
