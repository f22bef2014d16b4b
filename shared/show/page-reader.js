// The reader: a token is chosen, and each stage shows where it looks and what it expects next.

const last = prompt.tokens.length - 1;
let chosen = Math.max(0, last - 1); // the last token that has a known successor
let kept = false; // a click keeps the choice, so that the mouse can go elsewhere
let pointed = null; // the text under the mouse: were it scrolled, another token would come under the mouse, and so on
let view = window.matchMedia("(min-width: 44rem)").matches ? "all" : 0; // on a phone one stage at a time
const panels = stages.map(makePanel);
const shown = () => panels.filter((panel, index) => view === "all" || view === index);

/** What one stage shows: `map` says which of its maps, `update` brings it in step with the choice. */
function makePanel(stage) {
  const panel = { stage, map: { kind: "influence", layer: "mean", head: "mean" } };
  const parts = [
    makeMapChoice(panel),
    makeText(panel),
    ...(withModels ? [] : [makeGuesses(panel)]), // the models themselves tell above what they expect
    makeWeightTable(panel),
    makeFaithfulness(stage),
  ];
  const heading = make(
    "h3",
    { id: `title-${stage.stage}` },
    make("span", { class: "number" }, `${number(stage.stage) || ""} `),
    stage.title,
  );
  panel.element = make(
    "section",
    { class: `stage ${own(stage.stage)}`, "data-stage": stage.stage, "aria-labelledby": heading.id },
    heading,
  );
  panel.element.append(...parts.map((part) => part.element));
  panel.update = () => parts.forEach((part) => part.update?.());
  return panel;
}

/** The weights of the chosen token's row in the stage's present map. */
function weights({ stage, map }) {
  if (map.kind === "influence") return stage.influence?.[chosen] ?? [];
  const layers = map.layer === "mean" ? stage.attention : [stage.attention[map.layer]];
  const rows = layers.flatMap((heads) => (map.head === "mean" ? heads : [heads[map.head]])).map((head) => head[chosen]);
  return rows[0].map((_, column) => rows.reduce((sum, row) => sum + row[column], 0) / rows.length);
}

/** In words, which map is shown: "attention, layer 2, mean of heads". */
function mapName({ kind, layer, head }) {
  const part = (name, at) => (at === "mean" ? `mean of ${name}s` : `${name} ${at + 1}`);
  return kind === "influence" ? kind : `${kind}, ${part("layer", layer)}, ${part("head", head)}`;
}

/** Influence or attention, and of which layer and head. */
function makeMapChoice(panel) {
  const { stage, map } = panel;
  if (!stage.attention)
    return { element: make("div", { class: "map" }, make("p", {}, "Influence. This model has no attention.")) };
  const kinds = ["influence", "attention"].map((kind) =>
    make(
      "button",
      { type: "button", "data-kind": kind, onclick: () => change(panel, { kind }) },
      kind[0].toUpperCase() + kind.slice(1),
    ),
  );
  const counts = { layer: stage.attention.length, head: stage.attention[0].length };
  const selects = Object.keys(counts)
    .filter((part) => counts[part] > 1)
    .map((part) => makeSelect(panel, part, counts[part]));
  const choices = make(
    "div",
    { class: "choices", role: "group", "aria-label": `${stage.title}: what the marks show` },
    ...kinds,
  );
  const update = () => {
    kinds.forEach((button) => button.setAttribute("aria-pressed", button.dataset.kind === map.kind));
    selects.forEach((select) => {
      select.value = map[select.dataset.part];
      select.hidden = map.kind === "influence";
    });
  };
  return { element: make("div", { class: "map" }, choices, ...selects), update };
}

function makeSelect(panel, part, count) {
  const options = [make("option", { value: "mean" }, `mean of ${part}s`)];
  for (let index = 0; index < count; index++) options.push(make("option", { value: index }, `${part} ${index + 1}`));
  const choose = (event) =>
    change(panel, { [part]: event.target.value === "mean" ? "mean" : Number(event.target.value) });
  return make(
    "select",
    { "data-part": part, "aria-label": `${panel.stage.title}: ${part}`, onchange: choose },
    ...options,
  );
}

