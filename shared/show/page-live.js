// The live part: what is typed goes to a worker, which holds the models, and what it finds is drawn. Nothing leaves the
// page. This file: the text box, a column for each stage, and writing on.

const MOST_TOKENS = 128; // so many are read and shown
const PAUSE = 60; // milliseconds without a key before the models read
const WRITTEN = 60; // tokens that each stage writes
const live = {
  numbers: {}, // of the newest question of each kind: answers to older ones are dropped
  pieces: [], // tokens of the text: {glyph, id, unknown}
  place: null, // of the token chosen; null until a text has been read
  surprises: {}, // stage -> nats of each token; `whole` has those of the models before anything was broken
  whole: {},
  look: null, // stage -> what it expects after the chosen token, and where it looks
  head: {}, // stage -> {layer, head} looked through; null for the mean of all
  unit: {}, // stage -> the unit chosen
  asked: new Set(), // the kinds of question whose answers are still to come
  settled: false, // there are none, and nothing has been typed since
  fresh: false, // a text has been read whose units are not drawn yet
  cut: 0, // tokens before those that are read
  stages: [], // of each model its header
  units: null, // stage -> the units shown
  typing: false, // the text has changed, and is not read yet
  writtenAfter: "", // the text that the stages write on
};
let worker = null;

function ask(question, data = {}) {
  live.settled = false;
  live.asked.add(question);
  live.numbers[question] = (live.numbers[question] ?? 0) + 1;
  worker.postMessage({ question, number: live.numbers[question], ...data });
}

function startLive() {
  if (!withModels) return;
  const saved = JSON.parse(byId("live-models").textContent);
  showLive();
  live.stages = saved.stages.map(({ header }) => header);
  const source = new Blob([byId("live-worker").textContent], { type: "text/javascript" });
  worker = new Worker(URL.createObjectURL(source));
  worker.onmessage = ({ data }) => onAnswer(data);
  worker.onerror = ({ message }) => onAnswer({ error: message || "this browser is too old for them" });
  byId("live-stages").append(...live.stages.map(makeLiveStage));
  byId("live-stages").style.setProperty("--shown", live.stages.length);
  byId("typed").value = prompt.text || "To be, or not to be: that is the ";
  startTyping();
  startWriting();
  startBreaking();
  startUnits();
  startByHand();
  // The columns are painted first; to unpack the weights takes a moment.
  requestAnimationFrame(() =>
    setTimeout(() => {
      const weights = ({ header }) => byId(`weights-${header.stage}`).textContent;
      const stages = saved.stages.map((one) => ({ header: one.header, weights: weights(one) }));
      ask("build", { stages, saved: saved.tokenizer });
      readTyped();
      startGame();
    }),
  );
}

/** With models to type into, the page begins with them; what the course compares is told where its results begin. */
function showLive() {
  byId("live").hidden = false;
  document.body.classList.add("with-live");
  document.querySelectorAll(".if-live").forEach((part) => (part.hidden = false));
  document.querySelectorAll(".if-not-live").forEach((part) => (part.hidden = true));
  byId("results-title").after(byId("lede"));
}

function onAnswer(data) {
  if (data.error) {
    const advice = "Reload the page; if that does not help, a newer browser may run them.";
    return (byId("live-note").textContent = `The models cannot go on (${data.error}). ${advice}`);
  }
  if (data.question === "written") return drawWritten(data);
  if (data.number !== live.numbers[data.question]) return; // asked anew since
  live.asked.delete(data.question);
  ON_ANSWER[data.question](data);
  live.settled = !live.asked.size && !live.typing;
}

