"""Modern spelling for a line of the First Folio:  python translate.py "Loue lookes not with the eyes" --visualize

With a model that copies or reverses, the text is a string of small letters.
"""

import re
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))  # the repository's root, for `shared`

from shared.run.cli import ArgumentParser, log, number, read_flags, run_main, some_path
from shared.run.flags import DEVICES


def parse_flags() -> Namespace:
    """The flags of translate.py."""
    parser = ArgumentParser(
        description="Put a line of the First Folio into modern spelling.",
        epilog='example: python translate.py "Loue lookes not with the eyes" --visualize',
    )
    add = parser.add_argument
    add("text", help="the line, or several of them; for a model that copies or reverses, a string of small letters")
    why = "outputs kept side by side while they grow; 1 is greedy, and more seldom changes a word [1]"
    add("--beam", type=number(int, low=1, high=100), default=1, help=why)
    why = "draw into PATH what the model looked at in the first line [alignment.png]"
    add("--visualize", type=some_path, nargs="?", const=Path("alignment.png"), metavar="PATH", help=why)
    default = FOLDER / "checkpoints" / "best.pt"
    add("--checkpoint", type=some_path, default=default, help="the model to use [checkpoints/best.pt]")
    add("--device", choices=DEVICES, default="cpu", help="a line is too little work for a GPU to pay [cpu]")
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second

import torch
from torch import Tensor

from shared.errors import UserError
from shared.run.device import choose_device
from shared.show.figures import save_figure
from shared.show.maps import alignment_figure
from shared.text.signs import printable

from examples import Symbols, Vocabularies, encoded, window
from model import Seq2Seq, shifted
from scores import outputs
from tasks import load_model

# Of a map: weights (T, S), or None where nothing was looked at; what was written (T), what was read (S).
Alignment = tuple[Tensor | None, list[str], list[str]]
# An output, and what makes its map, which takes time and is seldom wanted.
Result = tuple[str, Callable[[], Alignment]]

WORD = re.compile(r"'?[^\W\d_]+(?:['-][^\W\d_]+)*'?|&")
OLD_PRINT = str.maketrans("\u2018\u2019\u017f", "''s")  # round quotation marks, the long s
SPACE, END = "\u2423", "end"  # a space that can be seen; the end of a string


def main() -> None:
    """Print what the model makes of the text; draw where it looked, if asked."""
    flags = parse_flags()
    model, vocabularies, settings = load_model(flags.checkpoint, choose_device(flags.device))
    lines = [line.strip().translate(OLD_PRINT) for line in flags.text.splitlines() if line.strip()]
    if not lines:
        raise UserError('there is no text; give a line, as in: python translate.py "Loue lookes not with the eyes"')
    work = translate_line if settings["task"] == "spelling" else translate_string
    results = [work(model, vocabularies, settings, line, flags.beam) for line in lines]
    print(printable("\n".join(written for written, _ in results)))
    if flags.visualize is not None:
        draw(results[0][1](), settings, flags.visualize)


def best_outputs(model: Seq2Seq, vocabularies: Vocabularies, sources: list[str], width: int) -> list[str]:
    """The model's output for each source."""
    found = outputs(model, encoded([(source, "") for source in sources], vocabularies), width)
    return [vocabularies.target.decode(ids) for ids in found.tolist()]


@torch.no_grad()
def looked_at(model: Seq2Seq, vocabularies: Vocabularies, source: str, output: str) -> Tensor | None:
    """With which weights, mean over heads, the model wrote each letter of its output and the end: (T, S) or None."""
    source_ids = torch.tensor([vocabularies.source.encode(source)], device=model.device)  # (1, S)
    output_ids = torch.tensor([vocabularies.target.encode(output)], device=model.device)  # (1, T)
    lengths = torch.tensor([source_ids.size(1)], device=model.device)
    _, weights = model(source_ids, lengths, shifted(output_ids), return_attention=True)
    return None if weights is None else weights[0].mean(0).cpu()


def translate_string(model: Seq2Seq, vocabularies: Vocabularies, settings: dict, text: str, width: int) -> Result:
    """A string -> the model's output, and its map."""
    (output,) = best_outputs(model, vocabularies, [text], width)
    return output, lambda: (looked_at(model, vocabularies, text, output), [*output, END], [*text, END])


