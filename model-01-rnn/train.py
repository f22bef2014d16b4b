"""Train stage 1, the plain RNN:  python train.py"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository's root, for `shared`

from shared.run.stage import Stage, train_stage

STAGE = Stage(
    folder=Path(__file__).resolve().parent,
    model_settings=("hidden_size", "num_layers", "dropout"),
    defaults=dict(
        max_steps=6000,
        batch_size=32,
        context_length=40,
        hidden_size=128,
        num_layers=2,
        dropout=0.05,
        learning_rate=0.006,
    ),
    by_tokenizer={"char": dict(max_steps=2700, context_length=64, hidden_size=384, learning_rate=0.003)},
    quick=dict(max_steps=1200),
    thorough=dict(
        word=dict(max_steps=9300, hidden_size=256, learning_rate=0.003, dropout=0.2, epsilon=1e-4),
        char=dict(max_steps=9000, dropout=0.1),
    ),
)

if __name__ == "__main__":
    train_stage(STAGE)
