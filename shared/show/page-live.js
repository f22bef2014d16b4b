// The live part: what is typed goes to a worker, which holds the models, and what it finds is drawn. Nothing leaves the page.

const MOST_TOKENS = 128; // so many are read and shown
const PAUSE = 80; // milliseconds without a key before the models read
const live = { number: 0, pieces: [], place: 0, surprises: {}, base: {}, changes: {}, look: null, chosenHead: {}, settled: false };
let worker = null;

/** A question to the worker; what comes back for an older number is dropped. */
function ask(question, data = {}) {
  live.settled = false; // true again when the answer has been drawn
  worker.postMessage({ question, number: ++live.number, ...data });
}

function startLive() {
  const saved = JSON.parse(byId("live-models").textContent || "null");
  if (!saved) return;
  byId("live").hidden = false;
  live.stages = saved.stages.map(({ header }) => header);
  const source = new Blob([byId("live-worker").textContent], { type: "text/javascript" });
  worker = new Worker(URL.createObjectURL(source));
  worker.onmessage = ({ data }) => (data.error ? fail(data.error) : ON_ANSWER[data.question](data));
  const weights = ({ header }) => byId(`weights-${header.stage}`).textContent;
  worker.postMessage({
    question: "build",
    stages: saved.stages.map((one) => ({ header: one.header, weights: weights(one) })),
    saved: saved.tokenizer,
  });
  byId("live-stages").append(...live.stages.map(makeLiveStage));
  byId("written").append(
    ...live.stages.map(({ stage }) =>
      make("div", { class: own(stage) }, make("h4", {}, title(stage)), make("p", { class: "script", id: `written-${stage}` })),
    ),
  );
  byId("typed").value = prompt.text ?? "To be, or not to be: that is the ";
  let timer = 0;
  byId("typed").addEventListener("input", () => {
    live.settled = false;
    clearTimeout(timer);
    timer = setTimeout(readTyped, PAUSE);
  });
  ["temperature", "top-k", "top-p"].forEach((id) => byId(id).addEventListener("input", () => (lookAgain(), tellSampling())));
  byId("write").addEventListener("click", write);
  byId("again").addEventListener("click", () => ((byId("seed").value = Number(byId("seed").value) + 1), write()));
  startBreaking();
  tellSampling();
  readTyped();
}

function fail(message) {
  byId("live-note").textContent = `The models cannot go on: ${message}. Reload the page.`;
}

function sampling() {
  const value = (id) => Number(byId(id).value);
  const topK = value("top-k");
  return { temperature: value("temperature"), topK: topK > 50 ? null : topK, topP: value("top-p") };
}

function tellSampling() {
  const { temperature, topK, topP } = sampling();
  byId("temperature-is").textContent = temperature ? fixed(temperature, 2) : "0, the likeliest";
  byId("top-k-is").textContent = topK === null ? "all" : `${topK}`;
  byId("top-p-is").textContent = topP < 1 ? fixed(topP, 2) : "all";
}

function readTyped() {
  ask("read", { text: byId("typed").value || "\n", changes: live.changes, before: byId("before-text").value, most: MOST_TOKENS });
}

function lookAgain() {
  if (live.pieces.length) ask("look", { place: live.place, sampling: sampling() });
}

