"""What is measured of trained stages to lay them side by side: a table's rows, curves, and the maps of a prompt.

Everything comes out as numbers, lists and dicts, which `plain` makes ready for JSON. A `Trained` is one finished run.
What needs several seeds takes a list of runs, all of one stage; curves and maps are of the first of them.
"""

import math
import time
from dataclasses import dataclass
from itertools import islice
from statistics import mean

import torch
from torch import Tensor

from shared.compare.runs import Trained
from shared.measure.evaluation import evaluate
from shared.measure.faithfulness import attention_on, evaluate_uniform, map_correlation
from shared.measure.influence import influence
from shared.measure.reach import context_losses, gradient_by_distance, position_losses, spread_targets
from shared.model.language_model import LanguageModel, num_parameters, state_bytes
from shared.model.sampling import generate
from shared.run.generation import MAP_TOKENS
from shared.text.batches import as_tensor
from shared.text.corpus import Corpus
from shared.text.tokenizer import Tokenizer

STATE_LENGTHS = (16, 256, 1024)  # tokens read before the state is measured
CONTEXT_LENGTHS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
CONTEXT_TARGETS = 1000
WINDOW = 128  # tokens, for the loss by position: more than any stage reads at once in training
POSITION_TOKENS = 32_768  # of the validation text, for the loss by position
DISTANCES = 300  # how far back gradients are followed: further than stage 4's layers together can see by default
GRADIENT_TARGETS = 64
FAITHFUL_TOKENS = 65_536  # for the loss when attention is uniform: all of the bundled validation text
FILLED, GENERATED = 512, 200  # tokens read before generation is timed, and tokens generated
LIKELIEST = 5  # next tokens shown at each place of the prompt


Json = dict | list | tuple | str | int | float | bool | None


@dataclass(frozen=True)
class HeldOut:
    """Ids of a text that no stage has learned from, and its characters where the tokenizer is lossless."""

    ids: Tensor
    characters: int | None


def held_out(tokenizer: Tokenizer, text: str) -> HeldOut:
    """A text as ids. Its characters are those of the tokens that are scored, all but the first."""
    ids = tokenizer.encode_long(text)
    return HeldOut(as_tensor(ids).long(), len(tokenizer.decode(ids[1:])) if tokenizer.lossless else None)


def text_facts(corpus: Corpus, tokenizer: Tokenizer, texts: dict[str, HeldOut]) -> dict:
    """The corpus, the tokenizer, and which share of each held-out text is the unknown word, <unk>.

    None where the tokenizer knows everything, as characters and byte pairs do, or where there is no text.
    """
    shares = {}
    for name, text in texts.items():
        defined = tokenizer.unk_id is not None and len(text.ids)
        shares[f"share_unknown_{name}"] = tokenizer.share_unknown(text.ids.tolist()) if defined else None
    return {
        "corpus": {"name": corpus.name, "sha256": corpus.sha256},
        "tokenizer": {"name": tokenizer.name, "unit": tokenizer.unit, "vocab_size": tokenizer.vocab_size} | shares,
    }


# ----------------------------------------------------------------------------------------------------------- the table


def table_row(runs: list[Trained], texts: dict[str, HeldOut]) -> dict:
    """A stage's row: means over its runs, and how far their validation perplexities spread.

    Tokens and seconds of training are those until best.pt was written, validations included.
    """
    rows = [costs(run) | scores(run, texts) for run in runs]
    row = {name: mean_or_none([row[name] for row in rows]) for name in rows[0]}
    perplexities = [row["validation_perplexity"] for row in rows]
    return {
        "stage": runs[0].stage,
        "title": runs[0].title,
        "runs": len(runs),
        "seeds": [run.saved["settings"]["seed"] for run in runs],
        "validation_perplexity_spread": [min(perplexities), max(perplexities)] if len(runs) > 1 else None,
        "parameters": num_parameters(runs[0].model),
        "state_bytes": {str(length): carried_bytes(runs[0].model, length) for length in STATE_LENGTHS},
    } | row


