"""Ablation: what is each ingredient of a recipe worth? Change one, train again, and compare.

    python -m shared.ablate model-02-lstm                           every variant, three seeds: about three hours
    python -m shared.ablate model-02-lstm --whole --only average    does it hold at full length?
    python -m shared.ablate model-04-mini-transformer --data tinyshakespeare --tokenizer char --whole --seeds 1

The recipe is what a stage's train.py does without flags, five minutes of training. To save time, the runs here read
the first third of the text for a third of the steps, which is as many passes over it. What such short runs show need
not hold for long ones: --whole takes the whole text and all the steps.

Every run is kept as soon as it is done, in the stage's results/ablation.json (ablation-<corpus>-<tokenizer>.json for
another text or other tokens). What that file holds is not run again, so the command can be stopped and goes on where it
was. Once the recipe has changed, the file's runs are of the old one, and it is refused.
"""

import argparse
import itertools
import math
import shlex
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import mean

from shared.run.cli import ArgumentParser, log, path_or_name, read_flags, run_main, some_path, wait_briefly
from shared.run.flags import SEED
from shared.stages import ROOT, STAGES, load_stage
from shared.text.tokenizer import TOKENIZERS, Tokenizer, train_tokenizer

USUAL = ("shakespeare", "word")  # the text and the tokens of a run without flags


def parse_flags() -> argparse.Namespace:
    """The command line."""
    parser = ArgumentParser(prog="python -m shared.ablate", description=__doc__)
    parser.add_argument("stage", choices=STAGES, help="whose recipe")
    parser.add_argument(
        "--seeds", type=SEED, nargs="+", default=[1, 2, 3], help="a run of each variant for each [1 2 3]"
    )
    parser.add_argument("--data", type=path_or_name, default=USUAL[0], help=f"the text, as for train.py [{USUAL[0]}]")
    parser.add_argument(
        "--tokenizer", choices=sorted(TOKENIZERS), default=USUAL[1], help=f"what a token is [{USUAL[1]}]"
    )
    parser.add_argument("--whole", action="store_true", help="the whole text, and as many steps as a default run")
    parser.add_argument("--only", default="", metavar="TEXT", help="the recipe, and variants with TEXT in their names")
    parser.add_argument("--json", type=some_path, help="where runs are kept [the stage's results/ablation.json]")
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second
    wait_briefly()

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Muon, Optimizer

from shared.errors import UserError
from shared.measure.evaluation import evaluate
from shared.model.attention import attend
from shared.model.copying import CopyingOutput, Pointing
from shared.model.language_model import LanguageModel, State, map_tensors
from shared.model.window import last_places, sliding_window
from shared.run.device import choose_device, choose_precision, prepare_process
from shared.run.experiment import loop_settings, probe
from shared.run.language_modeling import language_task, trial_step
from shared.run.optimizers import optimizers_for
from shared.run.records import COUNT, NUMBER, TEXT, differing_setting, machine, read_json, slug, write_json
from shared.run.stage import Stage
from shared.run.training import Task, train
from shared.show.tables import for_terminal, markdown, spread, wrapped
from shared.text.batches import Lanes, as_tensor
from shared.text.corpus import load_corpus

PART = 3  # a third of the text, and of the steps


# ---------------------------------------------------------------------------------------------------- what is changed


class LockedDropout(nn.Module):
    """Dropout with one mask for all time steps of a text, not a new one at each (Gal & Ghahramani 2016)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, E) -> (B, T, E)."""
        mask = F.dropout(torch.ones_like(x[:, :1]), self.p, self.training)  # (B, 1, E): 0 or 1 / (1 - p)
        return x * mask


def untie(model: LanguageModel) -> None:
    """Give the output layer a table of its own, which begins as a copy of the embedding's."""
    own = nn.Embedding(*model.embedding.weight.shape)
    own.load_state_dict(model.embedding.state_dict())
    model.output = type(model.output)(own)


def lock_dropout(model: LanguageModel) -> None:
    """Put `LockedDropout` wherever the model has dropout."""
    for module in list(model.modules()):
        for name, part in module.named_children():
            if isinstance(part, nn.Dropout):
                setattr(module, name, LockedDropout(part.p))


