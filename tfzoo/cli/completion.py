"""``tfzoo completion``: what completes commands, options and names in a shell."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tfzoo.discovery import list_protocols, list_recipes
from tfzoo.models import list_models
from tfzoo.reporting.kept import kept_datasets

FILES = "files"
# Commands whose --model is the name of a model, and not of a folder.
BY_NAME = ("train", "tune", "reproduce", "recommend")


@dataclass(frozen=True)
class Command:
    """What may follow one command.

    Attributes:
        words: of the command, such as ``pretrained build``.
        help: what it does.
        subcommands: what they do, by name.
        options: help and values of options, by name; values are words, `FILES`, or None where none follows.
        positional: values of what is no option.
    """

    words: str
    help: str
    subcommands: dict[str, str]
    options: dict[str, tuple[str, list[str] | str | None]]
    positional: list[str] | str


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    # The parser itself imports the options of this command.
    parser = importlib.import_module("tfzoo.cli.main").build_parser()
    print(SHELLS[options.shell](list(commands_of(parser))), end="")


def commands_of(parser: argparse.ArgumentParser, words: str = "", about: str = "") -> Iterator[Command]:
    """Yield what may follow each command of a parser, itself first."""
    nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    helps = {one.dest: one.help or "" for action in nested for one in action._choices_actions}
    options: dict[str, tuple[str, list[str] | str | None]] = {}
    positional: list[str] | str = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        for name in action.option_strings:
            options[name] = ((action.help or "").partition(" (")[0], _values(action, name, words))
        if not action.option_strings:
            positional = _values(action, action.dest, words) or positional
    yield Command(words, about, helps, options, positional)
    for action in nested:
        for name, one in action.choices.items():
            yield from commands_of(one, f"{words} {name}".strip(), helps.get(name, ""))


def _values(action: argparse.Action, name: str, words: str) -> list[str] | str | None:
    if action.nargs == 0:
        return None
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    if action.type is Path:
        return FILES
    if (name == "--model" and words in BY_NAME) or (words, name) == ("info", "model"):
        return list_models()
    if name == "--recipe":
        return sorted({recipe for model in list_models() for recipe in list_recipes(model)})
    if name == "--protocol":
        return list_protocols()
    if name == "--dataset":
        return kept_datasets() or []
    return []


def bash(commands: list[Command]) -> str:
    """Return a script for Bash."""
    cases = []
    for command in commands:
        follows = " ".join([*command.subcommands, *command.options])
        lines = [f'    "{command.words}") words="{follows}"; values="{_joined(command.positional)}"']
        given = {name: values for name, (_, values) in command.options.items() if values is not None}
        if given:
            lines.append('      case "$previous" in')
            lines += [
                f'        {name}) words="{_joined(values)}"; values= ;;' for name, values in given.items()
            ]
            lines.append("      esac")
        cases.append("\n".join([*lines, "      ;;"]))
    known = " | ".join(f'"{command.words}"' for command in commands if command.words)
    return BASH.replace("@KNOWN@", known).replace("@CASES@", "\n".join(cases))


def zsh(commands: list[Command]) -> str:
    """Return a script for Zsh, which runs that of Bash."""
    return "#compdef tfzoo\nautoload -U +X bashcompinit && bashcompinit\n" + bash(commands)


def fish(commands: list[Command]) -> str:
    """Return a script for fish."""
    lines = ["complete -c tfzoo -f"]
    for command in commands:
        words = command.words.split()
        seen = [f"__fish_seen_subcommand_from {word}" for word in words]
        when = "; and ".join(seen) or "__fish_use_subcommand"
        others = " ".join(command.subcommands)
        inside = f"{when}; and not __fish_seen_subcommand_from {others}" if words and others else when
        for name, about in command.subcommands.items():
            lines.append(f"complete -c tfzoo -n '{inside}' -a {name} -d {_quoted(about)}")
        for name, (about, values) in command.options.items():
            flag = f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
            lines.append(f"complete -c tfzoo -n '{when}' {flag}{_fish_values(values)} -d {_quoted(about)}")
        if command.positional == FILES:
            lines.append(f"complete -c tfzoo -n '{when}' -F")
        elif command.positional:
            lines.append(f"complete -c tfzoo -n '{when}' -a {_quoted(_joined(command.positional))}")
    return "\n".join(lines) + "\n"


def _fish_values(values: list[str] | str | None) -> str:
    if values is None:
        return ""
    if values == FILES:
        return " -r -F"
    return f" -x -a {_quoted(_joined(values))}" if values else " -x"


def _joined(values: list[str] | str) -> str:
    return f"@{FILES}" if values == FILES else " ".join(values)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


BASH = """_tfzoo() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
  local command="" words="" values="" word
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "${command:+$command }$word" in
      @KNOWN@) command="${command:+$command }$word" ;;
    esac
  done
  case "$command" in
@CASES@
  esac
  if [[ $words == @files || ( $values == @files && $current != -* ) ]]; then
    COMPREPLY=($(compgen -f -- "$current"))
  else
    COMPREPLY=($(compgen -W "$words $values" -- "$current"))
  fi
}
complete -o filenames -F _tfzoo tfzoo
"""
SHELLS: dict[str, Callable[[list[Command]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
