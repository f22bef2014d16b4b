"""What a page prints is true: its code runs and equals the file's, examples come out as shown, drawings are drawn."""

import ast
import doctest
import inspect
import math
import re
from types import FunctionType

import pytest
import torch
import torch.nn.functional as F
from pages import PAGES, fences, name_of, num_words, without_fences

from shared.model import attention
from shared.model.sampling import filter_logits
from shared.stages import LABS, ROOT, STAGES, load_folder, load_module

pytestmark = pytest.mark.claims

FOLDERS = list(STAGES)
TEXT_TO_LOSS = "model-01-rnn/from-text-to-loss.md"
STAGE_1, STAGE_2, STAGE_3, STAGE_4 = (f"{stage}/README.md" for stage in STAGES)
GENRE_LAB = f"{LABS[2]}/README.md"
LINES_OF_CODE = 10  # in a block of a chapter


def text_of(page):
    return page.read_text(encoding="utf-8")


# -------------------------------------------------------------------------------------- printed code, and its examples


def run_code(text: str, name: str) -> dict:
    """Run a page's blocks of Python, in order, in one namespace -> that namespace.

    What a `pycon` block shows has to come out; what it defines is there for the blocks below it.
    """
    space = {"math": math, "torch": torch, "F": F}
    for fence in fences(text):
        if fence.language == "python":
            # The empty lines put the block where the page has it, so that a traceback tells the page's line.
            exec(compile("\n" * fence.line + fence.body, name, "exec"), space)
        elif fence.language == "pycon":
            example = doctest.DocTestParser().get_doctest(fence.body, space, name, name, fence.line)
            told = []
            failed = doctest.DocTestRunner().run(example, out=told.append, clear_globs=False).failed
            assert not failed, "".join(told)
            space.update(example.globs)
    return space


def printed_functions(space: dict, name: str) -> dict[str, FunctionType]:
    """The functions that a page's own blocks define."""
    functions = {key: value for key, value in space.items() if isinstance(value, FunctionType)}
    return {key: value for key, value in functions.items() if value.__code__.co_filename == name}


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64)


def same(printed, expected) -> None:
    """Tensors or numbers, alone or as a tuple, are the same but for rounding."""
    torch.testing.assert_close(printed, expected, rtol=1e-5, atol=1e-8, check_dtype=False)


def softmax(printed):
    scores = random(7)
    same(printed(scores), scores.softmax(0))


def cross_entropy(printed):
    scores = random(7)
    same(printed(scores, 3), F.cross_entropy(scores, torch.tensor(3)))


