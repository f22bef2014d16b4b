"""How well models copy or reverse strings of each length:

    python lengths.py checkpoints/copy checkpoints/copy-none

Draws lengths-TASK.png into the folder where you are, the longest strings trained on marked by a line, and prints what
it draws.
"""

import itertools
import sys
from argparse import Namespace
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))  # the repository's root, for `shared`

from shared.run.cli import ArgumentParser, read_flags, run_main, some_path


def parse_flags() -> Namespace:
    """Which runs."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument(
        "runs", nargs="+", type=some_path, help="the --out-dir of each run, all of one --task and --longest"
    )
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second

from matplotlib.figure import Figure

from shared.errors import UserError
from shared.show.figures import new_figure, save_figure
from shared.show.tables import wrapped

from examples import held_out_strings
from scores import exact
from tasks import load_model, row_name

EACH = 100  # held-out strings of every length
BEYOND = 10  # letters more than in training


def lengths_figure(curves: dict[str, list[float]], trained: int, task: str) -> Figure:
    """A curve for each name: share of exact outputs at 1, 2, ... letters; a line at the longest in training."""
    figure = new_figure(5.0, f"{task}: held-out strings that come out exactly")
    axes = figure.add_subplot()
    for (name, shares), marker in zip(curves.items(), itertools.cycle("osD^v<>")):
        axes.plot(range(1, len(shares) + 1), shares, marker=marker, label=name)
    axes.axvline(trained + 0.5, color="0.4", linestyle=":", label="longest in training")
    axes.set(xlabel="letters", ylabel="share exact", ylim=(-0.03, 1.03))
    axes.grid(color="0.9")
    axes.legend(fontsize=11)
    return figure


def main() -> None:
    """Measure, print and draw."""
    runs = parse_flags().runs
    models = [load_model(run / "best.pt") for run in runs]
    tasks = {(settings["task"], settings["longest"]) for _, _, settings in models}
    if len(tasks) > 1 or "spelling" in {task for task, _ in tasks}:
        raise UserError(
            "these runs cannot be compared by length; name runs of one --task (copy, reverse) and --longest"
        )
    ((task, trained),) = tasks
    names = [row_name(settings) for _, _, settings in models]
    curves = {}
    for run, name, (model, _, _) in zip(runs, names, models):
        right = exact(model, held_out_strings(task, list(range(1, trained + BEYOND + 1)), EACH))  # (lengths * EACH)
        curve = name if names.count(name) == 1 else f"{name} ({run})"
        curves[curve] = right.view(-1, EACH).double().mean(1).tolist()  # a share for each length
    for name, shares in curves.items():
        print(wrapped(f"{name:12} " + " ".join(f"{share:.2f}" for share in shares), indent=13))
    path = Path(f"lengths-{task}.png")
    save_figure(lengths_figure(curves, trained, task), path)
    print(f"drawn        {path.resolve()}")


if __name__ == "__main__":
    run_main(main)
