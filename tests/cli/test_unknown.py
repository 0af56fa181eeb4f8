"""Options that a command does not have."""

import pytest

from tfzoo.cli import main

TRAIN = ["train", "--model", "pmf"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [*TRAIN, "--epochs", "3"],
            "tfzoo train: error: unrecognized arguments: --epochs 3. "
            "It is a setting of the recipe: --set training.epochs=VALUE.",
        ),
        ([*TRAIN, "--learning-rate=0.1"], "--set training.learning_rate=VALUE."),
        ([*TRAIN, "--min-user-interactions", "5"], "--set filter.min_user_interactions=VALUE."),
        ([*TRAIN, "--raiting-col", "r"], "Did you mean '--rating-col'"),
        (["recommend", "--user", "1", "--exclud-items", "3"], "Did you mean '--exclude"),
        (
            ["evaluate", "--zzzz"],
            "tfzoo evaluate: error: unrecognized arguments: --zzzz. Valid: --data, --device",
        ),
        (["evaluate", "runs"], "tfzoo evaluate: error: unrecognized arguments: runs."),
        (["trian", "--model", "pmf"], "tfzoo: error: unknown command 'trian'. Did you mean 'train'"),
        (["pretrained", "list", "--jsn"], "unrecognized arguments: --jsn."),
    ],
)
def test_the_message_says_what_was_probably_meant(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