function change(panel, choice) {
  Object.assign(panel.map, choice);
  panel.update();
  announce();
}

/** The prompt, a button for each token; one of them is in the tab order, and arrows move from there. */
function makeText(panel) {
  const buttons = prompt.tokens.map((token, index) =>
    make(
      "button",
      { type: "button", class: "token", "data-index": index, "aria-label": spoken(token) },
      visible(token),
    ),
  );
  const label = `${panel.stage.title}: the text. Arrow keys choose a token.`;
  const text = make("div", {
    class: "text",
    role: "group",
    "aria-label": label,
    onclick: onClick,
    onpointerover: onPointer,
    onkeydown: onKey,
  });
  buttons.forEach((button) => text.append(button, ...(button.textContent.endsWith("↵") ? [make("br")] : [])));
  const most = make("p", { class: "most" });
  panel.buttons = buttons;
  const update = () => {
    text.className = `text by-${panel.map.kind}`;
    const row = weights(panel);
    buttons.forEach((button, index) => mark(button, index, row[index] ?? 0, chosen));
    if (text !== pointed) keepInSight(text, buttons[chosen]);
    panel.summary = summary(panel.map.kind, row);
    most.replaceChildren(...panel.summary.map((part, at) => (at % 2 ? make("b", {}, part) : part)));
  };
  return { element: make("div", {}, text, most), update };
}

function mark(button, index, weight, place) {
  // Square root, as in the pictures: a row spread over 40 tokens would otherwise look like nothing.
  button.style.setProperty("--weight", Math.sqrt(weight).toFixed(3));
  button.classList.toggle("unread", index > place);
  button.classList.toggle("next", index === place + 1);
  button.tabIndex = index === place ? 0 : -1;
  if (index === place) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
}

/** Scroll a long text, never the page, so far that the chosen token is seen. */
function keepInSight(text, button) {
  const above = button.offsetTop - text.scrollTop;
  const below = above + button.offsetHeight - text.clientHeight;
  if (above < 0) text.scrollTop += above - 8;
  else if (below > 0) text.scrollTop += below + 8;
}

/** The three largest weights in words: plain strings and, at odd places, tokens. */
function summary(kind, row) {
  const order = row.map((weight, index) => ({ weight, index })).filter(({ weight }) => weight > 0);
  order.sort((one, other) => other.weight - one.weight);
  const none = kind === "attention" ? "Attention: there is nothing before it to look at." : "No influence.";
  if (!order.length) return [none];
  const parts = order
    .slice(0, 3)
    .map(({ weight, index }) => [quoted(prompt.tokens[index]), ` (${index + 1}) ${percent(weight)}`]);
  return [
    `Most ${kind}: `,
    ...parts.flatMap((part, at) => (at + 1 < parts.length ? [part[0], `${part[1]}, `] : [part[0], `${part[1]}.`])),
  ];
}

/** The likeliest next tokens, and what followed. */
function makeGuesses({ stage }) {
  const list = make("ol", { class: "guesses" });
  const followed = make("p", { class: "followed" });
  const update = () => {
    const guesses = stage.next?.[chosen] ?? [];
    list.replaceChildren(...guesses.map((guess) => makeGuess(guess, guess.token === prompt.tokens[chosen + 1])));
    followed.textContent =
      chosen === last
        ? "The text ends here."
        : `Then came ${quoted(prompt.tokens[chosen + 1])}, to which it gave ${percent(stage.actual_next?.[chosen])}.`;
  };
  return { element: make("div", { class: "block" }, make("h4", {}, "Likeliest next tokens"), list, followed), update };
}

function makeGuess({ token, probability }, followed) {
  const bar = make("span", { class: "fill" });
  bar.style.setProperty("--share", probability ?? 0);
  const word = make(
    "span",
    { class: "word" },
    visible(token),
    followed ? " ✓" : "",
    make("span", { class: "unseen" }, followed ? ", this one followed: " : ": "),
  );
  return make(
    "li",
    { class: followed ? "true" : null },
    word,
    make("span", { class: "track" }, bar),
    make("span", { class: "amount" }, percent(probability)),
  );
}

