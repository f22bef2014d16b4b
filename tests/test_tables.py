"""Tables of numbers as text: whole in a file or a pipe, and no wider than the terminal on one."""

import sys
from types import SimpleNamespace

import pytest

from shared import ngram
from shared.benchmark import busy
from shared.recall import __main__ as recall
from shared.show.tables import aligned, for_terminal, markdown, scaling_tables, wrapped
from shared.stages import STAGES

HEADS = ["", "counting, 5-grams", "RNN", "LSTM", "Attention LSTM", "Mini Transformer"]
WIDE = [
    HEADS,
    ["perplexity, validation", "104.1", "71.8", "66.9", "66.2", "65.3"],
    ["state after 1,024 tokens, bytes", "56", "1,024", "2,048", "34,816", "258,048"],
    ["  of earlier", "", "0.98x", "", "", ""],
]
NARROW = [["order", "perplexity"], ["1", "640.2"], ["2", "201.0"]]


def on_terminal(monkeypatch, columns: int) -> None:
    """Let standard output be a terminal of so many columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: True))


@pytest.mark.parametrize("columns", [120, 80, 60, 40])
@pytest.mark.parametrize("layout", [aligned, markdown])
def test_a_table_is_no_wider_than_the_terminal_and_holds_every_figure_under_its_head(columns, layout, monkeypatch):
    on_terminal(monkeypatch, columns)
    shown = for_terminal(WIDE, layout)
    assert max(map(len, shown.splitlines())) <= columns
    assert for_terminal(NARROW, layout) == layout(NARROW)
    if shown != layout(WIDE):
        blocks = shown.split("\n")
        for row in WIDE[1:]:
            start = blocks.index(row[0])
            filled = [(head, cell) for head, cell in zip(HEADS[1:], row[1:]) if cell]
            for line, (head, cell) in zip(blocks[start + 1 :], filled):
                assert line.startswith(f"  {head}  ") and line.endswith(f" {cell}")


@pytest.mark.parametrize("columns", [60, 20])
def test_in_a_file_or_a_pipe_a_table_and_a_line_keep_their_shape(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert for_terminal(WIDE) == aligned(WIDE) and for_terminal(WIDE, markdown) == markdown(WIDE)
    assert wrapped("word " * 50) == "word " * 50


@pytest.mark.parametrize("columns", [80, 60, 40])
def test_a_long_line_is_cut_between_words_and_its_parts_are_indented(columns, monkeypatch):
    on_terminal(monkeypatch, columns)
    lines = wrapped("word " * 50, indent=13).splitlines()
    assert " ".join(lines).split() == ["word"] * 50 and max(map(len, lines)) <= columns
    assert all(line.startswith(" " * 13 + "word") for line in lines[1:])


@pytest.mark.parametrize("columns", [80, 60])
def test_the_tables_of_commands_fit_the_terminal(columns, monkeypatch):
    """With as many columns as they have at most."""
    on_terminal(monkeypatch, columns)
    rows = [{"distance": distance, "accuracy": 0.5, "mass": 0.25} for distance in (1, 2, 5, 10, 20, 50, 100)]
    stages = {stage: [{"rows": rows}] for stage in STAGES}
    orders = [SimpleNamespace(loss=4.6, perplexity=99.5, bits_per_character=2.25)] * 3
    machine_rows = [{"stage": list(STAGES)[-1], "way": "briefly, as here", "milliseconds": [30.0, 75.0, 9000.4]}]
    points = [
        {"stage": stage, "what": "hidden_size", "value": value, "training_tokens_per_second": 100.0, "peak_mib": 1e4}
        for stage in STAGES
        for value in (128, 256, 512, 1024)
    ]
    shown = [
        recall.table({"task": "lag", "chance": 0.1, "stages": stages}),
        ngram.table(SimpleNamespace(orders=orders, best_order=2)),
        busy.busy_table(machine_rows),
        scaling_tables(points),
    ]
    assert max(len(line) for text in shown for line in text.splitlines()) <= columns
