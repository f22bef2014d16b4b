"""A CSV file's bytes -> its cells as text: which sign stands between columns, what is a comment, where the names are.

What the cells mean is found out by csv_numbers.py and csv_dates.py.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

from shared.errors import UserError
from shared.files import read_file
from shared.text.signs import printable

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
MISSING = {"", "-", "--", "?", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"}  # in small letters
# A spreadsheet's #N/A or #DIV/0! is a cell and no comment.
COMMENT = re.compile(r"\s*#(?!N/A|DIV/0|VALUE!|REF!|NUM!|NAME\?|NULL!)")
MOST_BYTES = 50_000_000  # of a file: its cells take thirty times as much memory
LONGEST_CELL = 40  # signs, in a message
TITLE_LINES = 20  # in which the names of the columns are looked for, if the first line has others

Row = tuple[int, list[str]]  # line of the file, cells


@dataclass(frozen=True)
class TableOptions:
    """What the flags say of a table, by their names; None: find it out, or leave it as it is."""

    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    date_format: str | None = None
    time: str | None = None
    sort: bool | None = None
    drop_doubles: bool | None = None
    fill: str | None = None


TABLE_SETTINGS = tuple(field.name for field in fields(TableOptions))


@dataclass(frozen=True)
class Table:
    """A file's cells (N rows), without blanks around them.

    lines     (N) the line of the file that each row stands in, for messages
    columns   name -> cells (N)
    comments  how many lines were left out since they begin with # or sep=
    """

    name: str
    separator: str
    lines: list[int]
    columns: dict[str, list[str]]
    comments: int = 0

    def __len__(self) -> int:
        return len(self.lines)


def files_at(path: Path) -> list[Path]:
    """The file itself or, of a folder, all its CSV files by name: a series each."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.glob("*.csv") if not file.name.startswith("."))
    if not files:
        raise UserError(f"there is no file in {path} whose name ends in .csv; give a folder of CSV files, or one file")
    return files


def read_bytes(path: Path, advice: str = "give --data flow-pressure, etth1 or the path of a CSV file") -> bytes:
    """A file's content; UserError, with the advice, where there is none."""
    return read_file(path, MOST_BYTES, advice)


def read_all(files: Sequence[Path]) -> list[bytes]:
    """The contents of files, that of a folder's together no larger than one file may be."""
    contents = []
    for file in files:
        contents.append(read_bytes(file))
        if sum(map(len, contents)) > MOST_BYTES:
            raise UserError(f"the files up to {file} are larger than {MOST_BYTES / 1e6:.0f} MB; give fewer of them")
    return contents


def read_table(content: bytes, name: str, separator: str | None = None) -> Table:
    """A CSV file with a line of names -> its cells. `separator` is one of SEPARATORS' names, or None: find it out.

    Raises UserError, one line, for a file that is no such table.
    """
    lines = list(enumerate(StringIO(decoded(content, name), newline=""), start=1))
    kept = [(number, line) for number, line in lines if not COMMENT.match(line)]
    if kept and (told := re.match(r"sep=([,;\t|])\s*$", kept[0][1])):  # a line that spreadsheets write
        separator = separator or next(word for word, sign in SEPARATORS.items() if sign == told[1])
        del kept[0]
    separator, rows = split_rows(kept, name, separator)
    if len(rows) < 2:
        raise UserError(f"{name} has no rows; its first line must name the columns, and each line after it is a step")
    header = column_names(name, *rows[0])
    check_lengths(name, rows[1:], len(header), separator)
    cells = [[cell.strip() for cell in row] for _, row in rows[1:]]
    columns = {column: list(values) for column, values in zip(header, zip(*cells))}
    return Table(name, separator, [line for line, _ in rows[1:]], columns, len(lines) - len(kept))


def decoded(content: bytes, name: str) -> str:
    """UTF-8 text, with or without a byte order mark."""
    if content[:2] == b"PK":
        raise UserError(f"{name} is a spreadsheet or an archive; save the table as CSV in UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{name} is not UTF-8 text; save it as a CSV file in UTF-8") from None
    if "\0" in text:
        raise UserError(f"{name} has NUL bytes, so it is not UTF-8 text; save it as a CSV file in UTF-8")
    return text


# ------------------------------------------------------------------------------------------------------ rows and cells


def split_rows(lines: list[tuple[int, str]], name: str, separator: str | None) -> tuple[str, list[Row]]:
    """The name of the sign between columns, and the rows split at it.

    csv.Sniffer is not asked: it looks at the beginning alone, and takes a letter or a colon that is evenly spread.
    """
    candidates, unpaired = {}, False
    for word, sign in SEPARATORS.items():
        if separator in (None, word):
            try:
                candidates[word] = without_blanks(cut(lines, sign))
            except csv.Error:
                unpaired = True  # the quotation marks make no sense with this sign
    best = [separator] if separator in candidates else best_separators(candidates) if candidates else []
    # Where another sign fails, a single column is most likely its rows, uncut.
    if not best or unpaired and all(len(row) == 1 for _, row in candidates[best[0]]):
        raise UserError(f"{name} is no CSV file, for its quotation marks do not pair; mend them, or leave them out")
    if len(best) > 1:
        raise UserError(f"{name} can be read with {' or '.join(best)} between columns; say which with --separator")
    return best[0], candidates[best[0]]


def cut(lines: list[tuple[int, str]], sign: str) -> list[Row]:
    """All lines, each cut into cells at this sign; csv.Error where quotation marks do not pair."""
    reader = csv.reader((line for _, line in lines), delimiter=sign, skipinitialspace=True, strict=True)
    rows, read = [], 0
    for row in reader:
        rows.append((lines[read][0], row))
        read = reader.line_num  # a cell in quotation marks may go over several lines
    return rows


