"""Hard to break: the campaign, each part of which must end with nothing lost, nothing silent and no traceback.

python -m pytest -m campaign
"""

import os
import time
import zipfile
from contextlib import contextmanager

import campaign
import forked
import pytest
from campaign import PARTS, bad, counts, in_parallel, size

from shared.run import checkpoint, folder, language_modeling, training
from shared.run.records import machine, write_json
from shared.stages import ROOT, STAGES

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the campaign forks its processes, which this system cannot"),
]
RESULTS = ROOT / "shared" / "results" / "campaign.json"


@pytest.fixture(scope="module")
def ledger():
    """part -> its counts, if nothing went wrong. They are kept at the end, if that was asked for and no part lacks."""
    campaign.warm_up()
    began, parts = time.perf_counter(), {}
    yield parts
    if campaign.MODE == "keep" and list(parts) == list(PARTS):
        command, minutes = "CAMPAIGN=keep python -m pytest -m campaign", (time.perf_counter() - began) / 60
        about = {
            "command": command,
            "seed": campaign.SEED,
            "machine": machine() | {"cores": os.cpu_count()},
            "minutes": round(minutes),
        }
        write_json(RESULTS, about | {"parts": parts})


@pytest.fixture
def enter(ledger, capfd):
    """enter(part, outcomes): the part has passed, unless one of its outcomes is bad."""

    def enter(part, outcomes):
        found = counts(outcomes)
        with capfd.disabled():
            print(f"\n{part}: {', '.join(f'{count:,} {word}' for word, count in found.items())}", flush=True)
        assert found["bad"] == 0, "\n\n".join(told for word, told in outcomes if word == "bad")[:6000]
        ledger[part] = found

    return enter


@pytest.fixture(scope="module")
def trainings(ledger, tmp_path_factory):
    """A training of every stage with every tokenizer; in the short campaign, with one."""
    base = tmp_path_factory.mktemp("campaign")
    return in_parallel(campaign.prepared, [(*pair, base) for pair in campaign.pairs()])