const ON_ANSWER = {
  build: () => {},

  read({ number, pieces, cut, stages: read }) {
    if (number !== live.number) return; // more has been typed since
    const grew = pieces.length !== live.pieces.length;
    Object.assign(live, { pieces, surprises: Object.fromEntries(read.map((one) => [one.stage, one.surprises])) });
    const broken = Object.keys(live.changes).length || byId("before-text").value;
    if (!broken) live.base = live.surprises;
    if (grew || live.place >= pieces.length) live.place = pieces.length - 1;
    const unknown = pieces.filter((piece) => piece.unknown).length;
    byId("live-note").textContent =
      `${pieces.length} tokens.` +
      (cut ? ` Only the last ${MOST_TOKENS} are read.` : "") +
      (unknown ? ` ${unknown === 1 ? "One is" : `${unknown} are`} not in the vocabulary, struck through: the models read <unk>.` : "");
    live.stages.forEach(({ stage }) => drawText(stage));
    lookAgain();
  },

  look({ number, stages: found }) {
    if (number !== live.number) return;
    live.look = Object.fromEntries(found.map((one) => [one.stage, one]));
    live.stages.forEach(({ stage }) => (drawText(stage), drawGuesses(stage), drawInside(stage)));
    drawVerdict();
    live.settled = true;
  },

  write({ stage, written }) {
    const before = live.writtenAfter;
    const goOn = (at) => {
      byId("typed").value = before + written.slice(0, at + 1).map((one) => one.text).join("");
      readTyped();
    };
    const words = written.map(({ text, p }, at) =>
      make("span", { class: "written", role: "button", tabindex: 0, title: `${percent(p)}; click to go on from here`,
        onclick: () => goOn(at), onkeydown: (event) => event.key === "Enter" && goOn(at) }, text));
    byId(`written-${stage}`).replaceChildren(...words);
    live.settled = --live.writing === 0;
  },

  byHand: drawByHand,
};

// ------------------------------------------------------------------------------------------------------------ one stage

function makeLiveStage({ stage }) {
  const part = (name) => make("div", { id: `${name}-${stage}`, class: name });
  const hand = makeDetails("One guess by hand", () => part("hand"));
  hand.element.addEventListener("toggle", () => hand.element.open && askByHand(stage));
  return make(
    "section",
    { class: `stage ${own(stage)}`, "data-stage": stage },
    make("h3", {}, make("span", { class: "number" }, `${number(stage) || ""} `), title(stage)),
    part("live-text"),
    part("live-guesses"),
    part("live-inside"),
    hand.element,
  );
}

/** The text as one stage reads it: shade for where it looks, ink under a word for how much it surprised. */
function drawText(stage) {
  const surprises = live.surprises[stage] ?? [];
  const row = attentionRow(stage);
  const buttons = live.pieces.map(({ glyph, unknown }, index) => {
    const button = make(
      "button",
      { type: "button", class: "token by-attention", "data-index": index, tabindex: index === live.place ? 0 : -1,
        "aria-label": `${spoken(glyph) ?? glyph}${unknown ? ", unknown" : ""}, surprise ${fixed(surprises[index], 1)} nats`,
        title: known(surprises[index]) ? `surprise ${fixed(surprises[index], 1)} nats` : "nothing stands before it",
        onclick: () => ((live.place = index), lookAgain()) },
      unknown ? make("s", {}, glyph) : visible(glyph),
    );
    button.style.setProperty("--weight", Math.sqrt(row[index] ?? 0).toFixed(3));
    button.style.setProperty("--surprise", Math.min(1, (surprises[index] ?? 0) / 10).toFixed(3));
    if (index === live.place) button.setAttribute("aria-current", "true");
    return button;
  });
  const nodes = buttons.flatMap((button) => (button.textContent.endsWith("↵") ? [button, make("br")] : [button]));
  const text = make("div", { class: "text surprising", role: "group", "aria-label": `${title(stage)}: your text. Arrow keys choose a token.`, onkeydown: onLiveKey }, ...nodes);
  const told = surprises.filter(known);
  const mean = told.reduce((sum, nats) => sum + nats, 0) / told.length;
  const note = told.length ? `Mean surprise ${fixed(mean, 2)} nats: perplexity ${fixed(Math.exp(mean), 1)}.` : "";
  const had = byId(`live-text-${stage}`).contains(document.activeElement);
  byId(`live-text-${stage}`).replaceChildren(text, make("p", { class: "most" }, note));
  if (had) buttons[live.place]?.focus();
}

function onLiveKey(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  live.place = Math.min(Math.max(live.place + step, 0), live.pieces.length - 1);
  lookAgain();
}