def costs(run: Trained) -> dict:
    """What training took, as the run recorded it; how fast it generates here; and the size of its checkpoint."""
    progress = run.saved["progress"]
    return {
        "training_tokens": progress["tokens"],
        "training_seconds": progress["seconds"],
        "training_tokens_per_second": progress["tokens"] / progress["seconds"],
        "generation_tokens_per_second": generation_rate(run.model),
        "checkpoint_bytes": run.path.stat().st_size,
    }


def generation_rate(model: LanguageModel) -> float:
    """Tokens a second, one text alone, sampling included, when it is already longer than any window.

    A window that is still filling has less to attend to, so the first tokens would look faster than the rest.
    """
    steps = generate(model, [0] * FILLED)
    next(steps)  # reads the text; from now on each step reads the token just generated
    began = time.perf_counter()
    for _ in islice(steps, GENERATED):
        pass
    return GENERATED / (time.perf_counter() - began)


def scores(run: Trained, texts: dict[str, HeldOut]) -> dict:
    """Perplexity and bits per character on each text; None where there is no text.

    Bits per character are None for a tokenizer that loses something: they count the characters of the whole text.
    """
    found = {}
    for name, text in texts.items():
        there = len(text.ids) > 1
        score = evaluate(run.model, text.ids, run.context_length, text.characters) if there else None
        found[f"{name}_perplexity"] = score.perplexity if there else None
        found[f"{name}_bits_per_character"] = score.bits_per_character if there else None
    return found


@torch.no_grad()
def carried_bytes(model: LanguageModel, length: int) -> int:
    """The size of the state after so many tokens, in bytes; it depends on their number alone."""
    tokens = torch.zeros(1, length, dtype=torch.long, device=model.embedding.weight.device)
    return state_bytes(model.features(tokens, None, False)[1])


def mean_or_none(values: list) -> float | None:
    """The mean, or None where a value is missing."""
    return None if None in values else mean(values)


# ----------------------------------------------------------------------------------------------------------- the curves


def learning_curve(run: Trained) -> dict:
    """Validation losses in nats per token, and what had been read and spent by then."""
    measured = [record for record in run.records if "validation_loss" in record]
    names = ("tokens", "seconds", "validation_loss")
    return {"stage": run.stage} | {name: [record[name] for record in measured] for name in names}


