"""What a stage's generate.py calls: checkpoint and prompt -> text, and pictures of what the model looked at."""

import sys
from argparse import Namespace
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import torch

from shared.errors import UserError
from shared.measure.influence import influence
from shared.model.language_model import LanguageModel
from shared.model.sampling import generate
from shared.run.cli import log, make_folder
from shared.run.device import choose_device, prepare_process
from shared.run.restore import restore_language_model
from shared.text.decoding import normalise
from shared.text.tokenizer import Tokenizer

MAP_TOKENS = 40  # as many as stay readable on a phone
MAP_MEMORY = 1000  # tokens that are read for a map, whose size grows with their square


def write_text(folder: Path, flags: Namespace) -> None:
    """The whole of generate.py, for the stage in `folder`."""
    if flags.visualize is not None:
        make_folder(Path(flags.visualize), "--visualize")  # before the work of generating
    device = choose_device(flags.device)
    prepare_process(device)
    model, tokenizer, _ = restore_language_model(Path(flags.checkpoint), device, folder.name)
    if flags.interactive:
        converse(model, tokenizer, flags)
        return
    prompt = encode_prompt(tokenizer, flags.prompt)
    samples = write_samples(model, tokenizer, prompt, flags)
    if flags.visualize is not None:
        draw_maps(model, tokenizer, prompt, samples[0], Path(flags.visualize), folder.name)


def encode_prompt(tokenizer: Tokenizer, text: str) -> list[int]:
    """Prompt -> at least one id. Says which words the model does not know, and what it knows that is near."""
    text = normalise(text)  # as the training text was
    ids = tokenizer.encode(text)  # where nothing can stand for an unknown sign, this ends with one line
    for word, near in tokenizer.check_prompt(text):
        hint = f"; it knows {', '.join(near)}" if near else ""
        log(f"the model never learned {word!r} and reads it as <unk>{hint}")
    return ids or [tokenizer.newline_id]


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
    if flags.num_samples == 1:
        return [stream_text(tokenizer, prompt, (step.item() for step in steps))]
    samples = torch.stack(list(steps), dim=1).tolist()  # (num_samples, max_new_tokens)
    for index, sample in enumerate(samples, start=1):
        print(f"--- sample {index}\n{tokenizer.decode(prompt + sample)}")
    return samples


def stream_text(tokenizer: Tokenizer, prompt: list[int], tokens: Iterable[int]) -> list[int]:
    """Print the prompt and then each token as soon as it is there. -> the new ids."""
    streamer, written = tokenizer.streamer(), []
    sys.stdout.write("".join(map(streamer.push, prompt)))
    for token in tokens:
        sys.stdout.write(streamer.push(token))
        sys.stdout.flush()
        written.append(token)
    print(streamer.flush())
    return written


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
    model: LanguageModel, tokenizer: Tokenizer, prompt: list[int], written: list[int], folder: Path, title: str
) -> None:
    """attention.png, where the model has attention, and influence.png, of the prompt and what followed it first."""
    from shared.show.figures import save_figure  # here: without pictures, Matplotlib is not waited for
    from shared.show.maps import attention_figure, influence_figure

    # The end of a long prompt and the beginning of the continuation, so that both are seen.
    ids = (prompt + written)[: max(MAP_TOKENS, len(prompt) + MAP_TOKENS // 2)]
    ids, left_out = ids[-MAP_MEMORY:], max(0, len(ids) - MAP_MEMORY)
    prompt_length, shown = len(prompt) - left_out, min(len(ids), MAP_TOKENS)
    glyphs = [tokenizer.glyph(token) for token in ids]
    tokens = torch.tensor(ids)  # (T)

    # Where the model looked, if it can look: one forward pass tells.
    with torch.no_grad():
        _, _, attention = model(tokens[None].to(model.embedding.weight.device), return_attention=True)
    figures = {}
    if attention is not None:  # (1, layers, heads, T, T)
        figures["attention.png"] = attention_figure(attention[0].float().cpu().numpy(), glyphs, prompt_length, title)

    # What mattered to it, which any model can be asked: a backward pass a row, so only the rows that are shown.
    rows = torch.zeros(len(ids), len(ids))  # (T, T)
    rows[-shown:] = influence(model, tokens, num_rows=shown)
    figures["influence.png"] = influence_figure(rows.numpy(), glyphs, prompt_length, title)
    for name, figure in figures.items():
        path = (folder / name).resolve()
        save_figure(figure, path)
        log(f"{path.stem} map: {path}")
