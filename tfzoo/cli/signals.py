"""How a command ends when it is interrupted (Ctrl-C) or asked to end (SIGTERM)."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_SECONDS = 4.0
NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; a `KeyboardInterrupt`, so that nothing takes it for an error.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.number = signal.Signals(number)


def farewell(number: int, hint: str) -> str:
    """Return the line that a command ends with after a signal."""
    return f"\ntfzoo: {NAMES[signal.Signals(number)]}.{hint}\n"


def exit_status(number: int) -> int:
    """Return the exit status after a signal, as shells have it."""
    return 128 + number


@contextmanager
def stopping_on_signals(hint: str) -> Iterator[None]:
    """Raise `Interrupted` in the block at the first Ctrl-C or SIGTERM, and end at the second.

    A long calculation outside Python, such as the solution of a large system, holds the exception
    back; then the process ends after `GRACE_SECONDS` all the same. That may be anywhere, as with a
    process that is killed: every file is written so that it is whole or absent.

    Args:
        hint: what to tell the user in the last line.
    """
    if threading.current_thread() is not threading.main_thread() or os.name != "posix":
        # Python lets no other thread handle signals; elsewhere a Ctrl-C is a plain KeyboardInterrupt.
        yield
        return
    ended = threading.Event()
    raised: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        for other in before:
            signal.signal(other, signal.SIG_DFL)
        raised.append(number)
        raise Interrupted(number)

    def lost(what: sys.UnraisableHookArgs) -> None:
        # Raised where none gets through, as in a finalizer: once more, a little later.
        if isinstance(what.exc_value, Interrupted) and not ended.is_set():
            for other in before:
                signal.signal(other, stop)
            again = threading.Timer(0.01, os.kill, (os.getpid(), what.exc_value.number))
            again.daemon = True
            again.start()
        else:
            hook(what)

    def watch(reader: int) -> None:
        # Other signals that Python handles wake this thread too.
        while (received := os.read(reader, 1)) and received[0] not in NAMES:
            pass
        if received and not ended.wait(GRACE_SECONDS):
            os.write(2, farewell(received[0], hint).encode())
            os._exit(exit_status(received[0]))
        os.close(reader)

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    threading.Thread(target=watch, args=(reader,), daemon=True).start()
    woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # Those who ignore a signal, such as nohup and the background jobs of scripts, keep on ignoring it.
    before = {number: signal.getsignal(number) for number in NAMES}
    before = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}
    for number in before:
        signal.signal(number, stop)
    hook, sys.unraisablehook = sys.unraisablehook, lost
    try:
        yield
    except Exception as error:
        # Code outside Python may turn an exception that passes through it into one of its own.
        if raised:
            raise Interrupted(raised[0]) from error
        raise
    finally:
        ended.set()
        sys.unraisablehook = hook
        signal.set_wakeup_fd(woken)
        os.close(writer)
        for number, handler in before.items():
            # After the first signal the second ends the process, to its very end.
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)
