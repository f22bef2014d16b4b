"""Ask a trained classifier: comedy, history or tragedy?  python classify.py --play "Twelfth Night" --visualize"""

import sys
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository's root, for `shared`

from shared.run.cli import ArgumentParser, log, number, read_flags, run_main, some_path

FOLDER = Path(__file__).resolve().parent


def parse_flags() -> Namespace:
    """What to classify, by which model, and whether to draw it."""
    parser = ArgumentParser(
        description="Say of each passage of 200 words whether it is comedy, history or tragedy.",
        epilog='example: python classify.py --play "Twelfth Night" --visualize',
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "file", nargs="?", type=some_path, help="a UTF-8 text; without it, what comes on standard input"
    )
    source.add_argument("--text", help="the text itself")
    source.add_argument("--play", help="one of the bundled plays, read by the model that did not train on it")
    parser.add_argument(
        "--fold",
        type=number(int, low=1),
        help="the model that held out this fold; by default the one that held out --play, else the first",
    )
    parser.add_argument("--passage", type=number(int, low=1), default=1, help="which passage --visualize shows [1]")
    parser.add_argument(
        "--visualize",
        type=some_path,
        nargs="?",
        const=Path("words.png"),
        metavar="PATH",
        help="draw a passage, its words marked by attention and by gradient [words.png]",
    )
    default = FOLDER / "checkpoints" / "last.pt"
    parser.add_argument("--checkpoint", type=some_path, default=default, help="the models to use [checkpoints/last.pt]")
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second

import torch
from torch import Tensor

from shared.errors import UserError
from shared.files import seconds_told
from shared.measure.faithfulness import rank_correlation
from shared.run.checkpoint import checkpoint_file, load_checkpoint
from shared.run.restore import rebuild_model
from shared.show.figures import save_figure
from shared.show.tables import wrapped
from shared.text.corpus import STANDARD_INPUT, read_bytes
from shared.text.decoding import decode
from shared.text.spacing import is_word

from data import GENRES, PASSAGE_WORDS, cut, read_plays, tokenize, without_speakers
from encoders import ENCODERS, CountedWords, LearnedWords
from explain import explain
from folds import check_content
from model import SETTINGS, Classifier
from pictures import marked_words_figure

MOST_BYTES = 10_000_000  # the length of ten novels; each word takes many times its letters
FEW_WORDS = PASSAGE_WORDS // 4  # fewer are little to go by


def read_text(flags: Namespace) -> str:
    """The text that the flags name; UserError for a play that is not bundled or a file that cannot be read."""
    if flags.text is not None:
        return flags.text
    if flags.play is not None:
        plays = read_plays()
        if flags.play not in plays:
            raise UserError(f"there is no play {flags.play!r}; choose one of: {', '.join(plays)}")
        return plays[flags.play][1]
    if flags.file is not None:
        return decode(read_bytes(flags.file, most=MOST_BYTES), flags.file)
    if sys.stdin and sys.stdin.isatty():
        log("type or paste a text; Ctrl-D ends it (on Windows Ctrl-Z and Enter)")
        return decode(sys.stdin.buffer.read(), STANDARD_INPUT)
    return decode(read_bytes(Path("-"), most=MOST_BYTES), STANDARD_INPUT)


def count_words(tokens: tuple[str, ...]) -> int:
    """How many of the tokens are words."""
    return sum(map(is_word, tokens))


def choose_fold(saved: dict, wanted: int | None, play: str | None) -> int:
    """Which of the saved models to ask: by number, or the one that has not read the play, or the first."""
    numbers = [fold["number"] for fold in saved["folds"]]
    unread = [index for index, fold in enumerate(saved["folds"]) if play in fold["plays"]]
    if wanted is not None and wanted not in numbers:
        raise UserError(f"the checkpoint has no fold {wanted}; choose one of {', '.join(map(str, numbers))}")
    index = numbers.index(wanted) if wanted is not None else (unread or [0])[0]
    if play is not None and index not in unread:
        log(f"careful: the model of fold {numbers[index]} has read {play} in training")
    return index


