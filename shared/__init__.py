"""What the four stages share."""

import os
import sys
from types import TracebackType


def end_quietly(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C while a command is still being imported needs no traceback; all else is shown as usual."""
    if kind is KeyboardInterrupt:
        os._exit(130)  # by custom 128 and the signal's number, 2
    sys.__excepthook__(kind, error, trace)


sys.excepthook = end_quietly
