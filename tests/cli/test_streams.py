"""Output to terminals that lack characters, and to readers that leave."""

import io
import os
import subprocess
import sys

import pytest

from tests.patience import PATIENCE
from tfzoo.cli import main, streams
from tfzoo.cli.output import say


@pytest.fixture
def terminal(monkeypatch):
    """Return what replaces standard output by one of an encoding, and returns its bytes."""

    def replace(encoding):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
        monkeypatch.setattr(sys, "stdout", stream)
        streams.make_printable()
        return stream

    return replace


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", b"0.9 +/- 0.1 ... caf\\xe9 \\u65e5 \\U0001f600 \\udcff\n"),
        ("cp1252", b"0.9 \xb1 0.1 \x85 caf\xe9 \\u65e5 \\U0001f600 \\udcff\n"),
        ("latin-1", b"0.9 \xb1 0.1 ... caf\xe9 \\u65e5 \\U0001f600 \\udcff\n"),
    ],
)
def test_what_a_terminal_lacks_is_written_in_what_it_has(terminal, encoding, shown):
    stream = terminal(encoding)
    say("0.9 ± 0.1 … café 日 😀 \udcff")
    stream.flush()
    assert stream.buffer.getvalue() == shown


def test_names_that_are_no_text_can_be_printed_in_utf_8(terminal):
    stream = terminal("utf-8")
    say("caf\udce9 ± 日")
    stream.flush()
    assert stream.buffer.getvalue() == "caf\\udce9 ± 日\n".encode()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437"])
@pytest.mark.parametrize("command", [["models"], ["list"], ["info", "recvae"]])
def test_commands_print_on_such_a_terminal(terminal, encoding, command):
    stream = terminal(encoding)
    assert main(command) == 0
    stream.flush()
    assert b"recvae" in stream.buffer.getvalue()


def test_a_reader_that_leaves_gets_no_complaint():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "tfzoo", "models"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_output_that_cannot_be_written_is_one_message():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "tfzoo", "models"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["tfzoo: error: [Errno 28] No space left on device"]