const ON_ANSWER = {
  build() {},

  read({ pieces, cut, stages: read }) {
    const first = live.place === null, resized = pieces.length !== live.pieces.length;
    Object.assign(live, { pieces, fresh: true, cut });
    for (const { stage, surprises, whole } of read) [live.surprises[stage], live.whole[stage]] = [surprises, whole];
    if (first) live.place = mostDisputed();
    else if (resized || live.place >= pieces.length) live.place = Math.max(0, pieces.length - 1);
    tellRead(cut);
    live.stages.forEach(({ stage }) => makeLiveText(stage));
    lookAgain();
  },

  look({ stages: found }) {
    live.look = Object.fromEntries(found.map((one) => [one.stage, one]));
    live.stages.forEach(({ stage }) => drawStage(stage));
    tellChosen();
    byId("break-said").textContent = breakNow().said(); // which may name a token
    drawVerdict();
    if (live.fresh) askUnits();
    else markColumn();
    live.fresh = false;
    askByHand();
  },

  units: drawUnits,
  byHand: drawByHand,
  score: startGuessing,

  write() {
    byId("writing").setAttribute("aria-busy", "false");
  },
};

// ------------------------------------------------------------------------------------------------------------- the text

function startTyping() {
  let timer = 0;
  byId("typed").addEventListener("input", () => {
    Object.assign(live, { settled: false, typing: true });
    takeBackChange();
    clearTimeout(timer);
    timer = setTimeout(readTyped, PAUSE);
  });
  const dials = ["temperature", "top-k", "top-p"];
  dials.forEach((id) => byId(id).addEventListener("input", () => (tellSampling(), lookAgain())));
  tellSampling();
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
  live.typing = false;
  ask("read", { text: byId("typed").value, changes: changesNow(), before: memoryNow(), most: MOST_TOKENS });
}

function lookAgain() {
  byId("write").disabled = byId("again").disabled = !live.pieces.length;
  if (live.pieces.length) ask("look", { place: live.place, sampling: sampling() });
  else clearAnswers();
}

/** No text, no answers. */
function clearAnswers() {
  live.look = live.units = null;
  for (const id of ["verdict", "units", "unit-chosen", "hand", "hand-guesses", "live-spoken"]) byId(id).replaceChildren();
  for (const { stage } of live.stages)
    for (const part of ["guesses", "heads"]) byId(`live-${part}-${stage}`).replaceChildren();
  byId("break-said").textContent = breakNow().said();
  drawBets();
}

function chooseToken(place) {
  live.place = Math.min(Math.max(place, 0), live.pieces.length - 1);
  takeBackChange();
  lookAgain();
}

/** The place after which the probabilities of what came differ most from stage to stage. */
function mostDisputed() {
  const spread = (place) => {
    const found = Object.values(live.surprises).map((nats) => Math.exp(-nats[place + 1]));
    return Math.max(...found) - Math.min(...found);
  };
  const places = live.pieces.map((_, place) => place).slice(0, -1);
  return places.reduce((best, place) => (spread(place) > spread(best) ? place : best), 0);
}

function tellRead(cut) {
  const unknown = live.pieces.filter((piece) => piece.unknown).length;
  const count = live.pieces.length;
  byId("live-note").textContent =
    `${count + cut} token${count + cut === 1 ? "" : "s"}` +
    (cut ? `, of which the last ${count} are read.` : ".") +
    (unknown ? ` ${unknown === 1 ? "One is" : `${unknown} are`} not in the vocabulary: the models read <unk>.` : "");
}

/** The choice in one sentence for each stage, for who listens. */
function tellChosen() {
  const each = live.stages.map(({ stage }) => {
    const [guess] = live.look[stage].guesses;
    return guess ? `${title(stage)} expects ${quoted(guess.word)}, ${percent(guess.p)}.` : "";
  });
  byId("live-spoken").textContent = `After token ${live.place + 1}, ${nameOf(live.place)}: ${each.join(" ")}`;
}

const nameOf = (place) => (place < 0 ? "the text before" : quoted(live.pieces[place].glyph));

// ------------------------------------------------------------------------------------------------------------ one stage

function makeLiveStage({ stage }) {
  const part = (name) => make("div", { id: `${name}-${stage}`, class: name });
  return make(
    "section",
    { class: `stage ${own(stage)}`, "data-stage": stage },
    make("h3", {}, make("span", { class: "number" }, `${number(stage) || ""} `), title(stage)),
    part("live-text"),
    part("live-guesses"),
    part("live-heads"),
  );
}

