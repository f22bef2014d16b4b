"""Commands as a learner types them, in a process of their own."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace


def typed(folder: Path, line: str, stdin: str = "", code: int = 0, **environment) -> SimpleNamespace:
    """What the command `line` prints, and that it ends with this exit status, and never with a traceback."""
    done = subprocess.run(
        [sys.executable, *shlex.split(line)[1:]],
        cwd=folder,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr, done.stderr
    return SimpleNamespace(out=done.stdout, err=done.stderr)
