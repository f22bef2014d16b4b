"""Train the lab's classifiers, one a fold, and score each on the plays that it has not read:  python train.py

B batch, T time (the longest passage in the batch), C classes, N passages
"""

import sys
from argparse import Namespace
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository's root, for `shared`

from shared.run.cli import ArgumentParser, log, number, quoted, read_flags, run_main, wait_briefly
from shared.run.flags import add_flag, add_training_flags

from data import GENRES, NUM_FOLDS, PASSAGE_WORDS, SPLITS, TABLES, Passage, read_passages

FOLDER = Path(__file__).resolve().parent
# No limit on the gradient: one for all six models together would let each know how the others fare. AdamW needs none.
DEFAULTS = dict(
    max_steps=150, batch_size=32, hidden_size=16, num_blocks=1, num_heads=2, dropout=0.1, word_dropout=0.5,
    learning_rate=0.001, seed=1, device="auto", eval_interval=None, optimizer="adamw", weight_decay=0.05,
    warmup_steps=20, decay_share=0.6, gradient_clip=1e9, embedding="counted", split="play", fold=None, inner=False,
)  # fmt: skip
KINDS = ("counted", "learned")  # of embeddings


def parse_flags() -> Namespace:
    """The common flags and the lab's own; None where not given."""
    parser = ArgumentParser(
        description="Train six small classifiers, each on five of six folds. No flags are needed.",
        epilog="example: python train.py --quick",
    )
    add_training_flags(parser, FOLDER, DEFAULTS)
    add = partial(add_flag, parser, defaults=DEFAULTS)
    add("--num-blocks", "blocks of self-attention; 0 leaves a bag of words", type=number(int, low=0, high=1000))
    add("--num-heads", "heads a layer; twice their number must divide --hidden-size", type=number(int, low=1))
    add(
        "--word-dropout",
        "share of its words that a passage loses in training, so that it looks new each time",
        type=number(float, low=0, high=0.95),
    )
    add("--embedding", "a word's numbers: counted in the training plays, or learned from nothing", choices=KINDS)
    add("--split", "folds of whole plays, or of passages by chance, which tells too good a story", choices=[*SPLITS])
    add("--fold", "train and score this fold alone; by default all six", type=number(int, low=1, high=NUM_FOLDS))
    why = "hold one more fold out and score on that one: to choose settings"
    parser.add_argument("--inner", help=why, action="store_const", const=True)
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second
    wait_briefly()

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.errors import UserError
from shared.files import seconds_told
from shared.model.language_model import num_parameters
from shared.run.experiment import Run, start_run
from shared.run.memory import make_within_memory
from shared.run.training import Task
from shared.show.figures import save_figure

from baselines import accuracies, share
from encoders import ENCODERS, CountedWords, Example, LearnedWords
from explain import correlations
from folds import check_content
from model import SETTINGS, Classifier
from pictures import confusion_figure, plays_figure

UNIT = "nats per passage"
WATCHED = 4  # on the way, the loss is measured on every fourth passage held out; in the end, on all
CORRELATED = 10  # attention and gradient are compared on every tenth passage, which is enough for a mean
QUICK = dict(max_steps=30, fold=1)


@dataclass(frozen=True)
class Fold:
    """One fold: what its model learns from, and the passages that it is asked about."""

    number: int
    encoder: CountedWords | LearnedWords
    train: list[Example]
    held_out: list[Passage]
    asked: list[Example]  # the passages held out, encoded
    unread: list[str]  # the plays that the model learns nothing from, where whole plays are dealt


def make_fold(number: int, passages: list[Passage], folds: list[int], settings: dict) -> Fold:
    """Hold fold `number` (from 1) out and ask about it.

    With `inner`, fold `number` stays out of everything and the next one is asked about: the way to choose settings
    without a look at what will be reported.
    """
    reported, asked = number - 1, number % NUM_FOLDS if settings["inner"] else number - 1
    train = [passage for passage, fold in zip(passages, folds) if fold not in (reported, asked)]
    held_out = [passage for passage, fold in zip(passages, folds) if fold == asked]
    encoder = ENCODERS[settings["embedding"]].train(train)
    encoded = [(encoder.encode(passage.tokens), passage.genre) for passage in held_out]
    unread = [passage.play for passage, fold in zip(passages, folds) if fold in (reported, asked)]
    return Fold(number, encoder, encoder.examples(train), held_out, encoded, list(dict.fromkeys(unread)))


