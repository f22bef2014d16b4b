"""A lab's kept runs and baselines: named by what they are, and a chapter's tables that say what the files say."""

import json

import pytest

from shared.errors import UserError
from shared.results import __main__ as results
from shared.results.labs import file_name, keep_baseline, kept_lab_run, lab_tables, load_lab_results
from shared.results.pages import CHOSEN, lab_blocks
from shared.run.records import write_json
from shared.stages import LABS, ROOT

LAB = LABS[0]
MACHINE = {"cores": 2, "cpu": "AVX512", "system": "Linux x86_64", "python": "3.11.7", "torch": "2.13.0"}


def run(row="with attention", table="copy", seed=1, seconds=61.2, **scores):
    return {
        "command": "python train.py",
        "stage": LAB.rpartition("/")[2],
        "settings": {"seed": seed},
        "parameters": 1_234_567,
        "training_tokens": 2000,
        "training_seconds": seconds,
        "command_seconds": seconds,
        "table": table,
        "row": row,
        "scores": scores or {"exact": 0.99},
        "machine": MACHINE,
    }


def cells(text, name):
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture
def root(tmp_path):
    """A repository with a lab of three runs and a baseline, and pages in step with them."""
    for seed, exact in ((1, 0.9), (2, 0.95), (3, 1.0)):
        kept = kept_lab_run(run(seed=seed, exact=exact), [{"step": 1, "seconds": 1.0, "train_loss": 2.0}])
        write_json(tmp_path / LAB / "results" / file_name(kept), kept)
    keep_baseline(tmp_path / LAB, "python baselines.py", "copy", "guessing", {"exact": 0.001})
    for folder in (tmp_path, tmp_path / LAB):
        (folder / "README.md").write_text("# Title\n\n<!-- results -->\n<!-- /results -->\n", encoding="utf-8")
    results.write(tmp_path)
    return tmp_path


def test_a_result_is_named_by_its_table_its_row_and_its_seed():
    assert file_name(run(table="ETTh1, 24 hours", row="LSTM + attention", seed=3)) == (
        "etth1-24-hours-lstm-attention-seed3.json"
    )
    baseline = {"table": "copy", "row": "Guess!"}
    assert file_name(baseline) == "copy-guess.json"


def test_the_chapters_table_has_the_mean_over_seeds_below_the_baselines(root):
    page = (root / LAB / "README.md").read_text(encoding="utf-8")
    assert cells(page, "with attention")[1:] == ["0.950 (0.900 to 1.000)", "1,234,567", "62 s", "3"]
    assert cells(page, "guessing")[1:] == ["0.001", "", "", ""]
    assert page.index("guessing") < page.index("with attention")


def test_a_row_without_a_score_leaves_its_cell_empty():
    page = lab_tables([run(row="a", exact=0.5), run(row="b", exact=0.5, unseen=0.25)])
    assert cells(page, "a")[1:3] == ["0.500", ""]
    assert cells(page, "b")[1:3] == ["0.500", "0.250"]


def test_changing_a_kept_score_or_the_page_is_noticed(root):
    results.check(root)
    path = root / LAB / "results" / "copy-with-attention-seed2.json"
    changed = json.loads(path.read_text(encoding="utf-8"))
    changed["scores"]["exact"] = 0.5
    write_json(path, changed)
    with pytest.raises(UserError, match="is not what the results say"):
        results.check(root)


def test_a_file_under_another_runs_name_is_refused(root):
    path = root / LAB / "results" / "copy-with-attention-seed2.json"
    path.rename(path.with_name("copy-with-attention-seed4.json"))
    with pytest.raises(UserError, match="should be copy-with-attention-seed2.json"):
        load_lab_results(root / LAB)


def test_a_finished_lab_run_is_kept_where_its_lab_is(tmp_path):
    out_dir = tmp_path / "run"
    write_json(out_dir / "summary.json", run(seed=2))
    (out_dir / "metrics.jsonl").write_text('{"step": 5, "seconds": 2.0, "tokens": 7, "train_loss": 1.0}\n')
    path = results.keep(out_dir, "default", tmp_path)
    assert path == tmp_path / LAB / "results" / "copy-with-attention-seed2.json"
    assert json.loads(path.read_text(encoding="utf-8"))["curve"] == [{"step": 5, "seconds": 2.0, "train_loss": 1.0}]


def test_tables_are_in_the_order_of_their_numbers():
    page = lab_tables([run(table=f"lag {lag}") for lag in (20, 5, 100)])
    assert [line for line in page.splitlines() if line.startswith("**")] == ["**lag 5**", "**lag 20**", "**lag 100**"]


def test_a_lab_with_many_results_shows_some_in_its_chapter_and_all_beside_them():
    table, row = (names[0] for names in CHOSEN[LABS[1]])
    kept = [run(row=row, table=table), run(row="a model of the appendix", table=table), run(row=row, table="other")]
    chapter, appendix = lab_blocks(LABS[1], kept)
    assert (chapter.page, appendix.page) == (f"{LABS[1]}/README.md", f"{LABS[1]}/results/README.md")
    assert chapter.content == lab_tables(kept[:1]) and appendix.content == lab_tables(kept)


@pytest.mark.claims
@pytest.mark.parametrize("lab", CHOSEN)
def test_what_a_chapter_chooses_is_there(lab):
    kept = load_lab_results(ROOT / lab)
    for names, key in zip(CHOSEN[lab], ("table", "row")):
        assert set(names) <= {result[key] for result in kept}
