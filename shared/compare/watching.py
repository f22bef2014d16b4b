"""The moments that the runs of a comparison have kept, side by side: what each model could do while it learned."""

import numpy as np

from shared.compare.runs import Trained
from shared.run.cli import log
from shared.run.moments import FILE, read_moments


def watched(runs: list[Trained]) -> dict | None:
    """The passage that was read, and for each run that has kept them its moments; None where none has.

    Validation losses were measured more rarely: a moment has the last one that was known, and its step.
    """
    passage, stages = None, []
    for run in runs:
        moments = read_moments(run.path.with_name(FILE))
        passage = passage or (moments[0]["passage"] if moments else None)
        # Another version of the course, or another text, has read something else.
        same = [moment for moment in moments if moment["passage"] == passage]
        if len(same) < len(moments):
            log(f"notice      moments of {run.stage} are of another passage, and are left out")
        if same:
            stages.append({"stage": run.stage, "title": run.title, "moments": [shown(run, each) for each in same]})
    return {"passage": passage, "stages": stages} if stages else None


def shown(run: Trained, moment: dict) -> dict:
    """A moment as the page shows it.

    Its time is by the learning curve's clock: the runs that come with the course were trained once more for their
    moments, with the same numbers to the last bit, but on a busier machine.
    """
    names = ("step", "tokens", "next", "next_p", "true_p", "influence", "attention", "sample")
    seconds = moment["seconds"]
    if run.records:
        steps, clock = ([each[name] for each in run.records] for name in ("step", "seconds"))
        seconds = float(np.interp(moment["step"], [0, *steps], [0.0, *clock]))
    measured = [each for each in run.records if "validation_loss" in each and each["step"] <= moment["step"]]
    validation = {name: measured[-1][name] for name in ("step", "validation_loss")} if measured else None
    return {name: moment[name] for name in names} | {"seconds": seconds, "validation": validation}
