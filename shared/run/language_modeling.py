"""What a stage's train.py calls: flags -> corpus -> tokenizer -> batches -> the loop -> a scored model."""

import math
from argparse import Namespace
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from shared.errors import UserError
from shared.measure.evaluation import Evaluation, evaluate
from shared.model.language_model import LanguageModel, State, num_parameters
from shared.model.sampling import generate
from shared.run.cli import log, quoted, with_gutter
from shared.run.device import autocast
from shared.run.experiment import Run, probe, start_run
from shared.run.memory import make_within_memory
from shared.run.moments import Moments
from shared.run.processes import share
from shared.run.restore import restore_language_model
from shared.run.stage import COMMON, Stage
from shared.run.training import Task
from shared.run.verdict import verdict
from shared.show.tables import wrapped
from shared.text.advice import advice
from shared.text.batches import Batch, Lanes, as_tensor
from shared.text.corpus import Corpus, load_corpus, user_path
from shared.text.prompts import passage_for, prompt_for
from shared.text.signs import printable
from shared.text.tokenizer import Tokenizer, tokenizer_from_dict, train_tokenizer

SAMPLE_TOKENS = 40  # of the text shown at each evaluation


def train_language_model(stage: Stage, flags: Namespace) -> None:
    """The whole of a stage's training: read the text, train, say how good the model is and what to type next."""
    # What was asked for: defaults, changed by a preset, changed by flags; or, on --resume, what the saved run has.
    if flags.max_steps and flags.epochs:
        raise UserError("--max-steps and --epochs both say how long to train; give one of them")
    start, known = model_to_start_from(stage, flags) if flags.start_from and not flags.resume else (None, None)
    tokenizer_name = flags.tokenizer or COMMON["tokenizer"]
    run = start_run(stage.folder.name, flags, stage.settings(tokenizer_name), stage.presets(tokenizer_name))
    settings, device = run.settings, run.device

    # Text -> token ids -> batches.
    corpus, tokenizer = load_text(settings, run.saved, known)
    ids = encode_text(corpus, tokenizer)  # of the training and of the validation text
    validation_ids = as_tensor(ids[1]).long()
    lanes = Lanes(as_tensor(ids[0]), settings["batch_size"], settings["context_length"], settings["seed"])
    if settings["epochs"]:
        settings["max_steps"] = math.ceil(settings["epochs"] * lanes.steps_per_epoch)

    # The model, and the precision that suits this machine, which is tried out.
    model_settings = {name: settings[name] for name in stage.model_settings} | {"vocab_size": tokenizer.vocab_size}
    model = make_model(stage, model_settings, settings, device)
    if start:
        model.load_state_dict(start.state_dict())
    step_seconds = probe(model, settings, device, trial_step(model, lanes, device))

    # The training loop (shared/run/training.py).
    introduce(run, corpus, tokenizer, lanes, model, ids, step_seconds)
    task = language_task(model, lanes, validation_ids, tokenizer, settings, device)
    if not flags.no_moments:
        task = replace(task, watch=Moments(model, passage_for(corpus, tokenizer), tokenizer, run.out_dir, settings))
    text = {"name": printable(corpus.name), "sha256": corpus.sha256}
    run.train(model, task, {"model_settings": model_settings, "tokenizer": tokenizer.to_dict(), "corpus": text})

    # How good are the weights that did best? Scored once more: the whole validation split, in float32.
    run.load_best(model)
    characters = len(tokenizer.decode(ids[1][1:])) if tokenizer.lossless else None
    score = evaluate(model, validation_ids, settings["context_length"], characters)
    run.finish(model, corpus=text, validation=validation_summary(score))
    seconds = run.progress.seconds
    lines = verdict(stage, settings, corpus.sha256, ids, tokenizer.vocab_size, score.perplexity, seconds)
    conclude(stage, run.out_dir, score, lines, prompt_for(corpus, tokenizer))


