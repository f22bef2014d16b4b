"""The numbers in a page's tables: kept results, or worked out on the page, or counted anew here."""

import csv
import json
import re
from statistics import mean

import pytest
import torch
from pages import PAGES, name_of, tables, without_generated

from shared.results.labs import load_lab_results
from shared.stages import ROOT, STAGES, load_module, load_stage

pytestmark = pytest.mark.claims

CHAPTER_2 = "model-02-lstm/README.md"
CHAPTER_4 = "model-04-mini-transformer/README.md"
LAB_CLASSIFY = "model-04-mini-transformer/lab-classify"

# The tables, by the first of their heads, whose numbers are worked out on the page or tested below. Those of all others
# are written from kept results.
BY_HAND = {
    "README.md": {"chapter", "session"},  # minutes, and which exercises when
    "model-01-rnn/from-text-to-loss.md": {"by", "the word that came had p =", "after *the*"},
    "model-01-rnn/README.md": {"words in a row", "read", "`W_hh` starts", "temperature"},
    CHAPTER_2: {"", "bias", "puzzle", "tokens since the value that is asked for"},
    "model-03-lstm-attention/README.md": {"place", "score", "just read"},
    "data/README.md": {"split"},
    "model-03-lstm-attention/lab-seq2seq/README.md": {"beginning"},
    "model-03-lstm-attention/lab-seq2seq/data/README.md": {"split"},
    CHAPTER_4: {"query at place", "what", "part", "words in the text"},
    f"{LAB_CLASSIFY}/README.md": {"naive Bayes"},
}
WORDS_IN_A_CELL = 5  # a cell of more words says something, and may say it of a number


def numbers(cell: str) -> list[str]:
    """The numbers in a table's cell, but for those in a sentence and those that name something: code, years, stages."""
    cell = re.sub(r"`[^`]*`|!?\[[^\]]*\]\([^)]*\)|\b(19|20)\d\d\b|\b[Ss]tages? \d( (to|and) \d)?", "", cell)
    return re.findall(r"(?<![\w^_])\.?\d[\d.,]*", cell) if len(cell.split()) <= WORDS_IN_A_CELL else []


def has_numbers(rows: list[list[str]]) -> bool:
    return any(numbers(cell) for row in rows for cell in row)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_numbers_in_tables_come_from_results(page):
    text = without_generated(page.read_text(encoding="utf-8"))
    found = {heads[0] for heads, *rows in tables(text) if has_numbers(rows)}
    assert found <= BY_HAND.get(name_of(page), set())


def test_a_number_in_a_table_written_by_hand_is_seen():
    text = "<!-- results -->\n| a |\n|---|\n| 1 |\n<!-- /results -->\n| b | c |\n|---|--:|\n| `2` stage 3 | 4.5% |\n"
    (table,) = tables(without_generated(text))
    assert table[0] == ["b", "c"] and [numbers(cell) for cell in table[1]] == [[], ["4.5"]]
    assert numbers("a text of 100,000 words or more") == []


def table_of(page: str, head: str) -> list[list[str]]:
    """The rows of a page's one table with numbers whose first head this is."""
    found = [table for table in tables(without_generated((ROOT / page).read_text(encoding="utf-8")))]
    (rows,) = [
        rows for heads, *rows in found if heads[0] == head and any(numbers(cell) for row in rows for cell in row)
    ]
    return rows


def test_the_plays_are_as_many_and_as_long_as_the_page_of_the_data_says():
    text = (ROOT / "data" / "shakespeare.txt").read_text(encoding="utf-8")
    with (ROOT / "data" / "works.csv").open(encoding="utf-8", newline="") as file:
        works = list(csv.DictReader(file))
    for split, genre, count, characters, words in table_of("data/README.md", "split"):
        chosen = [row for row in works if (row["split"], row["genre"]) == (split, genre)]
        parts = [text[int(row["start"]) : int(row["end"])] for row in chosen]
        counted = [len(parts), sum(map(len, parts)), sum(len(part.split()) for part in parts)]
        assert [count, characters, words] == [f"{number:,}" for number in counted]


def test_the_pairs_are_as_many_as_their_page_says():
    text = (ROOT / "model-03-lstm-attention" / "lab-seq2seq" / "data" / "pairs.txt").read_text(encoding="utf-8")
    plays = re.findall(r"^# (\w+): (.*)\n((?:[^#\n].*\n)+)", text, flags=re.MULTILINE)
    for split, lines, words, changed, titles in table_of("model-03-lstm-attention/lab-seq2seq/data/README.md", "split"):
        chosen = [(title, block.splitlines()) for kind, title, block in plays if kind == split]
        found = [word for _, block in chosen for line in block for word in line.split(" ")]
        assert lines == f"{sum(len(block) for _, block in chosen):,}" and words == f"{len(found):,}"
        assert changed == f"{sum('|' in word for word in found) / len(found):.0%}"
        names = {title for title, _ in chosen}
        assert titles == str(len(names)) if split == "train" else set(titles.split(", ")) == names


