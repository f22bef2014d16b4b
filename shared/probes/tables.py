"""The probes' results as text: for the terminal, and for the notebook of results."""

from pathlib import Path

from shared.probes.questions import Context, Question
from shared.run.records import read_json
from shared.show.tables import for_terminal, markdown, wrapped
from shared.text.signs import visible

PICTURE = "![A panel for each probe: the share of right answers by distance, one curve a stage](probes.png)"
SHOWN = 24  # words of an example's context


def printed(results: dict) -> str:
    """All probes for a terminal."""
    return "\n\n".join(
        "\n".join([*map(wrapped, facts(probe)), for_terminal(probe_lines(probe))]) for probe in results["probes"]
    )


def notebook(path: Path) -> str:
    """For the notebook, from the kept file: the picture, a table over all probes, then one each; nothing if none is."""
    if not path.is_file():
        return ""
    results = read_json(path)
    parts = [PICTURE, markdown(overview(results["probes"]))]
    for probe in results["probes"]:
        title, idea, asked, *pairs = facts(probe)
        block = "\n".join(["```text", *pairs, "```"])
        parts += [f"**{title[0].upper()}{title[1:]}.** {idea} {asked}", block, markdown(probe_lines(probe))]
    computed = "{system} ({cpu}), threads: {cores}, PyTorch {torch}".format(**results["machine"])
    return "\n\n".join([*parts, f"`{results['command']}`, {results['seconds']:.0f} s on {computed}."])


def facts(probe: dict) -> list[str]:
    """Title, idea, how many questions there are and were left out, and an example's continuations, a line each."""
    left_out = probe["left_out"]
    return [
        probe["title"],
        probe["idea"],
        f"{probe['rows'][0]['questions']:,} questions; left out: {left_out['unknown']:,} with <unk>, "
        f"{left_out['in_training']:,} with eight tokens in a row from the training text. Chance: {probe['chance']}.",
        *probe["example"],
    ]


def overview(probes: list[dict]) -> list[list[str]]:
    """Lines of cells: a line a probe, a column for counting and for each stage."""
    lines = [["probe", "questions", *(row["title"] for row in probes[0]["rows"])]]
    for probe in probes:
        rows = probe["rows"]
        lines.append([probe["title"], f"{rows[0]['questions']:,}", *(share_text(row) for row in rows)])
    return lines


def probe_lines(probe: dict) -> list[list[str]]:
    """Lines of cells: a line for counting and for each stage, a column a distance; then over all distances."""
    rows = probe["rows"]
    distances = [part["distance"] for part in rows[0]["by_distance"]]
    heads = [f"{low} to {2 * low - 1}" if low > 1 else "1" for low in distances]
    lines = [["tokens back", *heads, "all", "over seeds", "nats", "seeds"]]
    for row in rows:
        seeds = "" if row["seed_error"] is None else f"± {row['seed_error']:.3f}"
        nats = f"{row['nats']:.2f} ± {row['nats_error']:.2f}"
        parts = [share_text(part) for part in row["by_distance"]]
        lines.append([row["title"], *parts, share_text(row), seeds, nats, str(len(row["seeds"]) or "")])
    return lines


def share_text(part: dict) -> str:
    """A share with its standard error over questions."""
    return f"{part['share']:.2f} ± {part['error']:.2f}"


# ----------------------------------------------------------------------------------------------------------- an example


def example(questions: list[Question]) -> list[str]:
    """One of the questions, at a middle distance, in lines: each context with what is right, and what is not."""
    asked = sorted(questions, key=lambda question: question.distance)[len(questions) // 2]
    reach = max(asked.distance, asked.checked) + 1
    wrong, shown = dict(asked.wrong), []
    for context, answer in asked.right:
        other = f", not {visible(wrong.pop(context))}" if context in wrong else ""
        shown.append(continuation_text(context, answer, reach) + other)
    # What is left: a context after which the same answer is wrong.
    return shown + [f"rather than {continuation_text(context, answer, reach)}" for context, answer in wrong.items()]


def continuation_text(context: Context, answer: str, reach: int) -> str:
    """The last words of a context and its continuation; where it is long, its middle is left out."""
    words = [visible(word) for word in context[-reach:]]
    if len(words) > SHOWN:
        words = [*words[: SHOWN // 2], "...", *words[-SHOWN // 2 :]]
    return f"{' '.join(words)} > {visible(answer)}"
