"""From a checkpoint back to a model that can be used: the one way for everything that needs a trained model."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from shared.errors import UserError
from shared.model.language_model import LanguageModel
from shared.run.checkpoint import checkpoint_file, load_checkpoint
from shared.run.content import check_tensors
from shared.stages import STAGES, model_class
from shared.text.tokenizer import Tokenizer, tokenizer_from_dict


def rebuild_model(
    saved: dict, kind: Callable[..., nn.Module], path: Path, device: str | torch.device = "cpu"
) -> nn.Module:
    """The model that the content of the checkpoint at `path` describes, with its weights, in eval mode.

    UserError where the class has changed since: it takes other settings, or names its parameters in another way.
    """
    try:
        model = kind(**saved["model_settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise another_version(path, error) from error
    load_weights(model, saved["weights"], path)
    return model.to(device).eval()


def load_weights(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Give a model the weights from the checkpoint at `path`; UserError where they are another model's."""
    try:
        check_tensors(weights, model.state_dict(), "weights")
    except ValueError as error:
        raise another_version(path, error) from error
    model.load_state_dict(weights)


def another_version(path: Path, error: Exception) -> UserError:
    """The complaint about a checkpoint that is sound and does not fit the model at hand."""
    return UserError(
        f"{path} was saved by an older version of the course, or with other settings ({error}); train again, or name "
        "another"
    )


def restore_language_model(
    path: Path, device: str | torch.device = "cpu", stage: str | None = None, flag: str = "--checkpoint"
) -> tuple[LanguageModel, Tokenizer, dict]:
    """A stage's trained model, its tokenizer, and all else that the checkpoint says.

    `stage` is the one that it has to be of, by default any; `flag` is what names the path. UserError: no checkpoint, or
    not one of a stage.
    """
    saved, path = load_checkpoint(path, stage, flag), checkpoint_file(path)
    if saved["stage"] not in STAGES:
        raise UserError(f"{path} holds {saved['stage']}, which is none of the stages; name one of {', '.join(STAGES)}")
    model = rebuild_model(saved, model_class(saved["stage"]), path, device)
    return model, tokenizer_from_dict(saved["tokenizer"]), saved
