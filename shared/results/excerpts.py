"""Kept results -> what the front page and the chapters show of them: the default runs on the bundled words."""

from statistics import mean

from shared.results.kept import best_order, default_runs
from shared.show.tables import in_minutes, spread
from shared.stages import stage_title

LINES_OF_SAMPLE = 8


def front_scores(runs: list[dict], counts: list[dict]) -> str:
    """One line with every stage's perplexity, and the first speeches of the last stage's sample."""
    by_stage = runs_by_stage(runs)
    if not by_stage:
        return ""
    named = [f"counting {best_order(count)['perplexity']:.1f}" for count in default_counts(counts)]
    named += [f"{stage_title(stage)} {mean(perplexities(of_stage)):.1f}" for stage, of_stage in by_stage.items()]
    stage, of_stage = list(by_stage.items())[-1]
    sample = of_stage[0]["sample"]
    told = (
        f"What the {stage_title(stage)} writes (seed {sample['seed']}, temperature {sample['temperature']}, unedited)"
    )
    text = first_speeches(sample["text"], LINES_OF_SAMPLE)
    return f"**{' → '.join(named)}**\n\n{told}:\n\n```text\n{text}\n```"


def chapter(runs: list[dict], counts: list[dict]) -> str:
    """What a stage's chapter shows of its default runs: score, learning curve and a sample."""
    runs = default_runs(runs)
    if not runs:
        return ""
    seeds = f"seed {runs[0]['settings']['seed']}" if len(runs) == 1 else f"the mean of {len(runs)} seeds"
    steps, duration = runs[0]["settings"]["max_steps"], in_minutes(mean(run["command_seconds"] for run in runs))
    lines = [f"Validation perplexity {spread(perplexities(runs), 1)}, {seeds}, after {steps:,} steps in {duration}."]
    lines += [f"Counting reaches {best_order(count)['perplexity']:.1f}." for count in default_counts(counts)]
    sample = runs[0]["sample"]
    lines += ["", f"![{stage_title(runs[0]['stage'])}: loss while training](figures/learning_curve.png)", ""]
    lines += [f"An unedited sample (seed {sample['seed']}, temperature {sample['temperature']}):", ""]
    return "\n".join([*lines, "```text", sample["text"].strip("\n"), "```"])


def temperatures(passage: dict) -> str:
    """The samples at several temperatures that are kept with a stage's reading of the passage, each cut to be short."""
    parts = []
    for sample in passage.get("samples", []):
        parts += [f"Temperature {sample['temperature']} (seed {sample['seed']}, unedited):"]
        parts += [f"```text\n{first_speeches(sample['text'], LINES_OF_SAMPLE)}\n```"]
    return "\n\n".join(parts)


def runs_by_stage(runs: list[dict]) -> dict[str, list[dict]]:
    """Stage -> its default runs, in the order of the course."""
    runs = default_runs(runs)
    return {stage: [run for run in runs if run["stage"] == stage] for stage in sorted({run["stage"] for run in runs})}


def default_counts(counts: list[dict]) -> list[dict]:
    """Counting on the tokens of the default runs; nothing where that was not kept."""
    return [count for count in counts if (count["corpus"]["name"], count["tokenizer"]) == ("shakespeare", "word")]


def perplexities(runs: list[dict]) -> list[float]:
    """On the validation text, one a run."""
    return [run["validation"]["perplexity"] for run in runs]


def first_speeches(text: str, lines: int) -> str:
    """Whole speeches from the beginning, until there are so many lines.

    >>> first_speeches("KING:\\nNo.\\n\\nQUEEN:\\nWhy?\\n\\nKING:\\nI say", 4)
    'KING:\\nNo.\\n\\nQUEEN:\\nWhy?'
    """
    shown = ""
    for speech in text.strip("\n").split("\n\n"):
        if len(shown.splitlines()) >= lines:
            break
        shown += f"\n\n{speech}" if shown else speech
    return shown
