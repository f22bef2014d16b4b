"""Command lines that are kind: one line for a mistake, either spelling of a flag, no traceback."""

import argparse
import atexit
import codecs
import errno
import io
import math
import os
import re
import shlex
import shutil
import signal
import sys
import textwrap
import traceback
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tqdm import tqdm

from shared.errors import UserError
from shared.files import why
from shared.run.interrupts import exit_status
from shared.text.signs import printable

# Of the processes that torchrun has started, the first speaks for all.
SPEAKS = "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["RANK"] == "0"
# The exit status of a mistake. torchrun ends all processes as soon as one has failed, and so it would the one that is
# about to say why: the others do not call it a failure.
MISTAKE = 2 if SPEAKS else 0
# What no program can prevent: full disks, quotas, limits on files, disks that fail, or that can only be read.
OUT_OF_OUR_HANDS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


class HelpFormatter(argparse.HelpFormatter):
    """Help of at most 80 columns, or as many as the terminal has, in which examples keep lines of their own."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=min(80, shutil.get_terminal_size().columns))

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Fill paragraphs. What is indented is a command and, after two spaces, what it does."""
        lines = []
        for part in re.split(r"\n(?= *\n| {1,8}\S)", text.strip()):  # at empty lines, and before each command
            if not part or part.startswith("\n"):
                lines.append("")
            part = part.lstrip("\n")
            margin = " " * (len(part) - len(part.lstrip(" ")))
            words = part.strip()
            lines += command_lines(words, margin, width) if margin else textwrap.wrap(" ".join(words.split()), width)
        return "\n".join(lines)


def command_lines(words: str, margin: str, width: int) -> list[str]:
    """A command and what it does: on one line, or else the command, cut by backslashes, and the rest below it."""
    command, _, told = words.partition("  ")
    told = " ".join(told.split())
    whole = f"{margin}{command}  {told}".rstrip()
    if len(whole) <= width:
        return [whole]
    *first, last = textwrap.wrap(command, width - 2, initial_indent=margin, subsequent_indent=2 * margin)
    below = textwrap.wrap(told, width, initial_indent=2 * margin, subsequent_indent=2 * margin)
    return [*(f"{line} \\" for line in first), last, *below]


class ArgumentParser(argparse.ArgumentParser):
    """argparse, but --max_steps is taken for --max-steps, no flag may be shortened, and a mistake is one line.

    Shortened flags are refused since what is short for one flag today may be short for two tomorrow.
    """

    def __init__(self, **settings: object) -> None:
        super().__init__(allow_abbrev=False, formatter_class=HelpFormatter, **settings)
        self._optionals.title = "start here"

    def group(self, title: str) -> argparse._ArgumentGroup:
        """The group of flags that --help shows under this title."""
        known = {group.title: group for group in self._action_groups}
        return known.get(title) or self.add_argument_group(title)

    def format_help(self) -> str:
        """The text of --help: its first line names what must be given, and long lists of choices are written out."""
        words = [f"[{action.dest}]" if action.nargs in ("?", "*") else action.metavar or action.dest
                 for action in self._get_positional_actions()]  # fmt: skip
        self.usage = " ".join(["%(prog)s", *words, "[flags]"])
        for action in self._actions:
            if action.choices and action.metavar is None and len(", ".join(action.choices)) > 30:
                action.metavar = action.dest.upper()
                action.help += "; one of " + ", ".join(action.choices)
        return super().format_help()

    def parse_args(
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Parse these words, or those of the process. What is no flag is refused, with the nearest that is one."""
        flags, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{nearest(unknown[0], self._option_string_actions)}")
        return flags

    def parse_known_args(
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse these words, or those of the process; what is left over comes second. An unknown flag is refused.

        It comes first: argparse would take its value for a text, and complain of that instead.
        """
        self._words = [self._with_hyphens(word) for word in (sys.argv[1:] if args is None else args)]
        for word in self._words:
            flag, _, value = word.partition("=")
            if value == "--" and flag in self._option_string_actions:  # argparse would take it for the end of all flags
                self.error(f"argument {flag}: two dashes alone are no value; leave the flag away")
        unknown = [] if self._subparsers else self._unknown_flags()
        if unknown:
            near = nearest(unknown[0], self._option_string_actions)
            texts = unknown[0][:2] != "--" or not near
            dashes = f"; a text that begins with a dash goes behind two of them: -- {quoted(unknown[0])}"
            advice = near + dashes * bool(texts and self._get_positional_actions())
            self.error(f"unrecognized arguments: {' '.join(unknown)}{advice}")
        return super().parse_known_args(self._words, namespace)

    def _unknown_flags(self) -> list[str]:
        """The words that look like flags and are none, up to "--", but for those in the place of a flag's value."""
        unknown, before = [], None
        for word in self._words:
            if word == "--":
                break
            known = self._option_string_actions.get(word.partition("=")[0])
            waits = before is not None and before.nargs in (None, "+")
            if not known and not waits and self._looks_like_flag(word):
                unknown.append(word.partition("=")[0])
            before = known if "=" not in word else None
        return unknown

    def _looks_like_flag(self, word: str) -> bool:
        """Whether argparse takes a word for a flag: it begins with a dash, and is no number and no sentence."""
        return bool(re.fullmatch(r"-\S+", word)) and not self._negative_number_matcher.match(word)

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Refuse what is none of a flag's choices, with the nearest that is one."""
        if action.choices is not None and value not in action.choices:
            near = nearest(str(value), action.choices)
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}{near} (of {', '.join(action.choices)})")

    def _with_hyphens(self, word: str) -> str:
        """--max_steps=3 -> --max-steps=3; what is no flag, and the value of one, stays as it is."""
        flag, equals, value = word.partition("=")
        flag = flag.replace("_", "-")
        return flag + equals + value if flag.startswith("--") and flag in self._option_string_actions else word

    def error(self, message: str) -> NoReturn:
        """One line to stderr, exit status 2."""
        message += self._advice_on_dashes(message)
        self.exit(MISTAKE, f"{self.prog}: {one_line(message)}; --help lists all flags\n")

    def _advice_on_dashes(self, message: str) -> str:
        """How to give a flag a text that begins with a dash, where that was the mistake: argparse takes it for a flag.

        Nothing where the flag would refuse the text in any case, a number's flag, say.
        """
        flag = re.match("argument (--[^:/]+): expected", message)
        value = dict(zip(self._words, self._words[1:])).get(flag[1], "") if flag else ""
        if not self._looks_like_flag(value) or value.partition("=")[0] in self._option_string_actions:
            return ""
        action = self._option_string_actions[flag[1]]
        try:
            self._check_value(action, self._get_value(action, value))
        except argparse.ArgumentError:
            return ""
        return f"; a value that begins with a dash goes behind an equals sign: {quoted(f'{flag[1]}={value}')}"


