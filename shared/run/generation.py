"""What a stage's generate.py calls: checkpoint and prompt -> text, and pictures of what the model looked at."""

import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from shared.errors import UserError
from shared.measure.faithfulness import attention_on
from shared.measure.influence import influence
from shared.model.language_model import LanguageModel
from shared.model.sampling import generate
from shared.run.cli import log, make_folder
from shared.run.device import choose_device, prepare_process
from shared.run.pretrained import PRETRAINED, load_pretrained
from shared.run.restore import restore_language_model
from shared.stages import stage_title
from shared.text.corpus import STANDARD_INPUT, read_bytes, user_path
from shared.text.decoding import decode, normalise
from shared.text.signs import printable
from shared.text.tokenizer import Tokenizer

MOST_BYTES = 10_000_000  # of a prompt: as long as ten novels
NOTICES = 8  # unknown words or signs that are named
MAP_TOKENS = 40  # as many as stay readable on a phone
MAP_MEMORY = 1000  # tokens that are read for a map, whose size grows with their square


def write_text(folder: Path, flags: Namespace) -> None:
    """The whole of generate.py, for the stage in `folder`."""
    if flags.visualize is not None:
        make_folder(flags.visualize, "--visualize")  # before the work of generating
    text = flags.prompt if flags.prompt_file is None else read_prompt(flags.prompt_file)
    device = choose_device(flags.device)
    prepare_process(device)
    if flags.checkpoint == PRETRAINED:
        model, tokenizer, _ = load_pretrained(folder.name, device)
    else:
        model, tokenizer, _ = restore_language_model(Path(flags.checkpoint), device, folder.name)
    if tokenizer.unk_id is None and tokenizer.check_prompt(flags.stop or ""):
        log("the model does not know all signs of the --stop text, so it will not write it")
    if flags.interactive:
        converse(model, tokenizer, flags)
        return
    prompt = encode_prompt(tokenizer, text)
    check_head(model, flags.head)
    samples = write_samples(model, tokenizer, prompt, flags)
    if flags.visualize is not None:
        draw_maps(model, tokenizer, prompt, samples[0], flags.visualize, stage_title(folder.name), flags.head)


def check_head(model: LanguageModel, head: tuple[int, int] | None) -> None:
    """UserError for a head, (layer, head) from 0, that the model does not have."""
    if head is None:
        return
    any_token = torch.zeros(1, 1, dtype=torch.long, device=model.embedding.weight.device)
    with torch.no_grad():
        _, _, attention = model(any_token, return_attention=True)
    if attention is None:
        raise UserError("this model has no attention, so no head can be drawn; leave --head away")
    layers, heads = attention.shape[1:3]
    if head[0] >= layers or head[1] >= heads:
        raise UserError(
            f"there is no head {head[0] + 1}.{head[1] + 1}; this model has {layers} x {heads}, so give one from "
            f"--head 1.1 to --head {layers}.{heads}"
        )


def read_prompt(name: str) -> str:
    """The text of a file, or of standard input where that is "-", without the newline that ends its last line."""
    content = read_bytes(user_path(name), most=MOST_BYTES)
    if not content.strip():  # as a text to learn from that would be a mistake, and no prompt is none
        return ""
    return decode(content, STANDARD_INPUT if name == "-" else user_path(name)).removesuffix("\n")


def recovered(text: str) -> str:
    """The UTF-8 text behind bytes that a system of an older encoding handed over unread; UserError for other bytes."""
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        raise UserError("the prompt holds bytes that are no UTF-8 text; type it again, or save it as UTF-8") from None


