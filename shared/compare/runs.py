"""The trained runs that a comparison lays side by side: loading them, and refusing what cannot be compared."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from shared.errors import UserError
from shared.model.language_model import LanguageModel
from shared.run.checkpoint import checkpoint_file, load_checkpoint
from shared.run.cli import log
from shared.run.folder import earlier_runs
from shared.run.records import differing_setting, read_records
from shared.run.restore import restore_language_model
from shared.run.stage import too_short
from shared.stages import ROOT, STAGES, load_stage, stage_title
from shared.text.corpus import NAMES, Corpus, load_corpus, text_of_run, user_path


@dataclass(frozen=True)
class Trained:
    """A stage's best.pt, ready to be asked, and the records of its training where metrics.jsonl lies beside it."""

    stage: str
    path: Path
    saved: dict
    model: LanguageModel
    records: list[dict]

    @property
    def title(self) -> str:
        """The model's name in words: "Mini Transformer"."""
        return stage_title(self.stage)

    @property
    def context_length(self) -> int:
        """Tokens that a training step read at once."""
        return self.saved["settings"]["context_length"]


def load_trained(path: Path, device: torch.device) -> Trained:
    """The run whose best.pt (or whose folder) this is. UserError: no checkpoint, or one of no stage."""
    path = checkpoint_file(path)
    model, _, saved = restore_language_model(path, device)
    return Trained(saved["stage"], path, saved, model, read_records(path.with_name("metrics.jsonl")))


def by_stage(runs: list[Trained]) -> list[list[Trained]]:
    """The runs of each stage that has one. Several seeds give one row; curves and maps are of the first."""
    stages = [[run for run in runs if run.stage == stage] for stage in STAGES]
    return [of_stage for of_stage in stages if of_stage]


def firsts_of(runs: list[Trained]) -> list[Trained]:
    """The first run of each stage that has one, in the order of the stages."""
    return [of_stage[0] for of_stage in by_stage(runs)]


def named_checkpoints(paths: list[Path]) -> list[Path]:
    """The checkpoints of these files or folders, in their order; one that is named in two ways comes once."""
    return list(dict.fromkeys(checkpoint_file(path).resolve() for path in paths))


def stage_checkpoints() -> list[Path]:
    """The best.pt of every stage that has been trained; a line on each that has not. UserError: none has."""
    paths = {stage: ROOT / stage / "checkpoints" / "best.pt" for stage in STAGES}
    missing = [stage for stage, path in paths.items() if not path.is_file()]
    earlier = {stage: earlier_runs(paths[stage].parent) for stage in missing}
    if len(missing) == len(STAGES):
        kept = [str(folder) for folders in earlier.values() for folder in folders[-1:]]
        raise UserError(
            f"no stage has been trained; train one: python train.py in {missing[0]}, "
            "or all under one budget: python -m shared.compare --train; those that come with the course need no "
            "training: python -m shared.compare --pretrained"
            + (f"; or compare earlier runs: --checkpoints {' '.join(kept)}" if kept else "")
        )
    for stage in missing:
        kept = ", ".join(map(str, earlier[stage]))
        log(
            f"missing     {stage}, not compared; train it: python train.py in {stage}"
            + (f"; or name an earlier run with --checkpoints: {kept}" if kept else "")
        )
    return [path for path in paths.values() if path.is_file()]


def load_corpus_of(runs: list[Trained], data: str | list[str] | None) -> Corpus:
    """The text that the runs have read, by its hash: where --data says, or where the first run found it."""
    saved = runs[0].saved
    place = data or text_of_run(saved["settings"]["data"], ROOT / runs[0].stage)
    paths = [name for name in ([place] if isinstance(place, str) else place) if name not in NAMES]
    if data is None and not all(user_path(name).exists() for name in paths):
        raise UserError(f"the runs read {saved['corpus']['name']}; say where it lies now: --data PATH")
    corpus = load_corpus(place, at_blank_line=saved["tokenizer"]["name"] == "word")
    if corpus.sha256 != saved["corpus"]["sha256"]:
        raise UserError(
            f"{corpus.name} is not the text that the runs read, {saved['corpus']['name']}; name that with --data"
        )
    return corpus


def check_comparable(runs: list[Trained]) -> None:
    """UserError where two runs read another text, cut it otherwise, or are no repetitions of one run of their stage."""
    first = runs[0]
    for run in runs[1:]:
        # Perplexity is per token, so it can be compared only on the same text cut into the same tokens.
        for what in ("corpus", "tokenizer"):
            if identity(run, what) != identity(first, what):
                sides = [f"{each.stage} has {described(each, what)}" for each in (first, run)]
                kept = earlier_like(first, run, what) or earlier_like(run, first, what)
                raise UserError(
                    f"the {what} differs: {', '.join(sides)}; name runs on the same {what} with --checkpoints"
                    + (f", such as {kept}" if kept else "")
                )
        # Several runs of a stage become one row, a mean over seeds, so they may differ in nothing but chance.
        twin = next(other for other in runs if other.stage == run.stage)
        if difference := differing_setting(run.saved, twin.saved["settings"]):
            raise UserError(f"two runs of {run.stage} are no repetitions of one run: {difference}; name one of them")


def earlier_like(wanted: Trained, run: Trained, what: str) -> Path | None:
    """The newest of the runs kept beside `run` whose corpus or tokenizer is that of `wanted`; None if there is none."""
    for folder in reversed(earlier_runs(run.path.parent)):
        try:
            saved = load_checkpoint(folder / "best.pt")
        except UserError:  # a damaged one, which nobody has named
            continue
        if saved["stage"] == run.stage and identity(replace(run, saved=saved), what) == identity(wanted, what):
            return folder
    return None


def too_short_to_rank(runs: list[Trained]) -> str:
    """A line on the runs that had less than a third of the default's steps; nothing where there are none."""
    found = []
    for run in runs:
        settings = run.saved["settings"]
        default = load_stage(run.stage).settings(settings["tokenizer"])["max_steps"]
        steps = run.records[-1]["step"] if run.records else settings["max_steps"]  # fewer, where it was stopped
        if too_short(steps, default):
            found.append(f"{run.title} {steps:,} of the default's {default:,} steps")
    return f"Runs as short as these do not rank stages: {', '.join(dict.fromkeys(found))}." if found else ""


def identity(run: Trained, what: str) -> str | dict:
    """What must be equal in runs that are compared; a corpus is known by its hash, whatever its name."""
    return run.saved["corpus"]["sha256"] if what == "corpus" else run.saved["tokenizer"]


def described(run: Trained, what: str) -> str:
    """The corpus or the tokenizer of a run, in words that show how it differs from another."""
    if what == "corpus":
        return "{name} (sha256 {sha256:.8}...)".format(**run.saved["corpus"])
    return f"{run.saved['tokenizer']['name']} with {run.saved['model_settings']['vocab_size']:,} tokens"
