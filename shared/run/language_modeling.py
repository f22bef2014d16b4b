"""What a stage's train.py calls: flags -> corpus -> tokenizer -> batches -> the loop -> a scored model."""

import json
import math
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from shared.errors import UserError
from shared.model.evaluation import Evaluation, evaluate
from shared.model.language_model import LanguageModel
from shared.model.sampling import generate
from shared.run.checkpoint import load_checkpoint
from shared.run.cli import ArgumentParser, log, number, run_main
from shared.run.device import DEVICES, PRECISIONS, autocast, choose_device, choose_precision
from shared.run.optimizers import OPTIMIZERS, choose_optimizer, make_optimizers
from shared.run.results import machine
from shared.run.training import LoopSettings, Task, train
from shared.show.plots import learning_curve_figure, save_figure
from shared.text.batches import Lanes
from shared.text.corpus import Corpus, load_corpus
from shared.text.tokenizer import TOKENIZERS, Tokenizer, tokenizer_from_dict, train_tokenizer

SAMPLE_TOKENS = 40  # of the text shown at each evaluation
EVALUATIONS = 6  # a run, unless --eval-interval says otherwise

COMMON = dict(
    data="shakespeare", tokenizer="word", vocab_size=None, epochs=None, seed=1, device="auto", precision="auto",
    eval_interval=None, optimizer="auto", weight_decay=0.05, warmup_steps=50, decay_share=0.6, gradient_clip=1.0,
)  # fmt: skip

# What may differ from the saved run when it is resumed: nothing that its past depended on. A text is known by its hash.
FREE_ON_RESUME = {"data", "device", "eval_interval"}
RUN_FILES = ("best.pt", "last.pt", "metrics.jsonl", "learning_curve.png", "summary.json")


@dataclass(frozen=True)
class Stage:
    """A stage as its train.py describes it.

    `defaults` are for words; `by_tokenizer` overrides some of them for another tokenizer, `quick` for the one-minute
    run. `model_settings` names those that the model's constructor takes besides vocab_size. `add_flags(parser)` adds
    the stage's own flags.
    """

    folder: Path
    model: type[LanguageModel]
    defaults: dict
    model_settings: tuple[str, ...]
    by_tokenizer: dict[str, dict] = field(default_factory=dict)
    quick: dict = field(default_factory=dict)
    add_flags: Callable[[ArgumentParser], None] = lambda parser: None


def train_stage(stage: Stage) -> None:
    """The whole of train.py: read the flags, train, say how good it is and what to type next."""
    run_main(lambda: _train_stage(stage))


