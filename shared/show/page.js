"use strict";
// Draws the page from the data embedded in it. Nothing is fetched. Every word of the data becomes a text node, never
// markup. This file: what the others share, and the tables.

const results = JSON.parse(document.getElementById("data").textContent);
const prompt = results.prompt ?? { tokens: [], stages: [] };
const stages = prompt.stages;
const byId = (id) => document.getElementById(id);
const withModels = byId("live-models").textContent !== "null";

// ------------------------------------------------------------------------------------------------------------ elements

/** An element with attributes (functions listen, e.g. onclick) and children: elements, or strings as text. */
function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for a part of an SVG picture. */
function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A table that can be scrolled, by keyboard too; the first cell of each row is its heading. */
function makeTable(caption, head, rows, kind = "scroll") {
  const line = (cells, scope) =>
    make(
      "tr",
      {},
      ...cells.map((cell, at) =>
        scope || at === 0 ? make("th", { scope: scope || "row" }, cell) : make("td", {}, cell),
      ),
    );
  const table = make(
    "table",
    {},
    make("caption", {}, make("span", {}, caption)),
    make("thead", {}, line(head, "col")),
    make("tbody", {}, ...rows.map((row) => line(row))),
  );
  return make("div", { class: kind, role: "region", "aria-label": caption, tabindex: "0" }, table);
}

/** <details> whose content is made when it is first needed, and again after `refresh`, but only while it is open. */
function makeDetails(summary, content) {
  const element = make("details", { ontoggle: () => refresh() }, make("summary", {}, summary));
  const refresh = () => element.open && element.replaceChildren(element.firstChild, content());
  return { element, refresh };
}

// ------------------------------------------------------------------------------------------------- numbers and tokens

const DASH = "–";
const known = (value) => value !== null && value !== undefined;
const format = (value, digits) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const fixed = (value, digits = 0) => (known(value) ? format(value, digits).replace("-", "−") : DASH);
const range = (pair, digits) => (pair ? `${fixed(pair[0], digits)} to ${fixed(pair[1], digits)}` : "");

/** Powers of a thousand get a letter: 4.81 M, 12.3 k. */
function short(value, units = ["", "k", "M", "G", "T"]) {
  if (!known(value)) return DASH;
  let power = 0;
  while (Math.abs(value) >= 999.5 && power < units.length - 1) [value, power] = [value / 1000, power + 1];
  const digits = power === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${fixed(value, digits)} ${units[power]}`.trim();
}
const bytes = (value) => short(value, ["B", "kB", "MB", "GB", "TB"]);
const seconds = (value) =>
  !known(value) || value < 120 ? `${fixed(value)}${known(value) ? " s" : ""}` : `${fixed(value / 60, 1)} min`;

function percent(value) {
  if (!known(value)) return DASH;
  if (value > 0 && value < 0.001) return "< 0.1%";
  return `${format(100 * value, value < 0.1 ? 1 : 0)}%`;
}

// Signs that would not be seen get a glyph, the same as in the pictures that generate.py draws.
const GLYPHS = { " ": "␣", "\n": "↵", "\t": "→" };
const visible = (token) => token.replace(/[ \n\t]/g, (sign) => GLYPHS[sign]) || "∅";
const quoted = (token) => `“${visible(token)}”`;
const spoken = (token) => ({ "↵": "line break", "␣": "space" })[visible(token)] ?? null;

// The number of a stage is part of its name, so that each keeps its colour when others are left out.
const number = (name) => Number(/\d+/.exec(name)?.[0] ?? 0);
const own = (name) => `own-${number(name) % 5}`;
const title = (name) => [...stages, ...(results.table ?? [])].find((row) => row.stage === name)?.title ?? name;

// --------------------------------------------------------------------------------------------------------------- table

/** A number, with the least and most of several runs below it. */
function withSpread(value, pair, digits) {
  return pair ? make("span", {}, fixed(value, digits), make("small", {}, range(pair, digits))) : fixed(value, digits);
}

const MEASURES = {
  "How well it predicts": {
    "Validation perplexity": (row) => withSpread(row.validation_perplexity, row.validation_perplexity_spread, 1),
    "Test perplexity": (row) => fixed(row.test_perplexity, 1),
    "Validation, bits per character": (row) => fixed(row.validation_bits_per_character, 3),
    "Test, bits per character": (row) => fixed(row.test_bits_per_character, 3),
    "Runs (seeds)": (row) => fixed(row.runs),
  },
  "How big it is": {
    Parameters: (row) => short(row.parameters),
    Checkpoint: (row) => bytes(row.checkpoint_bytes),
    "State after 16 tokens": (row) => bytes(row.state_bytes?.["16"]),
    "State after 256 tokens": (row) => bytes(row.state_bytes?.["256"]),
    "State after 1,024 tokens": (row) => bytes(row.state_bytes?.["1024"]),
  },
  "How long it takes": {
    "Tokens in training": (row) => short(row.training_tokens),
    "Time in training": (row) => seconds(row.training_seconds),
    "Training, tokens a second": (row) => fixed(row.training_tokens_per_second),
    "Generation, tokens a second": (row) => fixed(row.generation_tokens_per_second),
  },
};

function startTable() {
  const models = results.table ?? [];
  if (results.too_short) {
    byId("too-short").textContent = results.too_short;
    byId("too-short").hidden = false;
    byId("unbeaten").hidden = true; // after so few steps that is no verdict
  }
  const { name, vocab_size, share_unknown_validation, share_unknown_test } = results.tokenizer;
  const unknown = [
    ["validation", share_unknown_validation],
    ["test", share_unknown_test],
  ]
    .filter(([, share]) => known(share))
    .map(([split, share]) => `${format(100 * share, 1)}% of the ${split} text`);
  const caption =
    `Corpus: ${results.corpus.name}. Tokenizer: ${name}, a vocabulary of ${fixed(vocab_size)}; ` +
    (unknown.length ? `<unk> is ${unknown.join(" and ")}.` : "the share of <unk> was not measured.") +
    (models.some((row) => row.runs > 1) ? " Where there are several runs, the least and the most stand below." : "");
  const region = makeTable(caption, ["", ...models.map((row) => row.title)], []);
  region.setAttribute("aria-label", "Results");
  const body = region.querySelector("tbody");
  for (const [group, measures] of Object.entries(MEASURES)) {
    body.append(make("tr", {}, make("th", { colspan: models.length + 1, scope: "rowgroup" }, group)));
    for (const [measure, value] of Object.entries(measures)) {
      const cells = models.map((row) => make("td", { "data-model": row.title }, value(row)));
      body.append(make("tr", {}, make("th", { scope: "row" }, measure), ...cells));
    }
  }
  byId("table").append(region);
}

// ---------------------------------------------------------------------------------------------------------------- rest

function startRest() {
  const { name, sha256 } = results.corpus;
  const facts = { ...results.machine, corpus: name, "its SHA-256": sha256, command: results.command };
  byId("machine").append(
    ...Object.entries(facts).flatMap(([key, value]) => [
      make("dt", {}, key),
      make("dd", {}, make("code", {}, known(value) ? `${value}` : DASH)),
    ]),
  );
}