class OneOrMore(argparse.Action):
    """Of a flag that takes several values: the value itself where it is one, else their list."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: list[str], flag: str | None = None
    ) -> None:
        setattr(namespace, self.dest, values[0] if len(values) == 1 else values)


def nearest(word: str, names: Iterable[str]) -> str:
    """A question after the name that is most like a word, one that holds it first; nothing where none is.

    >>> nearest("--max-step", ["--max-steps", "--seed"])
    '; did you mean --max-steps?'
    >>> nearest("--tokens=3", ["--top-k", "--max-new-tokens"])
    '; did you mean --max-new-tokens?'
    """
    word, names = word.partition("=")[0], list(names)
    part = "-" + word.strip("-")
    holding = [name for name in names if part in name] if len(part) > 1 else []
    near = get_close_matches(word, holding, n=1, cutoff=0) or get_close_matches(word, names, n=1)
    return "".join(f"; did you mean {name}?" for name in near)


# No flag wants a larger number: it is a slip of the hand, and would take all memory, or all time.
LARGEST = 10**9


def number(
    kind: type[int] | type[float], low: float = -LARGEST, high: float = LARGEST, above: float = -math.inf
) -> Callable[[str], float]:
    """A type for argparse: an int or float with low <= value <= high and value > above.

    >>> number(int, low=1)("3")
    3
    """
    limits = [("more than", above)] if above > -math.inf else [("at least", low)]
    limits += [("at most", high)]

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {'a whole number' if kind is int else 'a number'}")
        finite = kind is int or math.isfinite(value)  # which asks for a float, and an int may be too large to be one
        if not (finite and low <= value <= high and value > above):
            bounds = [f"{words} {bound:,}" for words, bound in limits]
            raise argparse.ArgumentTypeError(f"{text} must be {' and '.join(bounds)}")
        return value

    return parse


def some_path(text: str) -> Path:
    """A type for argparse: a path, of a file or folder that need not be there.

    Refused is what the system cannot even look for (a name too long, one behind a closed door), and control characters,
    which would act on the terminal wherever the path is shown, and break the commands that are to be copied from there.

    >>> some_path("plays") / "lear.txt" == Path("plays", "lear.txt")
    True
    """
    if any(unicodedata.category(sign) == "Cc" for sign in text):
        raise argparse.ArgumentTypeError(f"{text!r} has control characters; give it another name")
    try:
        Path(text).stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise argparse.ArgumentTypeError(f"cannot look for {text!r}: {reason}")
    return Path(text)


def path_or_name(text: str) -> str:
    """A type for argparse: as `some_path`, but the text itself, which may be a name that stands for something else."""
    some_path(text)
    return text


def one_line(text: str) -> str:
    r"""A text that quotes what somebody typed, as it may be shown: without control characters, and not without end.

    >>> one_line("no file a\nb\x1b")
    'no file a↵b␛'
    """
    text = printable(text).replace("\n", "↵")
    return re.sub(r"\S{200,}", lambda word: f"{word[0][:60]}…{word[0][-20:]}", text)


def log(*parts: object) -> None:
    """A line for the person watching. Progress goes to stderr, so stdout holds only results."""
    line = printable(" ".join(map(str, parts)))  # paths and texts in it may be anybody's
    tqdm.write(line, file=sys.stderr)  # above the progress bar, if there is one, not through it


def bar_size() -> dict:
    """tqdm's settings for a bar as wide as the terminal; 80 x 24 where that says it has no columns or no rows."""
    try:
        columns, rows = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):  # no terminal
        return {"dynamic_ncols": True}
    return {"dynamic_ncols": True} if columns and rows else {"ncols": columns or 80, "nrows": rows or 24}


