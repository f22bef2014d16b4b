// One prediction by hand: the real numbers behind one head's choice, or behind one unit's new state. One can be changed.

const hand = { stage: null, part: {}, number: null, by: null }; // by: what the slider says, null for as it was
const headOf = (name) => {
  const [layer, head] = name.split(" ")[1].split(".").map((part) => Number(part) - 1);
  return { layer, head };
};

function startByHand() {
  const list = byId("hand-stage");
  list.append(...live.stages.map(({ stage }) => make("option", { value: stage }, title(stage))));
  hand.stage = (live.stages.find(attends) ?? live.stages[0]).stage;
  list.value = hand.stage;
  list.addEventListener("change", () => changeHand({ stage: list.value }));
  byId("hand-part").addEventListener("change", (event) => chooseHandPart(hand.stage, event.target.value));
  byId("hand-number").addEventListener("change", (event) => {
    Object.assign(hand, { number: event.target.value, by: null });
    askByHand();
  });
  byId("hand-by").addEventListener("input", (event) => ((hand.by = Number(event.target.value)), askByHand()));
  byId("hand-reset").addEventListener("click", () => ((hand.by = null), askByHand()));
}

/** Another token or another text: what was changed before is as it was, and of a head another score will be at hand. */
function takeBackChange() {
  hand.by = null;
  if (hand.part[hand.stage]?.startsWith("head")) hand.number = null;
}

/** Another stage or part: what was changed before is as it was. */
function changeHand(choice) {
  Object.assign(hand, { number: null, by: null }, choice);
  byId("hand-stage").value = hand.stage;
  drawHandParts();
  askByHand();
}

/** "head 1.2" or "unit 17"; null leaves what is shown. */
function chooseHandPart(stage, part) {
  if (!part) return;
  hand.part[stage] = part;
  changeHand({ stage });
}

/** Heads, and the units that the strip shows. */
function handParts() {
  const heads = headsOf(hand.stage).map((one) => `head ${headName(one)}`);
  return [...heads, ...(live.units?.[hand.stage]?.units ?? []).map(({ unit }) => `unit ${unit}`)];
}

function drawHandParts() {
  const parts = handParts(), list = byId("hand-part");
  const chosenPart = hand.part[hand.stage];
  if (chosenPart && !parts.includes(chosenPart)) parts.push(chosenPart);
  const shownNow = [...list.options].map((option) => option.value);
  if (String(shownNow) !== String(parts)) list.replaceChildren(...parts.map((part) => make("option", { value: part }, part)));
  if (!chosenPart && parts.length) {
    hand.part[hand.stage] = parts[0];
    askByHand();
  }
  list.value = hand.part[hand.stage] ?? "";
}

function askByHand() {
  if (!live.look || !live.pieces.length) return;
  const part = hand.part[hand.stage];
  if (!part) return drawHandParts();
  const question = { stage: hand.stage, place: live.place };
  const changed = hand.by !== null && hand.number !== null;
  if (part.startsWith("head")) {
    const nudge = changed ? { place: Number(hand.number), by: hand.by } : null;
    ask("byHand", { ...question, ...headOf(part), nudge });
  } else {
    const held = changed ? { gate: hand.number, value: hand.by } : null;
    ask("byHand", { ...question, unit: Number(part.split(" ")[1]), held });
  }
}

function drawByHand(found) {
  if (found.query) drawHeadByHand(found);
  else drawUnitByHand(found);
  const id = live.pieces[live.place + 1]?.id;
  const list = (name, guesses) =>
    make("div", { class: own(found.stage) }, make("h4", {}, name),
      make("ol", { class: "guesses" }, ...guesses.map(({ word, id: of, p }) => makeGuess({ token: word, probability: p }, of === id))));
  const changed = found.nudge || found.held;
  byId("hand-guesses").replaceChildren(
    list("Guess as it was", found.before),
    list(changed ? "Guess with your change" : "Guess with your change: none yet", found.after),
  );
}

