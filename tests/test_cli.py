"""Command lines are kind: either spelling of a flag, one line for a mistake, help for everything."""

import argparse
import atexit
import errno
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from shared.errors import UserError
from shared.run import cli
from shared.run.cli import (
    ArgumentParser,
    OneOrMore,
    bar_size,
    log,
    number,
    path_or_name,
    rebuilt_command,
    run_main,
    some_path,
    wait_briefly,
    with_gutter,
)
from shared.run.stage import Stage, generation_flags, training_flags
from shared.stages import ROOT, STAGES, load_stage

TRAINING_FLAGS = (
    "--data --tokenizer --vocab-size --max-steps --epochs --batch-size --context-length --hidden-size --num-layers "
    "--learning-rate --decay-share --average-share --dropout --epsilon --seed --device --precision --eval-interval "
    "--start-from --out-dir --resume --quick --thorough --no-moments"
).split()
GENERATION_FLAGS = (
    "--prompt --prompt-file --stop --max-new-tokens --temperature --top-k --top-p --seed --num-samples --checkpoint "
    "--device --interactive --visualize --head"
).split()


def parser() -> ArgumentParser:
    parser = ArgumentParser(prog="train.py")
    parser.add_argument("--max-steps", type=number(int, low=1))
    parser.add_argument("--data")
    parser.add_argument("--cell", choices=("lstm", "gru"))
    parser.add_argument("--quick", action="store_true")
    return parser


def with_texts() -> ArgumentParser:
    """A parser that takes a text as generate.py does: as a word, or with a flag."""
    parser = ArgumentParser(prog="generate.py")
    text = parser.add_mutually_exclusive_group()
    text.add_argument("words", nargs="*", default="", metavar="PROMPT")
    text.add_argument("--prompt")
    text.add_argument("--prompt-file")
    parser.add_argument("--max-new-tokens", type=number(int, low=1))
    parser.add_argument("--top-k", type=number(int, low=1))
    parser.add_argument("--visualize", nargs="?", const=".")
    return parser


def refused(capsys, *words, parser=parser) -> str:
    """The one line that a wrong command line is answered with."""
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(words)
    shown = capsys.readouterr()
    assert caught.value.code == 2 and shown.out == ""
    assert shown.err.count("\n") == 1 and "--help" in shown.err
    return shown.err


@pytest.mark.parametrize("word, meant", [("--max-step", "--max-steps"), ("--quik", "--quick"), ("-data=x", "--data")])
def test_a_flag_that_does_not_exist_is_answered_with_the_nearest_one(capsys, word, meant):
    assert f"; did you mean {meant}?" in refused(capsys, word, "3")


def test_a_choice_that_does_not_exist_is_answered_with_the_nearest_one_and_all(capsys):
    assert "'lstn'; did you mean lstm? (of lstm, gru)" in refused(capsys, "--cell", "lstn")


def test_nothing_is_guessed_where_nothing_is_near(capsys):
    assert "did you mean" not in refused(capsys, "--zzz") + refused(capsys, "--cell", "transformer")


# What is kept of a command


@pytest.mark.parametrize("words", [["--seed", "3", "--out", "here"], ["--out=here", "--seed=3"]])
def test_a_kept_command_leaves_out_where_results_went(words):
    kept = rebuilt_command(["python", "-m", "shared.recall", *words], drop=["--out"])
    assert kept == "python -m shared.recall --seed 3"


def test_a_kept_command_is_quoted_and_its_values_stay_whole():
    kept = rebuilt_command(["python", "-m", "shared.compare", "--prompt", "a=b c", "--checkpoints", "here", "there"])
    assert kept == "python -m shared.compare --prompt 'a=b c' --checkpoints here there"
    assert shlex.split(kept)[4] == "a=b c"


def test_of_a_flag_that_is_left_out_no_value_stays():
    assert rebuilt_command(["a.py", "stage", "--seeds", "1", "2", "--whole"], drop=["--seeds"]) == "a.py stage --whole"


