"""A training that is asked to stop (Ctrl-C, a polite kill, a closed terminal) first saves what it learned."""

import signal
import threading
from types import FrameType

from shared.errors import UserError

# A closed terminal is SIGHUP, and on Windows SIGBREAK.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]


class ProcessEnded(UserError):
    """Another process of a training by several is not there any more (see processes.py)."""


class StopSignal:
    """While the `with` block runs, a signal to stop sets `requested` and its `number`; a second one stops at once."""

    number: int = signal.SIGINT

    def __enter__(self) -> "StopSignal":
        self.requested = False
        # Python lets its main thread alone hear signals. A training in another one, of a notebook say, hears none.
        in_main = threading.current_thread() is threading.main_thread()
        # What is ignored stays ignored: under nohup, say, a training outlives its terminal. None: no Python set it.
        heard = [number for number in SIGNALS if in_main and signal.getsignal(number) not in (signal.SIG_IGN, None)]
        self._before = {number: signal.signal(number, self._handle) for number in heard}
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt(number)
        self.requested, self.number = True, number

    def __exit__(self, kind: type | None, *exception: object) -> None:
        if kind is ProcessEnded:  # torchrun is about to end this process too, which has to say first how to go on
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)


def exit_status(stopped: KeyboardInterrupt) -> int:
    """The exit status of a program that a signal stopped, by custom 128 and the signal's number."""
    return 128 + (stopped.args[0] if stopped.args else signal.SIGINT)