def encode_prompt(tokenizer: Tokenizer, text: str) -> list[int]:
    """Prompt -> at least one id. Says which words or signs the model does not know, and what it knows that is near."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # Python hands bytes that it cannot read over as halves of surrogate pairs
        text = recovered(text)
    text = normalise(text)  # as the training text was
    unknown = tokenizer.check_prompt(text)
    more = f", and {len(unknown) - NOTICES} more" if len(unknown) > NOTICES else ""
    if tokenizer.unk_id is None and unknown:  # nothing stands for an unknown sign
        near = [repr(sign) + (f" (it knows {known[0]!r})" if known else "") for sign, known in unknown[:NOTICES]]
        log(f"the model never learned {', '.join(near)}{more}; left out")
    elif unknown:
        for word, known in unknown[:NOTICES]:
            hint = f"; it knows {', '.join(known)}" if known else ""
            log(f"the model never learned {word!r} and reads it as <unk>{hint}")
        if more:
            log(f"and reads {len(unknown) - NOTICES} more words as <unk>")
    return tokenizer.encode(text) or [tokenizer.newline_id]


class Sample:
    """One text as it grows: the prompt, and what the model writes up to `stop`, of which nothing is shown."""

    def __init__(self, tokenizer: Tokenizer, prompt: list[int], stop: str | None) -> None:
        self.streamer = tokenizer.streamer()
        self.prompt = "".join(map(self.streamer.push, prompt))
        self.stop, self.ended = stop, False
        self.ids: list[int] = []  # what was written
        self.waiting = ""  # the end of it that may be the beginning of `stop`, which may come in several tokens

    def push(self, token: int) -> str:
        """The text that can be shown now that this token is there."""
        self.ids.append(token)
        text = self.waiting + self.streamer.push(token)
        if self.stop is None:
            return text
        text, found, _ = text.partition(self.stop)
        self.ended = bool(found)
        held = 0 if found else max(size for size in range(len(self.stop)) if text.endswith(self.stop[:size]))
        self.waiting = text[len(text) - held :]
        return text[: len(text) - held]

    def flush(self) -> str:
        """The text that was still waiting when the last token had come."""
        text = self.waiting + ("" if self.ended else self.streamer.flush())
        return text.partition(self.stop)[0] if self.stop else text


def write_samples(model: LanguageModel, tokenizer: Tokenizer, prompt: list[int], flags: Namespace) -> list[list[int]]:
    """Generate and print: one text streams as it grows, several come one after the other. -> their new ids."""
    generator = torch.Generator().manual_seed(flags.seed)
    tokens = generate(
        model,
        prompt,
        flags.num_samples,
        temperature=flags.temperature,
        top_k=flags.top_k,
        top_p=flags.top_p,
        banned=tokenizer.unk_id,
        generator=generator,
    )
    steps = islice(tokens, flags.max_new_tokens)
    samples = [Sample(tokenizer, prompt, flags.stop) for _ in range(flags.num_samples)]
    if len(samples) == 1:
        sys.stdout.write(bold(printable(samples[0].prompt)))
        for piece in grow(samples, steps):
            sys.stdout.write(printable(piece[0]))
            sys.stdout.flush()
        print()
    else:
        texts = map("".join, zip(*grow(samples, steps)))  # each sample's pieces
        for index, (sample, text) in enumerate(zip(samples, texts), start=1):
            print(f"--- sample {index}\n{bold(printable(sample.prompt))}{printable(text)}")
    return [sample.ids for sample in samples]


def grow(samples: list[Sample], steps: Iterable[Tensor]) -> Iterator[list[str]]:
    """What each step (num_samples) adds to the samples, until they have all ended or there is no more."""
    for step in steps:
        pairs = zip(samples, step.tolist())
        yield ["" if sample.ended else sample.push(token) for sample, token in pairs]
        if all(sample.ended for sample in samples):
            break
    yield [sample.flush() for sample in samples]


def bold(text: str) -> str:
    """The text in bold, where standard output is a terminal that can show it."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if os.name == "nt":  # an old console window would show the codes
        plain = plain or not os.environ.keys() & {"WT_SESSION", "TERM"}
    return text if plain or not text.strip() or not sys.stdout.isatty() else f"\x1b[1m{text}\x1b[0m"


def converse(model: LanguageModel, tokenizer: Tokenizer, flags: Namespace) -> None:
    """A prompt, a text, and again, until there is no more input."""
    log("type the beginning of a text; Ctrl-D ends (on Windows Ctrl-Z and Enter)")
    while True:
        try:
            text = input("> ")
        except EOFError:
            return
        try:
            write_samples(model, tokenizer, encode_prompt(tokenizer, text), flags)
        except UserError as error:
            log(f"error: {error}")


def draw_maps(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompt: list[int],
    written: list[int],
    folder: Path,
    title: str,
    head: tuple[int, int] | None = None,
) -> None:
    """attention.png, where the model has attention, and influence.png, of the prompt and what followed it first."""
    from shared.show.figures import save_figure  # here: without pictures, Matplotlib is not waited for
    from shared.show.maps import attention_figure, choosing_note, influence_figure

    # The end of a long prompt and the beginning of the continuation, so that both are seen.
    ids = (prompt + written)[: max(MAP_TOKENS, len(prompt) + MAP_TOKENS // 2)]
    ids, left_out = ids[-MAP_MEMORY:], max(0, len(ids) - MAP_MEMORY)
    prompt_length, shown = len(prompt) - left_out, min(len(ids), MAP_TOKENS)
    glyphs = [tokenizer.glyph(token) for token in ids]
    tokens = torch.tensor(ids)  # (T)

    # Where the model looked, if it can look.
    figures = {}
    if attention := attention_on(model, tokens):
        note = choosing_note(attention.loss, attention.loss_uniform, tokenizer.unit)
        note += " The continuation is its own: on a text by others it may be worth less."
        figures["attention.png"] = attention_figure(
            attention.weights, attention.seen, glyphs, prompt_length, f"{title}: where it looks", head, note
        )

    # What mattered to it, which any model can be asked: a backward pass a row, so only the rows that are shown.
    rows = torch.zeros(len(ids), len(ids))  # (T, T)
    rows[-shown:] = influence(model, tokens, num_rows=shown)
    figures["influence.png"] = influence_figure(rows, glyphs, prompt_length, f"{title}: what its next guess hangs on")
    for name, figure in figures.items():
        path = (folder / name).resolve()
        save_figure(figure, path)
        log(f"{path.stem} map: {path}")