def model_to_start_from(stage: Stage, flags: Namespace) -> tuple[LanguageModel, Tokenizer]:
    """The model that --start-from names, and its tokenizer. What they fix goes into the flags, as if it had been typed.

    UserError for a flag that contradicts it.
    """
    path = user_path(flags.start_from)
    model, tokenizer, saved = restore_language_model(path, stage=stage.folder.name, flag="--start-from")
    fixed = saved["model_settings"] | saved["settings"]
    for name in ("tokenizer", "vocab_size", *stage.model_settings):
        value = getattr(flags, name)
        if value not in (None, fixed[name]):
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{path} has {flag} {fixed[name]}, not {value}; leave {flag} away, or --start-from")
        setattr(flags, name, fixed[name])
    return model, tokenizer


def load_text(settings: dict, saved: dict | None, known: Tokenizer | None = None) -> tuple[Corpus, Tokenizer]:
    """The corpus, and its tokenizer: on resuming the saved one, else the one `known`, else trained on the text."""
    try:
        corpus = load_corpus(settings["data"], at_blank_line=settings["tokenizer"] == "word")
    except UserError:
        if saved is None or settings["data"] != "-":
            raise
        again = "pipe the same text in again, or train anew without --resume"  # nothing was, or too little to be it
        raise UserError(f"the run read its text from standard input; {again}") from None
    if saved is None and known is not None:
        return corpus, known
    if saved is None:
        return corpus, train_tokenizer(settings["tokenizer"], corpus.train, settings["vocab_size"], corpus.held_out)
    if corpus.sha256 != saved["corpus"]["sha256"]:
        again = "pipe that in again" if settings["data"] == "-" else "name that with --data"
        raise UserError(
            f"{corpus.name} is not the text that the saved run read; {again}, or train anew without --resume"
        )
    return corpus, tokenizer_from_dict(saved["tokenizer"])


def encode_text(corpus: Corpus, tokenizer: Tokenizer) -> tuple[array, array]:
    """The training and the validation text as ids. UserError where there is too little to validate on."""
    train_ids, validation_ids = map(tokenizer.encode_long, (corpus.train, corpus.validation))
    if len(validation_ids) < 2:
        raise UserError(f"{corpus.name} leaves no validation text; use a longer file")
    return train_ids, validation_ids


def make_model(stage: Stage, model_settings: dict, settings: dict, device: torch.device) -> LanguageModel:
    """The stage's model with new weights, which the seed fixes. UserError where its sizes do not fit together."""

    def make() -> LanguageModel:
        torch.manual_seed(settings["seed"])
        return stage.model(**model_settings)

    vectors = settings["batch_size"] * settings["context_length"] * settings["num_layers"]  # (B, T, H) a layer
    try:
        return make_within_memory(make, device, held=vectors * settings["hidden_size"])
    except ValueError as error:
        raise UserError(f"there is no such model: {error}; change --hidden-size or --num-heads")


def trial_step(model: LanguageModel, lanes: Lanes, device: torch.device) -> Callable[[str], None]:
    """A function of the precision that computes loss and gradients of the first batch, for timing."""
    batch = share(lanes.batch(0))
    inputs, targets = batch.inputs.to(device), batch.targets.to(device)

    def step(precision: str) -> None:
        with autocast(device, precision):
            nats, _ = model.loss(inputs, targets)
        nats.backward()

    return step


def language_task(
    model: LanguageModel,
    lanes: Lanes,
    validation_ids: Tensor,
    tokenizer: Tokenizer,
    settings: dict,
    device: torch.device,
) -> Task:
    """Predict the next token: what the loop has to know of it."""

    def step(batch: Batch, carry: State) -> tuple[Tensor, int, State]:
        # A state belongs to the text just before. Where the text jumps, there is none.
        state = None if batch.restart else carry
        with autocast(device, settings["precision"]):
            nats, state = model.loss(batch.inputs.to(device), batch.targets.to(device), state)
        return nats, batch.targets.numel(), model.carry(state)

    def validate() -> float:
        with autocast(device, settings["precision"]):
            return evaluate(model, validation_ids, settings["context_length"]).loss

    def look() -> None:
        generator = torch.Generator().manual_seed(settings["seed"])
        log(with_gutter(printable(sample_text(model, tokenizer, generator))) + "\n")

    @torch.no_grad()
    def try_carry(carry: State) -> None:
        tokens = share(torch.zeros(lanes.batch_size, 1, dtype=torch.int64, device=device))
        with autocast(device, settings["precision"]):  # a state has the types that this precision gives it
            model.next_logits(tokens, carry)

    return Task(lanes.batch, step, validate, describe, look, "tokens", try_carry=try_carry)