def layer_and_weights(stage: str, name: str):
    """A layer of a stage's model.py, with random weights, and these in the order in which a chapter names them."""
    layer = getattr(load_module(ROOT / stage / "model.py"), name)(5, 4).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    weights = [getattr(layer, f"{kind}_l0") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    return layer, [weight.detach() for weight in weights]


def rnn_step(printed):
    layer, weights = layer_and_weights(FOLDERS[0], "RNNLayer")
    x, h = random(5), random(4)
    same(printed(x, h, *weights), layer(x[None, None], h[None])[1][0])


def keep_top_p(printed):
    probabilities = random(3, 9).softmax(-1)
    for row, top_p in zip(probabilities, (0.3, 0.7, 1.0)):
        kept = printed(row, top_p)
        same(kept / kept.sum(), filter_logits(row.log()[None], top_p=top_p).softmax(-1)[0])


def lstm_step(printed):
    layer, weights = layer_and_weights(FOLDERS[1], "LSTMLayer")
    x, h, c = random(5), random(4), random(4)
    _, (next_h, next_c) = layer(x[None, None], (h[None], c[None]))
    same(printed(x, h, c, *weights), (next_h[0], next_c[0]))


def gru_step(printed):
    layer, weights = layer_and_weights(FOLDERS[1], "GRULayer")
    x, h = random(5), random(4)
    same(printed(x, h, *weights), layer(x[None, None], (h[None],))[1][0][0])


def attend(printed):
    q, k, v = random(6, 4), random(6, 4), random(6, 3)
    allowed = attention.causal_mask(6, 6)
    same(printed(q, k, v, allowed), attention.attend(q, k, v, allowed))


def additive_scores(printed):
    q, k = random(5, 4), random(6, 3)
    layer = attention.AdditiveAttention(4, 3, 2).double()
    torch.nn.init.zeros_(layer.query.bias)  # which the equation leaves out
    expected = layer.pair_scores(layer.query(q[None]), layer.key(k[None]))[0].detach()
    w, u, v = (part.weight.detach() for part in (layer.query, layer.key, layer.score))
    same(printed(q, k, w, u, v[0]), expected)


def rotate(printed):
    x, angles = random(6, 8), random(6, 4)
    file = load_module(ROOT / FOLDERS[3] / "model.py")
    same(printed(x, angles), file.rotate(x, angles.cos(), angles.sin()))


def rms_norm(printed):
    x, weight = random(6, 8), random(8)
    norm = torch.nn.RMSNorm(8).double()
    norm.weight.data.copy_(weight)
    same(printed(x, weight), norm(x).detach())


def block(printed):
    x, angles = random(6, 8), random(6, 2)
    file = load_module(ROOT / FOLDERS[3] / "model.py").Block(8, num_heads=2, context_length=6, dropout=0.0).double()
    attention_part = (file.attention_norm, file.attention.query_key_value, file.attention.output)
    layers = (*attention_part, file.network_norm, file.expand, file.contract)
    for layer in layers:
        torch.nn.init.normal_(layer.weight)
    expected, _, _ = file(x[None], None, (angles.cos(), angles.sin()), return_weights=False)
    weights = [layer.weight.detach() for layer in layers]
    same(printed(x, angles, attention.causal_mask(6, 6), 2, *weights), expected[0].detach())


def log_odds(printed):
    counts = torch.randint(9, (3, 20), dtype=torch.float64)
    same(printed(counts), load_folder(ROOT / LABS[2], ("data", "encoders")).encoders.log_odds(counts))


# Page and name of a printed function -> what compares it with the file's, on random inputs.
TWINS = {
    (TEXT_TO_LOSS, "softmax"): softmax,
    (TEXT_TO_LOSS, "cross_entropy"): cross_entropy,
    (STAGE_1, "step"): rnn_step,
    (STAGE_1, "keep_top_p"): keep_top_p,
    (STAGE_2, "step"): lstm_step,
    (STAGE_2, "gru_step"): gru_step,
    (STAGE_3, "attend"): attend,
    (STAGE_3, "additive_scores"): additive_scores,
    (STAGE_4, "rotate"): rotate,
    (STAGE_4, "rms_norm"): rms_norm,
    (STAGE_4, "block"): block,
    (GENRE_LAB, "log_odds"): log_odds,
}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_printed_code_runs_comes_out_as_shown_and_equals_the_files(page):
    name = name_of(page)
    printed = printed_functions(run_code(text_of(page), name), name)
    missing = [function for function in printed if (name, function) not in TWINS]
    assert not missing, f"TWINS says of no function of {name} what it has to equal: {missing}"
    torch.manual_seed(0)
    for function, code in printed.items():
        TWINS[name, function](code)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_printed_code_is_short(page):
    for fence in fences(text_of(page)):
        if fence.language == "python":
            lines = [line for line in fence.body.splitlines() if line.strip() and not line.strip().startswith("#")]
            assert len(lines) <= LINES_OF_CODE, f"line {fence.line}: {len(lines)} lines"


# Each function that a page may print, with a mistake that is often made.
BLUNDERS = {
    (TEXT_TO_LOSS, "softmax"): "def wrong(scores): return torch.exp(scores)",
    (TEXT_TO_LOSS, "cross_entropy"): "def wrong(scores, target): return -scores[target]",
    (STAGE_1, "step"): "def wrong(x, h, W, U, b, c): return W @ x + b + U @ h + c",
    (STAGE_1, "keep_top_p"): "def wrong(p, top_p): return p * (p >= 1 - top_p)",
    (STAGE_2, "step"): """
        def wrong(x, h, c, W, U, b, d):
            f, i, g, o = (W @ x + b + U @ h + d).chunk(4)  # input and forget gate changed over
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            return o.sigmoid() * c.tanh(), c""",
    (STAGE_2, "gru_step"): """
        def wrong(x, h, W, U, b, d):
            (x_r, x_z, x_n), (h_r, h_z, h_n) = (W @ x + b).chunk(3), (U @ h + d).chunk(3)
            n, z = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n), torch.sigmoid(x_z + h_z)
            return z * n + (1 - z) * h""",
    (STAGE_3, "attend"): """
        def wrong(q, k, v, allowed):
            weights = (q @ k.T).masked_fill(~allowed, -math.inf).softmax(-1)  # no root
            return weights @ v, weights""",
    (STAGE_3, "additive_scores"): """
        def wrong(q, k, w, u, v):
            return ((q @ w.T)[:, None] + (k @ u.T)[None]) @ v  # no tanh""",
    (STAGE_4, "rotate"): """
        def wrong(x, angles):
            first, second = x[:, 0::2], x[:, 1::2]  # other pairs
            cosine, sine = angles.cos(), angles.sin()
            return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)""",
    (STAGE_4, "rms_norm"): "def wrong(x, weight): return F.layer_norm(x, x.shape[-1:], weight)",
    (STAGE_4, "block"): """
        def wrong(x, angles, allowed, heads, g_1, W_qkv, W_o, g_2, W_1, W_2):
            q, k, v = (F.rms_norm(x, x.shape[-1:], g_1) @ W_qkv.T).chunk(3, -1)
            weights = (q @ k.T / math.sqrt(8)).masked_fill(~allowed, -math.inf).softmax(-1)  # one head, unturned
            x = x + weights @ v @ W_o.T
            return x + F.gelu(F.rms_norm(x, x.shape[-1:], g_2) @ W_1.T) @ W_2.T""",
    (GENRE_LAB, "log_odds"): """
        def wrong(counts):
            log_p = (counts / counts.sum(1, keepdim=True)).log()  # nothing added, so log 0
            return (log_p - log_p.mean(0)).T""",
}


@pytest.mark.parametrize("key", TWINS, ids=" ".join)
def test_a_printed_function_with_a_mistake_is_found(key):
    space = {"math": math, "torch": torch, "F": F}
    exec(inspect.cleandoc(BLUNDERS[key]), space)
    torch.manual_seed(0)
    with pytest.raises((AssertionError, RuntimeError)):
        TWINS[key](space["wrong"])


def test_a_page_whose_code_fails_or_comes_out_otherwise_is_found():
    run_code("```python\ndef twice(x):\n    return 2 * x\n```\nSo:\n\n```pycon\n>>> twice(2)\n4\n```\n", "page")
    with pytest.raises(AssertionError, match=r"Got:\s+4"):
        run_code("```python\ndef twice(x):\n    return 2 * x\n```\n\n```pycon\n>>> twice(2)\n5\n```\n", "page")
    with pytest.raises(NameError):
        run_code("```python\ntwice(2)\n```\n", "page")


# ------------------------------------------------------------------------------------------------------------ drawings

NODE = r"[A-Za-z]\w*"
LABEL = r'"(?!\d+\. |[-*] )[^"$]+"'  # a label that begins like a list is drawn as an error
SHAPES = ("[]", "()", "{}", ("([", "])"), ("[[", "]]"), ("[(", ")]"), ("((", "))"), ("{{", "}}"))
SHAPE = "|".join(f"{re.escape(begin)}{LABEL}{re.escape(end)}" for begin, end in SHAPES)
ONE = rf"{NODE}(?:{SHAPE})?(?::::\w+)?"
NODES = rf"{ONE}(?: & {ONE})*"
LINK = rf"(?:-->|---|-\.->|-\.-|==>|===|~~~|<-->)(?:\|{LABEL}\|)?|-- {LABEL} -->|-\. {LABEL} \.->|== {LABEL} ==>"
CLASSES = {
    "memory": "fill:#fde9b8,stroke:#b8860b,color:#222",
    "op": "fill:#e8eef7,stroke:#5b7aa8,color:#222",
}


def slips(drawing: str) -> list[str]:
    """What is wrong with a mermaid flowchart, of the part of that language which the pages use: a line a mistake."""
    first, *lines = [
        line.strip() for line in drawing.splitlines() if line.strip() and not line.strip().startswith("%%")
    ]
    found = [] if re.fullmatch(r"flowchart (LR|RL|TB|BT)", first) else [first]
    nodes, defined, used, depth = set(), set(), [], 0
    for line in lines:
        if line == "end" and depth:
            depth -= 1
        elif subgraph := re.fullmatch(rf"subgraph (?:({NODE})(?: ?\[{LABEL}\])?|{LABEL})", line):
            nodes.add(subgraph[1])
            depth += 1
        elif depth and re.fullmatch(r"direction (LR|RL|TB|BT)", line):
            pass
        elif declared := re.fullmatch(r"classDef (\w+) (\S+)", line):
            defined.add(declared[1])
            found += [line] if CLASSES.get(declared[1]) != declared[2] else []
        elif given := re.fullmatch(rf"class ({NODE}(?:, ?{NODE})*) (\w+)", line):
            used.append((line, re.split(", ?", given[1]), given[2]))
        elif re.fullmatch(rf"{NODES}(?: (?:{LINK}) {NODES})*", line):
            names = re.sub(rf"{SHAPE}|{LABEL}", "", line)
            used += [(line, [name], style) for name, style in re.findall(rf"({NODE}):::(\w+)", names)]
            names = re.sub(r":::\w+", "", names)
            nodes |= set(re.findall(NODE, names))
            found += [line] if "end" in re.findall(NODE, names) else []  # which ends a subgraph
        else:
            found.append(line)
    found += [line for line, names, style in used if style not in defined or not nodes.issuperset(names)]
    return found + ["no end"] * depth


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_drawings_can_be_drawn(page):
    for fence in fences(text_of(page)):
        assert fence.language != "mermaid" or not slips(fence.body), f"line {fence.line}"


DRAWING = """
flowchart LR
    x["the word x_t"] -- "W_ih" --> add(("+"))
    h("h, before"):::memory & x --> add
    subgraph layer ["one step"]
        direction TB
        add -->|"squeezed"| out(["tanh"]) -.-> next
    end
    classDef memory fill:#fde9b8,stroke:#b8860b,color:#222
    class x,next memory
"""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("flowchart LR", "flowchart"),
        ('x["the word x_t"]', "x[the word (x_t)]"),
        ('"the word x_t"', '"the "word" x_t"'),
        ('"the word x_t"', '"1. the word"'),
        ('"the word x_t"', '"$$x_t$$"'),
        ('(("+"))', '(("+")'),
        ('-- "W_ih" -->', "-- W_ih ->"),
        ('|"squeezed"|', "|tanh(x)|"),
        ("-.-> next", "-.-> end"),
        ("\n    end\n", "\n"),
        ('subgraph layer ["one step"]', "subgraph layer [one (step)]"),
        ("fill:#fde9b8", "fill:#ff0000"),
        ("    classDef memory fill:#fde9b8,stroke:#b8860b,color:#222\n", ""),
        (":::memory", ":::memories"),
        ("class x,next memory", "class x,nxt memory"),
        ("class x,next memory", "class x,next memories"),
    ],
)
def test_a_slip_in_a_drawing_is_found(right, wrong):
    assert slips(DRAWING) == [] and DRAWING.count(right) == 1
    assert slips(DRAWING.replace(right, wrong))


