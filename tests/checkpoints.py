"""What a checkpoint holds, as training leaves it, but with random weights: for tests that need a run."""

import torch

from shared.stages import load_stage, model_class
from shared.text.corpus import Corpus
from shared.text.tokenizer import Tokenizer


def random_checkpoint(stage: str, tokenizer: Tokenizer, corpus: Corpus, data: str, seed: int = 1, **changes) -> dict:
    """A run of a stage, 16 wide unless `changes` say otherwise, whose weights are large enough for all to matter."""
    settings = load_stage(stage).settings(tokenizer.name) | {"data": data, "hidden_size": 16, "seed": seed} | changes
    model_settings = {name: settings[name] for name in load_stage(stage).model_settings}
    model_settings["vocab_size"] = tokenizer.vocab_size
    torch.manual_seed(seed)
    model = model_class(stage)(**model_settings)
    with torch.no_grad():
        model.embedding.weight.mul_(3)
    return {
        "stage": stage,
        "settings": settings,
        "model_settings": model_settings,
        "tokenizer": tokenizer.to_dict(),
        "corpus": {"name": corpus.name, "sha256": corpus.sha256},
        "weights": model.state_dict(),
        "progress": {"step": 20, "tokens": 2000, "seconds": 8.0 + seed, "best_loss": 5.0, "best_step": 20},
    }


def finished(stage: str, settings: dict) -> dict:
    """The summary.json of a finished run of a stage."""
    return {
        "command": "python train.py",
        "stage": stage,
        "settings": {"seed": 1, "tokenizer": "word"} | settings,
        "parameters": 1000,
        "training_tokens": 2000,
        "training_seconds": 8.0,
        "command_seconds": 9.0,
        "machine": {"cores": 1},
        "corpus": {"name": "short.txt", "sha256": "0" * 64},
        "validation": {"nats_per_token": 5.0, "perplexity": 148.4, "bits_per_character": None, "tokens": 100},
    }