def test_a_value_that_looks_like_a_flag_stays_behind_its_equals_sign():
    words = ["compare.py", "--prompt=--what, ho!"]
    assert shlex.split(rebuilt_command(words)) == words


# Spelling


def test_underscores_are_taken_for_hyphens():
    assert parser().parse_args(["--max_steps", "3"]).max_steps == 3
    assert parser().parse_args(["--max_steps=3"]).max_steps == 3


def test_underscores_in_values_stay():
    assert parser().parse_args(["--data=my_own_text.txt"]).data == "my_own_text.txt"
    assert parser().parse_args(["--data", "my_own_text.txt"]).data == "my_own_text.txt"
    assert parser().parse_args(["--data=a_b=c_d"]).data == "a_b=c_d"


def test_the_words_of_the_process_are_read_in_the_same_way(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--max_steps", "5"])
    assert parser().parse_args().max_steps == 5


def test_no_flag_may_be_shortened(capsys):
    assert "--max" in refused(capsys, "--max", "3")
    assert "--qui" in refused(capsys, "--qui")


@pytest.mark.parametrize(
    "words", [["--nonsense"], ["--data"], ["stray"], ["--max-steps", "many"], ["--max-steps", "0"]]
)
def test_a_wrong_command_line_is_one_line_and_exit_status_2(capsys, words):
    assert refused(capsys, *words).startswith("train.py: ")


def test_a_flag_of_several_values_gives_one_value_where_one_was_given():
    parser = ArgumentParser()
    parser.add_argument("--data", nargs="+", action=OneOrMore)
    assert parser.parse_args(["--data", "-"]).data == "-"
    assert parser.parse_args(["--data", "a", "b"]).data == ["a", "b"]


def test_a_value_that_begins_with_a_dash_is_told_how_to_be_typed(capsys):
    for value in ("-x", "--x", "--x_y"):
        assert f"--data={value}" in refused(capsys, "--data", value)
    assert "=" not in refused(capsys, "--data", "--quick") and "=" not in refused(capsys, "--data")
    assert "-- -x" in refused(capsys, "-x", parser=with_texts)


@pytest.mark.parametrize(
    "words", [("--max-steps", "-1"), ("--max-steps", "-x"), ("--cell", "-gru"), ("-x",), ("--max-steps=-1",)]
)
def test_no_advice_on_dashes_where_it_would_be_refused_as_well(capsys, words):
    assert "dash" not in refused(capsys, *words)


@pytest.mark.parametrize(
    "words", [("--data=--",), ("--max_steps=--",), ("--cell=--", "lstm"), ("--quick", "--data=--")]
)
def test_two_dashes_are_the_value_of_no_flag(capsys, words):
    assert "two dashes alone are no value" in refused(capsys, *words)


def test_a_flag_that_wants_more_values_than_it_got_is_one_line(capsys):
    parser = ArgumentParser()
    parser.add_argument("--lengths", nargs=2)
    for words in (["--lengths=3"], ["--lengths", "3"], ["--lengths"]):
        assert "expected 2 arguments" in refused(capsys, *words, parser=lambda: parser)


@pytest.mark.parametrize("word", ["a\nb", "\x1b[31mred", "\x9b31m", "\0", "--x\n=3", "x" * 5000])
def test_what_was_typed_is_quoted_without_control_characters_and_not_without_end(capsys, word):
    shown = refused(capsys, word).removesuffix("\n")
    assert shown.isprintable() and len(shown) < 300


@pytest.mark.parametrize("before", ["", "To be", "--prompt be", "--prompt=-x", "--prompt-file a"])
@pytest.mark.parametrize("unknown", ["--max-tokens 5", "--tokens 20", "--tokens=20", "--tokens 20 --visualize"])
def test_an_unknown_flag_is_named_wherever_it_stands_and_not_its_value(capsys, before, unknown):
    flag = re.match("--[a-z-]+", unknown)[0]
    shown = refused(capsys, *before.split(), *unknown.split(), parser=with_texts)
    assert f"unrecognized arguments: {flag}; did you mean --max-new-tokens?;" in shown
    shown = refused(capsys, *before.split(), "--bogus", "3", parser=with_texts)
    assert "unrecognized arguments: --bogus;" in shown and "did you mean" not in shown


def test_what_stands_in_the_place_of_a_text_is_no_unknown_flag():
    assert with_texts().parse_args(["--prompt", "--king lear"]).prompt == "--king lear"
    assert with_texts().parse_args(["--", "--king_lear"]).words == ["--king_lear"]
    assert with_texts().parse_args(["-1"]).words == ["-1"]


def test_flags_of_a_subcommand_are_answered_alike(capsys):
    parser = ArgumentParser(prog="results")
    parser.add_subparsers().add_parser("keep").add_argument("--preset", choices=("quick",))
    assert parser.parse_args(["keep", "--preset", "quick"]).preset == "quick"
    assert "; did you mean --preset?" in refused(capsys, "keep", "--presets", "x", parser=lambda: parser)
    assert "; did you mean quick?" in refused(capsys, "keep", "--preset", "quik", parser=lambda: parser)


# Numbers


@pytest.mark.parametrize(
    "kind, bounds, text, value",
    [
        (int, dict(low=1), "1", 1),
        (int, dict(low=1, high=3), "3", 3),
        (int, {}, "-7", -7),
        (float, dict(low=0), "0", 0.0),
        (float, dict(above=0, high=1), "1e-9", 1e-9),
        (float, dict(above=0, high=1), "1", 1.0),
    ],
)
def test_numbers_within_their_bounds_are_taken(kind, bounds, text, value):
    parsed = number(kind, **bounds)(text)
    assert parsed == value and type(parsed) is kind


@pytest.mark.parametrize(
    "kind, bounds, text, reason",
    [
        (int, dict(low=1), "0", "at least 1"),
        (int, dict(low=1, high=3), "4", "at least 1 and at most 3"),
        (float, dict(above=0), "0", "more than 0"),
        (float, dict(above=0, high=1), "1.1", "more than 0 and at most 1"),
        (float, dict(low=0), "-0.1", "at least 0"),
        (int, {}, "1.5", "not a whole number"),
        (int, {}, "", "not a whole number"),
        (float, {}, "much", "not a number"),
    ],
)
def test_numbers_outside_their_bounds_are_refused_with_the_bounds(kind, bounds, text, reason):
    with pytest.raises(argparse.ArgumentTypeError, match=reason):
        number(kind, **bounds)(text)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "NaN", "Infinity"])
