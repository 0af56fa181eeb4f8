"""One word for one idea in the signatures of all builders, and an error that names it for another word."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tfzoo.errors import UsageError
from tfzoo.models import create_model, list_models, model_info
from tfzoo.models.glossary import OTHER_WORDS, WORDS, our_word
from tfzoo.training.recipe import load_recipe

INFOS = [model_info(name) for name in list_models()]
PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"


def uses():
    """Return in how many files of models an argument is."""
    files = {(option, info.builder.__module__) for info in INFOS for option in info.options}
    return Counter(option for option, _ in files)


def test_what_models_of_several_files_have_is_a_word_of_the_glossary():
    shared = {option for option, count in uses().items() if count > 1}
    assert shared - WORDS.keys() == set()


def test_no_word_of_the_glossary_is_of_no_model():
    assert WORDS.keys() - uses().keys() == set()
    assert OTHER_WORDS.keys() <= WORDS.keys()


@pytest.mark.parametrize("name", list_models())
def test_no_builder_calls_an_idea_by_another_word(name):
    others = {word for words in OTHER_WORDS.values() for word in words} - WORDS.keys()
    assert model_info(name).options.keys() & others == set()


def test_models_with_one_argument_for_an_idea_have_one_type_for_it():
    types = {}
    for name in list_models():
        for option, parameter in model_info(name).options.items():
            # An activation or none, a width or several: an option may be left out or be a list.
            kind = re.sub(r" \| None|<class '|'>|tuple\[|, \.\.\.\]|list\[|\]", "", str(parameter.annotation))
            types.setdefault(option, {}).setdefault(kind, []).append(name)
    for option in ("embedding_dim", "hidden_units", "dropout", "embedding_l2", "lookup_l2", "dense_l2"):
        assert len(types[option]) == 1, (option, types[option])


@pytest.mark.parametrize(
    ("model", "word", "ours"),
    [
        ("bpr-mf", "embedding_size", "embedding_dim"),
        ("bpr-mf", "embedding_reg", "embedding_l2"),
        ("pmf", "embedding_l2", "lookup_l2"),
        ("deepfm", "hidden_dims", "hidden_units"),
        ("deepfm", "dropout_rate", "dropout"),
        ("sasrec", "maxlen", "history_length"),
    ],
)
def test_another_word_gets_an_error_that_names_ours(model, word, ours):
    said = f"Model '{model}' has no option '{word}'. It is called '{ours}' here."
    with pytest.raises(UsageError, match=re.escape(said)):
        create_model(model, 3, 3, **{word: 1})
    with pytest.raises(UsageError, match=re.escape(said)):
        load_recipe(model, "toy", overrides=[f"builder.{word}=1"])


def test_a_word_that_nothing_is_called_by_gets_the_nearest_option():
    assert our_word("embeding_dim", ["embedding_dim"]) is None
    with pytest.raises(UsageError, match=r"no option 'embeding_dim'\. .*embedding_dim"):
        create_model("pmf", 3, 3, embeding_dim=1)


def test_the_glossary_is_in_the_docs():
    page = PAGE.read_text(encoding="utf-8")
    assert [line for line in WORDS if f"| `{line}` | {WORDS[line]} |" not in page] == []