def translate_line(model: Seq2Seq, vocabularies: Vocabularies, settings: dict, line: str, width: int) -> Result:
    """A line -> the line with each word modernised and all else as it was, and its map."""
    words = [word for word in WORD.finditer(line) if is_readable(word[0], vocabularies.source)]
    if not words:
        return line, lambda: (None, [], [])
    old = [word[0].lower() for word in words]
    sources = [window(old, place, settings["context"]) for place in range(len(words))]
    forms = best_outputs(model, vocabularies, sources, width)
    modern = [with_capitals_of(form, word[0]) for form, word in zip(forms, words)]

    def alignment() -> Alignment:
        places = [window_places(words, place, settings["context"]) for place in range(len(words))]
        weights = [looked_at(model, vocabularies, source, form) for source, form in zip(sources, forms)]
        return line_map(line, modern, weights, places)

    return rebuilt(line, words, modern), alignment


def rebuilt(line: str, words: list[re.Match], modern: list[str]) -> str:
    """The line with other words in the words' places."""
    written, end = "", 0
    for word, form in zip(words, modern):
        written, end = written + line[end : word.start()] + form, word.end()
    return written + line[end:]


def line_map(line: str, modern: list[str], weights: list[Tensor | None], places: list[list[int | None]]) -> Alignment:
    """The maps of all words below each other, an empty row between two."""
    if weights[0] is None:
        return None, [], []
    rows, written = [], []
    for form, word_weights, word_places in zip(modern, weights, places):
        rows += [torch.zeros(1, len(line)), on_the_line(word_weights, word_places, len(line))]
        written += [SPACE, *form]
    return torch.cat(rows)[1:], written[1:], [SPACE if character == " " else character for character in line]


def is_readable(word: str, symbols: Symbols) -> bool:
    """Whether the model knows all letters of a word; says so if not."""
    if set(word.lower()) <= symbols.ids.keys():
        return True
    log(f"the model cannot read {word!r} and leaves it as it is")
    return False


def with_capitals_of(word: str, old: str) -> str:
    """The word with capital letters where the old one has them: everywhere, at the beginning or nowhere.

    >>> with_capitals_of("love", "LOUE"), with_capitals_of("love", "Loue"), with_capitals_of("ay", "I")
    ('LOVE', 'Love', 'Ay')
    """
    letters = [character for character in old if character.isalpha()]
    if len(letters) > 1 and all(map(str.isupper, letters)):
        return word.upper()
    if letters and letters[0].isupper():
        return re.sub(r"[^\W\d_]", lambda letter: letter[0].upper(), word, count=1)
    return word


def window_places(words: list[re.Match], place: int, context: int) -> list[int | None]:
    """For each symbol of `window`, and the end, its place on the line; the marks stand for the signs beside it."""

    def spans(neighbours: list[re.Match]) -> list[int]:
        """The letters of some words, and one sign after each but the last."""
        return [i for word in neighbours for i in range(word.start(), word.end() + 1)][:-1]

    word = words[place]
    before, after = words[max(0, place - context) : place], words[place + 1 : place + 1 + context]
    marks = [i if 0 <= i < len(word.string) else None for i in (word.start() - 1, word.end())]
    return [*spans(before), marks[0], *range(word.start(), word.end()), marks[1], *spans(after), None]


def on_the_line(weights: Tensor, places: list[int | None], length: int) -> Tensor:
    """Weights (T, S) over a window -> over the line (T - 1, length), without the row of the end."""
    row = torch.zeros(len(weights) - 1, length)
    for weight, place in zip(weights[:-1].unbind(1), places, strict=True):
        if place is not None:
            row[:, place] += weight
    return row


def draw(alignment: Alignment, settings: dict, path: Path) -> None:
    """Save the map; UserError where nothing was looked at."""
    weights, written, read = alignment
    if weights is None:
        raise UserError("nothing was looked at; --visualize needs words, and a model trained with attention")
    title = f"{settings['task']}, {settings['attention']} attention"
    save_figure(alignment_figure(weights.numpy(), written, read, title), path)
    log(f"alignment map: {path.resolve()}")


if __name__ == "__main__":
    run_main(main)
