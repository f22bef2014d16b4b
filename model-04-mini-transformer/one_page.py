"""Stage 4 on one page: a small transformer. It carries no memory along: it looks at all that it has read once more.

`python one_page.py` teaches it Shakespeare, character by character. The four pages differ in the model alone: diff two.
The big sister is model.py (with shared/): all that a serious run needs. B batch, T time, H hidden size, V vocabulary.
"""

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DATA = Path(__file__).resolve().parents[1] / "data"
WINDOW, BATCH, STEPS, LEARNING_RATE = 64, 32, 1000, 1e-2  # T characters are read at a time, from B places in the text


# ---------------------------------------------------------------------------------------------- the model
def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k' / sqrt(D)) v, all (..., T, D): a mean of the values whose keys suit the query, none later."""
    scores = q @ k.transpose(-2, -1) / k.size(-1) ** 0.5  # (..., T, T): how well each key suits each query
    visible = torch.ones_like(scores, dtype=torch.bool).tril()  # query t may see keys 0 to t
    return scores.masked_fill(~visible, -torch.inf).softmax(dim=-1) @ v  # what is not visible gets weight 0


class Block(nn.Module):
    """Attention fetches from the past, then an MLP works on each place alone. Both add to a stream x (B, T, H)."""

    def __init__(self, size: int, num_heads: int = 4):
        super().__init__()
        self.query, self.key, self.value, self.mix = (nn.Linear(size, size, bias=False) for _ in range(4))
        self.split = nn.Unflatten(-1, (num_heads, size // num_heads))
        self.mlp = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))
        self.norm_1, self.norm_2 = nn.LayerNorm(size), nn.LayerNorm(size)

    def forward(self, x: Tensor) -> Tensor:
        n = self.norm_1(x)  # pre-norm: what the parts read is normed, the stream itself runs on untouched
        q = self.split(self.query(n)).transpose(1, 2)  # (B, heads, T, D)
        k = self.split(self.key(n)).transpose(1, 2)
        v = self.split(self.value(n)).transpose(1, 2)
        x = x + self.mix(attend(q, k, v).transpose(1, 2).flatten(2))  # the heads' finds side by side: (B, T, H)
        return x + self.mlp(self.norm_2(x))


class Model(nn.Module):
    """ids (B, T) -> logits (B, T, V)."""

    def __init__(self, vocab_size: int, hidden_size: int = 128, num_layers: int = 2):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, hidden_size)
        self.position = nn.Embedding(WINDOW, hidden_size)  # without it, attention would not know the order
        self.blocks = nn.Sequential(*(Block(hidden_size) for _ in range(num_layers)))
        self.output = nn.Sequential(nn.LayerNorm(hidden_size), nn.Linear(hidden_size, vocab_size))

    def forward(self, ids: Tensor) -> Tensor:
        return self.output(self.blocks(self.embedding(ids) + self.position.weight[: ids.size(1)]))  # (B, T, V)


# ----------------------------------------------------------------------------- the same on all four pages
def plays(part: str) -> str:
    """The plays that are set aside for "train" or "validation", one after the other."""
    text = (DATA / "shakespeare.txt").read_text(encoding="utf-8")
    rows = [line.rsplit(",", 3) for line in (DATA / "works.csv").read_text(encoding="utf-8").splitlines()]
    return "\n".join(text[int(start) : int(end)] for _, split, start, end in rows if split == part)


def train(model: nn.Module, ids: Tensor, steps: int) -> None:
    """Show the model windows of a text (N), and after each batch change its weights so that it is less surprised."""
    optimizer, began = torch.optim.AdamW(model.parameters()), time.perf_counter()
    for step in range(1, steps + 1):
        # Small steps while all is random, then long ones, then ever finer.
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * min(step / 100, 1 - step / (steps + 1))
        starts = torch.randint(len(ids) - WINDOW, (BATCH, 1))
        windows = ids[starts + torch.arange(WINDOW + 1)]  # (B, T + 1): T characters to read, and T that follow them
        logits = model(windows[:, :-1])  # (B, T, V): after each character, a score for whatever may follow
        # In nats: the mean of -ln p(what did follow).
        loss = F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        optimizer.zero_grad()  # else backward would add to the gradients of the step before
        loss.backward()
        # Back through T steps a gradient may grow without bound, and one leap would undo many good steps.
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        if step % 100 == 0 or step in (10, steps):
            left = (time.perf_counter() - began) / step * (steps - step)
            print(f"step {step} of {steps}: loss {loss.item():.3f}, {left:.0f} seconds to go", flush=True)


@torch.no_grad()
def evaluate(model: nn.Module, ids: Tensor) -> float:
    """Nats a character of a text (N): each is scored once, and the sum is divided once."""
    windows, nats = ids.unfold(0, WINDOW + 1, WINDOW), 0.0  # (N / T, T + 1): each begins where the last one ended
    for batch in windows.split(BATCH):
        logits = model(batch[:, :-1])  # (B, T, V)
        nats += F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="sum").item()
    return nats / windows[:, 1:].numel()


def main() -> None:
    """Learn from the training plays, measure on plays that were held out, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=STEPS, help=f"batches to learn from (default {STEPS})")
    steps = min(parser.parse_args().steps, 10**9)  # a larger number takes years, or is too large for a float
    torch.manual_seed(0)
    texts = plays("train"), plays("validation")
    vocabulary = "".join(sorted(set(texts[0])))  # V characters; the id of each is its place here
    train_ids, validation_ids = (torch.tensor([vocabulary.index(c) for c in text]) for text in texts)
    model = Model(len(vocabulary))
    train(model, train_ids, steps)
    print(f"validation loss {evaluate(model, validation_ids):.4f} nats a character\n")
    text = "HAMLET:\n"
    for _ in range(400):  # draw one of the characters that may follow, each as often as its probability says
        ids = torch.tensor([[vocabulary.index(c) for c in text[-WINDOW:]]])  # (1, T)
        with torch.no_grad():  # nothing is learned from here on
            text += vocabulary[torch.multinomial(model(ids)[0, -1].softmax(dim=-1), 1)]
    print(text)


if __name__ == "__main__":
    main()