def load_model(saved: dict, index: int, path: Path) -> tuple[Classifier, CountedWords | LearnedWords]:
    """One fold's model, in eval mode, and its encoder, from the content of the checkpoint at `path`."""
    settings, fold = saved["settings"], saved["folds"][index]
    model_settings = {name: settings[name] for name in SETTINGS} | {"num_classes": len(GENRES)} | fold["model_settings"]
    # All models were saved as one list, in which each weight's name begins with its model's place.
    start = f"{index}."
    weights = {name.removeprefix(start): value for name, value in saved["weights"].items() if name.startswith(start)}
    model = rebuild_model({"model_settings": model_settings, "weights": weights}, Classifier, path)
    return model, ENCODERS[settings["embedding"]].from_dict(fold["encoder"])


@torch.no_grad()
def probabilities(model: Classifier, words: Tensor) -> Tensor:
    """One passage's words, (T) or (T, C) -> (C), which sum to 1."""
    logits, _ = model(words[None], torch.tensor([len(words)]))  # (1, C): a batch of one
    return logits[0].softmax(-1)


def show(what: str, shares: Tensor) -> None:
    """Print a line: the genres' probabilities (C) and the likeliest of them."""
    told = "   ".join(f"{genre} {share:.2f}" for genre, share in zip(GENRES, shares.tolist()))
    print(wrapped(f"{what:24}{told}   -> {GENRES[shares.argmax()]}", indent=24))


def visualize(model: Classifier, tokens: tuple[str, ...], words: Tensor, path: Path, name: str) -> None:
    """Draw one passage, marked by attention and by gradient, and say how far the two agree."""
    if not model.blocks:
        raise UserError("this model has no attention to draw; train one with --num-blocks 1")
    log_p, attention, gradient = explain(model, words[None], torch.tensor([len(words)]))  # (1, C), (1, T), (1, T)
    correlation = rank_correlation(attention[0], gradient[0].abs()) or 0.0
    attention, gradient = attention[0].numpy(), gradient[0].numpy()
    answer = log_p[0].argmax().item()
    title = f"{name}: {GENRES[answer]}, says the model ({log_p[0].exp()[answer]:.0%})"
    caption = (
        f"The same passage twice. Rank correlation of attention with the size of gradient times input: "
        f"{correlation:.2f} (1: the same order; 0: nothing to do with each other)."
    )
    save_figure(marked_words_figure(list(tokens), attention, gradient, title, caption), path)
    log(f"attention and gradient agree with a rank correlation of {correlation:.2f}: {path.resolve()}")


def main() -> None:
    """Cut the text into passages, ask the model about each, and draw one if that was asked for."""
    flags = parse_flags()
    saved = load_checkpoint(flags.checkpoint, FOLDER.name, check=check_content)
    passages = cut(tokenize(without_speakers(read_text(flags))))
    if not any(map(count_words, passages)):
        raise UserError("the text has no words; give a text of some 200 words")
    if len(passages) > 1 and count_words(passages[-1]) < FEW_WORDS:
        passages.pop()  # a scrap at the end, that would count as much as a whole passage
    if flags.visualize is not None and flags.passage > len(passages):
        raise UserError(f"the text has {len(passages)} passages; choose --passage from 1 to {len(passages)}")
    model, encoder = load_model(saved, choose_fold(saved, flags.fold, flags.play), checkpoint_file(flags.checkpoint))
    with seconds_told(f"classifying {len(passages):,} passages"):
        encoded = [encoder.encode(tokens) for tokens in passages]
        answers = torch.stack([probabilities(model, words) for words in encoded])  # (passages, C)
    for index, shares in enumerate(answers):
        show(f"passage {index + 1}", shares)
    if len(passages) > 1:
        show(f"mean of {len(passages)} passages", answers.mean(0))
    elif count_words(passages[0]) < FEW_WORDS:
        log(f"so short a text is little to go by: the model was trained on passages of {PASSAGE_WORDS} words")
    if flags.visualize is not None:
        chosen, name = flags.passage - 1, f"{flags.play or 'Your text'}, passage {flags.passage}"
        visualize(model, passages[chosen], encoded[chosen], flags.visualize, name)


if __name__ == "__main__":
    run_main(main)