def with_gutter(text: str) -> str:
    """A text that a model wrote, each line behind a bar, wrapped between words at the terminal's width.

    Without a terminal that is 80 columns. Long runs of letters, as in scripts without blanks, are cut anywhere.

    >>> print(with_gutter("To be,\\nor not"))
      | To be,
      | or not
    """
    gutter, lines = "  | ", []
    room = max(10, shutil.get_terminal_size().columns - len(gutter) - 1)
    for line in text.split("\n"):
        wide = any(unicodedata.east_asian_width(sign) in "WF" for sign in line)  # two columns a sign
        lines += textwrap.wrap(line, room // 2 if wide else room, break_on_hyphens=False) or [""]
    return "\n".join(gutter + line for line in lines)


def quoted(word: str) -> str:
    """The word as it has to be typed for this system's shell to take it whole.

    On Windows that is PowerShell, which sees more in a word than the older cmd; in double quotes both see the same.
    """
    if os.name != "nt":
        return shlex.quote(word)
    if re.fullmatch(r"[\w.:\\/+=-]+", word):
        return word
    return f'"{word}"' if not re.search('[$`"]', word) else "'" + word.replace("'", "''") + "'"


def typable(command: str) -> str:
    """A command as it is kept, which is the same on all systems, as it has to be typed on this one."""
    return " ".join(map(quoted, shlex.split(command)))


def rebuilt_command(words: Iterable[str], drop: Collection[str] = (), replace: dict[str, str] | None = None) -> str:
    """A command line that can be typed again, from its words: without some flags, and with other values for some.

    words: the program and what was typed after it. drop: flags to leave out, with their values. replace: flag -> its
    new value. A flag is known in either spelling, --out-dir or --out_dir, and its value after a space or a "=".

    >>> typed = ["python", "train.py", "--out_dir=runs/7", "--data", "plays/mine.txt", "--seed=2"]
    >>> rebuilt_command(typed, drop=["--out-dir"], replace={"--data": "mine.txt"})
    'python train.py --data mine.txt --seed 2'
    """
    replace, kept, flag = replace or {}, [], ""
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("--"):
            flag = name.replace("_", "-")  # what follows, up to the next flag, belongs to this one
        if flag in drop:
            continue
        if flag in replace:
            if word.startswith("--"):  # once, however many values there were
                kept += [name, replace[flag]]
        elif word.startswith("--") and equals and not value.startswith("-"):
            kept += [name, value]
        else:  # a flag, a value, or both where a space between them would make the value look like a flag
            kept.append(word)
    return shlex.join(kept)


def make_folder(folder: Path, flag: str) -> None:
    """Have a folder to write to; UserError, which names the flag that it came from, where it cannot be had."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {why(error)}; name another with {flag}") from error


def lacks_memory(error: Exception) -> bool:
    """Is this Python's complaint, or PyTorch's for the CPU or a GPU, that there is no memory left?"""
    # Linux, GPUs, Windows, and a Mac's GPU for one tensor that is too large for it.
    complaints = ("allocate memory", "out of memory", "not enough memory", "Invalid buffer size")
    return isinstance(error, MemoryError) or any(words in str(error) for words in complaints)


def read_flags(parse_flags: Callable[[], argparse.Namespace]) -> argparse.Namespace:
    """The command line's flags, read before PyTorch is imported: so --help and a wrong flag are answered at once.

    From here until `run_main`, while modules are imported, Ctrl-C ends the process on the spot. As an exception, as
    which Python reports it, it could get lost: PyTorch takes any that interrupts its start for a broken NumPy.
    """
    if not SPEAKS:
        fall_silent()
    flags = parse_flags()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_at_once)
    return flags


def fall_silent() -> None:
    """Say nothing from here on, but where the program itself is at fault."""
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")
    sys.excepthook = lambda *error: traceback.print_exception(*error, file=sys.__stderr__)


# What GNU OpenMP, whose threads PyTorch uses on Linux, reads when it starts: how often one looks for another.
BRIEF_WAITS = {"GOMP_SPINCOUNT": "6000"}


def wait_briefly() -> None:
    """Have PyTorch's threads look less long for one another; to be called before it is imported, where much is trained.

    Where another program has one of the cores, the thread that all look for may not run at all meanwhile: a training
    step took 6 to 22 times as long, and with shorter looks 3 times. With the cores to ourselves a step costs the same,
    or a few per cent more (`python -m shared.benchmark --busy`).
    """
    if not {"OMP_WAIT_POLICY", *BRIEF_WAITS} & os.environ.keys():  # else the user has said how
        os.environ.update(BRIEF_WAITS)


def end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """End the process with the exit status of a signal, by custom 128 and its number."""
    os._exit(128 + number)


class LastingFile(io.FileIO):
    """A file that takes all that is written to it, and loses it where nobody reads it any more."""

    def write(self, data: bytes) -> int:
        """Write bytes, or drop them; their number."""
        try:
            return super().write(data)
        except OSError:
            return len(data)


def outlive_reader(name: str) -> None:
    """Let the work go on when nobody reads "stderr" or "stdout" any more: `| head`, or a terminal that was closed."""
    stream = getattr(sys, name)
    if os.name == "nt" and stream.isatty():  # only Python's own way to a console there knows all letters
        return
    elif stream is getattr(sys, f"__{name}__"):
        file = LastingFile(stream.fileno(), "w", closefd=False)
        setattr(sys, name, io.TextIOWrapper(file, stream.encoding, stream.errors, line_buffering=True))


def open_closed_streams() -> None:
    """Something to write to where there is nothing: `>&-` and `2>&-` close a stream from the start."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))


def prepare_streams() -> None:
    """UTF-8 for files and pipes, on every system; on a terminal a character that it lacks is replaced.

    Left to itself, a system of an older encoding writes files that nobody else can read, or a "?" for every foreign
    letter. Who has set PYTHONIOENCODING has chosen an encoding, and is told if it lacked a sign. Bytes on standard
    input that are no text stay in it, as halves of surrogate pairs: whoever reads them can say so, and go on.
    """
    codecs.register_error("replace and tell", replace_and_tell)
    chosen, _, handler = os.environ.get("PYTHONIOENCODING", "").removesuffix(":strict").partition(":")
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "replace and tell"), (sys.stderr, "replace")):
        if not hasattr(stream, "reconfigure"):  # in a notebook
            continue
        settings = {"errors": errors if stream is sys.stdin else handler or errors}
        if not chosen and not stream.isatty():
            settings |= {"encoding": "utf-8", "newline": None if stream is sys.stdin else "\n"}
        stream.reconfigure(**settings)


