"""The trials of a search: the same ones again, after a kill, in several processes, ended early, failed."""

import threading

import pytest

from tfzoo.errors import TfzooError, UsageError
from tfzoo.training.search import Range
from tfzoo.tuning.study import Study, Trial, optuna
from tfzoo.tuning.trials import Outcome

pytest.importorskip("optuna")

SPACE = {
    "training.learning_rate": Range(low=1e-4, high=1.0, log=True),
    "builder.units": Range(choices=([8], [8, 4], "none")),
    "training.batch_size": Range(low=16, high=64),
}


def study(folder, seed=0, **options):
    folder.mkdir(exist_ok=True)
    return Study(folder, SPACE, seed=seed, **{"maximize": False, "warm_up": 1, **options})


def parabola(settings, report):
    """Best at a batch of 40 with two layers."""
    return Outcome(abs(settings["training.batch_size"] - 40) + (settings["builder.units"] != [8, 4]), 5, 3)


def tried(one):
    return [trial.settings for trial in one.trials()]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    one = study(tmp_path_factory.mktemp("unbroken"))
    one.begin()
    one.run(14, parabola)
    return one


def test_the_same_search_tries_the_same(unbroken, tmp_path):
    again, other = study(tmp_path / "again"), study(tmp_path / "other", seed=1)
    for one in (again, other):
        one.begin()
        one.run(14, parabola)
    assert tried(again) == tried(unbroken)
    assert tried(other) != tried(unbroken)


def test_what_is_tried_lies_in_the_space_and_gets_better(unbroken):
    trials = unbroken.trials()
    assert [trial.number for trial in trials] == list(range(1, 15))
    assert all(SPACE[path].holds(value) for trial in trials for path, value in trial.settings.items())
    assert all(
        float(f"{s['training.learning_rate']:.6g}") == s["training.learning_rate"] for s in tried(unbroken)
    )
    values = [trial.value for trial in trials]
    assert unbroken.best().value == min(values)
    assert min(values[10:]) < sorted(values[:10])[4], "the sampler has learned where to look"


@pytest.mark.parametrize("stop_at", [1, 4, 12])
def test_a_killed_search_goes_on_as_if_it_had_not_been(unbroken, tmp_path, stop_at):
    def killed(settings, report):
        if len(first.trials()) + 1 == stop_at:
            raise KeyboardInterrupt
        return parabola(settings, report)

    first = study(tmp_path)
    first.begin()
    with pytest.raises(KeyboardInterrupt):
        first.run(14, killed)
    again = study(tmp_path)
    again.begin()
    assert len(again.trials()) == stop_at - 1
    again.run(14, parabola)
    assert tried(again) == tried(unbroken)


def test_trials_can_be_added(unbroken, tmp_path):
    one = study(tmp_path)
    one.begin()
    for count in (0, 6, 6, 14):
        one.run(count, parabola)
        assert len(one.trials()) == count
    assert tried(one) == tried(unbroken)


def test_the_first_trial_can_be_given(tmp_path):
    given = {"training.learning_rate": 0.25, "builder.units": [8], "training.batch_size": 17}
    one = study(tmp_path)
    one.begin(given)
    one.run(2, parabola)
    assert tried(one)[0] == given != tried(one)[1]


def test_a_trial_that_is_worse_than_most_is_ended_early(tmp_path):
    def measure(settings, report):
        value = 1.0 if len(one.trials()) < 5 else 2.0
        for step in range(1, 9):
            report(step, value)
        return Outcome(value, 8, 8)

    one = study(tmp_path, warm_up=3)
    one.begin()
    one.run(7, measure)
    trials = one.trials()
    assert [trial.state for trial in trials] == ["complete"] * 5 + ["pruned"] * 2
    assert {trial.epochs for trial in trials[5:]} == {4}, "not before the warm-up is over"
    assert one.best().number == 1


def test_larger_is_better_where_the_metric_says_so(tmp_path):
    one = study(tmp_path, maximize=True)
    one.begin()
    one.run(5, parabola)
    assert one.best().value == max(trial.value for trial in one.trials())


def test_a_trial_that_fails_says_why_and_the_search_goes_on(tmp_path):
    def measure(settings, report):
        if settings["builder.units"] == "none":
            raise UsageError("no units")
        return parabola(settings, report)

    one = study(tmp_path)
    one.begin({"training.learning_rate": 0.25, "builder.units": "none", "training.batch_size": 17})
    seen = []
    one.run(4, measure, seen.append)
    assert seen == one.trials()
    assert seen[0] == Trial(1, "failed", None, seen[0].settings, seen[0].seconds, reason="no units")
    assert one.best().state == "complete"


def test_a_search_without_any_figure_is_one_error(tmp_path):
    def measure(settings, report):
        raise TfzooError("diverged")

    one = study(tmp_path)
    one.begin()
    one.run(2, measure)
    with pytest.raises(TfzooError, match=r"None of 2 trials has ended with a figure\. The first: diverged"):
        one.best()


def test_several_that_try_at_once_begin_no_trial_too_many(tmp_path):
    study(tmp_path).begin()
    together = threading.Barrier(3)

    def work():
        one = study(tmp_path)
        together.wait()
        one.run(10, parabola)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = study(tmp_path).trials()
    assert [trial.number for trial in found] == list(range(1, 11))
    assert len({str(trial.settings) for trial in found}) == 10


def test_without_the_library_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(UsageError, match=r"pip install 'tfzoo\[tune\]'"):
        optuna()
