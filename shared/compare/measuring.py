"""All that is measured of a comparison: first what takes long and depends on the runs alone, then a prompt's maps."""

from pathlib import Path

from shared.compare import measures
from shared.compare.counting import counting
from shared.compare.estimate import measuring_seconds
from shared.compare.guessing import find_passage, passage_to_guess
from shared.compare.live import rounding_cost
from shared.compare.runs import Trained, by_stage, firsts_of, too_short_to_rank
from shared.run.cli import log
from shared.run.records import machine
from shared.show.tables import in_minutes
from shared.text.corpus import Corpus
from shared.text.tokenizer import Tokenizer


def measure(runs: list[Trained], corpus: Corpus, tokenizer: Tokenizer, counts: Path, rounding: bool) -> dict:
    """The table and the curves. counts: where counting is kept; rounding: whether the page will have the models in it.

    `worth` has, by stage, what `with_prompt` joins with each stage's maps.
    """
    texts = {name: measures.held_out(tokenizer, getattr(corpus, name)) for name in ("validation", "test")}
    validation = texts["validation"].ids
    stages, firsts = by_stage(runs), firsts_of(runs)
    to_count = 0 if counts.is_file() else len(corpus.train) * len(validation) / max(1, len(corpus.validation))
    log(f"measuring   takes about {in_minutes(measuring_seconds(stages, texts, to_count))}")
    log("measuring   counting")
    passage = find_passage(tokenizer, validation.tolist())
    counted = counting(corpus, tokenizer, texts, counts, passage)
    to_guess = passage_to_guess(tokenizer, passage, counted.pop("passage"))
    rows = [counted]
    for of_stage in stages:
        log(f"measuring   {of_stage[0].stage}: perplexity and cost")
        rows.append(measures.table_row(of_stage, texts))
    log("measuring   how far each memory reaches")
    curves = {
        "learning": [measures.learning_curve(run) for run in firsts],
        "context": measures.context_curves(firsts, validation),
        "position": {"stages": [measures.position_curve(run, validation) for run in firsts]},
        "gradient": measures.gradient_curves(firsts, validation),
    }
    rounded = {}
    if rounding:
        log("measuring   what rounding the page's weights costs")
        rounded = {run.stage: rounding_cost(run, texts["validation"]) for run in firsts}
    log("measuring   what each attention's choice is worth")
    worth = {run.stage: measures.attention_worth(run, validation) for run in firsts}
    return measures.text_facts(corpus, tokenizer, texts) | {
        "machine": machine(),
        "table": rows,
        "to_guess": to_guess,
        "too_short": too_short_to_rank(runs),
        "curves": curves,
        "rounding": rounded,
        "worth": worth,
    }


def with_prompt(measured: dict, runs: list[Trained], tokenizer: Tokenizer, text: str, ids: list[int]) -> dict:
    """Everything that the page shows: what `measure` found, and the maps of a text, whose ids these are."""
    log("measuring   the prompt's maps")
    worth = measured["worth"]
    maps = [measures.prompt_maps(of, tokenizer, ids, worth[of[0].stage]) for of in by_stage(runs)]
    facts = measures.prompt_facts(tokenizer, text, ids)
    return {name: part for name, part in measured.items() if name != "worth"} | {"prompt": facts | {"stages": maps}}