/** The weights of the chosen head over the text, or the mean of all heads; nothing where there is no attention. */
function attentionRow(stage) {
  const found = live.look?.[stage];
  if (!found || found.place > live.place || !found.attention.length) return [];
  const chosenHead = live.chosenHead[stage];
  const heads = chosenHead ? [found.attention[chosenHead.layer][chosenHead.head]] : found.attention.flat();
  const row = [];
  found.positions.forEach((position, k) => {
    if (position >= 0) row[position] = heads.reduce((sum, head) => sum + head.weights[k], 0) / heads.length;
  });
  return row;
}

function drawGuesses(stage) {
  const next = live.pieces[live.place + 1];
  byId(`live-guesses-${stage}`).replaceChildren(
    make("h4", {}, "Expects next"),
    make("ol", { class: "guesses" }, ...live.look[stage].guesses.map(({ word, p }) => makeGuess({ token: word, probability: p }, next && next.glyph === word))),
  );
}

/** Heads to look through or to switch off; for recurrent layers a strip of the units that move most. */
function drawInside(stage) {
  const { attention } = live.look[stage];
  const heads = attention.flatMap((row, layer) => row.map((_, head) => ({ layer, head })));
  const same = (one) => live.chosenHead[stage]?.layer === one.layer && live.chosenHead[stage]?.head === one.head;
  const button = (one, name) =>
    make("button", { type: "button", "aria-pressed": one ? `${same(one)}` : `${!live.chosenHead[stage]}`,
      onclick: () => ((live.chosenHead[stage] = one), drawText(stage), drawInside(stage), askByHand(stage)) }, name);
  const names = heads.map((one) => button(one, `${one.layer + 1}.${one.head + 1}`));
  byId(`live-inside-${stage}`).replaceChildren(
    ...(heads.length > 1 ? [make("h4", {}, "Head shown"), make("div", { class: "heads" }, button(null, "mean"), ...names)] : []),
  );
}

// ------------------------------------------------------------------------------------------------------------ by hand

function askByHand(stage) {
  if (!byId(`hand-${stage}`)) return;
  const header = live.stages.find((one) => one.stage === stage);
  if (!live.look?.[stage].attention.length) return drawGatesByHand(stage, header);
  const { layer, head } = live.chosenHead[stage] ?? { layer: 0, head: 0 };
  ask("byHand", { stage, place: live.place, layer, head });
}

const firstNumbers = (vector) => `${vector.slice(0, 4).map((value) => fixed(value, 2)).join(", ")}${vector.length > 4 ? ", …" : ""}`;

function drawByHand({ stage, place, layer, head, query, places, context }) {
  const top = places.slice().sort((one, other) => other.weight - one.weight).slice(0, 6);
  const root = Math.sqrt(query.length);
  const word = (at) => (at < 0 ? "(before the text)" : visible(live.pieces[at].glyph));
  const rows = top.map(({ place: at, key, score, weight }) => [
    word(at), firstNumbers(key), fixed(score * root, 2), fixed(score, 2), fixed(Math.exp(score), 2), percent(weight),
  ]);
  byId(`hand-${stage}`).replaceChildren(
    make("p", {}, `Head ${layer + 1}.${head + 1} after “${word(place)}”. Its query begins ${firstNumbers(query)}; it has ${query.length} numbers.`),
    makeTable("The six places with the most weight", ["place", "key k", "q · k", `÷ √${query.length}`, "e to that", "weight"], rows),
    make("p", {}, `Weight times value, added up over all ${places.length} places, gives the context: ${firstNumbers(context)}.`),
  );
}

function drawGatesByHand(stage, header) {
  const gates = live.look[stage].gates;
  const top = gates[gates.length - 1];
  const units = [0, 1, 2, 3];
  const names = Object.keys(top);
  byId(`hand-${stage}`).replaceChildren(
    names.length
      ? makeTable(`Four units of the top layer after “${visible(live.pieces[live.place].glyph)}”`, ["unit", ...names], units.map((unit) => [`${unit}`, ...names.map((name) => fixed(top[name][unit], 2))]))
      : make("p", {}, `${title(stage)} has no gates: its ${header.settings.hidden_size} numbers are written anew at every token.`),
  );
}