def _train_stage(stage: Stage) -> None:
    began = time.perf_counter()
    explicit = {name: value for name, value in vars(parse_flags(stage)).items() if value is not None}
    out_dir = Path(explicit.pop("out_dir")).resolve()
    saved = load_checkpoint(out_dir / "last.pt", stage=stage.folder.name) if explicit.pop("resume") else None
    if {"max_steps", "epochs"} <= explicit.keys():
        raise UserError("--max-steps and --epochs both say how long to train; give one of them")
    if explicit.pop("quick"):
        explicit = stage.quick | explicit
    settings = resumed_settings(saved, explicit) if saved else resolve_settings(stage, explicit)
    device = choose_device(settings["device"])
    corpus, tokenizer = load_text(settings, saved)
    train_ids, validation_ids = (torch.tensor(tokenizer.encode(text)) for text in (corpus.train, corpus.validation))
    if len(validation_ids) < 2:
        raise UserError(f"{corpus.name} leaves no validation text; use a longer file")
    lanes = Lanes(train_ids, settings["batch_size"], settings["context_length"], settings["seed"])
    if settings["epochs"]:
        settings["max_steps"] = math.ceil(settings["epochs"] * lanes.steps_per_epoch)
    settings["eval_interval"] = settings["eval_interval"] or math.ceil(settings["max_steps"] / EVALUATIONS)

    torch.manual_seed(settings["seed"])
    model_settings = {name: settings[name] for name in stage.model_settings} | {"vocab_size": tokenizer.vocab_size}
    try:
        model = stage.model(**model_settings).to(device)
    except ValueError as error:
        raise UserError(f"there is no such model: {error}; change --hidden-size or --num-heads")
    step_seconds = probe(model, lanes, settings, device)
    characters = len(tokenizer.decode(validation_ids[1:].tolist())) if tokenizer.lossless else None
    introduce(stage, settings, device, corpus, tokenizer, lanes, model, validation_ids.tolist(), step_seconds)
    make_room(out_dir, saved)

    def step(batch, carry):
        state = None if batch.restart else carry
        with autocast(device, settings["precision"]):
            nats, state = model.loss(batch.inputs.to(device), batch.targets.to(device), state)
        return nats, batch.targets.numel(), model.carry(state)

    def validate() -> float:
        with autocast(device, settings["precision"]):
            return evaluate(model, validation_ids, settings["context_length"]).loss

    def look() -> None:
        generator = torch.Generator().manual_seed(settings["seed"])
        log("  | " + sample_text(model, tokenizer, generator).replace("\n", "\n  | ") + "\n")

    identity = {
        "stage": stage.folder.name,
        "settings": settings,
        "model_settings": model_settings,
        "tokenizer": tokenizer.to_dict(),
        "corpus": {"name": corpus.name, "sha256": corpus.sha256},
    }
    optimizers = make_optimizers(model, settings["optimizer"], settings["learning_rate"], settings["weight_decay"])
    task = Task(lanes.batch, step, validate, describe, look, "tokens")
    loop = LoopSettings(**{name: settings[name] for name in LoopSettings.__dataclass_fields__})
    try:
        train(model, optimizers, task, loop, out_dir, identity, saved)
    except KeyboardInterrupt:
        more = [] if "--resume" in sys.argv else ["--resume"]
        log(f"stopped; go on from {out_dir / 'last.pt'} with: {command_line(*more)}")
        raise SystemExit(130)
    finish(stage, model, validation_ids, characters, settings, identity, out_dir, time.perf_counter() - began)


def parse_flags(stage: Stage):
    """The flags given, and only those: what was not given is filled in later from the stage's defaults."""
    title = stage.folder.name
    parser = ArgumentParser(
        description=f"Train {title} on Shakespeare. No flags are needed. Defaults in brackets are those for words.",
        argument_default=None,
    )
    shown = {name: f" [{value}]" for name, value in (COMMON | stage.defaults).items() if value is not None}

    def flag(name: str, why: str, **options) -> None:
        key = name.lstrip("-").replace("-", "_")
        parser.add_argument(name, help=why.replace("%", "%%") + shown.get(key, "").replace("%", "%%"), **options)

    whole, positive = number(int, low=1), number(float, above=0)
    flag(
        "--data",
        "shakespeare (bundled, needs no network), tinyshakespeare (downloaded once) or the path of a text file",
    )
    flag("--tokenizer", "what a token is; words make readable text soonest", choices=sorted(TOKENIZERS))
    flag(
        "--vocab-size",
        "upper limit; by default every word seen twice, every character, or 1,024 byte pairs",
        type=whole,
    )
    flag("--max-steps", "training steps; the default takes about five minutes on two cores", type=whole)
    flag("--epochs", "passes over the training text, instead of --max-steps", type=positive)
    flag("--batch-size", "texts read side by side; more is faster per token, fewer gives more steps", type=whole)
    flag(
        "--context-length",
        "tokens a training step reads at once, and how far back its gradients go",
        type=number(int, low=2),
    )
    flag("--hidden-size", "numbers in a hidden vector; larger learns more a step but is slower", type=whole)
    flag("--num-layers", "layers one on the other; more are slower, and few suffice for so little text", type=whole)
    flag("--learning-rate", "size of a step at its highest; as high as training stays stable", type=positive)
    flag(
        "--dropout",
        "share of activations left out in training, against learning by heart",
        type=number(float, low=0, high=0.95),
    )
    flag(
        "--seed",
        "fixes initialisation, data order and dropout; name --precision and --optimizer too for the very same run",
        type=number(int, low=0, high=1e9),
    )
    flag("--device", "auto takes a GPU if PyTorch finds one", choices=DEVICES)
    flag(
        "--precision",
        "auto times both here and takes bfloat16 only if it is at least 1.3 times as fast",
        choices=PRECISIONS,
    )
    flag(
        "--optimizer",
        "auto takes Muon where it is cheap on this machine, since it learns more a step",
        choices=OPTIMIZERS,
    )
    flag(
        "--eval-interval",
        f"steps between validations; by default {EVALUATIONS} a run, which costs a few per cent",
        type=whole,
    )
    parser.add_argument(
        "--out-dir", default=str(stage.folder / "checkpoints"), help="where the run is kept [checkpoints]"
    )
    parser.add_argument("--resume", action="store_true", help="go on from last.pt in --out-dir, with its settings")
    parser.add_argument("--quick", action="store_true", help="the one-minute version, to see that everything works")
    stage.add_flags(parser)
    return parser.parse_args()


