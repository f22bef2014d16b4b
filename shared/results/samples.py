"""What is still asked of a model when its run is kept: an unedited sample, and characters scored in windows."""

from itertools import islice

import torch

from shared.errors import UserError
from shared.measure.evaluation import evaluate_in_windows
from shared.model.language_model import LanguageModel
from shared.model.sampling import generate
from shared.stages import ROOT
from shared.text.corpus import load_corpus, text_of_run
from shared.text.tokenizer import Tokenizer

# A blank line: every tokenizer knows it, and in a play a new speech begins after it.
PROMPT = "\n\n"
SAMPLE_SEED, SAMPLE_TEMPERATURE = 1, 0.8
SAMPLE_CHARACTERS = 300  # about sixty words; counted in characters, samples of all tokenizers are equally long
WINDOW_LENGTH, WINDOWS = 256, 640  # characters in a window, and windows: as in most published numbers


@torch.no_grad()
def write_sample(model: LanguageModel, tokenizer: Tokenizer, temperature: float = SAMPLE_TEMPERATURE) -> dict:
    """An unedited sample, and how it was drawn."""
    generator = torch.Generator().manual_seed(SAMPLE_SEED)
    steps = generate(
        model,
        tokenizer.encode(PROMPT),
        temperature=temperature,
        banned=tokenizer.unk_id,
        generator=generator,
    )
    # A streamer, because a byte pair may end within a character: it holds back what is not yet text.
    streamer, text = tokenizer.streamer(), ""
    for token in islice(steps, SAMPLE_CHARACTERS):
        text += streamer.push(token.item())
        if len(text) >= SAMPLE_CHARACTERS:
            break
    return {"prompt": PROMPT, "seed": SAMPLE_SEED, "temperature": temperature, "text": text + streamer.flush()}


def nats_in_windows(model: LanguageModel, tokenizer: Tokenizer, summary: dict) -> float:
    """The estimate that most published numbers on characters are: random windows, each read from nothing.

    UserError: the run's text has changed since.
    """
    corpus = load_corpus(text_of_run(summary["settings"]["data"], ROOT / summary["stage"]))
    if corpus.sha256 != summary["corpus"]["sha256"]:
        raise UserError(f"{summary['settings']['data']} is not the text of this run any more; train again")
    validation = torch.tensor(tokenizer.encode(corpus.validation))
    return evaluate_in_windows(model, validation, WINDOW_LENGTH, WINDOWS, seed=SAMPLE_SEED)