def muon_in_bfloat16(model: nn.Module, settings: dict) -> list[Optimizer]:
    """The recipe's optimizers, but PyTorch's own Muon, which works in bfloat16, for the matrices."""
    muon, adamw = optimizers_for(model, settings)
    group = muon.param_groups[0]
    theirs = Muon(group["params"], group["lr"], group["weight_decay"], adjust_lr_fn="match_rms_adamw")
    return [theirs, adamw]


def never_copy(model: LanguageModel) -> None:
    """Take the gate off a model that copies: its output layer alone has the say."""
    model.output.mix = lambda written, copied, gate: written


def give_states(model: LanguageModel) -> None:
    """A place of the text gives the state that has read its word, and not the word's vector."""
    model.places = lambda states, before, embedded: (before, states)


def look_at_states(model: LanguageModel) -> None:
    """Attention as in translation (Luong et al. 2015): past states are both key and value, and nothing is copied."""
    never_copy(model)
    model.places = lambda states, before, embedded: (before, before)


class Pointer(nn.Module):
    """Scores the places of a window, for a model that has no attention over words: the state from before each word
    is its key."""

    def __init__(self, size: int):
        super().__init__()
        self.query, self.key = (nn.Linear(size, size, bias=False) for _ in range(2))

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `attend`, with projected queries and keys."""
        return attend(self.query(queries), self.key(keys), values, mask)


def let_copy(model: LanguageModel, window: int = 64) -> None:
    """Put a pointer and stage 3's copy gate on top of a model without: words of the last `window` may be copied."""
    model.pointer = Pointer(model.embedding.embedding_dim)
    model.output = CopyingOutput(model.embedding)
    read = model.features

    def features(tokens: Tensor, state: State, return_attention: bool) -> tuple[Pointing, State, Tensor | None]:
        inner, memory = state or (None, None)
        x, inner, attention = read(tokens, inner, return_attention)
        last, keys, words = memory or (torch.zeros_like(x[:, :1]), x[:, :0], tokens[:, :0])
        keys = torch.cat([keys, last, x[:, :-1]], dim=1)[:, -(window + tokens.size(1)) :]
        words = torch.cat([words, tokens], dim=1)[:, -(window + tokens.size(1)) :]
        _, weights = sliding_window(model.pointer, x, keys, keys, window, return_weights=True)
        pointing = Pointing(x, weights, last_places(words, tokens.size(1), weights.size(-1)))
        return pointing, (inner, (x[:, -1:], keys[:, -window:], words[:, -window:])), attention

    model.features = features
    model.carry = lambda state: map_tensors(Tensor.detach, state)


def leave(model: LanguageModel) -> None:
    """The model stays as it is."""


@dataclass(frozen=True)
class Variant:
    """One change to the recipe.

    settings: name -> another value than the recipe's. shares: name -> the recipe's value times this. change: done to
    the new model before training. optimizers: who changes the weights, by model and settings. carried: whether state
    goes from one chunk of the text to the next.
    """

    settings: dict = field(default_factory=dict)
    change: Callable[[LanguageModel], None] = leave
    optimizers: Callable[[nn.Module, dict], list[Optimizer]] = optimizers_for
    carried: bool = True
    shares: dict[str, float] = field(default_factory=dict)
    only_with: str = ""
    only_without: str = ""

    def suits(self, recipe: dict) -> bool:
        """Can a stage with these settings be so changed?"""
        names = self.settings.keys() | {self.only_with} - {""}
        return names <= recipe.keys() and self.only_without not in recipe

    def changed(self, recipe: dict) -> dict:
        """The recipe's settings as this variant has them."""
        return recipe | self.settings | {name: round(recipe[name] * share) for name, share in self.shares.items()}