@pytest.mark.parametrize("bounds", [{}, dict(low=0), dict(high=1), dict(above=0)])
def test_nan_and_infinity_are_never_numbers(text, bounds):
    with pytest.raises(argparse.ArgumentTypeError):
        number(float, **bounds)(text)


@pytest.mark.parametrize("bounds", [dict(low=1), dict(low=1, high=1000), {}])
@pytest.mark.parametrize("digits", [10, 13, 400, 5000])
def test_no_whole_number_is_without_an_upper_bound(bounds, digits):
    with pytest.raises(argparse.ArgumentTypeError, match="at most 1,000|not a whole number"):
        number(int, **bounds)("9" * digits)


# Paths

NO_PATHS = ["x" * 5000, "/".join(["y" * 200] * 30), "\udfff"] if os.name == "posix" else []


@pytest.mark.parametrize("text", NO_PATHS, ids=range(len(NO_PATHS)))
def test_a_path_that_no_system_takes_is_refused_in_one_line(capsys, text):
    parser = ArgumentParser()
    parser.add_argument("--out", type=some_path)
    parser.add_argument("--data", type=path_or_name, nargs="+")
    for flag in ("--out", "--data"):
        shown = refused(capsys, flag, text, parser=lambda: parser)
        assert f"argument {flag}: cannot look for" in shown and len(shown) < 400 and "\0" not in shown


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "\x1b[31mred", "\x9b31m", "a\0b"])
def test_a_path_that_would_act_on_the_terminal_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="has control characters"):
        some_path(text)