def one_of_each(trainings):
    """A training of each stage, between them of all tokenizers."""
    return [trainings[number * len(trainings) // 4 + (number % 3) * (len(trainings) // 12)] for number in range(4)]


# The parts, in the order of PARTS


def at_every_operation(trainings, half_ways, most):
    """Jobs for killed_at_operation: all operations, or `most` of each training, evenly spread."""
    totals = in_parallel(campaign.operations, list(zip(trainings, half_ways)))
    for each, half_way, total in zip(trainings, half_ways, totals):
        assert total > 30, "too few operations: nothing was watched"
        for number in range(min(most, total)):
            yield each, 1 + number * total // min(most, total), half_way


def test_killed_at_every_operation_on_a_file(trainings, enter):
    jobs = at_every_operation(trainings, [0] * len(trainings), size(10**6, 5))
    enter("killed at every operation on a file", in_parallel(campaign.killed_at_operation, jobs))


def test_killed_at_every_operation_while_going_on(trainings, enter):
    four = one_of_each(trainings)[: size(4, 2)]
    half_ways = [total - 30 for total in in_parallel(campaign.operations, [(each,) for each in four])]
    jobs = at_every_operation(four, half_ways, size(10**6, 4))
    enter("killed at every operation while going on", in_parallel(campaign.killed_at_operation, jobs))


def test_killed_at_random_moments(trainings, enter):
    jobs = [(each, number) for each in trainings for number in range(size(5, 1))]
    enter("killed at a random moment", sum(in_parallel(campaign.killed_at_random, jobs), []))


def test_killed_at_random_moments_in_new_interpreters(trainings, enter):
    jobs = [(each, -1, forked.interpreter_killed_after) for each in trainings[: size(12, 1)]]
    enter("killed at a random moment, in a new interpreter", sum(in_parallel(campaign.killed_at_random, jobs), []))


@pytest.mark.parametrize("spoil", [campaign.flipped, campaign.cut])
def test_a_damaged_file_of_a_run(trainings, enter, spoil):
    count = size(1000 if spoil is campaign.flipped else 300, 20)
    runs, names = one_of_each(trainings), [*campaign.READERS, "summary.json"]
    jobs = [(runs[number // 5 % 4], names[number % 5], spoil, number // 5, count // 5) for number in range(count)]
    part = "a byte changed in a run's file" if spoil is campaign.flipped else "a run's file cut off"
    enter(part, in_parallel(campaign.damaged, jobs))


@pytest.mark.parametrize("spoil", [campaign.flipped, campaign.cut])
def test_a_damaged_packed_run(tmp_path, enter, spoil):
    count = size(1000 if spoil is campaign.flipped else 200, 20)
    jobs = [(list(STAGES)[number % 4], tmp_path, spoil, number, count) for number in range(count)]
    part = "a byte changed in a packed run" if spoil is campaign.flipped else "a packed run cut off"
    enter(part, in_parallel(campaign.pretrained_damaged, jobs))


def test_texts_to_learn_from(ledger, tmp_path, enter):
    jobs = [(tmp_path, number) for number in range(size(200, 8))]
    enter("a text to learn from", sum(in_parallel(campaign.learned, jobs), []))


def test_command_lines_and_changed_checkpoints(tmp_path, enter):
    """Side by side, since each job of either first trains small models, by itself."""
    lines, changes = range(size(8, 1)), range(size(4, 1))
    jobs = [(campaign.command_lines, tmp_path, size(250, 12), campaign.SEED + number) for number in lines]
    jobs += [(campaign.mutations, tmp_path, size(250, 16), campaign.SEED + number) for number in changes]
    found = in_parallel(campaign.call, jobs)
    enter("a command line by chance", sum(found[: len(lines)], []))
    enter("a checkpoint that somebody has changed", sum(found[len(lines) :], []))


def test_files_that_no_program_of_the_course_has_written(trainings, enter):
    jobs = [(trainings[0], number) for number in range(size(len(campaign.hostile_pairs()), 20))]
    enter("a file that no program of the course has written", in_parallel(campaign.hostile, jobs))


# Each part sees the fault that it is for


@contextmanager
def written_in_place(path):
    with open(path, "wb") as file:
        yield file


def forgetful(out_dir):
    for name in folder.RUN_FILES + folder.MORE_FILES:
        (out_dir / name).unlink(missing_ok=True)


FAULTS = {
    "a checkpoint is written in place": (checkpoint, "whole_file", written_in_place),
    "the run before is not kept": (campaign.shared.run.experiment, "make_room", forgetful),
    "records are written twice": (training, "drop_records_after", lambda path, step: None),
    "half a file is left behind": (campaign.shared.run.experiment, "drop_parts", lambda folder: None),
    "dropout's random numbers are forgotten": (training, "set_random_state", lambda states, device: None),
}


@pytest.fixture(scope="module")
def total(trainings):
    """How many operations the last training makes."""
    return campaign.operations(trainings[-1])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen_by_kills(trainings, total, monkeypatch, fault):
    monkeypatch.setattr(*FAULTS[fault])
    # From its fourth step on to the middle of its last checkpoint: by then there is much to lose.
    jobs = [(trainings[-1], at) for at in range(total - 30, total - 15, 5)]
    assert counts(in_parallel(campaign.killed_at_operation, jobs))["bad"]


def test_a_changed_byte_is_seen_where_nobody_looks_for_it(trainings, monkeypatch):
    monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda archive: None)
    jobs = [(trainings[0], "best.pt", campaign.flipped, number, 40) for number in range(40)]
    assert counts(in_parallel(campaign.damaged, jobs))["bad"]


def test_a_traceback_is_seen(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr(language_modeling, "encode_text", lambda corpus, tokenizer: [][0])
    assert any(word == "bad" for word, _ in campaign.learned(tmp_path, 1))
    assert bad("", forked.Ended(0, "", ""))[0] == "bad"
