"""What `tfzoo completion` prints completes in the shells that are here."""

import shutil
import subprocess

import pytest

from tfzoo.cli import completion, main
from tfzoo.cli.main import build_parser
from tfzoo.models import list_models


@pytest.fixture
def script(capsys):
    def of(shell):
        assert main(["completion", shell]) == 0
        return capsys.readouterr().out

    return of


def complete(script, line, folder):
    """Return what Bash offers for the last word of a line."""
    words = line.split(" ")
    asked = f"COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}"
    code = f'{script}\n{asked}\n_tfzoo\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        ["bash", "--norc", "-c", code], capture_output=True, text=True, cwd=folder, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs Bash")
def test_bash_completes(script, tmp_path):
    (tmp_path / "ratings.csv").write_text("")
    text = script("bash")

    def offered(line):
        return complete(text, line, tmp_path)

    assert offered("tfzoo tr") == ["train"]
    assert set(offered("tfzoo ")) >= {"train", "list", "completion", "--help", "--version"}
    assert offered("tfzoo train --mo") == ["--model"]
    assert offered("tfzoo train --model edr") == ["edrs", "edrs-woe"]
    assert offered("tfzoo tune --model edr") == ["edrs", "edrs-woe"]
    assert "paper" in offered("tfzoo tune --recipe ")
    assert "leave-one-out" in offered("tfzoo train --protocol ")
    assert offered("tfzoo train --model edrs --device ") == ["auto", "cpu", "gpu"]
    assert offered("tfzoo train --model edrs --dataset ml-1m") == ["ml-1m", "ml-1m-sasrec"]
    assert offered("tfzoo train --data rat") == ["ratings.csv"]
    assert offered("tfzoo shard rat") == ["ratings.csv"]
    assert offered("tfzoo pretrained b") == ["build"]
    assert "--resume" in offered("tfzoo pretrained build --")
    assert offered("tfzoo info sasr") == ["sasrec"]
    assert offered("tfzoo completion f") == ["fish"]
    assert offered("tfzoo train --seed ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_takes_the_script(script, shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    file = tmp_path / "script"
    file.write_text(script(shell), encoding="utf-8")
    done = subprocess.run([shell, "-n", str(file)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_command_and_option_is_in_every_script(script):
    commands = list(completion.commands_of(build_parser()))
    assert {"", "train", "pretrained build", "swap-candidates"} <= {command.words for command in commands}
    texts = {shell: script(shell) for shell in completion.SHELLS}
    for command in commands:
        for name in (*command.subcommands, *command.options):
            assert all(name in texts[shell] for shell in ("bash", "zsh"))
            assert (f"-l {name[2:]} " if name.startswith("--") else name.lstrip("-")) in texts["fish"]
    for text in texts.values():
        assert all(name in text for name in list_models())


def test_another_shell_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        main(["completion", "tcsh"])
    assert end.value.code == 2
    assert "tcsh" in capsys.readouterr().err
