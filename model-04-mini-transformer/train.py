"""Train stage 4, the mini transformer:  python train.py"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository's root, for `shared`

from shared.run.flags import WHOLE
from shared.run.stage import Stage, train_stage


def add_flags(parser) -> None:
    parser.add_argument(
        "--positions",
        choices=("rotary", "sinusoidal", "learned"),
        help="how a token knows its place; rotary ones depend on distance alone, so the window can slide [rotary]",
    )
    parser.add_argument(
        "--num-heads", type=WHOLE, help="heads a layer; twice their number must divide --hidden-size [4]"
    )


STAGE = Stage(
    folder=Path(__file__).resolve().parent,
    model_settings=("hidden_size", "num_layers", "dropout", "context_length", "positions", "num_heads"),
    defaults=dict(
        max_steps=1600, batch_size=32, context_length=64, hidden_size=128, num_layers=4, dropout=0.0,
        learning_rate=0.009, decay_share=0.0, average_share=0.1, positions="rotary", num_heads=4,
    ),
    # Words: a steady rate and an average of the weights. Characters: a rate that falls.
    by_tokenizer={
        "char": dict(
            max_steps=850, context_length=128, hidden_size=192, learning_rate=0.006, decay_share=0.6, average_share=0.0
        )
    },
    quick=dict(max_steps=400),
    thorough=dict(
        word=dict(max_steps=5000, dropout=0.1, epsilon=1e-4),
        char=dict(max_steps=2900, dropout=0.1),
    ),
    add_flags=add_flags,
)  # fmt: skip

if __name__ == "__main__":
    train_stage(STAGE)
