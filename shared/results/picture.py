"""Pictures of all stages together: how far back each memory reaches, and one line as four memories read it."""

from pathlib import Path

from shared.errors import UserError
from shared.results.kept import words_of
from shared.run.cli import rebuilt_command
from shared.run.records import COUNT, NUMBER, TABLE, TEXT, read_json, write_json
from shared.show.curves import gradient_figure
from shared.show.figures import save_figure
from shared.show.reading import memories_figure
from shared.stages import STAGES, stage_title

FINDING = "The RNN lets go, the LSTM fades, attention keeps its whole window"  # a test asks the kept numbers for it
RECALLED = "One line, four memories: only the Attention LSTM goes back to “pains”"  # a test asks for this one too
# What is read of a comparison's results.json.
COMPARISON = {
    "command": TEXT, "machine": TABLE, "corpus": {"name": TEXT} | TABLE, "tokenizer": {"name": TEXT} | TABLE,
    "table": [{"stage": TEXT, "title": TEXT, "validation_perplexity": (None, NUMBER)} | TABLE],
    "curves": {
        "gradient": {
            "distances": [COUNT], "targets": COUNT, "stages": [{"stage": TEXT, "norms": [NUMBER]} | TABLE], ...: object,
        },
        ...: object,
    },
    ...: object,
}  # fmt: skip
PLACES = ("--checkpoints", "--out", "--data", "--device")  # flags that say where on a machine something lay


def keep_gradient(comparison: Path, folder: Path) -> Path:
    """Keep the gradient by distance of a comparison's results.json in `folder`, and draw it there -> the picture."""
    kept = kept_gradient(read_json(comparison, COMPARISON))
    write_json(folder / "gradient.json", kept)
    save_figure(gradient_figure(kept["gradient"], kept["titles"], FINDING, "words"), folder / "gradient.png")
    return folder / "gradient.png"


def kept_gradient(comparison: dict) -> dict:
    """What is kept of a comparison: the gradient by distance, and of which runs it is.

    UserError: they are not all stages on the bundled words, so the front page would say of them what is not so.
    """
    rows = {row["stage"]: row for row in comparison["table"] if row["stage"] in STAGES}
    text, tokens = comparison["corpus"]["name"], comparison["tokenizer"]["name"]
    if (text, tokens, len(rows)) != ("shakespeare", "word", len(STAGES)):
        raise UserError(
            f"the front page shows all stages on the bundled words; this compares {len(rows)} on {text}, {tokens}"
        )
    return {
        "command": rebuilt_command(words_of(comparison["command"]), drop=PLACES),
        "machine": comparison["machine"],
        "titles": {stage: row["title"] for stage, row in rows.items()},
        "validation_perplexity": {stage: row["validation_perplexity"] for stage, row in rows.items()},
        "gradient": comparison["curves"]["gradient"],
    }


def draw_memories(root: Path) -> list[Path]:
    """Draw the common passage, without its last word, as all stages read it -> the picture; none before all have."""
    paths = {stage: root / stage / "results" / "passage.json" for stage in STAGES}
    if not all(path.is_file() for path in paths.values()):
        return []
    kept = {stage_title(stage): read_json(path) for stage, path in paths.items()}
    *tokens, actual = next(iter(kept.values()))["tokens"]
    figure = memories_figure({name: of_stage["guess"] for name, of_stage in kept.items()}, tokens, actual, RECALLED)
    path = root / "shared" / "results" / "four-memories.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path)
    return [path]