RECIPE = "the recipe"
VARIANTS = {
    RECIPE: Variant(),
    "input and output tables not tied": Variant(change=untie),
    "nothing carried from chunk to chunk": Variant(carried=False),
    # Against overfitting, which is learning the training text by heart.
    "no dropout": Variant(dict(dropout=0.0)),
    "dropout .1": Variant(dict(dropout=0.1)),
    "dropout .3": Variant(dict(dropout=0.3)),
    "dropout .3, one mask for a chunk": Variant(dict(dropout=0.3), lock_dropout),
    "weight decay .3": Variant(dict(weight_decay=0.3)),
    # AdamW has a best learning rate of its own, another in every stage: it has to be looked for.
    "AdamW for all weights, rate .0015": Variant(dict(optimizer="adamw", learning_rate=0.0015)),
    "AdamW for all weights, rate .003": Variant(dict(optimizer="adamw", learning_rate=0.003)),
    "AdamW for all weights, rate .006": Variant(dict(optimizer="adamw", learning_rate=0.006)),
    "AdamW for all weights, rate .012": Variant(dict(optimizer="adamw", learning_rate=0.012)),
    "AdamW for all weights, rate .024": Variant(dict(optimizer="adamw", learning_rate=0.024)),
    # Rounding. bfloat16 keeps about three digits of a number, and some processors are faster in it.
    "matrix products in bfloat16": Variant(dict(precision="bfloat16")),
    "Muon in bfloat16": Variant(optimizers=muon_in_bfloat16),
    # How training ends: the learning rate falls to 0, the weights of the last steps are averaged, both, or neither.
    "learning rate lowered": Variant(dict(decay_share=0.6, average_share=0.0)),
    "learning rate lowered, weights averaged": Variant(dict(decay_share=0.6, average_share=0.1)),
    "learning rate .009, lowered, weights averaged": Variant(
        dict(learning_rate=0.009, decay_share=0.6, average_share=0.1)
    ),
    "learning rate .012, lowered, weights averaged": Variant(
        dict(learning_rate=0.012, decay_share=0.6, average_share=0.1)
    ),
    "learning rate never lowered": Variant(dict(decay_share=0.0, average_share=0.0)),
    "learning rate never lowered, weights averaged": Variant(dict(decay_share=0.0, average_share=0.1)),
    # More steps, or the same time spent otherwise.
    "three times the steps": Variant(shares=dict(max_steps=3)),
    "three times the steps, dropout .2": Variant(dict(dropout=0.2), shares=dict(max_steps=3)),
    "half the batch, twice the steps": Variant(shares=dict(batch_size=0.5, max_steps=2)),
    "half the hidden size, twice the steps": Variant(shares=dict(hidden_size=0.5, max_steps=2)),
    "1.5 times the hidden size, .6 of the steps": Variant(shares=dict(hidden_size=1.5, max_steps=0.6)),
    # What only one stage has, and what the others would gain by it.
    "nothing copied": Variant(change=never_copy, only_with="memory_length"),
    "places give states": Variant(change=give_states, only_with="memory_length"),
    "past states as keys and values, nothing copied": Variant(change=look_at_states, only_with="memory_length"),
    "one head": Variant(dict(num_heads=1), only_with="memory_length"),
    "additive attention": Variant(dict(attention="additive")),
    "dot product of bare states": Variant(dict(attention="dot")),
    "a memory of 16 places": Variant(dict(memory_length=16)),
    "a memory of 256 places": Variant(dict(memory_length=256)),
    "words copied from the last 64": Variant(change=let_copy, only_without="memory_length"),
    "sinusoidal positions": Variant(dict(positions="sinusoidal")),
    "learned positions": Variant(dict(positions="learned")),
}


def fitting(recipe: dict) -> dict[str, Variant]:
    """The variants whose settings this stage has, without those that would only repeat the recipe or another one."""
    found, trainings = {}, []
    for name, variant in VARIANTS.items():
        training = replace(variant, settings=variant.changed(recipe), shares={})  # all that matters, its name apart
        if variant.suits(recipe) and training not in trainings:
            found[name] = variant
            trainings.append(training)
    return found


# ------------------------------------------------------------------------------------------------------- training once


@dataclass(frozen=True)
class Text:
    """Training and validation text as ids (N), their tokenizer, and the name and the hash of the corpus."""

    training: Tensor
    validation: Tensor
    tokenizer: Tokenizer
    corpus: str
    sha256: str


# What is read of a file of results.
KEPT = {
    "command": TEXT,
    "runs": [{
        "variant": TEXT, "whole": bool, "seed": COUNT, "nats_per_token": NUMBER, "seconds": NUMBER,
        "settings": {
            "data": TEXT, "tokenizer": TEXT, "precision": TEXT, "hidden_size": COUNT, "max_steps": COUNT, ...: object,
        },
        ...: object,
    }],
    ...: object,
}  # fmt: skip


