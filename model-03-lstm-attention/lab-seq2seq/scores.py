"""How good a model is: whole outputs that are right, and whether attention looks where the answer stands."""

from collections import Counter

import torch
import torch.nn.functional as F
from torch import Tensor

from examples import Examples, Lines, Vocabularies, encoded, held_out_strings, lengths_of, windows
from model import PAD, Seq2Seq, shifted
from search import beam_search, greedy

BATCH = 512
MAX_LENGTH = 51  # of an output, its end included; none of those wanted is longer
OFFSETS = (0, -1, 1)


def outputs(model: Seq2Seq, examples: Examples, width: int = 1) -> Tensor:
    """The model's output for each example (N, MAX_LENGTH), PAD behind its end: greedy, or with a beam."""
    model.eval()
    found = torch.full((len(examples), MAX_LENGTH), PAD)
    for chosen, (source, lengths, _) in examples.batches(BATCH):
        source, lengths = source.to(model.device), lengths.to(model.device)
        if width == 1:
            output, _ = greedy(model, source, lengths, MAX_LENGTH)
        else:
            output, _ = beam_search(model, source, lengths, MAX_LENGTH, width)
        found[chosen, : output.size(1)] = output.cpu()
    return found


def exact(model: Seq2Seq, examples: Examples) -> Tensor:
    """Whether each example's greedy output is right from the first symbol to EOS: (N) bool."""
    wanted = F.pad(examples.targets, (0, MAX_LENGTH - examples.targets.size(1)), value=PAD)
    return (outputs(model, examples) == wanted).all(1)


@torch.no_grad()
def mean_loss(model: Seq2Seq, examples: Examples) -> float:
    """Cross-entropy in nats per symbol, EOS counted and padding not: summed over all examples, divided once."""
    model.eval()
    nats = sum(
        model.loss(source.to(model.device), lengths.to(model.device), targets.to(model.device)).item()
        for _, (source, lengths, targets) in examples.batches(BATCH)
    )
    return nats / lengths_of(examples.targets).sum().item()


# -------------------------------------------------------------------------------------------------- copying, reversing


def string_scores(model: Seq2Seq, task: str, longest: int, each: int = 100) -> dict[str, float]:
    """Of held-out strings of all lengths trained, the share that is exact; and where attention stands."""
    examples = held_out_strings(task, list(range(1, longest + 1)), each)
    right = exact(model, examples)
    scores = {"exact": right.double().mean().item(), "exact, longest": right[-each:].double().mean().item()}
    aligned = alignment(model, examples, task == "reverse")
    if aligned is not None:
        scores |= {"on its place": aligned[0], "offset": float(max(aligned, key=aligned.get))}
    return scores


@torch.no_grad()
def alignment(model: Seq2Seq, examples: Examples, reverse: bool) -> dict[int, float] | None:
    """Offset -> share of steps in which the heaviest weight (mean over heads) is that far from the letter to write.

    EOS is no letter and not counted. None without attention.
    """
    model.eval()
    hits, steps = Counter(), 0
    for _, (source, lengths, targets) in examples.batches(BATCH):
        batch = (source, lengths, shifted(targets))
        _, weights = model(*(tensor.to(model.device) for tensor in batch), return_attention=True)  # (B, heads, T, S)
        if weights is None:
            return None
        looked = weights.mean(1).argmax(-1).cpu()  # (B, heads, T, S) -> (B, T): the column of the heaviest weight
        letters = lengths[:, None] - 1  # (B, 1), without EOS
        position = torch.arange(targets.size(1))[None]  # (1, T)
        place = letters - 1 - position if reverse else position  # where the letter to write stands in the source
        real = position < letters  # (B, T)
        steps += int(real.sum())
        for offset in OFFSETS:
            hits[offset] += int(((looked == place + offset) & real).sum())
    return {offset: hits[offset] / steps for offset in OFFSETS}


# ------------------------------------------------------------------------------------------------------------ spelling


def word_scores(lines: Lines, predicted: list[str], seen: set[str]) -> tuple[float, float]:
    """Share of right words among all, and among those whose old form was never seen in training."""
    pairs = [pair for line in lines for pair in line]
    right = [modern == guess for (_, modern), guess in zip(pairs, predicted, strict=True)]
    unseen = [good for (old, _), good in zip(pairs, right) if old not in seen]
    return sum(right) / len(right), sum(unseen) / max(1, len(unseen))


def modernised(model: Seq2Seq, lines: Lines, vocabularies: Vocabularies, context: int) -> list[str]:
    """The model's modern form of every word of the lines, in order."""
    sources = [source for source, _ in windows(lines, context)]
    distinct = sorted(set(sources))
    found = outputs(model, encoded([(source, "") for source in distinct], vocabularies))
    form = dict(zip(distinct, map(vocabularies.target.decode, found.tolist())))
    return [form[source] for source in sources]