def best_separators(candidates: dict[str, list[Row]]) -> list[str]:
    """Those that cut the most rows into equally many cells; several that do so equally well are all named."""
    scores = {}
    for word, rows in candidates.items():
        widths = [len(row) for _, row in rows] or [0]
        usual, count = Counter(widths[1:] or widths).most_common(1)[0]
        # A sign that is not among the names separates nothing, however often it stands in the rows: a decimal comma.
        scores[word] = (count, widths[0] == usual) if min(widths[0], usual) > 1 else (0, False)
    best = max(scores.values())
    if best == (0, False):  # a table of one column: any sign that occurs in no row
        return [min(candidates, key=lambda word: sum(len(row) > 1 for _, row in candidates[word]))]
    return [word for word, score in scores.items() if score == best]


def without_blanks(rows: list[Row]) -> list[Row]:
    """Rows without blank lines, and without what is empty at the ends: lines of mere separators, nameless columns."""
    filled = [place for place, (_, row) in enumerate(rows) if any(cell.strip() for cell in row)]
    if not filled:
        return []
    rows = rows[filled[0] : filled[-1] + 1]
    names = rows[0][1]
    named = max(place for place, cell in enumerate(names, start=1) if cell.strip())
    # In a table of one column, a blank line between others is a missing value.
    rows = [(line, row or [""]) for line, row in rows if len(row) > 1 or "".join(row).strip() or len(names) == 1]
    if any(cell.strip() for _, row in rows for cell in row[named : len(names)]):
        named = len(names)  # the last columns have no names, but cells
    return [(line, row if any(cell.strip() for cell in row[named:]) else row[:named]) for line, row in rows]


# --------------------------------------------------------------------------------------------------- names and lengths


def column_names(name: str, line: int, row: list[str]) -> list[str]:
    """The first row, if it is one of names; UserError where it holds values, or two names are alike."""
    header = [printable(" ".join(cell.split())) or f"column {place}" for place, cell in enumerate(row, start=1)]
    if all(re.fullmatch(r"[-+\d.,:/ T'Z]*\d[-+\d.,:/ T'Z]*", cell) or cell.lower() in MISSING for cell in header):
        raise UserError(f"{name}, line {line}: values where the names of the columns must be; add a line of names")
    if len(set(header)) < len(header):
        twice = next(cell for cell in header if header.count(cell) > 1)
        raise UserError(f"{name} has two columns named {twice!r}; give each a name of its own")
    return header


def check_lengths(name: str, rows: list[Row], width: int, separator: str) -> None:
    """UserError where rows have more or fewer cells than there are columns."""
    ragged = [(line, len(row)) for line, row in rows if len(row) != width]
    if not ragged:
        return
    line, cells = ragged[0]
    many = f" ({len(ragged):,} lines are like it)" if len(ragged) > 1 else ""
    hint = "; decimal commas need quotation marks, or --separator" if separator == "comma" and cells > width else ""
    if len(ragged) == len(rows):
        hint += "; if the first line is a title, leave it out: the names of the columns come first"
    raise UserError(f"{name}, line {line}: {cells} cells, but {width} columns{many}; mend that line{hint}")


def check_names(table: Table, targets: Sequence[str], known_future: Sequence[str], past_only: Sequence[str]) -> None:
    """UserError where no target is named, a column does not exist or has two roles."""
    if not targets:
        names = uncut(table) or f"name it with --target, out of: {', '.join(table.columns)}"
        raise UserError(f"which column of {table.name} is to be forecast? {names}")
    used = [*targets, *known_future, *past_only]
    for column in used:
        check_name(table, column)
        if used.count(column) > 1:
            raise UserError(f"column {column!r} is named twice; give it one place: target, known-future or past-only")


def check_name(table: Table, column: str) -> None:
    """UserError where there is no such column."""
    if column in table.columns:
        return
    near = get_close_matches(column, table.columns, n=1)
    others = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(table.columns)}"
    raise UserError(f"{table.name} has no column {column!r}; {below(table, column) or uncut(table) or others}")


def below(table: Table, column: str) -> str:
    """What to do where the line of names follows a title, so that it was taken for a row; "" where it does not."""
    for place in range(min(TITLE_LINES, len(table))):
        cells = [cell for cells in table.columns.values() for cell in re.split(r"[,;\t|]", cells[place])]
        if column in (cell.strip(' "') for cell in cells):
            return f"line {table.lines[place]} names it, so leave out the lines above that one"
    return ""


def uncut(table: Table) -> str:
    """What to do where the names of several columns were taken for one; "" where they were not."""
    name, cells = next(iter(table.columns.items()))
    # Names keep no tabs, so those are looked for in the first row alone.
    words = [word for word, sign in SEPARATORS.items() if sign in cells[0] and (sign in name or sign == "\t")]
    if len(table.columns) > 1 or not words:
        return ""
    name = name if len(name) <= LONGEST_CELL else name[:LONGEST_CELL] + "..."
    return f"its first line {name!r} was not cut; give --separator {' or '.join(words)}, or leave it to be found out"


def cell_fault(table: Table, column: str, bad: list[int], what: str, advice: str) -> UserError:
    """One line for all bad cells of a column: the first, what it is, how many there are, and what to do."""
    many = f" ({len(bad):,} cells are like it)" if len(bad) > 1 else ""
    cell = table.columns[column][bad[0]]
    cell = cell if len(cell) <= LONGEST_CELL else cell[:LONGEST_CELL] + "..."
    return UserError(f"{table.name}, column {column!r}, line {table.lines[bad[0]]}: {cell!r} {what}{many}; {advice}")
