"""What the end of a training lays beside its score: counting, the chapter's default run, the time and the steps."""

from collections.abc import Sequence
from statistics import mean

from shared.errors import UserError
from shared.measure import ngrams
from shared.measure.ngrams import MOST_COUNTED, MOST_SCORED
from shared.run.records import NUMBER, TABLE, TEXT, read_json
from shared.run.stage import Stage, too_short

# Of a default run.
KEPT = {
    "corpus": {"sha256": TEXT} | TABLE, "validation": {"perplexity": NUMBER} | TABLE, "training_seconds": NUMBER,
    ...: object,
}  # fmt: skip


def verdict(
    stage: Stage,
    settings: dict,
    corpus: str,
    ids: tuple[Sequence[int], Sequence[int]],
    vocab_size: int,
    perplexity: float,
    seconds: float,
) -> list[str]:
    """Up to three lines on a run that reached this perplexity in so many seconds.

    corpus: the hash of the text; ids: those of its training and of its validation text.
    """
    (train_ids, validation_ids), lines = ids, []
    order = 5 if len(train_ids) < 2e6 else 3  # some seconds of counting at most
    part = f" of the first {MOST_COUNTED:,} tokens" if len(train_ids) > MOST_COUNTED else ""
    try:
        score = ngrams.score(train_ids[:MOST_COUNTED], validation_ids[:MOST_SCORED], vocab_size, order)
        counted = score.orders[-1].perplexity
        beaten = "this run is better" if perplexity < counted else "this run has learned less"
        lines.append(f"counting    perplexity {counted:.2f} ({order}-grams{part}, no network): {beaten}")
    except UserError:  # too short a text to be counted
        pass
    if reached := default_run(stage, settings["tokenizer"], corpus):
        lines.append("chapter     perplexity {:.2f} in {:.1f} minutes, by the default run".format(*reached))
    short = too_short(settings["max_steps"], stage.settings(settings["tokenizer"])["max_steps"])
    return [*lines, f"time        {seconds / 60:.1f} minutes" + (f"; {short}" if short else "")]


def default_run(stage: Stage, tokenizer: str, corpus: str) -> tuple[float, float] | None:
    """Perplexity and minutes of the stage's kept default runs on this text, their mean; None if there are none."""
    paths = sorted(stage.folder.glob(f"results/*-{tokenizer}-default-seed*.json"))
    runs = [run for run in (read_json(path, KEPT) for path in paths) if run["corpus"]["sha256"] == corpus]
    if not runs:
        return None
    return mean(run["validation"]["perplexity"] for run in runs), mean(run["training_seconds"] for run in runs) / 60
