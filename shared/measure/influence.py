"""How much each past token mattered for a prediction: a gradient, so it works for every model, attention or not."""

import torch
from torch import Tensor

from shared.model.language_model import LanguageModel


def influence(model: LanguageModel, tokens: Tensor, num_rows: int | None = None, rows_at_once: int = 16) -> Tensor:
    """influence[t, s] = || d log p(token t+1 | tokens up to t) / d (embedding of token s) ||, rows scaled to sum 1.

    tokens (T) -> (num_rows, T), the last `num_rows` tokens' rows (all by default), on the CPU. The token predicted is
    the one that followed; for the last row it is the likeliest. Row t is the token just read. What lies in its future
    has influence exactly 0, and a row without any influence stays 0. This is not attention: it tells what would change
    the prediction, by whatever way through the model.
    """
    device = model.embedding.weight.device
    was_training = model.training
    model.eval()
    length = len(tokens)
    tokens = tokens.to(device)
    rows = torch.arange(length)[-(num_rows or length) :]
    with torch.no_grad():
        features, _, _ = model.features(tokens[None], None, False)
        likeliest = model.output(features[0, -1]).argmax()
    following = torch.cat([tokens[1:], likeliest[None]])  # (T)
    # The same text once per row, so that one backward pass gives every row its own gradient.
    parts = [
        gradient_sizes(model, tokens.expand(len(part), -1), part.to(device), following[part.to(device)])
        for part in rows.split(rows_at_once)
    ]
    model.train(was_training)
    sizes = torch.cat(parts)
    return sizes / sizes.sum(-1, keepdim=True).clamp(min=torch.finfo(sizes.dtype).tiny)


def gradient_sizes(model: LanguageModel, tokens: Tensor, last: Tensor, following: Tensor) -> Tensor:
    """|| d log p(following | tokens up to `last`) / d (embedding of each token) ||, in each of several texts.

    tokens (N, T), last and following (N): the place of the token just read, and the token predicted after it.
    All on the device of the model, which is to be in eval mode. -> (N, T) float64, on the CPU.
    """
    embedded = []
    hook = model.embedding.register_forward_hook(lambda module, inputs, output: embedded.append(output))
    try:
        # cuDNN's recurrent kernels have no backward pass in eval mode.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            features, _, _ = model.features(tokens, None, False)  # (N, T, E)
            each = torch.arange(len(tokens), device=tokens.device)
            logits = model.output(features[each, last])  # (N, V)
            log_probabilities = logits.log_softmax(-1)[each, following]  # (N)
            gradients = torch.autograd.grad(log_probabilities.sum(), embedded)[0]  # (N, T, E)
    finally:
        hook.remove()
    return gradients.cpu().double().norm(dim=-1)  # in float32 the square of a small number would be 0
