"""Train a model that modernises the First Folio's spelling, or that copies or reverses strings:  python train.py"""

import sys
from argparse import BooleanOptionalAction, Namespace
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))  # the repository's root, for `shared`

from shared.run.cli import ArgumentParser, log, number, quoted, read_flags, run_main, wait_briefly, with_gutter
from shared.run.flags import add_flag, add_training_flags

DEFAULTS = dict(
    # what is learned
    task="spelling", context=1, longest=20, own_vocabularies=False,
    # the model
    attention="additive", num_heads=4, bidirectional=True, hidden_size=128, embedding_size=64, num_layers=1,
    dropout=0.1,
    # how it learns
    max_steps=1300, batch_size=256, learning_rate=0.01, warmup_steps=50, decay_share=0.6, gradient_clip=1.0,
    optimizer="muon", weight_decay=0.01, seed=1, device="auto", precision="float32", eval_interval=None,
)  # fmt: skip


def parse_flags() -> Namespace:
    """The flags of train.py; what was not given is None and comes from the defaults, which depend on --task."""
    parser = ArgumentParser(
        description="Train a model that modernises the First Folio's spelling, or that copies or reverses strings. No "
        "flags are needed. Defaults in brackets are those for spelling.",
        epilog="example: python train.py --task reverse --quick",
    )

    def flag(name: str, why: str, **options: Any) -> None:
        add_flag(parser, name, why, DEFAULTS, **options)

    why = "spelling is the real one; of copy and reverse the truth is known: where attention has to look"
    flag("--task", why, choices=("spelling", "copy", "reverse"))
    why = "how the decoder looks back; none leaves it the encoder's last state, to see what attention is worth"
    flag("--attention", why, choices=("additive", "multi-head", "none"))
    flag("--num-heads", "heads of multi-head attention; must divide --hidden-size", type=number(int, low=1))
    why = "the encoder reads from both ends; else from the first symbol to the last alone"
    flag("--bidirectional", why, action=BooleanOptionalAction)
    why = "source and target each with symbols and an embedding of its own; by default they share"
    flag("--own-vocabularies", why, action="store_true", default=None)
    why = "spelling: words read with a word on either side, to tell then from than"
    flag("--context", why, type=number(int, low=0, high=3))
    flag("--longest", "copy, reverse: letters of the longest string", type=number(int, low=1, high=40))
    common = {name: value for name, value in DEFAULTS.items() if name != "precision"}  # sums this small gain nothing
    add_training_flags(parser, FOLDER, common)
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second
    wait_briefly()

import torch

from shared.errors import UserError
from shared.model.language_model import num_parameters
from shared.run.experiment import Run, probe, start_run
from shared.run.memory import make_within_memory
from shared.run.processes import share
from shared.run.training import Task

from examples import Batch, Examples, Vocabularies
from model import PAD, Seq2Seq
from scores import mean_loss, outputs
from tasks import MODEL_SETTINGS, NAME, SpellingTask, StringTask, check_content, make_task, vocabulary_sizes

STRINGS = dict(max_steps=800, batch_size=128, hidden_size=64, dropout=0.0)
QUICK = dict(max_steps=250)
SHOWN = 5  # outputs, at each evaluation


def main() -> None:
    """Train, score the best weights, say what to type next."""
    flags = parse_flags()
    defaults = DEFAULTS if flags.task in (None, "spelling") else DEFAULTS | STRINGS
    run = start_run(NAME, flags, defaults, {"quick": QUICK}, check_content)
    task = make_task(run.settings)
    model_settings = {name: run.settings[name] for name in MODEL_SETTINGS} | vocabulary_sizes(task.vocabularies)

    def make() -> Seq2Seq:
        torch.manual_seed(run.settings["seed"])
        return Seq2Seq(**model_settings)

    try:
        model = make_within_memory(make, run.device, held=run.settings["batch_size"] * run.settings["hidden_size"])
    except ValueError as error:
        raise UserError(f"there is no such model: {error}; change --hidden-size or --num-heads")
    seconds = probe(model, run.settings, run.device, lambda _: summed_loss(model, share(task.batch(0)))[0].backward())
    introduce(run, model, seconds)
    loop_task = Task(
        batch=task.batch,
        step=lambda batch, carry: (*summed_loss(model, batch), None),
        evaluate=lambda: mean_loss(model, task.held_out),
        describe=lambda loss: f"loss {loss:.4f} nats per symbol",
        look=lambda: show_outputs(model, task.held_out, task.vocabularies),
        unit="symbols",
    )
    run.train(model, loop_task, {"model_settings": model_settings})
    run.load_best(model)
    scores = task.scores(model)
    run.finish(model, unit="nats per symbol", table=task.table, row=task.row, scores=scores)
    conclude(run, task, scores)


def summed_loss(model: Seq2Seq, batch: Batch) -> tuple[torch.Tensor, int]:
    """Nats over a batch's real symbols, summed, and how many those are."""
    count = int(batch[-1].ne(PAD).sum())  # here, not on a GPU, which would have to be waited for
    source, lengths, targets = (tensor.to(model.device) for tensor in batch)
    return model.loss(source, lengths, targets), count


def introduce(run: Run, model: Seq2Seq, seconds: float) -> None:
    """Say what is going to happen before it does."""
    settings = run.settings
    minutes = max(settings["max_steps"] * seconds * 1.15 / 60, 0.1)
    log(f"{run.name}, {settings['task']} on {run.device}, optimizer {settings['optimizer']}")
    log(f"parameters  {num_parameters(model):,}")
    log(f"training    {settings['max_steps']:,} steps of {settings['batch_size']} pairs: about {minutes:.1f} minutes")


def show_outputs(model: Seq2Seq, held_out: Examples, vocabularies: Vocabularies) -> None:
    """What the model makes of a few held-out sources, of which the output is no part."""
    sides = zip(vocabularies, (held_out.sources, held_out.targets))
    texts = [[symbols.decode(ids) for ids in table.tolist()] for symbols, table in sides]
    changed = [place for place, (source, target) in enumerate(zip(*texts)) if target not in source]
    places = torch.tensor(changed or range(len(held_out.sources)))  # in copying, nothing changes
    few = places[torch.linspace(0, len(places) - 1, SHOWN).long()]
    found = outputs(model, Examples(held_out.sources[few], held_out.targets[few]))
    for place, output in zip(few.tolist(), found.tolist()):
        log(with_gutter(f"{texts[0][place]}  ->  {vocabularies.target.decode(output)}"))


def conclude(run: Run, task: StringTask | SpellingTask, scores: dict[str, float]) -> None:
    """The scores, where the run is kept, and the command that uses it."""
    for name, score in scores.items():
        print(f"{name:20} {score:.4f}")
    default = run.out_dir == FOLDER / "checkpoints"
    text = "Loue lookes not with the eyes, but with the minde" if task.table == "spelling" else "remember"
    print(f"kept                 {run.out_dir / 'best.pt'}, with metrics.jsonl and learning_curve.png beside it")
    look = "" if run.settings["attention"] == "none" else " --visualize"
    print(f'next                 python translate.py "{text}"{look}' + checkpoint_flag(run.out_dir, default))


def checkpoint_flag(out_dir: Path, default: bool) -> str:
    """What translate.py has to be told where the run is not in its usual place."""
    return "" if default else f" --checkpoint {quoted(str(out_dir / 'best.pt'))}"


if __name__ == "__main__":
    run_main(main)