@pytest.mark.parametrize("text", ["here", "not/here", "-", "", "é 學", "a b"])
def test_a_path_need_not_be_there(text):
    assert some_path(text) == Path(text) and path_or_name(text) == text


def test_a_path_below_a_file_is_for_who_reads_it_to_refuse(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert some_path(str(tmp_path / "file" / "below")) == tmp_path / "file" / "below"


# What a model wrote


@pytest.mark.parametrize("columns", [80, 60, 40])
@pytest.mark.parametrize("signs", ["To be, or not to be: that is the question. ", "學而時習之不亦說乎", "aaaaaaaaaaaa"])
def test_a_long_line_keeps_its_gutter_and_loses_nothing_whatever_its_script(monkeypatch, columns, signs):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = signs * 20
    lines = with_gutter(text).splitlines()
    assert all(line.startswith("  | ") for line in lines)
    widths = [sum(2 if sign > "\u2e80" else 1 for sign in line) for line in lines]
    assert max(widths) <= columns and min(widths[:-1]) > columns / 2
    assert "".join("".join(line[4:] for line in lines).split()) == "".join(text.split())


def test_lines_break_between_words_and_blank_ones_stay(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    assert with_gutter("KING:\n\nThe rest is silence, and then nothing.") == (
        "  | KING:\n  | \n  | The rest is silence, and\n  | then nothing."
    )


@pytest.mark.parametrize("size, bar", [((0, 0), (80, 24)), ((60, 0), (60, 24)), ((0, 9), (80, 9))])
def test_a_terminal_without_columns_or_rows_has_a_bar_of_the_usual_size(monkeypatch, size, bar):
    stderr = io.TextIOWrapper(io.BytesIO())
    stderr.fileno = lambda: 2
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(os, "get_terminal_size", lambda number: os.terminal_size(size))
    assert bar_size() == dict(ncols=bar[0], nrows=bar[1])
    monkeypatch.setattr(os, "get_terminal_size", lambda number: os.terminal_size((60, 20)))
    assert bar_size() == dict(dynamic_ncols=True)


# Endings


def ending(capsys, main) -> tuple[int, str]:
    """Exit status and stderr of a program with this main function."""
    with pytest.raises(SystemExit) as caught:
        run_main(main)
    return caught.value.code, capsys.readouterr().err


def raising(error):
    def main():
        raise error

    return main


def test_a_users_mistake_is_one_line_and_exit_status_2(capsys):
    assert ending(capsys, raising(UserError("no such play; name another"))) == (
        2,
        "error: no such play; name another\n",
    )


def test_ctrl_c_is_no_traceback(capsys):
    assert ending(capsys, raising(KeyboardInterrupt())) == (130, "\nstopped\n")


@pytest.mark.parametrize("number, told", [(errno.ENOSPC, "the disk is full"), (errno.EIO, os.strerror(errno.EIO))])
def test_a_disk_that_is_full_or_fails_is_one_line(capsys, number, told):
    code, shown = ending(capsys, raising(OSError(number, os.strerror(number), "metrics.jsonl")))
    assert code == 2 and shown.count("\n") == 1 and "metrics.jsonl" in shown and told in shown


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: not enough memory: you tried"),
        RuntimeError("Invalid buffer size: 9.75 GB"),
    ],
)
def test_too_little_memory_is_one_line(capsys, error):
    code, shown = ending(capsys, raising(error))
    assert code == 2 and shown.count("\n") == 1 and "--batch-size" in shown


@pytest.mark.parametrize("error", [ValueError("a bug"), RuntimeError("a bug"), OSError(errno.EBADF, "a closed file")])
def test_a_programmers_mistake_is_not_hidden(error):
    with pytest.raises(type(error)):
        run_main(raising(error))