/** The text as one stage reads it: ink under a word for how much it surprised. One button a token. */
function makeLiveText(stage) {
  const surprises = live.surprises[stage];
  const unsurprising = live.cut || memoryNow() ? "its surprise is not counted" : "nothing stands before it";
  const buttons = live.pieces.map(({ glyph, unknown }, index) => {
    const nats = surprises[index];
    const said = known(nats) ? `surprise ${fixed(nats, 1)} nats` : unsurprising;
    const name = `${spoken(glyph) ?? glyph}${unknown ? ", unknown" : ""}, ${said}`;
    const about = { type: "button", class: "token", "data-index": index, "aria-label": name, title: said };
    const button = make("button", about, unknown ? make("s", {}, glyph) : visible(glyph));
    button.style.setProperty("--surprise", Math.min(1, (nats ?? 0) / 10).toFixed(3));
    return button;
  });
  const nodes = buttons.flatMap((button) => (button.textContent.endsWith("↵") ? [button, make("br")] : [button]));
  const label = `${title(stage)}: your text. Arrow keys choose a token.`;
  const attributes = { class: "text surprising by-attention", role: "group", "aria-label": label };
  const text = make("div", { ...attributes, onclick: onLiveClick, onkeydown: onLiveKey }, ...nodes);
  byId(`live-text-${stage}`).replaceChildren(text, make("p", { class: "mean" }, meanSurprise(surprises)));
}

function meanSurprise(surprises) {
  const told = surprises.filter(known);
  if (!told.length) return "";
  return `Mean ${fixed(mean(told), 2)} nats: perplexity ${fixed(Math.exp(mean(told)), 1)}.`;
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const liveButtons = (stage) => [...byId(`live-text-${stage}`).querySelectorAll(".token")];

function drawStage(stage) {
  const row = attentionRow(stage), buttons = liveButtons(stage), forgotten = forgottenNow(stage);
  buttons.forEach((button, index) => {
    mark(button, index, row[index] ?? 0, live.place);
    button.classList.toggle("forgotten", forgotten.includes(index));
  });
  if (buttons[live.place]) keepInSight(buttons[live.place].parentElement, buttons[live.place]);
  drawGuesses(stage);
  drawHeads(stage);
}

const onLiveClick = (event) => {
  const index = indexOf(event);
  if (index >= 0) chooseToken(index);
};

const LIVE_KEYS = {
  ArrowLeft: () => live.place - 1,
  ArrowRight: () => live.place + 1,
  ArrowUp: (buttons) => lineAway(buttons, -1, live.place),
  ArrowDown: (buttons) => lineAway(buttons, 1, live.place),
  Home: () => 0,
  End: () => live.pieces.length - 1,
};

function onLiveKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !LIVE_KEYS[event.key]) return;
  event.preventDefault();
  const buttons = [...event.currentTarget.querySelectorAll(".token")];
  chooseToken(LIVE_KEYS[event.key](buttons));
  buttons[live.place].focus({ preventScroll: true });
}

/** The weights of the chosen head over the text, or the mean of all heads; nothing where there is no attention. */
function attentionRow(stage) {
  const { attention, positions } = live.look[stage], one = live.head[stage];
  const heads = one ? [attention[one.layer][one.head]] : attention.flat();
  const row = [];
  positions.forEach((position, k) => {
    if (position >= 0) row[position] = mean(heads.map(({ weights, off }) => (off ? 0 : weights[k])));
  });
  return row;
}

function drawGuesses(stage) {
  const next = live.pieces[live.place + 1], nats = live.surprises[stage][live.place + 1];
  const { guesses } = live.look[stage];
  const items = guesses.map(({ word, id, p }) => makeGuess({ token: word, probability: p }, next && next.id === id));
  const { temperature, topK, topP } = sampling(), turned = temperature !== 1 || topK !== null || topP < 1;
  const chance = `${percent(Math.exp(-nats))}${turned ? " before the dials" : ""} for `;
  const came = next ? [chance, make("b", {}, quoted(next.glyph)), ", which came."] : ["The text ends here."];
  byId(`live-guesses-${stage}`).replaceChildren(
    make("h4", {}, "Expects next"),
    make("ol", { class: "guesses" }, ...items),
    make("p", { class: "followed" }, ...came),
  );
}