def resolve_settings(stage: Stage, explicit: dict) -> dict:
    """Defaults, then what the tokenizer changes, then the flags given: the later one wins."""
    tokenizer = explicit.get("tokenizer", COMMON["tokenizer"])
    return COMMON | stage.defaults | stage.by_tokenizer.get(tokenizer, {}) | explicit


def resumed_settings(saved: dict, explicit: dict) -> dict:
    """The saved run's settings; a flag that contradicts them is a mistake, unless it cannot change what is learned."""
    settings = dict(saved["settings"])
    for name, value in explicit.items():
        if name in FREE_ON_RESUME:
            settings[name] = value
        elif value not in ("auto", settings.get(name)):
            flag = "--" + name.replace("_", "-")
            raise UserError(
                f"the saved run has {flag} {settings.get(name)}, not {value}; leave {flag} away, or leave --resume away"
            )
    return settings


def load_text(settings: dict, saved: dict | None) -> tuple[Corpus, Tokenizer]:
    """The corpus, and the tokenizer trained on its training part or, on resuming, the saved one."""
    corpus = load_corpus(settings["data"], at_blank_line=settings["tokenizer"] == "word")
    if saved is None:
        return corpus, train_tokenizer(settings["tokenizer"], corpus.train, settings["vocab_size"])
    if corpus.sha256 != saved["corpus"]["sha256"]:
        raise UserError(f"{settings['data']} is not the text that the saved run read; train anew without --resume")
    return corpus, tokenizer_from_dict(saved["tokenizer"])


def probe(model: LanguageModel, lanes: Lanes, settings: dict, device: torch.device) -> float:
    """Try out a training step, settle `precision` and `optimizer`, and return a step's seconds. Changes no weight."""
    batch = lanes.batch(0)
    inputs, targets = batch.inputs.to(device), batch.targets.to(device)

    def trial_step(precision: str) -> None:
        with autocast(device, precision):
            nats, _ = model.loss(inputs, targets)
        nats.backward()

    with torch.random.fork_rng():  # what dropout draws here is not missing later
        settings["precision"], seconds = choose_precision(settings["precision"], device, trial_step)
    settings["optimizer"], update_seconds = choose_optimizer(settings["optimizer"], model, seconds)
    model.zero_grad()
    return seconds + update_seconds