def introduce(
    run: Run,
    corpus: Corpus,
    tokenizer: Tokenizer,
    lanes: Lanes,
    model: LanguageModel,
    ids: tuple[array, array],
    step_seconds: float,
) -> None:
    """Say what is going to happen before it does. `ids` are those of the training and the validation text."""
    train_ids, validation_ids = ids
    settings = run.settings
    parameters = num_parameters(model)
    unknown = ""
    if tokenizer.unk_id is not None:
        unknown = "; <unk> is {:.1%} of training, {:.1%} of validation".format(*map(tokenizer.share_unknown, ids))
    minutes = settings["max_steps"] * step_seconds * 1.15 / 60  # evaluations and saving take some more
    optimizer = f"optimizer {settings['optimizer']}, learning rate {settings['learning_rate']:g}"
    tell(f"{run.name} on {run.device} in {settings['precision']}, {optimizer}")
    name = f"{corpus.name} ({corpus.note})" if corpus.note else corpus.name
    tell(f"corpus      {name}: {len(train_ids):,} training tokens, {len(validation_ids):,} validation tokens")
    tell(f"vocabulary  {tokenizer.vocab_size:,} tokens ({tokenizer.name}){unknown}")
    for line in advice(corpus, tokenizer, train_ids):
        tell(f"notice      {line}")
    tell(f"parameters  {parameters:,}, of which {model.embedding.weight.numel():,} in the embedding")
    batch = f"{settings['batch_size']} x {settings['context_length']} tokens"
    duration = f"{settings['max_steps'] / lanes.steps_per_epoch:.1f} epochs, about {max(minutes, 0.1):.1f} minutes"
    tell(f"training    {settings['max_steps']:,} steps of {batch}: {duration}")


def tell(line: str) -> None:
    """Log a line whose text begins in column 12."""
    log(wrapped(line, indent=12))


def describe(loss: float) -> str:
    """Loss and perplexity, in words for the progress bar."""
    perplexity = math.exp(min(loss, 700))
    return f"loss {loss:.3f}, perplexity {perplexity:{',.1f' if perplexity < 1e6 else '.1e'}}"


def sample_text(model: LanguageModel, tokenizer: Tokenizer, generator: torch.Generator) -> str:
    """A few tokens from an empty page, as they come."""
    model.eval()
    stream = generate(model, [tokenizer.newline_id], banned=tokenizer.unk_id, generator=generator)
    return tokenizer.decode([next(stream).item() for _ in range(SAMPLE_TOKENS)]).strip("\n")


def validation_summary(score: Evaluation) -> dict:
    """What summary.json says of the validation split."""
    return {
        "nats_per_token": score.loss,
        "perplexity": score.perplexity,
        "bits_per_character": score.bits_per_character,
        "tokens": score.count,
    }


def conclude(stage: Stage, out_dir: Path, score: Evaluation, verdict_lines: list[str], prompt: str) -> None:
    """Print how good the model is, beside what, where it is, and what to type next, for which the prompt is."""
    bits = f", {score.bits_per_character:.3f} bits per character" if score.bits_per_character else ""
    lines = [f"validation  perplexity {score.perplexity:.2f}, {score.loss:.4f} nats per token{bits}", *verdict_lines]
    lines += [f"kept        {out_dir / 'best.pt'}, with metrics.jsonl and learning_curve.png beside it"]
    print(*(wrapped(line, indent=12) for line in lines), sep="\n")
    default = out_dir == stage.folder / "checkpoints"
    checkpoint = "" if default else " --checkpoint " + quoted(str(out_dir / "best.pt"))
    # The command stays on one line, however long, so that it can be copied.
    begin = f' --prompt "{prompt}"' if prompt else ""
    print(f"next        python generate.py{begin} --visualize{checkpoint}")
