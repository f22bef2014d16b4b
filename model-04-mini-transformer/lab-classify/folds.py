"""What a checkpoint of this lab holds, beside what every checkpoint does: of each fold how its model reads words."""

from shared.run.content import LEFT_OUT, SETTINGS, SIZE, check_number_of_weights
from shared.schema import NAME, PLAIN, check

from data import GENRES, NUM_FOLDS, SPLITS
from encoders import ENCODERS, check_encoder

FOLD = range(1, NUM_FOLDS + 1)
CONTENT = {
    "settings": SETTINGS | {
        "num_blocks": range(2**24), "num_heads": SIZE, "word_dropout": LEFT_OUT, "embedding": set(ENCODERS),
        "split": set(SPLITS), "fold": (None, FOLD), "inner": bool, ...: PLAIN,
    },
    "folds": [
        {"number": FOLD, "plays": [NAME], "encoder": dict, "model_settings": {"vocab_size?": SIZE}},
    ],
    ...: object,
}  # fmt: skip


def check_content(content: dict) -> None:
    """ValueError where a checkpoint is none of this lab: what `load_checkpoint` is told of it."""
    check(content, CONTENT)
    settings, folds = content["settings"], content["folds"]
    if not 1 <= len({fold["number"] for fold in folds}) == len(folds):
        raise ValueError("folds has none, or one of them twice")
    for fold in folds:
        vocab_size = check_encoder(settings["embedding"], fold["encoder"])
        if fold["model_settings"].get("vocab_size") != vocab_size:
            raise ValueError(f"a model of folds has not the vocabulary of its encoder, {vocab_size}")
    size = settings["hidden_size"]
    check_number_of_weights(content, len(folds) * size * (len(GENRES) + settings["num_blocks"] * size))