// ------------------------------------------------------------------------------------------------------------ writing

function write() {
  live.writtenAfter = byId("typed").value;
  Object.assign(live, { settled: false, writing: live.stages.length });
  const seed = Number(byId("seed").value);
  live.stages.forEach(({ stage }) => {
    byId(`written-${stage}`).textContent = "…";
    worker.postMessage({ question: "write", stage, seed, length: 60, sampling: sampling() });
  });
}

// ----------------------------------------------------------------------------------------------------------- breaking

// What can be broken: what it does to the stages that have it, and what to expect.
function breaks() {
  const of = (test) => live.stages.filter(test);
  const attending = of(({ model }) => model === "AttentionLSTM" || model === "MiniTransformer");
  const gated = of(({ settings }) => settings.cell === "lstm" || settings.cell === "gru");
  const keeps = (settings, value) => Array.from({ length: settings.num_layers }, (_, layer) => ({ layer, gate: settings.cell === "gru" ? "update" : "forget", value }));
  const chosenHeads = (stage) => (live.chosenHead[stage] ? [`${live.chosenHead[stage].layer}.${live.chosenHead[stage].head}`] : []);
  const list = [{ name: "nothing", said: "All models are whole.", changes: {} }];
  if (attending.length) {
    list.push(
      { name: "attention made even", said: "Every place gets the same weight. A model that needs its choice is more surprised.", changes: each(attending, () => ({ uniform: true })) },
      { name: "the chosen token forgotten", said: "Its key is deleted: no head can find it. Whatever was to be copied from there is gone.", changes: each(attending, () => ({ forgotten: [live.place] })) },
      { name: "the head shown switched off", said: "It brings home nothing. Choose a head first; most heads are missed less than you think.", changes: each(attending, ({ stage }) => ({ heads: chosenHeads(stage) })) },
    );
  }
  if (gated.length) {
    list.push(
      { name: "forget gates held at 0", said: "The cell is emptied at every token, so the memory is one token long.", changes: each(gated, ({ settings }) => ({ gates: keeps(settings, 0) })) },
      { name: "forget gates held at 1", said: "Nothing is ever let go. The cell fills up with what no longer matters.", changes: each(gated, ({ settings }) => ({ gates: keeps(settings, 1) })) },
    );
  }
  return list;
}

const each = (list, change) => Object.fromEntries(list.map((one) => [one.stage, change(one)]));

function startBreaking() {
  byId("break").append(...breaks().map(({ name }, index) => make("option", { value: index }, name)));
  byId("break").addEventListener("change", () => {
    const chosenBreak = breaks()[byId("break").value];
    byId("break-said").textContent = chosenBreak.said;
    byId("bets").hidden = !Number(byId("break").value);
    live.bet = null;
    if (byId("bets").hidden) apply(chosenBreak);
    else byId("verdict").textContent = "What do you bet? Mean surprise of the models concerned will";
  });
  byId("bets").append(
    ...["fall", "rise by less than 0.1 nats", "rise by more"].map((bet) =>
      make("button", { type: "button", onclick: () => ((live.bet = bet), apply(breaks()[byId("break").value])) }, bet),
    ),
  );
  byId("before-text").addEventListener("input", () => readTyped());
}

function apply({ changes }) {
  live.changes = changes;
  readTyped();
}

function drawVerdict() {
  if (!live.bet || !Object.keys(live.changes).length) {
    if (byId("bets").hidden) byId("verdict").textContent = "";
    return;
  }
  const mean = (values) => values.filter(known).reduce((sum, value) => sum + value, 0) / values.filter(known).length;
  const told = Object.keys(live.changes).map((stage) => {
    const rise = mean(live.surprises[stage]) - mean(live.base[stage] ?? live.surprises[stage]);
    return `${title(stage)} ${rise < 0 ? "" : "+"}${fixed(rise, 2)}`;
  });
  byId("verdict").textContent = `You bet that it would ${live.bet}. Mean surprise, in nats: ${told.join("; ")}.`;
}