def read_text(data: str, tokenizer_name: str, whole: bool) -> Text:
    """The training text or its first third, and all of the validation text, by a tokenizer trained on the former."""
    corpus = load_corpus(data, at_blank_line=tokenizer_name == "word")
    cut = len(corpus.train) // PART
    end_of_speech = corpus.train.find("\n\n", cut)  # -1 in a text without blank lines
    part = corpus.train if whole else corpus.train[: max(cut, end_of_speech)]
    tokenizer = train_tokenizer(tokenizer_name, part, held_out=corpus.validation)
    ids = (as_tensor(tokenizer.encode_long(text)).long() for text in (part, corpus.validation))
    return Text(*ids, tokenizer, corpus.name, corpus.sha256)


def run_variant(stage: Stage, variant: Variant, settings: dict, text: Text) -> float:
    """Train once from scratch -> nats per token of the validation split, with the last weights, in float32."""
    device = choose_device("cpu")
    lanes = Lanes(text.training, settings["batch_size"], settings["context_length"], settings["seed"])
    if "precision" in variant.settings:  # which this processor may not have: a UserError then
        trial = trial_step(new_model(stage, variant, settings, text), lanes, device)
        choose_precision(settings["precision"], device, trial)
    model = new_model(stage, variant, settings, text)
    optimizers = variant.optimizers(model, settings)
    task = language_task(model, lanes, text.validation, text.tokenizer, settings, device)
    if not variant.carried:
        task = without_carry(task)
    # Scored once, at the end. To take the best of several scores would favour runs whose validation curve is noisy.
    loop = loop_settings(settings | {"eval_interval": settings["max_steps"]})
    score = partial(evaluate, model, text.validation, settings["context_length"])
    task = replace(task, evaluate=lambda: score().loss, look=lambda: None)
    with tempfile.TemporaryDirectory() as folder:
        return train(model, optimizers, task, loop, Path(folder), {}).best_loss


def new_model(stage: Stage, variant: Variant, settings: dict, text: Text) -> LanguageModel:
    """The stage's model with new weights, changed as the variant says."""
    torch.manual_seed(settings["seed"])
    model = stage.model(text.tokenizer.vocab_size, **{name: settings[name] for name in stage.model_settings})
    variant.change(model)
    return model


def without_carry(task: Task) -> Task:
    """The same task, but no state is carried: every chunk of the text is read as if it were the first."""
    return replace(task, step=lambda batch, carry: task.step(batch, None))


