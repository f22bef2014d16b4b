"""The forecasting lab's tables: whatever dialect a file is written in, it is read as it was meant or refused."""

import csv
import io
import math
from datetime import datetime, timedelta, timezone

import pytest
import torch
from forecasting import lab
from properties import given, st

from shared.errors import UserError

START = datetime(2023, 1, 9)  # a Monday


def read(text: str | bytes, known_future=(), target="load", **options):
    """What is read of a table's load, and of columns known of the future."""
    content = text if isinstance(text, bytes) else text.encode("utf-8")
    options = lab.csv_files.TableOptions(**options)
    return lab.tables.read_columns(content, "table.csv", [target], known_future, [], options)


def load_of(text: str | bytes, **options) -> list[float]:
    """The numbers that are read of a table's load."""
    return read(text, **options).columns[0][1]


def refusal(text: str | bytes, **options) -> str:
    """The one line in which a table is refused."""
    with pytest.raises(UserError) as error:
        read(text, **options)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300
    return str(error.value)


def column(cells: list[str], separator: str = ";", name: str = "load") -> str:
    """A table of this column and a number."""
    return f"{name}{separator}other\n" + "".join(f"{cell}{separator}{i}\n" for i, cell in enumerate(cells))


def timed(moments: list, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A table with these times, whose loads count from 0; a moment may be text."""
    shown = [moment if isinstance(moment, str) else moment.strftime(form) for moment in moments]
    return "date,load\n" + "".join(f"{moment},{i}\n" for i, moment in enumerate(shown))


def hours(count: int, first: datetime = START) -> list[datetime]:
    return [first + timedelta(hours=hour) for hour in range(count)]


# ------------------------------------------------------------------------------------------------- lines, names, cells

PLAIN = "date,load,wind\n2023-01-01 00:00,1.5,3\n2023-01-01 01:00,2.25,4\n2023-01-01 02:00,3.5,-5\n"


@pytest.mark.parametrize("word, sign", lab.csv_files.SEPARATORS.items())
def test_the_sign_between_columns_is_found_out_and_said(word, sign):
    found = read(PLAIN.replace(",", sign))
    assert found.columns[0] == ("load", [1.5, 2.25, 3.5])
    assert found.understood.startswith(f"{word}s between columns, decimal point, dates as year-month-day hour:minute")
    assert found.understood.endswith("; 3 rows")


def test_a_sign_that_cuts_the_names_otherwise_than_the_rows_is_not_between_columns():
    found = read("load;wind, in m/s;rain\n1,5;2,5;3,25\n2,5;3,5;4,25\n", ["wind, in m/s"])
    assert found.columns == [("load", [1.5, 2.5]), ("wind, in m/s", [2.5, 3.5])]


DRESSED = {
    "a byte order mark": "\ufeff" + PLAIN,
    "Windows' ends of lines": PLAIN.replace("\n", "\r\n"),
    "an old Mac's ends of lines": PLAIN.replace("\n", "\r"),
    "no end of the last line": PLAIN.rstrip("\n"),
    "blank lines": "\n\n" + PLAIN.replace("\n", "\n\n"),
    "quoted cells": '"date","load","wind"\n' + "".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) + "\n" for line in PLAIN.splitlines()[1:]
    ),
    "blanks around cells": PLAIN.replace(",", " , ").replace("load", "  load "),
    "empty columns at the end": PLAIN.replace("\n", ",,\n"),
    "empty columns at the end of the rows alone": PLAIN.replace("\n", ",\n").replace("wind,", "wind"),
    "lines of separators at the end": PLAIN + ",,\n,,\n",
    "comments": "# of 'the' \"east, side\n" + PLAIN.replace("2023-01-01 02", "# a, \"b\n2023-01-01 02"),
    "a spreadsheet's first line": "sep=,\n" + PLAIN,
    "no name for the first column": PLAIN.replace("date", ""),
}  # fmt: skip


@pytest.mark.parametrize("dress", DRESSED)
def test_what_surrounds_a_table_does_not_change_what_is_read(dress):
    found = read(DRESSED[dress], ["wind"])
    assert found.columns == [("load", [1.5, 2.25, 3.5]), ("wind", [3.0, 4.0, -5.0])]
    assert found.rows.times == hours(3, datetime(2023, 1, 1))
    assert ("2 lines of comment left out" in found.understood) == (dress == "comments")


NO_TABLE = {
    "date;load,kW;wind,ms\n1;2,5;3,5\n2;3,5;4,5\n": "comma or semicolon between columns; say which with --sep",
    "2023-01-01,1.5,3\n2023-01-02,2.5,4\n": "line 1: values where the names of the columns must be",
    "load\n": "has no rows",
    "# load\n": "has no rows",
    "load,load\n1,2\n": "two columns named 'load'",
    "load, load \n1,2\n": "two columns named 'load'",
    PLAIN.replace("3.5,-5", "3.5"): "line 4: 2 cells, but 3 columns",
    PLAIN.replace("1.5", "1,5").replace("2.25", "2,25"): "line 2: 4 cells, but 3 columns (2 lines are like it); mend",
    PLAIN.replace("1.5", '"1.5'): "its quotation marks do not pair",
    b"date,h\xf6he\n1,2\n": "not UTF-8",
    "date,load\n1,2\n".encode("utf-16"): "not UTF-8",
    "date,load\n1,2\n".encode("utf-16-le"): "NUL bytes",
    b"PK\x03\x04 and so on": "a spreadsheet or an archive",
}


@pytest.mark.parametrize("text", NO_TABLE)
def test_what_is_no_table_is_told_in_one_line(text):
    assert NO_TABLE[text] in refusal(text)


TITLED = {
    "a title": "Report of the plant\n" + PLAIN,
    "a title and a blank line": "Report of the plant\n\n" + PLAIN,
    "a title of two words that a comma parts": "Report, of the plant\ndate,load\n2023-01-01,1.5\n2023-01-02,2.5\n",
    "a title filled up with separators": "Report of the plant,,\n" + PLAIN,
    "two lines": "Plant\nmade in May\n" + PLAIN.replace(",", ";"),
}


@pytest.mark.parametrize("title", TITLED)
def test_a_title_above_the_names_is_told(title):
    told = refusal(TITLED[title])
    line = TITLED[title].splitlines().index(next(line for line in TITLED[title].splitlines() if "load" in line)) + 1
    assert f"line {line} names it, so leave out the lines above" in told or "if the first line is a title" in told


@pytest.mark.parametrize("word, sign", lab.csv_files.SEPARATORS.items())
@pytest.mark.parametrize("given", lab.csv_files.SEPARATORS)
def test_a_separator_that_does_not_cut_the_names_is_told(word, sign, given):
    text = PLAIN.replace(",", sign)
    if given == word:
        assert load_of(text, separator=given) == [1.5, 2.25, 3.5]
    else:
        assert "was not cut; give --separator" in refusal(text, separator=given)
        assert "was not cut; give --separator" in refusal(text, separator=given, target="zzz")


def test_a_decimal_comma_in_a_single_column_is_no_separator():
    assert "no column 'zzz'; it has: load" in refusal("load\n1,5\n2,25\n", target="zzz")


def test_a_message_counts_lines_as_an_editor_does():
    text = '# comment\n\n"date","the\nload"\n2023-01-01,1\n\n2023-01-02,much\n'
    assert "line 7: 'much' is not a number" in refusal(text, target="the load")


def test_control_codes_of_a_table_never_reach_a_terminal():
    text = "da\x1b[31mte,load\n2023-01-01,\x1b[31m2\n"
    assert all(sign.isprintable() for told in (refusal(text), refusal(text, target="lead")) for sign in told)


def test_lines_left_out_as_comments_are_no_cells_of_a_spreadsheet():
    assert "line 3: '#DIV/0!' is not a number" in refusal(column(["1", "#DIV/0!", "3"]))
    assert "line 3: '#N/A' is a missing value" in refusal(column(["1", "#N/A", "3"]))


# -------------------------------------------------------------------------------------------------------------- numbers

STYLES = {
    "decimal point": (["1.5", "-2", "+3.25", ".5", "4.", "1e5", "2.5E-3"], [1.5, -2, 3.25, 0.5, 4, 1e5, 0.0025]),
    "decimal comma": (["1,5", "-2", "0,125", "7,25e3"], [1.5, -2, 0.125, 7250]),
    "decimal point, comma between thousands": (["1,234.5", "12", "-1,234,567"], [1234.5, 12, -1234567]),
    "decimal comma, point between thousands": (["1.234,5", "12", "1.234.567"], [1234.5, 12, 1234567]),
    "decimal comma, space between thousands": (["1 234,5", "12\u00a0345,25", "1\u202f234"], [1234.5, 12345.25, 1234]),
    "decimal point, apostrophe between thousands": (["1'234.5", "1\u2019234", "\u221212"], [1234.5, 1234, -12]),
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_marks_of_numbers_are_found_out_and_said(style):
    cells, expected = STYLES[style]
    found = read(column(cells))
    assert found.columns[0][1] == expected
    assert found.understood.startswith(f"semicolons between columns, {style}, no times, so rows are taken as they come")


@pytest.mark.parametrize("cells, separator, point, comma", [
    (["1,234", "5,678"], ";", [1234, 5678], [1.234, 5.678]),
    (["1,234", "567"], "\t", [1234, 567], [1.234, 567]),
    (["1.234", "5.678"], ";", [1.234, 5.678], [1234, 5678]),
    (["1.234", "567"], ",", [1.234, 567], [1234, 567]),
])  # fmt: skip
def test_cells_that_can_be_two_numbers_are_asked_for(cells, separator, point, comma):
    text = column(cells, separator)
    first = "1.234" if point[0] == 1.234 else "1234"
    told = refusal(text)
    assert f"{cells[0]!r} can be {first} or " in told and "--decimal point or --decimal comma" in told
    assert load_of(text, decimal="point") == point and load_of(text, decimal="comma") == comma


@pytest.mark.parametrize("settles, value", [("0,5", 0.5), ("12,34", 12.34), ("1234,567", 1234.567), ("0,125", 0.125)])
def test_one_cell_settles_what_the_others_are(settles, value):
    assert load_of(column(["1,234", settles, "5,678"])) == [1.234, value, 5.678]


def test_three_digits_after_every_point_are_decimals_where_commas_separate_columns():
    assert load_of(column(["10.028", "9.151"], ",")) == [10.028, 9.151]


def test_a_table_with_decimal_points_and_decimal_commas_is_refused():
    told = refusal("load;other\n1.5;2,5\n", known_future=["other"])
    assert "'load' is written with a decimal point, 'other' with a decimal comma" in told


KINDS = {
    "1_000": "underscores between digits",
    "inf": "infinite",
    "-Infinity": "infinite",
    "1e999": "too large",
    "9" * 400: "too large",
    "0x1F": "hexadecimal",
    "12 %": "a percentage",
    "12.5kW": "a unit beside it",
    "$12": "a unit beside it",
    "\u20ac 1.234,50": "a unit beside it",
    "much": "text without digits",
    "1-2": "is not a number",
    "1.234,5.6": "is not a number",
    "1,23,456.5": "grouped as in India",
    "1,62,72,250": "grouped as in India",
    "12,34.5": "is not a number",
    "0,123,456": "is not a number",
    "\u0663\u0664": "digits other than 0 to 9",
    "1\uff12": "digits other than 0 to 9",
    "00000-A": "letters among the digits",
    "x7": "letters among the digits",
    "2023-01-31": "a date",
    "31.01.2023 12:00": "a date",
    "12:05": "a time of day",
    "(1,200)": "in brackets",
    "12.5-": "a minus sign behind it",
    "< 0.05": "a bound or an estimate",
}


@pytest.mark.parametrize("cell", KINDS)
def test_what_is_no_number_is_told_once_by_its_kind(cell):
    told = refusal(column(["1", cell, cell, cell], "|"), time="none")
    assert f"column 'load', line 3: {cell[:40]!r}"[:-1] in told and "is not a number" in told
    assert KINDS[cell] in told and "(3 cells are like it)" in told


@pytest.mark.parametrize("cell", ["", "NA", "n/a", "NaN", "-", "null", "None", "?", "#N/A"])
def test_missing_values_are_told_once_and_filled_only_if_asked(cell):
    text = column(["1", cell, cell, "4"])
    assert f"line 3: {cell!r} is a missing value (2 cells are like it); --fill forward" in refusal(text)
    assert load_of(text, fill="forward") == [1, 1, 1, 4] and load_of(text, fill="linear") == [1, 2, 3, 4]
    assert "2 missing values filled (linear)" in read(text, fill="linear").understood


def test_what_is_missing_at_the_ends_takes_the_nearest_number():
    text = column(["", "2", "", "4", ""])
    assert load_of(text, fill="forward") == [2, 2, 2, 4, 4] and load_of(text, fill="linear") == [2, 2, 3, 4, 4]
    assert "holds no number" in refusal(column(["", "", ""]), fill="linear")


def test_a_blank_line_in_a_table_of_one_column_is_a_missing_value():
    assert "line 3: '' is a missing value" in refusal("load\n1\n\n3\n\n\n")
    assert load_of("load\n1\n\n3\n\n\n", fill="linear") == [1, 2, 3]
    assert load_of("load\n1,5\n2,25\n") == [1.5, 2.25]


@pytest.mark.parametrize("number", ["20110302", "1.2.3", "12345"])
def test_a_number_of_a_lot_is_never_a_date(number):
    text = column([number] * 3, name="lot")
    if number == "1.2.3":
        assert "is not a number" in refusal(text, known_future=["lot"], target="other")
    else:
        found = read(text, known_future=["lot"], target="other")
        assert found.num_known == 1 and found.rows.times is None and found.columns[1][1] == [float(number)] * 3


# ---------------------------------------------------------------------------------------------------------------- dates

NOON = datetime(2023, 12, 24, 12, 5)
FORMS = {
    "2023-12-24": datetime(2023, 12, 24),
    "2023-12-24 12:05": NOON,
    "2023-12-24T12:05:00": NOON,
    "2023-12-24T12:05:00Z": NOON.replace(tzinfo=timezone.utc),
    "2023-12-24 12:05:00.250": NOON.replace(microsecond=250_000),
    "2023-12-24 12:05:00+01:00": NOON.replace(tzinfo=timezone(timedelta(hours=1))),
    "2023-12-24T12:05-0330": NOON.replace(tzinfo=timezone(timedelta(hours=-3.5))),
    "2023/12/24 12:05": NOON,
    "2023.12.24 12:05": NOON,
    "24.12.2023": datetime(2023, 12, 24),
    "24.12.2023 12:05": NOON,
    "24-12-2023 12:05:00": NOON,
    "24/12/2023 12:05": NOON,
    "12/24/2023 12:05 PM": NOON,
    "12/24/2023 12:05 am": NOON.replace(hour=0),
    "12-24-2023 1:05 pm": NOON.replace(hour=13),
    "2023-12": datetime(2023, 12, 1),
    "24-Dec-2023 12:05": NOON,
    "24 December 2023": datetime(2023, 12, 24),
    '"Sun, 24 Dec 2023 12:05:00 GMT"': NOON.replace(tzinfo=timezone.utc),
    '"Dec 24th, 2023 12:05 PM"': NOON,
    "24DEC2023:12:05:00": NOON,
    "2023-Dec-24": datetime(2023, 12, 24),
    "Sept. 2023": datetime(2023, 9, 1),
    "20231224": datetime(2023, 12, 24),
    "2023122412": NOON.replace(minute=0),
    "202312241205": NOON,
    "20231224T120500Z": NOON.replace(tzinfo=timezone.utc),
    "20231224 12:05": NOON,
    "1703419500": NOON,
    "1703419500.0": NOON,
    "1703419500250": NOON.replace(microsecond=250_000),
    "1703419500250000": NOON.replace(microsecond=250_000),
    "1703419500000000000": NOON,
}


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_dates_is_found_out(form):
    found = read(timed([form]))
    assert found.rows.times == [FORMS[form]] and "dates as " in found.understood


@pytest.mark.parametrize("sign", "./-")
def test_dates_that_can_be_two_days_are_asked_for(sign):
    text = timed([f"01{sign}02{sign}2023", f"02{sign}02{sign}2023"])
    assert f"'01{sign}02{sign}2023' can be day-month-year or month-day-year; say which with --date-f" in refusal(text)
    assert read(text, date_format="day-month-year").rows.times[0] == datetime(2023, 2, 1)
    assert read(text, date_format="month-day-year", fill="forward").rows.times[0] == datetime(2023, 1, 2)
    assert read(text, date_format=f"%d{sign}%m{sign}%Y").rows.times[0] == datetime(2023, 2, 1)


def test_the_order_of_day_and_month_is_given_for_dates_where_it_is_open():
    assert read(timed(hours(3)), date_format="day-month-year").rows.times == hours(3)
    assert "'12/24/2023' is no date (day-month-year)" in refusal(timed(["12/24/2023"]), date_format="day-month-year")


def test_one_date_settles_which_number_is_the_day():
    days = [datetime(2023, 1, 1) + timedelta(days=day) for day in range(20)]
    assert read(timed(days, "%d/%m/%Y")).rows.times == days == read(timed(days, "%m/%d/%Y")).rows.times
    assert "dates as month/day/year in 'date'" in read(timed(days, "%m/%d/%Y")).understood


@pytest.mark.parametrize("cells, message", [
    (["31.01.2023", "31.02.2023"], "line 3: '31.02.2023' is no date"),
    (["01.02.23", "02.02.23"], "'01.02.23' is no date (day-month-year) (2 cells are like it)"),
    (["2023-01-01 00:00", "soon", "2023-01-01 01:00"], "line 3: 'soon' is no date"),
    (["2023-01-01 25:00"], "'2023-01-01 25:00' is no date"),
    (["2023-01-01 13:00 PM"], "is no date"),
    (["2023-01-01 00:00", "2023-01-01 00:00Z"], "line 3: '2023-01-01 00:00Z' has an offset from UTC, others have none"),
    (["2023-01-01", "", "2023-01-02"], "line 3: '' is no time"),
])  # fmt: skip
def test_what_is_no_date_is_told_in_one_line(cells, message):
    assert message in refusal(timed(cells))


def test_formats_of_strptime_are_taken():
    assert read(timed(["20230101", "20230102"]), date_format="%Y%m%d").rows.times[1] == datetime(2023, 1, 2)
    assert read(timed(["1.2.23", "2.2.23"]), date_format="%d.%m.%y").rows.times[1] == datetime(2023, 2, 2)


def test_dates_and_their_hours_may_stand_in_two_columns():
    text = "Date;Time;load\n" + "".join(f"16/12/2006;{hour:02}:30:00;{hour}\n" for hour in range(5))
    found = read(text, known_future=["Date"])
    assert found.rows.times == hours(5, datetime(2006, 12, 16, 0, 30)) == read(text, time="Date").rows.times
    assert "day/month/year hour:minute:second" in found.understood and found.num_known == 4


@pytest.mark.parametrize("form", ["{}", "{:02}"])
def test_a_column_of_whole_hours_belongs_to_its_dates_where_its_name_says_so(form):
    moments = hours(30, datetime(2023, 1, 1))
    rows = [f"{moment:%Y-%m-%d};{form.format(moment.hour)};{0.5 + moment.hour}" for moment in moments]
    assert read("\n".join(["date;Hour;load", *rows])).rows.times == moments
    assert "second row of 2023-01-01" in refusal("\n".join(["date;shop;load", *rows]))


@pytest.mark.parametrize("name, form", [("sunrise", "7:{:02}"), ("hour", "{}")])
def test_a_column_of_hours_where_each_day_has_one_row_is_data(name, form):
    days = [(START + timedelta(days=day)).date() for day in range(20)]
    text = f"date,{name},load\n" + "".join(f"{day},{form.format(place)},1\n" for place, day in enumerate(days))
    assert [time.hour for time in read(text).rows.times] == [0] * 20


def test_a_column_that_holds_no_time_is_told():
    text = "when,load\n" + ",1\n" * 5
    assert "column 'when' holds no time; name another with --time, or --time none" in refusal(text, time="when")


def test_a_format_that_names_a_part_twice_is_one_that_no_column_has():
    assert "no column of dates (%d.%d.%Y)" in refusal(timed(hours(3)), date_format="%d.%d.%Y")


@pytest.mark.parametrize("form", ["%d %b", "today", "%Q", "month-day-year"])
def test_a_format_that_no_column_has_is_told(form):
    told = refusal(column(["1", "2"]) if form == "month-day-year" else timed(hours(2)), date_format=form)
    assert f"no column of dates ({form})" in told


PLACES = {"seconds": 1, "milliseconds": 1_000, "nanoseconds": 10**9}
NAMELESS = {"compact": "%Y%m%d%H%M", "month": "%d-%b-%Y %H:%M"}


@pytest.mark.parametrize("form", [*PLACES, *NAMELESS])
@pytest.mark.parametrize("name", ["Date", "TIME", "timestamp_utc", "DateTime", "Datum"])
def test_rows_out_of_order_are_told_in_every_form_of_time(name, form):
    moments = [hours(6)[i] for i in (0, 1, 4, 3, 2, 5)]
    cells = [
        str(int((moment - datetime(1970, 1, 1)).total_seconds()) * PLACES[form])
        if form in PLACES
        else moment.strftime(NAMELESS[form])
        for moment in moments
    ]
    text = timed(cells).replace("date", name, 1)
    assert "line 5: 2023-01-09 03:00:00 comes after 2023-01-09 04:00:00; --sort" in refusal(text)
    assert load_of(text, sort=True) == [0, 1, 4, 3, 2, 5] and read(text, [name], sort=True).rows.times == hours(6)


@pytest.mark.parametrize("cell", ["1672531200", "1672531200000", "20230101", "202301010000"])
def test_a_number_is_a_time_only_where_the_name_or_a_flag_says_so(cell):
    text = column([cell] * 2, name="lot")
    assert read(text, ["lot"], target="other").rows.times is None
    assert "a second row of 2023-01-01 00:00:00" in refusal(text, target="other", time="lot")
    if cell.startswith("16"):
        assert "a second row of 2023-01-01 00:00:00" in refusal(text, target="other", date_format="unix")


@pytest.mark.parametrize("name, cell", [
    ("date", "2023-W07"), ("date", "44927.5"), ("Datum", "3 janvier 2023"), ("timestamp", "7"), ("time", "10:30"),
    ("time", "2023"), ("time", "202301"), ("date_time", "Q1 2023"), ("date", "Jan-23"),
])  # fmt: skip
def test_times_in_a_form_that_is_not_known_are_asked_for(name, cell):
    text = column(["", cell, cell], name=name)
    told = refusal(text, target="other")
    assert f"column {name!r}, line 3: {cell!r} looks like a time; give --date-format" in told and "--time none" in told
    assert read(text, target="other", time="none").rows.times is None


@pytest.mark.parametrize("name, cell", [("time", "0,5"), ("time", "7"), ("runtime", "1672531200"), ("time", "noon")])
def test_what_is_counted_or_has_another_name_is_no_time(name, cell):
    assert read(column([cell] * 2, name=name), target="other").rows.times is None


@pytest.mark.parametrize("cell", ["1e999", "-1e30", "9" * 400])
def test_a_number_beyond_the_calendar_is_no_time(cell):
    assert f"'{cell[:30]}" in refusal(timed([cell]), date_format="unix", time="date")


def test_two_marks_that_are_one_are_told():
    assert "both a comma; give two marks" in refusal(column(["1,5"]), decimal="comma", thousands="comma")


# ----------------------------------------------------------------------------------------------------------------- time

MENDED = {
    "descending": (hours(6)[::-1], "line 3: 2023-01-09 04:00:00 comes after 2023-01-09 05:00:00; --sort"),
    "shuffled": ([hours(6)[i] for i in (0, 1, 4, 3, 2, 5)], "line 5: 2023-01-09 03:00:00 comes after"),
    "doubled": (
        [hours(6)[i] for i in (0, 1, 1, 2, 2, 3, 4, 5)],
        "line 4: a second row of 2023-01-09 01:00:00 (2 such rows)",
    ),
    "a gap": ([hours(6)[i] for i in (0, 1, 2, 5)], "line 5: a gap before 2023-01-09 05:00:00"),
    "the end of daylight saving": ([hours(6)[i] for i in (0, 1, 2, 2, 3, 4, 5)], "line 5: a second row"),
    "its beginning": ([hours(6)[i] for i in (0, 1, 3, 4, 5)], "line 4: a gap before 2023-01-09 03:00:00"),
}


@pytest.mark.parametrize("fault", MENDED)
def test_the_first_row_out_of_time_is_named_with_the_flag_that_mends_it(fault):
    moments, message = MENDED[fault]
    text = timed(moments)
    told = refusal(text)
    flags = {"--sort": dict(sort=True), "--drop-doubles": dict(drop_doubles=True), "--fill": dict(fill="forward")}
    named = [flag for flag in flags if flag in told]
    assert message in told and len(named) == 1
    found = read(text, **flags[named[0]])
    assert found.rows.times == hours(6)
    expected = [moments.index(moment) if moment in moments else math.nan for moment in hours(6)]
    assert found.columns[0][1] == lab.csv_times.filled([float(value) for value in expected], "forward")
    assert load_of(text, time="none") == list(range(len(moments)))  # as they come


SHOPS = ("north", "south", "west")
STACKED = [(shop, time) for shop in SHOPS for time in hours(6)]
SEVERAL = {
    "one under the other": STACKED,
    "time by time": sorted(STACKED, key=lambda row: row[1]),
    "each backwards": [(shop, time) for shop in SHOPS for time in hours(6)[::-1]],
    "numbered": [(str(SHOPS.index(shop)), time) for shop, time in STACKED],
    "that hardly overlap": [("a", time) for time in hours(9)[4:]] + [("b", time) for time in hours(9)[:6]],
    "without names": [("", time) for _, time in STACKED],
}


def shops(rows) -> str:
    return "shop,time,load\n" + "".join(f"{shop},{time},{place}\n" for place, (shop, time) in enumerate(rows))


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_series_in_one_table_are_to_be_put_into_files_of_their_own(kind):
    """--drop-doubles would keep one of them, and --sort would mix them."""
    for flags in ({}, {"sort": True}):
        told = refusal(shops(SEVERAL[kind]), **flags)
        assert "looks like several series" in told and "in one folder" in told and "--data" in told
        assert "--drop-doubles" not in told and "--sort" not in told
        assert ("'shop' tells apart" in told) == (kind not in ("time by time", "without names"))


def test_a_table_copied_twice_into_one_file_is_no_two_series():
    text = timed(hours(6))
    assert "--drop-doubles" in refusal(text + text.split("\n", 1)[1], sort=True)
    months = [(f"{time.month}", time) for time in (calendar_days(9, 1)[i] for i in (3, 4, 0, 1, 2))]
    assert "--sort puts" in refusal(shops(months)), "parts in the wrong order, but of one series"


def test_all_mends_at_once_give_the_table_that_was_meant():
    order = [5, 0, 1, 1, 9, 7, 7, 2, 3, 8]  # without 4 and 6
    found = read(timed([hours(10)[i] for i in order]), sort=True, drop_doubles=True, fill="linear")
    assert found.rows.times == hours(10)
    assert found.columns[0][1] == [1, 2, 7, 8, 4, 0, 2.5, 5, 9, 4]
    for note in ("sorted by time", "2 rows of a time that was there before left out", "2 rows added in gaps"):
        assert note in found.understood


def test_hours_of_added_rows_are_those_of_their_times():
    found = read(timed([hours(6)[i] for i in (0, 1, 5)]), known_future=["date"], fill="forward")
    angles = [2 * math.pi * hour / 24 for hour in range(6)]
    assert [name for name, _ in found.columns[1:3]] == ["date hour sin", "date hour cos"]
    assert found.columns[1][1] == [math.sin(angle) for angle in angles]


def at(zone: int, hour: int) -> str:
    return f"2023-10-29T{hour:02}:00:00+{zone:02}:00"


def test_two_offsets_from_utc_are_one_time_and_said():
    changing = [at(2, 1), at(2, 2), at(1, 2), at(1, 3)]  # the night in which clocks go back
    found = read(timed(changing))
    assert "a row every 1 hour, 2 offsets from UTC" in found.understood and len(found.rows.times) == 4
    assert "line 4: a second row of 2023-10-29 01:00:00+01:00" in refusal(
        timed([at(2, 1), at(2, 2), at(1, 1), at(1, 2)])
    )
    assert "line 3: 2023-10-29 02:00:00+02:00 comes after" in refusal(timed([at(1, 2), at(2, 2), at(1, 3)]))


def calendar_days(count: int, months: int) -> list[datetime]:
    """The ninth of every so many months, from January 2023 on."""
    return [datetime(2023 + i * months // 12, 1 + i * months % 12, 9) for i in range(count)]


WORKDAYS = [day for day in (START + timedelta(days=i) for i in range(40)) if day.weekday() < 5]
EVEN = {
    "1 minute": [START + timedelta(minutes=i) for i in range(6)],
    "90 seconds": [START + timedelta(seconds=90 * i) for i in range(6)],
    "7 days": [START + timedelta(days=7 * i) for i in range(8)],
    "1 month": calendar_days(30, 1),
    "3 months": calendar_days(12, 3),
    "1 year": calendar_days(9, 12),
    "1 day out of Mon, Tue, Wed, Thu, Fri": WORKDAYS,
}
COMING = {
    "1 month": datetime(2025, 7, 9),
    "3 months": datetime(2026, 1, 9),
    "1 year": datetime(2032, 1, 9),
    "1 day out of Mon, Tue, Wed, Thu, Fri": datetime(2023, 2, 20),  # after a Friday
}


@pytest.mark.parametrize("step", EVEN)
def test_a_row_every_step_of_the_calendar_is_no_gap_and_goes_on_so(step):
    moments = EVEN[step]
    rows = read(timed(moments)).rows
    assert f"a row every {step}" in rows.notes and rows.times == moments
    assert rows.step.after(moments[-1]) == COMING.get(step, moments[-1] + (moments[1] - moments[0]))
    without = moments[:3] + moments[4:]
    assert "a gap before" in refusal(timed(without)) and read(timed(without), fill="linear").rows.times == moments


def test_ends_of_months_stay_ends_of_months():
    ends = [datetime(2023, month, day) for month, day in ((1, 31), (2, 28), (3, 31), (4, 30), (5, 31), (6, 30))]
    rows = read(timed(ends)).rows
    assert str(rows.step) == "1 month" and rows.step.after(ends[0]) == ends[1]
    assert rows.step.after(ends[-1], 2) == datetime(2023, 8, 31)


def test_how_many_rows_are_missing_is_counted():
    assert "apart; 1 row missing in all;" in refusal(timed([hours(6)[i] for i in (0, 1, 2, 4)]))
    assert "apart; 2 rows missing in all;" in refusal(timed([hours(6)[i] for i in (0, 1, 2, 5)]))


def test_uneven_times_are_told_and_not_filled():
    uneven = [START, *hours(4, START + timedelta(hours=1)), START + timedelta(hours=4, minutes=30)]
    assert "line 7: 2023-01-09 04:30:00 is not a whole number of steps after" in refusal(timed(uneven), fill="forward")
    close = [*hours(4), START + timedelta(hours=3, minutes=5)]
    assert "line 6: 2023-01-09 03:05:00 is not a whole number of steps after" in refusal(timed(close), fill="forward")
    far = [*hours(4), START + timedelta(days=900)]
    assert "give a part of it without long gaps" in refusal(timed(far), fill="forward")


def test_which_column_is_the_time_can_be_said():
    text = "born,date,load\n2001-01-05,2023-01-01,1\n2001-01-02,2023-01-02,2\n2000-01-02,2023-01-03,3\n"
    assert "comes after" in refusal(text)
    assert read(text, time="date").time_column == "date" and read(text, time="none").rows.times is None
    assert "did you mean 'date'" in refusal(text, time="dat")
    assert "no column of dates to go by" in refusal(text, time="none", sort=True)


# ---------------------------------------------------------------------------------------------------------- in any mix

MARKS = {"point": ".", "comma": ",", "space": " ", "apostrophe": "'", "none": ""}
ORDERS = {"year-month-day": "%Y{0}%m{0}%d", "day-month-year": "%d{0}%m{0}%Y", "month-day-year": "%m{0}%d{0}%Y"}


def spelled(value: float, digits: int, decimal: str, thousands: str) -> str:
    """A number as people write it in this style."""
    swap = str.maketrans({",": MARKS[thousands], ".": MARKS[decimal]})
    return f"{value:,.{digits}f}".translate(swap)


@st.composite
def dialects(draw):
    """A table in any mix of dialect: its text, what it means, and the flags that say how it is written."""
    separator, decimal = (
        draw(st.sampled_from(list(lab.csv_files.SEPARATORS))),
        draw(st.sampled_from(["point", "comma"])),
    )
    thousands = draw(st.sampled_from([mark for mark in MARKS if mark != decimal]))
    # With commas between columns, 1.234 in every cell means what programs mean by it.
    digits = draw(st.integers(1 if separator == "comma" and thousands == "point" else 0, 4))
    values = draw(st.lists(st.floats(-1e7, 1e7), min_size=1, max_size=6))
    order, sign = draw(st.sampled_from(list(ORDERS))), draw(st.sampled_from("-./"))
    first = draw(st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1))).replace(second=0, microsecond=0)
    step = draw(st.sampled_from([timedelta(minutes=5), timedelta(hours=1), timedelta(days=1)]))
    moments = [first + i * step for i in range(len(values))]
    form = ORDERS[order].format(sign) + draw(st.sampled_from([" %H:%M", "T%H:%M:%S"]))
    text = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    writer = csv.writer(text, delimiter=lab.csv_files.SEPARATORS[separator], quoting=quoting, lineterminator=end)
    writer.writerow(["date", "load"])
    cells = [spelled(value, digits, decimal, thousands) for value in values]
    writer.writerows([moment.strftime(form), cell] for moment, cell in zip(moments, cells))
    flags = dict(separator=separator, decimal=decimal, thousands=thousands, date_format=order)
    meant = [float(f"{value:.{digits}f}") for value in values]
    return draw(st.sampled_from(["", "\ufeff"])) + text.getvalue(), (meant, moments), flags


@given(dialects())
def test_a_table_in_any_dialect_is_read_as_it_was_meant_or_refused_and_never_otherwise(dialect):
    text, meant, _ = dialect
    try:
        found = read(text)
    except UserError as error:
        assert "say which with --" in str(error) and "\n" not in str(error)
    else:
        assert (found.columns[0][1], found.rows.times) == meant


@given(dialects())
def test_a_table_whose_dialect_is_given_by_flags_is_read(dialect):
    text, meant, flags = dialect
    found = read(text, **flags)
    assert (found.columns[0][1], found.rows.times) == meant


# ------------------------------------------------------------------------------------------------------ their own units


def series_of(values: list[float], tmp_path):
    """The series of a table with these loads, an hour apart."""
    text = "date,load\n" + "".join(f"{moment},{value!r}\n" for moment, value in zip(hours(len(values)), values))
    (tmp_path / "table.csv").write_text(text, encoding="utf-8")
    return lab.series.load_series(str(tmp_path / "table.csv"), target=["load"])


UNITS = [(0, 1e-9), (1e-9, 1e-12), (1.7e9, 45), (1e12, 3), (-1e12, 1e11), (0, 1e12)]


@pytest.mark.parametrize("offset, swing", UNITS)
def test_numbers_come_back_in_their_own_units(offset, swing, tmp_path):
    values = [offset + swing * math.sin(i) for i in range(60)]
    series = series_of(values, tmp_path)
    assert series.values.dtype == torch.float32 and series.values.abs().max() < 3
    back = series.in_units(series.values[:, :1])[:, 0].tolist()
    assert max(abs(value - other) for value, other in zip(values, back)) < 1e-4 * swing
    shown = lab.shown.as_text(back, series.deviations[0].item())
    assert max(abs(value - float(cell)) for value, cell in zip(values, shown)) < 0.01 * swing
    assert max(map(len, shown)) <= 17 and len(set(map(len, (cell.lstrip("-") for cell in shown)))) <= 3


def test_a_series_on_another_scale_keeps_its_numbers(tmp_path):
    series = series_of([1.7e9 + 45 * math.sin(i) for i in range(60)], tmp_path)
    other = series.rescaled(torch.tensor([1.7e9, 0.0], dtype=torch.float64), torch.tensor([100.0, 1.0]))
    expected = series.in_units(series.values[:, :1])
    assert (other.in_units(other.values[:, :1]) - expected).abs().max() < 1e-3


def test_a_column_that_never_changes_is_zero_whatever_its_mean_rounds_to(tmp_path):
    series = series_of([0.1] * 50 + [0.2] * 10, tmp_path)
    assert series.deviations[0] == 1 and series.values[:30, 0].abs().max() < 1e-6


@pytest.mark.parametrize("value", [0.0, 0.1, -1.7e9])
def test_a_target_that_never_changes_is_told(value, tmp_path):
    told = "target 'load' never changes in the training part, so there is nothing to forecast"
    assert series_of([value] * 50 + [2.0] * 10, tmp_path).understood[1:] == [told]
    assert len(series_of([value] * 10 + [2.0] * 50, tmp_path).understood) == 1


def test_numbers_too_large_to_reckon_with_are_told(tmp_path):
    with pytest.raises(UserError, match="too large to reckon with"):
        series_of([1e200, -1e200] * 30, tmp_path)


def test_too_few_rows_to_train_on_are_told_without_a_warning(tmp_path, recwarn):
    with pytest.raises(UserError, match="too few rows to train on: 1"):
        series_of([1.0], tmp_path)
    assert not recwarn
