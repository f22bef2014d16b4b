"""Train stage 2, the LSTM (or the GRU, with --cell gru):  python train.py"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository's root, for `shared`

from shared.run.stage import Stage, train_stage


def add_flags(parser) -> None:
    parser.add_argument("--cell", choices=("lstm", "gru"), help="gru has fewer gates and no separate cell [lstm]")
    parser.add_argument(
        "--implementation",
        choices=("torch", "scratch"),
        help="scratch runs the cells of model.py: the same numbers, more slowly [torch]",
    )


STAGE = Stage(
    folder=Path(__file__).resolve().parent,
    model_settings=("hidden_size", "num_layers", "dropout", "cell", "implementation"),
    defaults=dict(
        max_steps=6000, batch_size=32, context_length=40, hidden_size=128, num_layers=2, dropout=0.1,
        learning_rate=0.01, cell="lstm", implementation="torch",
    ),
    by_tokenizer={"char": dict(max_steps=2100, context_length=64, hidden_size=320, dropout=0.05)},
    quick=dict(max_steps=1100),
    thorough=dict(
        word=dict(max_steps=9000, hidden_size=256, dropout=0.2, epsilon=1e-4),
        char=dict(max_steps=7000, dropout=0.2),
    ),
    add_flags=add_flags,
)  # fmt: skip

if __name__ == "__main__":
    train_stage(STAGE)
