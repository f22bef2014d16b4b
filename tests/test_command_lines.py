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

STAGE_1, FORECAST = next(iter(STAGES)), "model-03-lstm-attention/lab-forecast"
COUNT, SEED = 60, 6
PATIENCE = 0.5  # so many seconds of computing, and it gets Ctrl-C
# Modules that have a part of others' command lines.
PARTS = {"shared/run/cli.py", "shared/run/flags.py", "shared/run/stage.py", f"{FORECAST}/flags.py"}

# Why it is there -> a line that once ended in a traceback, or worse.
LONG, HUGE = "x" * 5000, "1" + "0" * 400
TRAIN, GENERATE = f"{STAGE_1}/train.py", f"{STAGE_1}/generate.py"
ONCE_BAD = {
    "a name too long to read": ["shared/ngram.py", "--data", LONG],
    "a name too long to write": [TRAIN, "--out-dir", LONG],
    "a name too long as a whole": [GENERATE, "--checkpoint", "@/" + "/".join(["y" * 200] * 30)],
    "a name too long in another alphabet": [f"{FORECAST}/explain.py", "@/" + "ü" * 200],
    "a NUL byte in a name": ["shared/ngram.py", "--data", "@/short.txt", "--order", "1", "--json", "a\0b"],
    "half a surrogate pair": ["shared/compare/__main__.py", "--data=\udfff"],
    "a number beyond all floats": [GENERATE, "--num-samples", HUGE],
    "a page's number beyond all floats": [f"{STAGE_1}/one_page.py", "--steps", HUGE],
    "two dashes for a choice": [TRAIN, "--device=--"],
    "two dashes for a number": [TRAIN, "--average-share=--"],
    "two dashes for a text": [GENERATE, "--checkpoint", "pretrained", "--max-new-tokens", "3", "--stop=--"],
    "one value behind an equals sign, where two belong": [f"{FORECAST}/baselines.py", "--lengths=3"],
    "series longer than all rows": [f"{FORECAST}/baselines.py", "--lengths", "40000", "50000"],
    "a control character that is no flag": ["data/prepare.py", "@", "\x1b[31mred"],
    "a control character in a path": ["data/prepare.py", "\x9b31m"],
    "a new line in a path": ["model-03-lstm-attention/lab-seq2seq/prepare.py", "a\nb"],
    "an endless line": [TRAIN, LONG],
}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    with Course(tmp_path_factory.mktemp("lines"), trained=[STAGE_1]) as course:
        yield course


def ended_well(course, program, words) -> Ended:
    ended = course.run(program, words, PATIENCE)
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


@pytest.mark.parametrize("flag", ["--num-layers", "--hidden-size", "--batch-size", "--context-length"])
def test_a_size_that_is_a_slip_of_the_hand_is_refused_before_anything_is_done(course, flag):
    ended = course.run(TRAIN, [flag, "1000000000"])
    assert ended.status == 2 and ended.err.count("\n") == 1 and "at most 1" in ended.err


# The second has one matrix for which the system itself says no, before it can be weighed.
@pytest.mark.parametrize("size, words", [("12000", "GiB of memory"), ("100000", "there is not enough memory for this")])
def test_a_model_for_which_the_machine_has_no_memory_is_refused_before_it_is_made(course, size, words):
    ended = course.run(TRAIN, ["--data", "@/short.txt", "--context-length", "8", "--hidden-size", size])
    assert ended.status == 2 and ended.err.count("\n") == 1 and words in ended.err
