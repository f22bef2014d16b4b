"""Ctrl-C asks a training run to stop after the step at hand, so that what it learned is saved."""

import signal
from types import FrameType


class StopSignal:
    """While the `with` block runs, Ctrl-C (or a polite kill) sets `requested`; a second one stops at once."""

    def __enter__(self) -> "StopSignal":
        self.requested = False
        self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