/** The marks as numbers: for who cannot see them, and for who wants to know exactly. */
function makeWeightTable(panel) {
  const content = () => {
    const row = weights(panel);
    const after = `after reading token ${chosen + 1}, ${quoted(prompt.tokens[chosen])}`;
    const caption = `${panel.stage.title}: ${mapName(panel.map)}, ${after}`;
    const rows = prompt.tokens
      .slice(0, chosen + 1)
      .map((token, index) => [
        `${index + 1}`,
        visible(token),
        known(row[index]) ? `${format(100 * row[index], 2)}%` : DASH,
      ]);
    return makeTable(caption, ["place", "token", panel.map.kind], rows, "inner names");
  };
  const { element, refresh } = makeDetails("The marks as a table", content);
  return { element, update: refresh };
}

/** Whether the model needs its attention at all, beside the map of it; how to read it stands below all stages. */
function makeFaithfulness({ faithfulness: found }) {
  if (!found) return { element: make("div") };
  const rise = known(found.loss) && known(found.loss_uniform) ? found.loss_uniform - found.loss : null;
  const spread = found.correlation_spread ? `; correlation in all runs ${range(found.correlation_spread, 2)}` : "";
  const facts = {
    "loss as it is": fixed(found.loss, 3),
    "loss with uniform attention": fixed(found.loss_uniform, 3),
    "the rise": known(rise) ? `${rise < 0 ? "" : "+"}${fixed(rise, 3)}` : DASH,
    "correlation with influence": fixed(found.correlation, 2),
  };
  const note = make("p", { class: "note" }, `Nats per token, over ${fixed(found.tokens)} tokens${spread}.`);
  return {
    element: make("div", { class: "block" }, make("h4", {}, "Does its attention matter?"), makeFacts(facts), note),
  };
}

function makeFacts(facts) {
  return make(
    "dl",
    { class: "facts" },
    ...Object.entries(facts).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, `${value}`)]),
  );
}

// ---------------------------------------------------------------------------------------------------- choosing a token

function choose(index, keep) {
  chosen = Math.min(Math.max(index, 0), last);
  kept = keep;
  update();
}

function update() {
  // First who is shown, then what: to keep the chosen token in sight, its place must be known.
  panels.forEach((panel, index) => (panel.element.hidden = !(view === "all" || view === index)));
  byId("stages").style.setProperty("--shown", shown().length);
  panels.forEach((panel) => panel.update());
  byId("views").childNodes.forEach((button) =>
    button.setAttribute("aria-pressed", button.dataset.view === String(view)),
  );
  byId("chosen").replaceChildren(
    "Just read: ",
    make("b", {}, quoted(prompt.tokens[chosen])),
    `, token ${chosen + 1} of ${last + 1}${kept ? ", kept until you click it again or press Esc" : ""}.`,
  );
  announce();
}

/** The choice in one sentence for each model shown, for who listens. */
function announce() {
  const each = shown().map(({ stage, map, summary }) => {
    const guess = stage.next?.[chosen]?.[0];
    const likeliest = guess ? ` Likeliest next: ${quoted(guess.token)} ${percent(guess.probability)}.` : "";
    return `${stage.title}, ${mapName(map)}. ${summary.join("")}${likeliest}`;
  });
  byId("spoken").textContent = `Token ${chosen + 1}, ${quoted(prompt.tokens[chosen])}. ${each.join(" ")}`;
}

const indexOf = (event) => Number(event.target.closest(".token")?.dataset.index ?? NaN);

function onClick(event) {
  const index = indexOf(event);
  if (index >= 0) choose(index, !(kept && index === chosen));
}

function onPointer(event) {
  const index = indexOf(event);
  if (!(index >= 0) || event.pointerType !== "mouse" || kept) return;
  pointed = event.currentTarget;
  choose(index, false);
  pointed = null;
}