/** Heads to look through. */
function drawHeads(stage) {
  const names = headsOf(stage), place = byId(`live-heads-${stage}`);
  const same = (one) => live.head[stage]?.layer === one?.layer && live.head[stage]?.head === one?.head;
  if (!names.length) {
    const { cell, hidden_size: size } = live.stages.find((one) => one.stage === stage).settings;
    const kept = cell === "lstm" ? `two states of ${size} numbers` : `a state of ${size} numbers`;
    return place.replaceChildren(make("p", { class: "note" }, `No attention: all it keeps is in ${kept} a layer.`));
  }
  const choice = (one, name) => {
    const about = { type: "button", "data-head": name, "aria-pressed": `${same(one)}` };
    return make("button", { ...about, onclick: () => chooseHead(stage, one) }, name);
  };
  const choices = [choice(null, "mean"), ...names.map((one) => choice(one, headName(one)))];
  const had = place.contains(document.activeElement) && document.activeElement.dataset.head;
  place.replaceChildren(
    make("h4", {}, names.length > 1 ? "Looks through head" : "Looks through its only head"),
    make("div", { class: "heads", role: "group", "aria-label": `${title(stage)}: head shown` }, ...choices),
  );
  if (had) choices.find((button) => button.dataset.head === had).focus();
}

const headName = ({ layer, head }) => `${layer + 1}.${head + 1}`;
const headsOf = (stage) =>
  (live.look?.[stage].attention ?? []).flatMap((row, layer) => row.map((_, head) => ({ layer, head })));

function chooseHead(stage, one) {
  live.head[stage] = one;
  drawStage(stage);
  chooseHandPart(stage, one && `head ${headName(one)}`);
}

// ------------------------------------------------------------------------------------------------------------- writing

function startWriting() {
  byId("written").append(
    ...live.stages.map(({ stage }) => {
      const text = make("p", { class: "script", id: `written-${stage}` });
      return make("div", { class: own(stage) }, make("h4", {}, title(stage)), text);
    }),
  );
  byId("written").style.setProperty("--shown", live.stages.length);
  byId("write").addEventListener("click", write);
  byId("again").addEventListener("click", () => ((byId("seed").value = Number(byId("seed").value) + 1), write()));
  byId("stop").addEventListener("click", readTyped);
}

/** One more token, as soon as a stage has written it: a button that goes on from there. Arrow keys lead from one to another. */
function drawWritten({ number: of, stage, text, p }) {
  if (of !== live.numbers.write) return;
  const place = byId(`written-${stage}`), before = live.writtenAfter + place.textContent + text;
  const goOn = () => goOnFrom(before);
  const onkeydown = (event) => {
    const { target, key } = event, next = { ArrowRight: target.nextElementSibling, ArrowLeft: target.previousElementSibling }[key];
    if (next) {
      [target.tabIndex, next.tabIndex] = [-1, 0]; // one tab stop for all of them
      next.focus();
    } else if (["Enter", " "].includes(key)) goOn();
    else return;
    event.preventDefault();
  };
  const told = { title: `${percent(p)}; click to go on from here`, onclick: goOn, onkeydown };
  const about = { class: "written", role: "button", tabindex: place.childElementCount ? -1 : 0 };
  place.append(make("span", { ...about, "aria-label": spoken(text.trim() || "↵") ?? text.trim(), ...told }, text));
}

function write() {
  live.writtenAfter = byId("typed").value;
  live.stages.forEach(({ stage }) => byId(`written-${stage}`).replaceChildren());
  byId("writing").setAttribute("aria-busy", "true");
  ask("write", { seed: Number(byId("seed").value), length: WRITTEN, sampling: sampling() });
}

/** Make a text the reader's own and write on from it: what the branch was is kept in the text box. */
function goOnFrom(text) {
  byId("typed").value = text;
  takeBackChange();
  readTyped();
  write();
  byId("write").focus(); // the word that was clicked is gone
}
