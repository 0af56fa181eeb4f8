"""What the commands that describe models know: kept answers, else those of the libraries."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from tfzoo.cli.libraries import load_libraries
from tfzoo.models import list_models
from tfzoo.reporting.kept import Known, kept_facts, kept_figures, records_marks


def all_known(options: argparse.Namespace) -> list[Known]:
    """Return what lists show of every model, by name."""
    return [Known.of(facts) for facts in (facts(name, options, whole=False) for name in list_models())]


def facts(name: str, options: argparse.Namespace, *, whole: bool = True) -> dict[str, Any]:
    """Return what is known of a model whatever the records, see `tfzoo.reporting.answers`.

    Args:
        name: of the model.
        options: of the command line.
        whole: where nothing is kept, build the model too, for `facts_of`; else `registered` will do.
    """
    kept = kept_facts(name)
    if kept is not None:
        return kept
    load_libraries(verbose=options.verbose)
    from tfzoo.models import model_info
    from tfzoo.reporting.answers import facts_of, registered

    return (facts_of if whole else registered)(model_info(name))


def figures(names: Sequence[str], options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what the records below ``--results`` say of models, by name; see `figures_of`."""
    marks = records_marks(options.results)
    found = {name: None if kept_facts(name) is None else kept_figures(name, marks) for name in names}
    known = {name: figures for name, figures in found.items() if figures is not None}
    if "" not in marks and len(known) == len(names):
        return known
    load_libraries(verbose=options.verbose)
    from tfzoo.models import model_info
    from tfzoo.reporting.answers import figures_of
    from tfzoo.reporting.catalogue import summaries_by_model

    summaries = summaries_by_model(options.results)
    return {name: figures_of(model_info(name), summaries.get(name, [])) for name in names}
