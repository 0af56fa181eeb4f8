"""The example in every builder's docstring runs and gives what it says."""

import doctest
import inspect

import pytest
import tensorflow as tf

from tfzoo.models import registry


@pytest.fixture
def eagerly():
    """Compile nothing: every example predicts once."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")
def test_the_example_of_every_builder_gives_what_it_says(eagerly):
    builders = registry.builders()
    assert len(builders) > 30
    for name, builder in builders.items():
        text = inspect.getdoc(builder)
        assert "\nExample:\n" in text, f"{name} has no example"
        example = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
        assert any(f"tfzoo.models.{name}(" in part.source for part in example.examples), name
        assert any(part.want for part in example.examples), f"the example of {name} shows nothing"
        said = []
        failed, _ = doctest.DocTestRunner(verbose=False).run(example, out=said.append)
        assert not failed, "".join(said)