/** The list of what can be changed, and the slider for the one chosen. */
function drawSlider(options, name, { min, max, value }) {
  const list = byId("hand-number"), shownNow = [...list.options].map((option) => option.textContent);
  if (String(shownNow) !== String(options.map(([, shown]) => shown)))
    list.replaceChildren(...options.map(([is, shown]) => make("option", { value: is }, shown)));
  if (!options.some(([is]) => `${is}` === `${hand.number}`)) hand.number = `${options[0]?.[0] ?? ""}`;
  list.value = hand.number;
  byId("hand-by-name").textContent = name;
  byId("hand-by").setAttribute("aria-label", `${list.selectedOptions[0]?.textContent ?? ""} ${name}`);
  Object.assign(byId("hand-by"), { min, max, step: "0.05" });
  byId("hand-by").value = value;
  byId("hand-by-is").textContent = `${name === "by" && value > 0 ? "+" : ""}${fixed(value, 2)}`;
}

// -------------------------------------------------------------------------------------------------------------- a head

const few = (vector) => `(${vector.slice(0, 3).map((value) => fixed(value, 2)).join(", ")}${vector.length > 3 ? ", …" : ""})`;

/** A number inside a sum or a product: what is negative stands in brackets. */
const term = (value) => (value < 0 ? `(${fixed(value, 2)})` : fixed(value, 2));

/** "0.51 × 1.20 + (−0.33) × 0.40 + … = 2.10": a dot product written out. */
function productOf(query, key, sum) {
  const terms = query.slice(0, 3).map((value, i) => `${term(value)} × ${term(key[i])}`);
  return `${terms.join(" + ")}${query.length > 3 ? " + …" : ""} = ${fixed(sum, 2)}`;
}

function drawHeadByHand({ stage, place, layer, head, query, places, context, off, uniform, nudge }) {
  const { settings } = live.stages.find((one) => one.stage === stage);
  const additive = settings.attention === "additive", root = additive ? 1 : Math.sqrt(query.length);
  const by = (at) => (nudge && nudge.place === at ? nudge.by : 0);
  const order = places.slice().sort((one, other) => other.weight - one.weight);
  // A score that was changed stays in sight.
  const shownPlaces = order.filter(({ place: at }, rank) => rank < 6 || by(at)), rest = order.filter((one) => !shownPlaces.includes(one));
  // What softmax is given: a token that is forgotten has the power 0, and where attention is even, all scores are one.
  const given = ({ place: at, weighed }) => (uniform ? 0 : weighed + by(at));
  const largest = Math.max(...places.map(given));
  const power = (one) => Math.exp(given(one) - largest);
  const add = (list, what) => list.reduce((sum, one) => sum + what(one), 0);
  const nameAt = (at) => (at < 0 ? "(text before)" : `${visible(live.pieces[at].glyph)} (${at + 1})`);
  const rows = shownPlaces.map((one) => [
    nameAt(one.place), few(one.key), ...(additive ? [] : [fixed(one.score * root, 2)]),
    one.weighed === -Infinity ? "−∞" : `${fixed(one.score, 2)}${by(one.place) && !uniform ? ` ${signed(by(one.place), 2)}` : ""}`, tidy(power(one)), percent(one.weight), few(one.value.map((value) => value * one.weight)),
  ]);
  const blank = additive ? ["", ""] : ["", "", ""];
  if (rest.length) rows.push([`${rest.length} more`, ...blank, tidy(add(rest, power)), percent(add(rest, ({ weight }) => weight)), ""]);
  rows.push(["all", ...blank, tidy(add(places, power)), percent(add(places, ({ weight }) => weight)), few(context)]);
  const [best] = order;
  const scored = additive
    ? `A score is v · tanh(q + k), with a vector v that was learned.`
    : `For ${nameAt(best.place)}, q · k = ${productOf(query, best.key, best.score * root)}. Divided by √${query.length}, the score is ${fixed(best.score, 2)}.`;
  const head_ = ["place", "key k", ...(additive ? ["score"] : ["q · k", `÷ √${query.length}`]), "e^(score − largest)", "weight", "weight × value"];
  byId("hand").replaceChildren(
    make("p", {}, `Head ${headName({ layer, head })} after ${nameOf(place)}. Its query is q = ${few(query)}, ${query.length} numbers. ${scored} ` +
      `${uniform ? "Attention is made even: every score counts as 0." : `The largest score of all is ${fixed(largest, 2)}.`} ` +
      `Softmax divides each power by the sum of all; the weighted values, added up, are what the head passes on.${off ? " It is switched off: now it passes on 0." : ""}`),
    makeTable("The places with the most weight", head_, rows),
  );
  hand.number ??= `${Math.max(best.place, 0)}`;
  byId("hand-slider").hidden = uniform;
  drawSlider(order.slice().sort((one, other) => one.place - other.place).filter(({ place: at }) => at >= 0).map(({ place: at }) => [at, `score of ${nameAt(at)}`]), "by",
    { min: -10, max: 10, value: hand.by ?? 0 });
}

