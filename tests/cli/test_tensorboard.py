"""``tfzoo train --tensorboard``: what lies in the folder of the run."""

import pytest

from tests.cli.test_cli import here, train
from tests.places import seed_of
from tests.training.test_tensorboard import events
from tfzoo.cli import main
from tfzoo.training import trainer
from tfzoo.training.record import RunRecord

__all__ = ["here"]
EPOCHS = ("training.epochs=3", "training.batch_size=64", "training.jit_compile=false")


def losses(folder):
    return [(step, value) for step, name, value in events(folder) if name == "loss"]


def recorded(run):
    return [(epoch, pytest.approx(row["loss"])) for epoch, row in enumerate(RunRecord.load(run).history, 1)]


def test_curves_and_vectors_lie_beside_the_record(here, capsys):
    assert main(train("--no-export", "--tensorboard", overrides=EPOCHS)) == 0
    run = seed_of(here / "runs", "pmf-ratings-paper")
    board = run / "tensorboard"
    assert losses(board) == recorded(run)
    assert len(losses(board)) == 3
    names = {name for _, name, _ in events(board)}
    assert names == {"loss", "validation/rmse", "validation/mae"}
    vectors = (board / "vectors.tsv").read_text().splitlines()
    ids = (board / "metadata.tsv").read_text().splitlines()
    assert len(vectors) == len(ids) == 20
    assert set(ids) == {f"film-{number:02d}" for number in range(20)}
    assert f"TensorBoard: {run.relative_to(here)}/tensorboard" in capsys.readouterr().out


def test_without_the_option_there_is_no_such_folder(here):
    assert main(train("--no-export", overrides=EPOCHS)) == 0
    assert not list(here.rglob("tensorboard"))


def test_an_interrupted_training_is_told_once(here, monkeypatch):
    overrides = (*EPOCHS, "training.checkpoint_seconds=0")
    arguments = train("--no-export", "--tensorboard", overrides=overrides)
    save, saved = trainer.save_checkpoint, []

    def lose_power(*given):
        if len(saved) == 2:
            raise KeyboardInterrupt
        saved.append(save(*given))

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "save_checkpoint", lose_power)
        assert main(arguments) == 130
    run = seed_of(here / "runs", "pmf-ratings-paper")
    assert [step for step, _ in losses(run / "tensorboard")] == [1, 2]
    assert main([*arguments, "--resume"]) == 0
    assert losses(run / "tensorboard") == recorded(run)
    # A finished run has nothing to add; one that was trained without the option has all.
    assert main([*arguments, "--resume"]) == 0
    assert losses(run / "tensorboard") == recorded(run)


def test_a_refit_has_curves_of_its_own(here):
    overrides = (*EPOCHS, "training.refit=true")
    assert main(train("--no-export", "--tensorboard", model="gmf", overrides=overrides)) == 0
    run = seed_of(here / "runs", "gmf-ratings-paper")
    record = RunRecord.load(run)
    steps = [step for step, _ in losses(run / "tensorboard")]
    assert steps == [1, 2, 3]
    again = [row["loss"] for row in record.history if "refit" in row]
    assert [value for _, value in losses(run / "tensorboard/refit")] == pytest.approx(again)
    assert len(again) == record.best_epoch


def test_a_model_without_vectors_has_no_projector(here):
    assert main(train("--no-export", "--tensorboard", model="popularity", overrides=())) == 0
    assert not list(here.rglob("projector_config.pbtxt"))