def test_a_main_function_that_ends_well_leaves_no_exit_status(capsys):
    run_main(lambda: print("done"))
    assert capsys.readouterr().out == "done\n"


def test_what_is_said_to_streams_that_were_closed_from_the_start_goes_nowhere(monkeypatch):
    """As `>&-` and `2>&-` close them."""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    run_main(lambda: print("done"))
    with pytest.raises(SystemExit) as ended:
        run_main(raising(UserError("no such file")))
    assert ended.value.code == 2


def test_log_goes_to_stderr(capsys):
    log("about", 3, "minutes")
    assert tuple(capsys.readouterr()) == ("", "about 3 minutes\n")


# Text in and out


LATIN = dict(LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")  # a system that knows only ASCII
ECHO = r"from shared.run.cli import run_main; run_main(lambda: print(input(), end='\xe9\u4e2d\n'))"


@pytest.mark.parametrize(
    "environment, encoding",
    [({}, "utf-8"), (LATIN, "utf-8"), (LATIN | {"PYTHONIOENCODING": "latin-1"}, "latin-1")],
    ids=["this system", "an ASCII system", "an encoding that was asked for"],
)
def test_what_goes_through_a_pipe_is_utf_8_unless_another_encoding_is_asked_for(environment, encoding):
    done = subprocess.run(
        [sys.executable, "-c", ECHO],
        cwd=ROOT,
        input="ü\n".encode(encoding),
        capture_output=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"} | environment,
    )
    assert done.stdout == "üé中\n".encode(encoding, errors="replace")
    told = done.stderr.decode()
    assert told.count("\n") == (b"?" in done.stdout) and ("PYTHONIOENCODING=utf-8" in told) == bool(told)


def test_a_terminal_keeps_its_encoding_and_what_it_lacks_is_replaced(monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), "latin-1", newline="\n")
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    run_main(lambda: print("é中"))
    assert terminal.buffer.getvalue() == "é?\n".encode("latin-1")
    atexit.unregister(cli.log_replaced)  # else the tests would end with its notice


def test_bytes_that_are_no_text_can_be_read_and_told_from_text(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), "utf-8"))
    read = []
    run_main(lambda: read.append(input()))
    with pytest.raises(UnicodeEncodeError):
        read[0].encode("utf-8")


# Help


@pytest.fixture(params=STAGES)
def stage(request):
    return load_stage(request.param)


def flags_of(parse, monkeypatch) -> list[argparse.Action]:
    """All flags of a program's parser."""
    seen, parse_args = [], ArgumentParser.parse_args

    def look(self, *_):
        seen.append(self)
        return parse_args(self, [])

    monkeypatch.setattr(ArgumentParser, "parse_args", look)
    parse()
    return seen[0]._actions


def test_help_shows_the_flags_of_a_training_in_groups(stage, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "--help"])
    with pytest.raises(SystemExit):
        training_flags(stage)
    shown = capsys.readouterr().out
    titles = ("start here", "text", "model", "training", "machine")
    places = [shown.index(f"\n{title}:\n") for title in titles]
    assert places == sorted(places)
    flags = ("--quick", "--data", "--hidden-size", "--seed", "--device")  # one of each group
    for flag, begin, end in zip(flags, places, [*places[1:], len(shown)]):
        assert f"\n  {flag} " in shown[begin:end]


def test_help_keeps_commands_on_lines_of_their_own_and_fills_paragraphs(capsys):
    told = "Does\nthis.\n\n    python a.py         one\n    python b.py --flag  " + "two " * 20 + "\n\nAnd\nthat."
    with pytest.raises(SystemExit):
        ArgumentParser(prog="a.py", description=told).parse_args(["--help"])
    shown = capsys.readouterr().out
    assert "\n\nDoes this.\n\n    python a.py  one\n    python b.py --flag\n        two two " in shown
    assert "\n\nAnd that.\n\n" in shown