def introduce(stage, settings, device, corpus, tokenizer, lanes, model, validation_ids, step_seconds) -> None:
    """Say what is going to happen before it does."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    unknown = ""
    if tokenizer.unk_id is not None:
        shares = [tokenizer.share_unknown(ids) for ids in (lanes.ids.tolist(), validation_ids)]
        unknown = "; <unk> is {:.1%} of training, {:.1%} of validation".format(*shares)
    minutes = settings["max_steps"] * step_seconds * 1.15 / 60
    log(f"{stage.folder.name} on {device} in {settings['precision']}, optimizer {settings['optimizer']}")
    log(f"corpus      {corpus.name}: {len(lanes.ids):,} training tokens, {len(validation_ids):,} validation tokens")
    log(f"vocabulary  {tokenizer.vocab_size:,} tokens ({tokenizer.name}){unknown}")
    log(f"parameters  {parameters:,}, of which {model.embedding.weight.numel():,} in the embedding")
    batch = f"{settings['batch_size']} x {settings['context_length']} tokens"
    duration = f"{settings['max_steps'] / lanes.steps_per_epoch:.1f} epochs, about {max(minutes, 0.1):.1f} minutes"
    log(f"training    {settings['max_steps']:,} steps of {batch}: {duration}")


def make_room(out_dir: Path, saved: dict | None) -> None:
    """A new run never overwrites the last one: that moves to previous/, which held the one before."""
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        if saved is None and any((out_dir / name).exists() for name in ("best.pt", "last.pt")):
            previous = out_dir / "previous"
            previous.mkdir(exist_ok=True)
            for name in RUN_FILES:
                (previous / name).unlink(missing_ok=True)  # so that files of two runs are never mixed
                if (out_dir / name).exists():
                    (out_dir / name).replace(previous / name)
            log(f"the run that was in {out_dir} is now in {previous}")
        open(out_dir / "metrics.jsonl", "a").close()  # can anything be written here?
    except OSError as error:
        raise UserError(f"cannot write to {out_dir}: {error.strerror}; choose another --out-dir") from error


def describe(loss: float) -> str:
    """Loss and perplexity, in words for the progress bar."""
    perplexity = math.exp(min(loss, 700))
    return f"loss {loss:.3f}, perplexity {perplexity:{',.1f' if perplexity < 1e6 else '.1e'}}"


def sample_text(model: LanguageModel, tokenizer: Tokenizer, generator: torch.Generator) -> str:
    """A few tokens from an empty page, as they come."""
    model.eval()
    stream = generate(model, [tokenizer.newline_id], banned=tokenizer.unk_id, generator=generator)
    return tokenizer.decode([next(stream).item() for _ in range(SAMPLE_TOKENS)]).strip("\n")


def finish(stage, model, validation_ids: Tensor, characters, settings, identity, out_dir: Path, seconds: float) -> None:
    """Score best.pt on the whole validation split in float32, draw the learning curve, say what to type next."""
    model.load_state_dict(load_checkpoint(out_dir / "best.pt", next(model.parameters()).device)["weights"])
    score = evaluate(model, validation_ids, settings["context_length"], characters)
    records = [json.loads(line) for line in (out_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    save_figure(learning_curve_figure(records, stage.folder.name), out_dir / "learning_curve.png")
    write_summary(out_dir / "summary.json", identity, model, records, score, seconds)
    bits = f", {score.bits_per_character:.3f} bits per character" if score.bits_per_character else ""
    print(f"validation  perplexity {score.perplexity:.2f}, {score.loss:.4f} nats per token{bits}")
    print(f"kept        {out_dir / 'best.pt'}, with metrics.jsonl and learning_curve.png beside it")
    default = out_dir == stage.folder / "checkpoints"
    checkpoint = "" if default else " --checkpoint " + shlex.quote(str(out_dir / "best.pt"))
    print(f'next        python generate.py --prompt "To be or not to be" --visualize{checkpoint}')


def write_summary(path: Path, identity: dict, model, records: list[dict], score: Evaluation, seconds: float) -> None:
    """What was run, on what, and how it ended, as JSON: the numbers in the chapters come from such files."""
    summary = {
        "command": command_line(),
        "stage": identity["stage"],
        "settings": identity["settings"],
        "corpus": identity["corpus"],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "training_tokens": records[-1]["tokens"],
        "training_seconds": round(records[-1]["seconds"], 1),
        "command_seconds": round(seconds, 1),
        "validation": {
            "nats_per_token": score.loss,
            "perplexity": score.perplexity,
            "bits_per_character": score.bits_per_character,
            "tokens": score.count,
        },
        "machine": machine(),
    }
    path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8", newline="\n")


def command_line(*more: str) -> str:
    """The command as it was typed, with no path of this machine."""
    return shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:], *more])
