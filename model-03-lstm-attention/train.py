"""Train stage 3, the LSTM that attends to its own past:  python train.py"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository's root, for `shared`

from shared.run.flags import LENGTH, WHOLE
from shared.run.stage import Stage, train_stage


def add_flags(parser) -> None:
    parser.add_argument("--cell", choices=("lstm", "gru", "rnn"), help="the recurrent layers below attention [lstm]")
    parser.add_argument(
        "--attention",
        choices=("additive", "dot", "multi-head"),
        help="how a past place is scored; multi-head compares several projections of the states at once [multi-head]",
    )
    parser.add_argument("--num-heads", type=WHOLE, help="heads of multi-head attention; must divide --hidden-size [4]")
    parser.add_argument(
        "--memory-length",
        type=LENGTH,
        help="places in reach, with the own one; longer is slower, and better for words [64]",
    )


STAGE = Stage(
    folder=Path(__file__).resolve().parent,
    model_settings=("hidden_size", "num_layers", "dropout", "cell", "attention", "num_heads", "memory_length"),
    defaults=dict(
        max_steps=3900, batch_size=32, context_length=40, hidden_size=128, num_layers=2, dropout=0.05,
        learning_rate=0.01, cell="lstm", attention="multi-head", num_heads=4, memory_length=64,
    ),
    by_tokenizer={"char": dict(max_steps=2100, context_length=64, hidden_size=256)},
    quick=dict(max_steps=850),
    thorough=dict(
        word=dict(max_steps=6500, hidden_size=256, memory_length=256, dropout=0.2, epsilon=1e-4),
        char=dict(max_steps=6600, dropout=0.2),
    ),
    add_flags=add_flags,
)  # fmt: skip

if __name__ == "__main__":
    train_stage(STAGE)
