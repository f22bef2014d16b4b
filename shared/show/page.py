"""A comparison's results -> one HTML file to read, to hover over and to print; it needs no network.

The file is put together from page.html, page.css and the scripts that lie beside this module. All that the results
say goes in as data, and the scripts write it as text, so nothing in a prompt can act as markup.
"""

import base64
import hashlib
import json
import zlib
from pathlib import Path
from string import Template

FOLDER = Path(__file__).resolve().parent
LIVE = ("page-live.js", "page-live-break.js", "page-live-units.js", "page-live-hand.js", "page-live-game.js")
# One after the other, they are one script.
SCRIPTS = ("page.js", "page-reader.js", *LIVE, "page-moments.js", "page-charts.js")
WORKER = ("live-models.js", "live-tokenizers.js", "live-sampling.js", "live-worker.js")  # and the worker's

# JSON may hold these as they are; inside <script> they could end it, or begin a comment.
ESCAPES = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"})


def page(results: dict, live: dict | None = None) -> str:
    """The whole HTML file of a comparison.

    results: what `python -m shared.compare` writes as results.json. live: the models that run in the page, as
    `shared.compare.live` describes them, or None. ValueError: a number that is not finite (JSON has none).
    """
    style, script = _read("page.css"), "\n".join(map(_read, SCRIPTS))
    models = live and {
        "stages": [{"header": one["header"]} for one in live["stages"]],
        "tokenizer": live["tokenizer"],
    }
    return Template(_read("page.html")).substitute(
        policy=_policy(style, script),
        style=style,
        script=script,
        data=_embedded(results),
        models=_embedded(models),
        worker="\n".join(map(_read, WORKER)) if live else "",
        weights="\n".join(map(_weights, live["stages"])) if live else "",
    )


def _weights(stage: dict) -> str:
    """A model's weights, a tenth smaller, as text that does nothing: no sign of base64 could end its element."""
    content = base64.b64encode(zlib.compress(stage["weights"])).decode("ascii")
    name = stage["header"]["stage"]
    return f'<script type="application/zlib+base64" id="weights-{name}">{content}</script>'


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _embedded(data: dict | None) -> str:
    """JSON that may stand inside <script>; JSON.parse gives back the same data."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).translate(ESCAPES)


def _policy(style: str, script: str) -> str:
    """What the browser may run and fetch: this style, this script, a worker made of the page's own text, no more."""
    rules = ["default-src 'none'", "img-src data:", f"style-src {_hash(style)}", f"script-src {_hash(script)}"]
    return "; ".join([*rules, "worker-src blob:", "base-uri 'none'", "form-action 'none'"])


def _hash(text: str) -> str:
    """The name by which a Content-Security-Policy allows one inline element."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
