"""From a checkpoint back to a model that can be used: the one way for everything that needs a trained model."""

from pathlib import Path

import torch
from torch import nn

from shared.errors import UserError
from shared.model.language_model import LanguageModel
from shared.run.checkpoint import load_checkpoint
from shared.stages import STAGES, model_class
from shared.text.tokenizer import Tokenizer, tokenizer_from_dict


def rebuild_model(saved: dict, kind: type[nn.Module], device: str | torch.device = "cpu") -> nn.Module:
    """The model that a checkpoint's content describes, with its weights, in eval mode.

    UserError where the class has changed since: it takes other settings, or names its parameters in another way.
    """
    try:
        model = kind(**saved["model_settings"])
        model.load_state_dict(saved["weights"])
    except (TypeError, RuntimeError) as error:
        raise UserError(f"this {kind.__name__} was saved by an older version of the course; train it again") from error
    return model.to(device).eval()


def restore_language_model(
    path: Path, device: str | torch.device = "cpu", stage: str | None = None, flag: str = "--checkpoint"
) -> tuple[LanguageModel, Tokenizer, dict]:
    """A stage's trained model, its tokenizer, and all else that the checkpoint says.

    `stage` is the one that it has to be of, by default any; `flag` is what names the path. UserError: no checkpoint, or
    not one of a stage.
    """
    saved = load_checkpoint(path, device, stage, flag)
    if saved["stage"] not in STAGES:
        raise UserError(f"{path} holds {saved['stage']}, which is none of the stages; name one of {', '.join(STAGES)}")
    model = rebuild_model(saved, model_class(saved["stage"]), device)
    return model, tokenizer_from_dict(saved["tokenizer"]), saved