// -------------------------------------------------------------------------------------------------------------- a unit

function drawUnitByHand({ place, unit, cell, gates, sums, h, c, held }) {
  const two = (value) => fixed(value, 2), before = place ? nameOf(place - 1) : "the start";
  const symbols = { forget: "f", input: "i", candidate: "g", output: "o", reset: "r", update: "z", cell: "c", hidden: "h" };
  const told = {
    rnn: () => [
      ["from the word", `W x = ${two(sums.input)}`], ["from the state before", `W h = ${two(sums.memory)}`], ["bias", `b = ${two(sums.bias)}`],
      ["new state", held ? `h = ${two(h[1])}, as you hold it` : `h = tanh(${term(sums.input)} + ${term(sums.memory)} + ${term(sums.bias)}) = ${two(h[1])}`],
    ],
    lstm: () => [
      ["cell before", `c = ${two(c[0])}`], ["forget gate", `f = ${two(gates.forget)}`], ["input gate", `i = ${two(gates.input)}`],
      ["candidate", `g = ${two(gates.candidate)}`],
      ["new cell", `c = f × c before + i × g = ${two(gates.forget)} × ${term(c[0])} + ${two(gates.input)} × ${term(gates.candidate)} = ${two(c[1])}`],
      ["output gate", `o = ${two(gates.output)}`],
      ["new state", `h = o × tanh(c) = ${two(gates.output)} × ${term(Math.tanh(c[1]))} = ${two(h[1])}`],
    ],
    gru: () => [
      ["state before", `h = ${two(h[0])}`], ["reset gate", `r = ${two(gates.reset)}`], ["update gate", `z = ${two(gates.update)}`],
      ["candidate", `n = ${two(gates.candidate)}`],
      ["new state", `h = (1 − z) × n + z × h before = ${two(1 - gates.update)} × ${term(gates.candidate)} + ${two(gates.update)} × ${term(h[0])} = ${two(h[1])}`],
    ],
  }[cell]();
  byId("hand").replaceChildren(
    make("p", {}, `Unit ${unit} of the top layer, from ${before} to ${nameOf(place)}. It is one of many, so by itself it seldom decides a guess.`),
    makeTable("One unit's update", ["step", "numbers"], told, "scroll update"),
  );
  byId("hand-slider").hidden = false;
  const changeable = Object.keys(gates).filter((name) => ({ rnn: ["hidden"], lstm: ["forget", "input", "candidate", "output"], gru: ["reset", "update"] })[cell].includes(name));
  const options = changeable.map((name) => [name, `${formOf(name)} ${symbols[name]}`]);
  if (!changeable.includes(hand.number)) hand.number = changeable[0];
  const signedOne = ["candidate", "hidden"].includes(hand.number);
  drawSlider(options, "to", { min: signedOne ? -1 : 0, max: 1, value: hand.by ?? gates[hand.number] });
}