def context_curves(runs: list[Trained], ids: Tensor) -> dict:
    """The loss of the same targets, when the model was given the last 1, 2, 4, ... tokens before them."""
    # At least half of the text must be left to predict.
    lengths = [length for length in CONTEXT_LENGTHS if length == 1 or length <= len(ids) // 2]
    targets = spread_targets(len(ids), lengths[-1], CONTEXT_TARGETS)
    curves = []
    for run in runs:
        losses = context_losses(run.model, ids, targets, lengths)  # (lengths, targets)
        nats = losses.mean(-1)  # (lengths)
        curves.append({
            "stage": run.stage,
            "nats": nats,
            "perplexity": nats.exp(),
            "standard_error": losses.std(-1) / math.sqrt(len(targets)),
        })  # fmt: skip
    return {"lengths": lengths, "targets": len(targets), "stages": curves}


def position_curve(run: Trained, ids: Tensor) -> dict:
    """The loss by position in a window that is read from nothing."""
    nats, counts = position_losses(run.model, ids[:POSITION_TOKENS], WINDOW)
    return {"stage": run.stage, "length": len(nats), "nats": nats, "counts": counts}


def gradient_curves(runs: list[Trained], ids: Tensor) -> dict:
    """The size of the gradient at the token read 0, 1, 2, ... places before the newest."""
    length = min(DISTANCES, len(ids) // 2)
    # Some of the context curve's targets: a gradient takes a backward pass for each.
    targets = spread_targets(len(ids), length, CONTEXT_TARGETS)
    targets = targets[:: math.ceil(len(targets) / GRADIENT_TARGETS)]
    norms = [gradient_by_distance(run.model, ids, targets, length) for run in runs]
    stages = [{"stage": run.stage, "norms": norm} for run, norm in zip(runs, norms)]
    return {"distances": list(range(length)), "targets": len(targets), "stages": stages}


# ------------------------------------------------------------------------------------------------------------ the maps


def prompt_facts(tokenizer: Tokenizer, text: str, ids: list[int]) -> dict:
    """The prompt as the maps show it: its last tokens, and a notice where there were more."""
    left_out = len(ids) - MAP_TOKENS
    cut = f"the first {left_out} of {len(ids)} tokens of the prompt were left out" if left_out > 0 else None
    return {"text": text, "tokens": [tokenizer.glyph(token) for token in ids[-MAP_TOKENS:]], "cut": cut}


def prompt_maps(runs: list[Trained], tokenizer: Tokenizer, ids: list[int], worth: dict | None) -> dict:
    """What the first run of a stage looked at, what mattered to it and what it expected, at each token of the prompt.

    ids: the prompt, of which the last T tokens are shown. Row t of a map belongs to the token just read. worth: what
    `attention_worth` found, which joins what is measured of the attention here.
    """
    run, tokens = runs[0], torch.tensor(ids[-MAP_TOKENS:])
    tokens = tokens.to(run.model.embedding.weight.device)
    attention = attention_on(run.model, tokens)
    gates = {name: values.abs().mean(-1) for name, values in run.model.trace(tokens[None]).items()}  # name -> (T)
    return {
        "stage": run.stage,
        "title": run.title,
        "influence": influence(run.model, tokens),
        "attention": attention and attention.weights,
        "choosing": attention and {name: getattr(attention, name) for name in ("seen", "loss", "loss_uniform")},
        "gates": gates or None,
        "faithfulness": worth and worth | correlations_of(runs, tokens),
    } | expectations(run.model, tokenizer, tokens)


@torch.no_grad()
def expectations(model: LanguageModel, tokenizer: Tokenizer, tokens: Tensor) -> dict:
    """After each token (T), the likeliest next ones, and how likely the one was that came; None after the last."""
    probabilities = model(tokens[None])[0][0].softmax(-1).cpu()  # (T, V)
    values, likeliest = probabilities.topk(min(LIKELIEST, tokenizer.vocab_size))  # (T, LIKELIEST) both
    following = [
        [{"token": tokenizer.glyph(token), "probability": p} for token, p in zip(*row)]
        for row in zip(likeliest.tolist(), values.tolist())
    ]
    actual = probabilities[range(len(tokens) - 1), tokens[1:].cpu()].tolist()
    return {"next": following, "actual_next": [*actual, None]}


@torch.no_grad()
def attention_worth(run: Trained, validation: Tensor) -> dict | None:
    """What the loss becomes if every place that may be seen gets the same weight; None without attention."""
    ids = validation[:FAITHFUL_TOKENS]
    _, _, attention = run.model(ids[None, :1].to(run.model.embedding.weight.device), return_attention=True)
    if attention is None:
        return None
    score = evaluate(run.model, ids, run.context_length)
    uniform = evaluate_uniform(run.model, ids, run.context_length)
    return {"loss": score.loss, "loss_uniform": uniform.loss, "tokens": score.count}


def correlations_of(runs: list[Trained], tokens: Tensor) -> dict:
    """How a stage's attention on the prompt correlates with influence, the gradient at each token read."""
    correlations = [attention_correlation(run.model, tokens) for run in runs]
    spread = len(runs) > 1 and None not in correlations
    return {
        "correlation": correlations[0],
        "correlation_spread": [min(correlations), max(correlations)] if spread else None,
    }


def attention_correlation(model: LanguageModel, tokens: Tensor) -> float | None:
    """Attention, as the mean of all layers and heads, against influence; tokens (T)."""
    return map_correlation(attention_on(model, tokens).weights.mean((0, 1)), influence(model, tokens))


# --------------------------------------------------------------------------------------------------------------- plain


def plain(value: Tensor | Json) -> Json:
    """Tensors as lists, floats to eight figures, None for what is no finite number: what JSON can hold."""
    if isinstance(value, Tensor):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.8g}") if math.isfinite(value) else None
    return value