def replace_and_tell(error: UnicodeError) -> tuple[str, int]:
    """A codec's way with a sign that it lacks: a question mark for it, and one notice at the end of the program."""
    atexit.unregister(log_replaced)  # so that it comes once
    atexit.register(log_replaced, error.encoding)
    return codecs.replace_errors(error)


def log_replaced(encoding: str) -> None:
    """Say why there are question marks in the output."""
    log(f"notice: {encoding} lacks some of the signs, which became ?; with PYTHONIOENCODING=utf-8 they stay")


def reader_has_gone(error: OSError) -> bool:
    """Whether who read our output (head, say) reads it no more. Windows takes that for a wrong argument, of no file."""
    wrong = os.name == "nt" and error.errno == errno.EINVAL and error.filename is None
    return wrong or isinstance(error, BrokenPipeError)


def run_main(main: Callable[[], None]) -> None:
    """Call a program's main function; turn what a user can mend into one line and an exit status.

    Exit status 2 is for mistakes, 130 for Ctrl-C.
    """
    open_closed_streams()
    outlive_reader("stderr")  # notices and progress bars are not what was asked for
    if signal.getsignal(signal.SIGINT) is end_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    prepare_streams()
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        log(f"error: {one_line(str(error))}")
        sys.exit(MISTAKE)
    except KeyboardInterrupt as stopped:
        log("\nstopped")
        sys.exit(exit_status(stopped))
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        log("error: there is not enough memory for this; ask for less, a smaller --batch-size or --hidden-size, say")
        sys.exit(MISTAKE)
    except OSError as error:
        if reader_has_gone(error):
            # Python would try to write the rest when it ends, and complain: let that go nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        if error.errno not in OUT_OF_OUR_HANDS:
            raise
        log(f"error: {why(error)} ({error.filename or 'while writing'}); mend that and run the command again")
        sys.exit(MISTAKE)