def test_chapter_4_counts_the_parameters_as_the_model_does():
    stage = load_stage("model-04-mini-transformer")
    settings = stage.settings("word")
    model = stage.model(17_706, **{name: settings[name] for name in stage.model_settings})
    block, whole = model.blocks[0], sum(weight.numel() for weight in model.parameters())
    sizes = [block.attention.query_key_value, block.attention.output, [block.expand, block.contract]]
    sizes += [[block.attention_norm, block.network_norm], block, model.blocks, model.embedding, model.norm]
    parts = [part if isinstance(part, list) else [part] for part in sizes]
    counted = [sum(weight.numel() for module in part for weight in module.parameters()) for part in parts]
    counted += [whole - sum(counted[5:]), whole]  # the output layer is what is left
    assert [row[-1].strip("*") for row in table_of(CHAPTER_4, "part")] == [f"{number:,}" for number in counted]


def test_chapter_4_names_the_shapes_that_a_block_makes():
    file, inside = load_module(ROOT / "model-04-mini-transformer" / "model.py"), []
    block = file.Block(128, num_heads=4, context_length=64, dropout=0.0).double()
    for layer in (block.attention.query_key_value, block.attention.output, block.expand):
        layer.register_forward_hook(lambda layer, given, made: inside.append(made.shape))
    x, past = (torch.zeros(*shape, dtype=torch.float64) for shape in ((32, 64, 128), (32, 4, 63, 32)))
    y, (kept, _), weights = block(x, (past, past), file.rotation(torch.arange(64), 32), return_weights=True)
    in_heads, seen = block.attention.split_heads(x).shape, (*past.shape[:2], weights.size(-1), past.size(-1))
    three, side_by_side, wide = inside
    made = [x.shape, three, in_heads, seen, weights.shape, in_heads, side_by_side, wide, y.shape]
    assert [row[-1] for row in table_of(CHAPTER_4, "what")] == [str(tuple(shape)) for shape in made]
    assert kept.shape == past.shape


def test_chapter_4_counts_the_comparisons_that_a_window_saves():
    for words, every, window, steps in table_of(CHAPTER_4, "words in the text"):
        length = int(words.replace(",", ""))
        mask = torch.ones(length, length, dtype=torch.bool).tril()
        assert [every, window] == [f"{int(seen.sum()):,}" for seen in (mask, mask.triu(-63))] and steps == words


def test_chapter_4_turns_its_queries_and_keys_as_the_file_does():
    rotate = load_module(ROOT / "model-04-mini-transformer" / "model.py").rotate
    vector = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    for row in table_of(CHAPTER_4, "query at place"):
        angles = torch.tensor([[float(numbers(cell)[0]) % 360] for cell in row[2:4]]).double().deg2rad()
        turned = [rotate(vector, angle.cos(), angle.sin())[0] for angle in angles]
        for cell, (x, y) in zip(row[2:4], (each.tolist() for each in turned)):
            assert re.search(r"\((\S+), (\S+)\)", cell).groups() == (short(x), short(y))
        assert row[4] == short(float(turned[0] @ turned[1]))


def short(number: float) -> str:
    """A number in two figures behind the point, without needless zeros: .5, -.87, 1."""
    return re.sub(r"^(-?)0(?=\.)", r"\1", f"{round(number, 2) + 0:g}")


def solved(puzzle: str, stage: str, distance: int) -> str:
    """What share of a puzzle's questions a stage answers, as kept."""
    kept = json.loads((ROOT / "shared" / "results" / f"recall-default-{puzzle}.json").read_text(encoding="utf-8"))
    runs = [{row["distance"]: row["accuracy"] for row in run["rows"]} for run in kept["stages"][stage]]
    return f"{mean(run[distance] for run in runs):.0%}"


def test_chapter_2_tells_of_the_puzzles_what_was_kept():
    stage_1, stage_2, stage_3, _ = STAGES
    for puzzle, row in zip(("latch", "adding", "copy"), table_of(CHAPTER_2, "puzzle")):
        assert row[-2:] == [solved(puzzle, stage, int(row[1])) for stage in (stage_1, stage_2)]
    distances = (1, 8, 32, 128)  # as the table's heads say
    rows = [[solved("associative", stage, distance) for distance in distances] for stage in (stage_2, stage_3)]
    assert [row[1:] for row in table_of(CHAPTER_2, "tokens since the value that is asked for")] == rows


def test_the_lab_on_genre_shows_first_what_its_kept_baselines_say():
    kept = {(run["table"], run["row"]): run["scores"]["accuracy"] for run in load_lab_results(ROOT / LAB_CLASSIFY)}
    columns = ("Split at random", "Split by play")
    names = ("naive Bayes, speakers' names left in", "naive Bayes")
    expected = [[f"{kept[column, name]:.3f}".lstrip("0") for column in columns] for name in names]
    assert [row[1:] for row in table_of(f"{LAB_CLASSIFY}/README.md", "naive Bayes")] == expected