def build_models(folds: list[Fold], settings: dict) -> nn.ModuleList:
    """A model a fold, all from the same seed."""
    models = []
    for fold in folds:
        torch.manual_seed(settings["seed"])
        chosen = {name: settings[name] for name in SETTINGS}
        models.append(Classifier(len(GENRES), **chosen, **fold.encoder.model_settings))
    return nn.ModuleList(models)


def collate(examples: list[Example], device: torch.device | str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
    """Examples -> words (B, T) or (B, T, C) padded with zeros, lengths (B), genres (B)."""
    lengths = torch.tensor([len(words) for words, _ in examples])
    words = nn.utils.rnn.pad_sequence([words for words, _ in examples], batch_first=True)  # (B, T) or (B, T, C)
    genres = torch.tensor([genre for _, genre in examples])
    return words.to(device), lengths.to(device), genres.to(device)


def draw(fold: Fold, batch_size: int, word_dropout: float, generator: torch.Generator) -> list[Example]:
    """Training passages by chance, each without a share of its words (word dropout).

    So no passage is met twice as it was, and none can be learned by heart (overfitting) by its few telling words.
    """
    chosen = torch.randint(len(fold.train), (batch_size,), generator=generator).tolist()
    thinned = []
    for words, genre in (fold.train[index] for index in chosen):
        kept = torch.rand(len(words), generator=generator) >= word_dropout  # (T) bool
        thinned.append((words[kept], genre))
    return thinned


@torch.no_grad()
def predict(model: Classifier, examples: list[Example], device: torch.device | str, batch_size: int = 16) -> Tensor:
    """Log probabilities (N, C). The model is left in eval mode."""
    model.eval()
    # Passages of like length share a batch. It saves padding and changes no answer.
    order = sorted(range(len(examples)), key=lambda index: len(examples[index][0]))
    log_p = torch.empty(len(examples), len(GENRES))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        words, lengths, _ = collate([examples[index] for index in chosen], device)
        log_p[chosen] = model(words, lengths)[0].log_softmax(-1).cpu()  # back in the order asked
    return log_p


def make_task(models: nn.ModuleList, folds: list[Fold], settings: dict, device: torch.device) -> Task:
    """What the loop has to know: all models take a step together, each by the cross-entropy of its own passages.

    What is measured on the way decides nothing (no early stopping): the last weights are scored.
    """

    def batch(step: int) -> tuple[list[Example], ...]:
        parts = []
        for fold in folds:
            # Seeded by step and fold: a resumed run draws what the whole one would have drawn, and a model trained
            # alone with --fold what it would have drawn among the six.
            generator = torch.Generator().manual_seed((settings["seed"] * 100_000 + step) * 10 + fold.number)
            parts.append(draw(fold, settings["batch_size"], settings["word_dropout"], generator))
        return tuple(parts)

    def step(examples: tuple[list[Example], ...], carry: None) -> tuple[Tensor, int, None]:
        total = 0.0  # the models share no weight, so the gradient of the sum is each model's own
        for model, part in zip(models, examples):
            words, lengths, genres = collate(part, device)
            total = total + F.cross_entropy(model(words, lengths)[0], genres, reduction="sum")
        return total, sum(map(len, examples)), None

    def evaluate() -> float:
        losses = []
        for model, fold in zip(models, folds):
            watched = fold.asked[::WATCHED]
            genres = torch.tensor([genre for _, genre in watched])
            losses.append(F.nll_loss(predict(model, watched, device), genres, reduction="none"))
        return torch.cat(losses).mean().item()

    return Task(batch, step, evaluate, lambda loss: f"loss {loss:.3f} {UNIT}", unit="passages")


def score(
    models: nn.ModuleList, folds: list[Fold], device: torch.device
) -> tuple[dict[str, float], list[float], dict[str, tuple[int, list[int]]]]:
    """Each model on its own fold -> scores over all, accuracy of each fold, play -> (genre, passages called each)."""
    right, plays, agreement = [], {}, []
    for model, fold in zip(models, folds):
        answers = predict(model, fold.asked, device).argmax(-1).tolist()
        right.append([answer == passage.genre for answer, passage in zip(answers, fold.held_out)])
        for answer, passage in zip(answers, fold.held_out):
            plays.setdefault(passage.play, (passage.genre, [0] * len(GENRES)))[1][answer] += 1
        agreement += correlations(model, fold.asked[::CORRELATED], device)
    scores = accuracies(right)
    if agreement:
        scores["attention ~ gradient"] = mean(agreement)
    return scores, list(map(share, right)), plays


def finish(run: Run, models: nn.ModuleList, folds: list[Fold]) -> None:
    """Score, draw what became of each genre and play, keep the numbers, say what to type next."""
    scores, by_fold, plays = score(models, folds, run.device)
    what = {"play": "Passages of plays held out", "random": "Passages held out by chance"}[run.settings["split"]]
    title = f"{what}, seed {run.settings['seed']}"
    save_figure(confusion_figure(plays, GENRES, title), run.out_dir / "confusion.png")
    save_figure(plays_figure(plays, GENRES, title), run.out_dir / "plays.png")
    table, row = names(run.settings)
    told = {play: dict(zip(GENRES, called)) for play, (_, called) in plays.items()}
    run.finish(models[0], unit=UNIT, table=table, row=row, scores=scores, folds=by_fold, plays=told)
    for fold, accuracy in zip(folds, by_fold):
        print(f"fold {fold.number}      accuracy {accuracy:.3f} on {', '.join(plays_of(fold))}")
    print("all         " + ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
    print(f"kept        {run.out_dir / 'last.pt'}, with confusion.png, plays.png and learning_curve.png beside it")
    if run.settings["split"] == "play":
        path = quoted(str(run.out_dir / "last.pt"))
        checkpoint = "" if run.out_dir == FOLDER / "checkpoints" else f" --checkpoint {path}"
        look = " --visualize" if run.settings["num_blocks"] else ""
        print(f'next        python classify.py --play "{plays_of(folds[0])[-1]}"{look}{checkpoint}')


def plays_of(fold: Fold) -> list[str]:
    """The plays of which the fold's model is asked. If whole plays are dealt, it has read nothing of them."""
    return list(dict.fromkeys(passage.play for passage in fold.held_out))


def names(settings: dict) -> tuple[str, str]:
    """The table and the row that a run's scores belong to."""
    table = TABLES[settings["split"]]
    if settings["fold"]:
        table += f", fold {settings['fold']} alone"
    if settings["inner"]:
        table += ", one fold further in"
    attention = "self-attention" if settings["num_blocks"] else "no attention"
    return table, f"{settings['embedding']} embedding, {attention}"


def identity(folds: list[Fold], settings: dict) -> dict:
    """What classify.py needs beside the weights: of each fold its number, its unread plays and its encoder."""
    by_play = settings["split"] == "play"  # otherwise its model has read a part of every play
    return {
        "folds": [
            {
                "number": fold.number,
                "plays": fold.unread if by_play else [],
                "encoder": fold.encoder.to_dict(),
                "model_settings": fold.encoder.model_settings,
            }
            for fold in folds
        ]
    }


def main() -> None:
    """Read the flags, train all folds' models side by side, score them."""
    run = start_run(FOLDER.name, parse_flags(), DEFAULTS, {"quick": QUICK}, check_content)
    settings = run.settings
    numbers = [settings["fold"]] if settings["fold"] else range(1, NUM_FOLDS + 1)
    with seconds_told("reading the plays and counting their words"):
        passages = read_passages()
        dealt = SPLITS[settings["split"]](passages)
        folds = [make_fold(number, passages, dealt, settings) for number in numbers]
    held = len(folds) * settings["batch_size"] * settings["hidden_size"] * PASSAGE_WORDS // 2  # words are dropped
    try:
        models = make_within_memory(lambda: build_models(folds, settings), run.device, held)
    except ValueError as error:
        raise UserError(f"there is no such model: {error}; change --hidden-size or --num-heads")
    parameters = num_parameters(models[0])
    log(f"lab-classify on {run.device}: {len(folds)} models of {parameters:,} parameters, {len(passages):,} passages")
    run.train(models, make_task(models, folds, settings, run.device), identity(folds, settings))
    finish(run, models, folds)


if __name__ == "__main__":
    run_main(main)