def test_every_flag_of_train_has_a_help_text(stage, monkeypatch):
    actions = flags_of(lambda: training_flags(stage), monkeypatch)
    assert all(action.help and len(action.help) > 15 for action in actions)
    assert set(TRAINING_FLAGS) <= {name for action in actions for name in action.option_strings}


def test_every_flag_of_generate_has_a_help_text(stage, monkeypatch):
    actions = flags_of(lambda: generation_flags(stage.folder), monkeypatch)
    assert all(action.help and len(action.help) > 15 for action in actions)
    assert set(GENERATION_FLAGS) <= {name for action in actions for name in action.option_strings}


@pytest.mark.parametrize("program, flags", [("train", TRAINING_FLAGS), ("generate", GENERATION_FLAGS)])
def test_help_lists_all_flags(stage, program, flags, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{program}.py", "--help"])
    with pytest.raises(SystemExit) as caught:
        training_flags(stage) if program == "train" else generation_flags(stage.folder)
    shown = capsys.readouterr()
    assert caught.value.code == 0 and shown.err == ""
    assert set(flags) <= set(shown.out.replace(",", " ").split())
    assert str(ROOT) not in shown.out


def test_help_shows_every_default_of_a_stage(stage, monkeypatch):
    actions = flags_of(lambda: training_flags(stage), monkeypatch)
    texts = {action.dest: action.help for action in actions}
    for name, value in stage.defaults.items():
        assert name in texts and f"[{value}]" in texts[name].replace("%%", "%"), name


def test_every_setting_of_a_models_constructor_is_known_to_its_train(stage):
    assert set(stage.model_settings) <= set(stage.defaults)


# A stage's settings


def test_tokenizer_and_preset_change_the_defaults_in_this_order():
    stage = Stage(
        folder=Path("stage"),
        model_settings=(),
        defaults=dict(max_steps=1, hidden_size=1, dropout=0.1, learning_rate=0.1),
        by_tokenizer={"char": dict(max_steps=2, hidden_size=2, dropout=0.2)},
        quick=dict(max_steps=3),
        thorough=dict(word=dict(max_steps=4, learning_rate=0.4), char=dict(max_steps=5)),
    )

    def changed(*asked):
        settings = stage.settings(*asked)
        return [settings[name] for name in ("max_steps", "hidden_size", "dropout", "learning_rate")]

    assert changed("word") == [1, 1, 0.1, 0.1]
    assert changed("char") == [2, 2, 0.2, 0.1]
    assert changed("char", "quick") == [3, 2, 0.2, 0.1]
    assert changed("char", "thorough") == [5, 2, 0.2, 0.1]
    assert changed("word", "thorough") == [4, 1, 0.1, 0.4]
    assert changed("bpe", "thorough") == [4, 1, 0.1, 0.4], "bpe has none of its own, so it takes those for words"


@pytest.mark.parametrize("tokenizer", ["word", "char"])
def test_a_thorough_run_has_three_times_the_steps_and_width_together_and_more_dropout(stage, tokenizer):
    default, thorough = stage.settings(tokenizer), stage.settings(tokenizer, "thorough")
    longer, wider = (thorough[name] / default[name] for name in ("max_steps", "hidden_size"))
    assert longer > 1 and wider in (1, 2) and longer * wider >= 3
    assert thorough["dropout"] > default["dropout"]


# Threads


@pytest.mark.parametrize(
    "asked, waits",
    [({}, "6000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
    ids=["nothing asked", "a count", "a policy"],
)
def test_threads_wait_briefly_for_one_another_unless_the_user_says_how(monkeypatch, asked, waits):
    others = {name: value for name, value in os.environ.items() if "SPINCOUNT" not in name and "OMP_WAIT" not in name}
    monkeypatch.setattr(os, "environ", others | asked)
    wait_briefly()
    assert os.environ.get("GOMP_SPINCOUNT") == waits
