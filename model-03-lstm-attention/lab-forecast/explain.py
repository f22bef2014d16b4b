"""How many steps back a forecast finds its answer, measured in three ways:  python explain.py checkpoints/best.pt"""

import sys
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository's root, for `shared`

from shared.run.cli import ArgumentParser, log, path_or_name, read_flags, run_main, some_path

from flags import FOLDER, add_table_flags, series_flags


def parse_flags() -> Namespace:
    """Which models, and where the shares go."""
    parser = ArgumentParser(
        description="Measure how many steps back each model finds its answer, in three ways.",
        epilog="example: python explain.py checkpoints/best.pt",
    )
    parser.add_argument(
        "checkpoints",
        type=some_path,
        nargs="*",
        default=[FOLDER / "checkpoints" / "best.pt"],
        help="[checkpoints/best.pt]",
    )
    parser.add_argument(
        "--data", type=path_or_name, help="the series, where the one that a model was trained on has moved"
    )
    add_table_flags(parser)
    parser.add_argument("--picture", type=some_path, default="lag.png", help="where to draw the shares [lag.png]")
    parser.add_argument("--json", type=some_path, help="write the shares to this file too")
    return parser.parse_args()


if __name__ == "__main__":
    read_flags(parse_flags)  # before PyTorch is imported, which takes a second

from shared.errors import UserError
from shared.run.records import write_json
from shared.show.figures import save_figure
from shared.show.tables import wrapped

from forecast import load_forecaster
from measures import MEASURES, profiles
from plots import lag_figure
from shown import SHARES, check_writable
from windows import windows_of


def main() -> None:
    flags = parse_flags()
    if flags.json:
        check_writable("--json", flags.json, SHARES)
    found, lags = {}, set()
    for path in flags.checkpoints:
        model, row, series, settings = load_forecaster(path, series_flags(flags))
        for line in series.understood:
            log(f"table: {line}")
        lags.add(series.lag)
        if len(lags) > 1:
            raise UserError(f"{path} was trained on another lag than those before it; draw each lag by itself")
        row = f"{row}, {path}" if row in found else row
        shares = profiles(model, windows_of(series, "test", settings), "cpu")
        found[row] = {name: shares[name].tolist() for name in MEASURES if name in shares}
        for name, profile in found[row].items():
            lag = max(range(len(profile)), key=profile.__getitem__)
            print(wrapped(f"{row:32} {name:10} most on lag {lag:2}: {profile[lag]:6.1%}", indent=33))
    if flags.json:
        write_json(flags.json, {"lag": series.lag, "shares": found})
    save_figure(lag_figure(found, series.lag), flags.picture)
    print(f"drawn in {flags.picture}")


if __name__ == "__main__":
    run_main(main)