def settle(stage: Stage, text: Text, whole: bool, chosen: dict) -> dict:
    """The recipe's settings, with the precision of all variants: `chosen`, or found by a probe."""
    settings = stage.settings(text.tokenizer.name) | {"data": text.corpus} | chosen
    device = choose_device("cpu")
    prepare_process(device)
    lanes = Lanes(text.training, settings["batch_size"], settings["context_length"], seed=1)
    model = new_model(stage, Variant(), settings, text)
    probe(model, settings, device, trial_step(model, lanes, device))
    return settings | {"max_steps": settings["max_steps"] if whole else settings["max_steps"] // PART}


# -------------------------------------------------------------------------------------------------------- all variants


def ablate(name: str, text: Text, seeds: list[int], path: Path, whole: bool = False, only: str = "") -> dict:
    """Run what `path` does not hold yet, keeping every run there as soon as it is done -> all that it holds.

    `only`: leave out the variants whose names do not contain this.
    """
    kept = read_json(path, KEPT) if path.exists() else {"command": own_command(name, text), "runs": []}
    stage = load_stage(name)
    # What the first kept run chose counts for all later ones too: only runs that compute alike can be compared.
    first = next((run["settings"] for run in kept["runs"] if run["whole"] == whole), {})
    recipe = settle(stage, text, whole, {"precision": first["precision"]} if first else {})
    check_kept(kept, recipe, text, whole, path)
    done = [(run["variant"], run["seed"], run["whole"]) for run in kept["runs"]]
    for seed, (variant_name, variant) in itertools.product(seeds, fitting(recipe).items()):
        wanted = variant_name == RECIPE or only in variant_name
        if not wanted or (variant_name, seed, whole) in done:
            continue
        settings = variant.changed(recipe) | {"seed": seed}
        log(f"{variant_name}, seed {seed}, {settings['max_steps']:,} steps")
        began = time.perf_counter()
        try:
            nats = run_variant(stage, variant, settings, text)
        except UserError as error:
            if "precision" not in variant.settings:
                raise
            log(f"left out: {error}")
            continue
        seconds = round(time.perf_counter() - began, 1)
        run = {"variant": variant_name, "whole": whole, "seed": seed, "nats_per_token": nats, "seconds": seconds}
        kept["runs"].append(run | {"sha256": text.sha256, "settings": settings, "machine": machine()})
        write_json(path, kept)
    return kept


def check_kept(kept: dict, recipe: dict, text: Text, whole: bool, path: Path) -> None:
    """UserError where the kept runs are of another text or another recipe, and so cannot stand in one table."""
    for run in kept["runs"]:
        # Two files may have one name. Runs that an older version kept have no hash.
        if (run["settings"]["data"], run.get("sha256", text.sha256)) != (text.corpus, text.sha256):
            raise UserError(f"{path} is of another text ({run['settings']['data']}); give another --json")
        of_recipe = run["variant"] == RECIPE and run["whole"] == whole
        if of_recipe and (difference := differing_setting(run, recipe)):
            raise UserError(f"{path} is of another recipe ({difference}); move it away or give another --json")


def own_command(name: str, text: Text) -> str:
    """What to type for runs of a stage on a text."""
    command, tokens = f"python -m shared.ablate {name}", text.tokenizer.name
    other = f" --data {shlex.quote(text.corpus)} --tokenizer {tokens}"
    return command if (text.corpus, tokens) == USUAL else command + other


# ----------------------------------------------------------------------------------------------- table and command line


def tables(kept: dict) -> str:
    """What was found on a part of the text, then on the whole of it."""
    parts = [[run for run in kept["runs"] if run["whole"] == whole] for whole in (False, True)]
    captions = f"What each ingredient is worth (`{kept['command']}`", f"At full length (`{kept['command']} --whole`"
    return "\n\n".join(table(runs, caption) for runs, caption in zip(parts, captions) if runs)


def table(runs: list[dict], caption: str) -> str:
    """Each variant's perplexity over the seeds, and by how much it is above (+) or below (-) the recipe's.

    Where the tokenizer is lossless it is nats per token instead, as in the front page's tables. A variant is shown once
    it has run with every seed of the recipe, so that all means are over the same seeds.
    """
    found = defaultdict(list)
    for run in runs:
        found[run["variant"]].append(run)
    seeds = {run["seed"] for run in found[RECIPE]}
    found = {variant: runs for variant, runs in found.items() if {run["seed"] for run in runs} == seeds}
    named = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, sorted(seeds)))}"
    used = found[RECIPE][0]["settings"]
    named += f"; hidden size {used['hidden_size']}, {used['max_steps']:,} steps"
    in_nats = TOKENIZERS[used["tokenizer"]].lossless
    measure = "nats per token" if in_nats else "perplexity"
    rows = [["what is changed", measure, "against the recipe", "seconds"]]
    recipe = mean(run["nats_per_token"] for run in found[RECIPE])
    for variant, runs in found.items():
        nats = [run["nats_per_token"] for run in runs]
        shown = spread(nats, 3) if in_nats else spread([math.exp(each) for each in nats], 1)
        more = mean(nats) - recipe
        against = "" if variant == RECIPE else f"{more:+.3f}" if in_nats else f"{math.expm1(more):+.1%}"
        rows.append([variant, shown, against, f"{mean(run['seconds'] for run in runs):.0f}"])
    return f"{wrapped(f'{caption}, {named}):')}\n\n{for_terminal(rows, markdown)}"


def main() -> None:
    """Run what is missing, print the table."""
    flags = parse_flags()
    text = read_text(flags.data, flags.tokenizer, flags.whole)
    other = "" if (text.corpus, flags.tokenizer) == USUAL else f"{Path(text.corpus).stem} {flags.tokenizer}"
    path = flags.json or ROOT / flags.stage / "results" / f"{slug(f'ablation {other}')}.json"
    print(tables(ablate(flags.stage, text, flags.seeds, path, flags.whole, flags.only)))


if __name__ == "__main__":
    run_main(main)