// These keys work only while a token has the focus, so they never come in the way of a screen reader or the browser.
const KEYS = {
  ArrowLeft: () => choose(chosen - 1, true),
  ArrowRight: () => choose(chosen + 1, true),
  ArrowUp: (buttons) => choose(lineAway(buttons, -1, chosen), true),
  ArrowDown: (buttons) => choose(lineAway(buttons, 1, chosen), true),
  Home: () => choose(0, true),
  End: () => choose(last, true),
  Escape: () => choose(chosen, false),
  a: () => turn((map) => (map.kind = map.kind === "influence" ? "attention" : "influence")),
  l: () => turn((map, stage) => nextPart(map, "layer", stage.attention.length)),
  h: () => turn((map, stage) => nextPart(map, "head", stage.attention[0].length)),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const { buttons } = panels.find((panel) => panel.element.contains(event.target));
  if (key === "0") show("all");
  else if (stages.some((stage) => number(stage.stage) === Number(key)))
    show(stages.findIndex((stage) => number(stage.stage) === Number(key)));
  else if (KEYS[key]) KEYS[key](buttons);
  else return;
  event.preventDefault();
  const panel = shown().find((one) => one.buttons === buttons) ?? shown()[0]; // its text may have been hidden
  panel.buttons[chosen].focus({ preventScroll: panel.buttons === buttons });
}

/** The token nearest to the one at `place` in the line above (-1) or below (1). */
function lineAway(buttons, direction, place) {
  const from = buttons[place];
  const beyond = (button) => direction * (button.offsetTop - from.offsetTop) > from.offsetHeight / 2;
  const others = buttons.map((button, index) => ({ button, index })).filter(({ button }) => beyond(button));
  const distance = ({ button }) =>
    1000 * Math.abs(button.offsetTop - from.offsetTop) + Math.abs(button.offsetLeft - from.offsetLeft);
  return (
    others.reduce((best, other) => (best && distance(best) <= distance(other) ? best : other), null)?.index ?? place
  );
}

/** Change the map of every model shown that has attention. */
function turn(how) {
  shown()
    .filter(({ stage }) => stage.attention)
    .forEach(({ stage, map }) => how(map, stage));
  update();
}

/** Mean, first, second, ..., mean. */
function nextPart(map, part, count) {
  map.kind = "attention";
  map[part] = map[part] === "mean" ? 0 : map[part] + 1;
  if (map[part] >= count) map[part] = "mean";
}

function show(next) {
  view = next;
  update();
}

function startReader() {
  if (!stages.length || last < 0) return (byId("reader").hidden = true);
  byId("cut").hidden = !prompt.cut;
  byId("cut").textContent = prompt.cut ?? "";
  const kinds = stages.some((stage) => stage.attention) ? ["influence", "attention"] : ["influence"];
  ["or-attention", "about-attention", "about-agreement"].forEach((id) => (byId(id).hidden = kinds.length === 1));
  const names = stages.map((stage, index) => [index, `${number(stage.stage) || ""} ${stage.title}`.trim()]);
  const views = stages.length > 1 ? [["all", "All"], ...names] : names;
  byId("views").append(
    ...views.map(([value, name]) =>
      make("button", { type: "button", "data-view": value, onclick: () => show(value) }, name),
    ),
  );
  if (stages.length === 1) view = 0;
  byId("before").addEventListener("click", () => choose(chosen - 1, true));
  byId("after").addEventListener("click", () => choose(chosen + 1, true));
  byId("swatches").append(...kinds.map(makeSwatches));
  byId("stages").append(...panels.map((panel) => panel.element));
  update();
}

function makeSwatches(kind) {
  const samples = [0.01, 0.05, 0.25, 0.5, 1].map((weight) => {
    const sample = make("span", { class: "token" }, `${100 * weight}%`);
    sample.style.setProperty("--weight", Math.sqrt(weight));
    return sample;
  });
  return make("span", { class: `by-${kind}` }, `Share of ${kind}: `, ...samples);
}
