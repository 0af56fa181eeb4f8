"""Options, markers and fixtures that all tests share."""

import gc
import os
import signal
import sys
from importlib.metadata import entry_points

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# A console keeps the width that these gave when it was made, whatever a test sets them to later; processes
# that run tests side by side come with them set.
os.environ.pop("COLUMNS", None)
os.environ.pop("LINES", None)

import hypothesis
import numpy as np
import pytest
from xdist.scheduler import LoadFileScheduling

from tfzoo.cli import output  # noqa: F401 its console is made before a test sets a width
from tfzoo.data.interactions import Interactions
from tfzoo.data.vocabulary import Vocabulary
from tfzoo.models import registry

# The same examples in every run, so that no change fails for what another one broke; other ones on demand.
hypothesis.settings.register_profile(
    "tfzoo", deadline=None, max_examples=30, database=None, derandomize="TFZOO_EXHAUSTIVE" not in os.environ
)
hypothesis.settings.load_profile("tfzoo")


# What is tested are our own models, whatever other packages are installed beside them, unless their authors
# ask for it; packages that a test installs for itself count.
OTHERS_TOO = "TFZOO_TEST_INSTALLED" in os.environ
FOUND = [] if OTHERS_TOO else entry_points(group=registry.ENTRY_POINTS)
OF_OTHERS = {(entry.name, entry.value) for entry in FOUND}
registry.entry_points = lambda **asked: [
    entry for entry in entry_points(**asked) if (entry.name, entry.value) not in OF_OTHERS
]


# Shells start background jobs with Ctrl-C ignored, and their children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--runslow", action="store_true", help="also run the tests marked slow")
    parser.addoption("--all-models", action="store_true", help="ask all models what a sample is asked")
    parser.addoption("--changed-since", metavar="COMMIT", help="ask it models that changed since COMMIT, too")
    # Its wheel is gigabytes, which is too much for every check.
    parser.addoption("--torch", action="store_true", help="also compare the models on Keras' torch backend")


# Files that ask the same exports of every model go to one process, which then makes them once.
TOGETHER = (
    "tests/serving/test_export_models.py",
    "tests/serving/test_record_and_export.py",
    "tests/serving/test_without_python.py",
)


class Scheduling(LoadFileScheduling):
    """Hands whole files to the processes, and those of `TOGETHER` as if they were one."""

    def _split_scope(self, nodeid):
        file = super()._split_scope(nodeid)
        return TOGETHER[0] if file in TOGETHER else file


def pytest_xdist_make_scheduler(config, log):
    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


CHOSEN = pytest.StashKey()
# A change of a layer touches most models; more than these would take checks of every change too long.
MOST = 12


def touched(config):
    """Return the models beyond the sample that a change touches, those that it touches most first."""
    commit = config.getoption("--changed-since")
    if not commit:
        return []
    from tests.changed import changed_files, touched_models
    from tests.zoo import SAMPLE

    return [name for name in touched_models(changed_files(commit)) if name not in SAMPLE]


def chosen_models(config):
    """Return the models beyond the sample that are asked."""
    if CHOSEN not in config.stash:
        everything = config.getoption("--all-models")
        config.stash[CHOSEN] = set(registry.list_models() if everything else touched(config)[:MOST])
    return config.stash[CHOSEN]


def pytest_terminal_summary(terminalreporter, config):
    """Say what a change touches and is not asked all the same."""
    left = [] if config.getoption("--all-models") else touched(config)[MOST:]
    if left:
        terminalreporter.write_line(f"Touched by the change, but left to --all-models: {', '.join(left)}")


def pytest_collection_finish():
    """Leave what was imported out of every later collection of garbage."""
    gc.freeze()


def pytest_runtest_setup(item):
    if item.get_closest_marker("slow") and not item.config.getoption("--runslow"):
        pytest.skip("slow; runs with --runslow")
    matrix = item.get_closest_marker("matrix")
    if matrix and not chosen_models(item.config).issuperset(matrix.args):
        pytest.skip("no model of the sample; runs with --all-models, or --changed-since if it changed")
    if item.get_closest_marker("whole") and not item.config.getoption("--all-models"):
        pytest.skip("trains a recipe to its end; runs with --runslow --all-models")
    if item.get_closest_marker("data") and not os.environ.get("TFZOO_DATA_DIR"):
        if os.environ.get("CI"):
            pytest.fail("TFZOO_DATA_DIR is not set; CI must run the tests on real data.", pytrace=False)
        pytest.skip("needs real data sets; set TFZOO_DATA_DIR to the folder that holds them")
    # Dropout and initial weights do not depend on which tests this process ran before.
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _default_precision():
    """Leave Keras in float32 after a test that changed the policy."""
    yield
    keras = sys.modules.get("keras")
    if keras is not None:
        keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def chosen(request):
    """The models that a test asks beside its own sample, see `tests.zoo.sampled`."""
    return chosen_models(request.config)


@pytest.fixture(scope="session")
def model_names(chosen):
    """The models for tests that save and load many at once."""
    from tests.zoo import SAMPLE

    return sorted({*SAMPLE, *chosen})


@pytest.fixture(scope="session")
def toy():
    """30 users x 20 items, 300 distinct pairs with ratings 1..5 of a rank-2 structure."""
    random = np.random.default_rng(2024)
    num_users, num_items, per_user = 30, 20, 10
    affinity = random.normal(size=(num_users, 2)) @ random.normal(size=(2, num_items))
    matrix = np.clip(np.rint(3 + affinity + random.normal(scale=0.2, size=affinity.shape)), 1, 5)
    user = np.repeat(np.arange(num_users), per_user)
    item = np.concatenate([random.permutation(num_items)[:per_user] for _ in range(num_users)])
    order = random.permutation(len(user))
    user, item = user[order], item[order]
    raw_items = [f"film-{number:02d}" for number in range(num_items)]
    return Interactions(
        users=Vocabulary(np.arange(num_users) * 7 + 100),
        items=Vocabulary(np.array(raw_items)),
        user_id=user + 1,
        item_id=item + 1,
        rating=matrix[user, item],
        timestamp=1_000_000_000 + 60 * np.arange(len(user)),
        item_features={"title": np.array(["", *(f"Film {number}" for number in range(num_items))])},
        rating_scale=(1.0, 5.0),
        name="toy",
    )
