"""Whatever is typed, every program ends with what was asked for, or with one line that says what is wrong."""

import random
import sys

import pytest
from command_lines import PROGRAMS, Course, Ended, fault, random_command_line
from repository import FILES

from shared.stages import ROOT, STAGES

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="needs Linux, whose processes can be forked and bounded"
)

STAGE_1 = next(iter(STAGES))
COUNT, SEED = 100, 6
# Modules that have a part of others' command lines.
PARTS = {
    "shared/run/cli.py",
    "shared/run/flags.py",
    "shared/run/stage.py",
    "model-03-lstm-attention/lab-forecast/flags.py",
}

# Why it is there -> a line that once ended in a traceback, or worse.
ONCE_BAD = {}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    with Course(tmp_path_factory.mktemp("lines"), trained=[STAGE_1]) as course:
        yield course


def ended_well(course, program, words) -> Ended:
    ended = course.run(program, words)
    assert not fault(program, ended), (program, words, ended.err)
    return ended


def test_every_program_that_has_flags_is_tried():
    sources = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in FILES if path.suffix == ".py"
    }
    with_flags = {
        name
        for name, text in sources.items()
        if not name.startswith("tests/") and ("ArgumentParser(" in text or "read_flags(" in text)
    }
    assert with_flags - PARTS <= set(PROGRAMS) and len(PROGRAMS) > 30


def test_command_lines_by_chance_end_well(course):
    parsers, chance = course.parsers(), random.Random(SEED)
    statuses = set()
    for _ in range(COUNT):
        statuses.add(ended_well(course, *random_command_line(chance, parsers)).status)
    assert {0, 2} <= statuses, "neither all are right nor all are wrong"


@pytest.mark.parametrize("why", ONCE_BAD)
def test_a_line_that_once_ended_badly_ends_well(course, why):
    program, *words = ONCE_BAD[why]
    ended_well(course, program, words)
