"""hypothesis, for tests of properties; without it each of them is skipped, and the rest of its file runs.

from properties import given, settings, st
"""

import pytest

try:
    from hypothesis import given, settings
    from hypothesis import strategies as st
except ModuleNotFoundError:

    class Anything:
        """Stands for `st` and whatever is made of it."""

        def __getattr__(self, name: str) -> "Anything":
            return self

        def __call__(self, *_, **__) -> "Anything":
            return self

        __or__ = __call__

    def given(*_, **__):
        return pytest.mark.skip(reason="needs hypothesis: python -m pip install -r tests/requirements.txt")

    def settings(**_):
        return lambda test: test

    st = Anything()
else:
    # Derandomised: the same examples in every run, so that a test which fails speaks of the change at hand and not of
    # luck. No deadlines: a busy machine is no mistake in the code.
    settings.register_profile("course", deadline=None, derandomize=True)
    settings.load_profile("course")
