"""The lock names one version, checked by its hash, of all that the requirements bring: nothing else gets installed."""

import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from repository import ROOT

pytestmark = pytest.mark.claims

LOCKS = ["tests/lock.txt", "tests/lock-torch.txt"]
REQUIREMENTS = ["requirements.txt", "tests/requirements.txt"]
EXCLUDES = "tests/lock-excludes.txt"


def entries(file):
    """The entries of a requirements file: each of a requirement and the hashes that it accepts."""
    text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split("--hash=sha256:") for line in text.splitlines() if line and not line.startswith("#")]
    return [(Requirement(requirement), [mark.strip() for mark in hashes]) for requirement, *hashes in lines]


def locked():
    """Name -> the entries of the lock, one for each Python or system that needs a version of its own."""
    versions = {}
    for requirement, hashes in [entry for file in LOCKS for entry in entries(file)]:
        versions.setdefault(canonicalize_name(requirement.name), []).append((requirement, hashes))
    return versions


def applies(requirement):
    """Whether this Python, on this system, needs it."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def brought(names):
    """These packages and all that they need, by what the installed ones say."""
    found, waiting = set(), [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            needed = [Requirement(line) for line in metadata.requires(name) or []]
            waiting += [canonicalize_name(each.name) for each in needed if applies(each)]
            waiting = [each for each in waiting if each not in left_out()]
    return found


def left_out():
    return {requirement.name for requirement, _ in entries(EXCLUDES)}


def test_every_entry_is_one_version_with_its_hashes():
    for requirement, hashes in [entry for versions in locked().values() for entry in versions]:
        assert re.fullmatch(r"==[^=*,]+", str(requirement.specifier)), requirement
        assert hashes and all(re.fullmatch("[0-9a-f]{64}", each) for each in hashes), requirement


@pytest.mark.parametrize("file", REQUIREMENTS)
def test_the_lock_keeps_the_bounds_of_the_requirements(file):
    for asked, _ in entries(file):
        versions = locked()[canonicalize_name(asked.name)]
        assert any(applies(requirement) for requirement, _ in versions), asked
        for requirement, _ in versions:
            assert asked.specifier.contains(str(requirement.specifier).removeprefix("==")), (asked, requirement)


def test_the_lock_names_all_that_the_requirements_bring_here_and_each_once():
    needed = brought([requirement.name for file in REQUIREMENTS for requirement, _ in entries(file)])
    here = {name: [each for each, _ in versions if applies(each)] for name, versions in locked().items()}
    assert {name: len(here.get(name, [])) for name in needed} == dict.fromkeys(needed, 1)


def test_what_only_a_gpu_needs_is_left_out():
    assert not [name for name in locked() if name in left_out() or name.startswith("nvidia-")]


def test_every_change_is_tried_with_the_locked_versions():
    assert f"pip install --quiet --require-hashes -r {' -r '.join(LOCKS)}" in (ROOT / ".ci/run").read_text("utf-8")