# ---------------------------------------------------------------------------------------------- the rhythm of a chapter

CHAPTERS = [STAGE_1, STAGE_2, STAGE_3, STAGE_4]
RHYTHM = (
    r"After this chapter you can",
    r"You need: .*",
    r"## What .* could not do",
    r"## The idea",
    r"## By hand.*",
    r"## The equations?",
    r"## Train it",
    r"### The maps?",
    r"### When it goes wrong",
    r"## What it costs",
    r"## Try it",
    r"## Quiz",
    r"## Exercises",
    r"## What it still cannot do",
    r"## Further reading",
    r"## Next",
)


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """What stands below a heading, up to the next of the same rank."""
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", without_fences(text), flags=re.MULTILINE | re.DOTALL)[1]


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_chapter_has_its_sections_in_their_order(page):
    lines = without_fences(read(page)).splitlines()
    places = [[number for number, line in enumerate(lines) if re.fullmatch(part, line)] for part in RHYTHM]
    assert [part for part, found in zip(RHYTHM, places) if len(found) != 1] == []
    assert sum(places, []) == sorted(sum(places, []))


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_chapter_folds_the_answers_of_three_experiments_and_of_its_quiz(page):
    experiments, questions = section(read(page), "Try it"), section(read(page), "Quiz")
    assert experiments.count("<details>") == experiments.count("</details>") == 3
    assert 5 <= questions.count("<details>") == questions.count("</details>") <= 8


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_chapter_can_be_read_in_one_sitting(page):
    assert 1500 <= num_words(read(page)) <= 2500


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_chapter_lists_the_exercises_in_the_order_of_their_file(page):
    file = ROOT / page.replace("README.md", "exercises/exercises.py")
    asked = [
        node.name for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
    ]
    assert re.findall(r"^\d\. \**`(\w+)`", section(read(page), "Exercises"), flags=re.MULTILINE) == asked
