// Break it and see: what can be broken, what to expect, the reader's bet, and what came of it.

const broken = { what: 0, bet: null, heads: {}, place: 0, gate: "forget", value: 0, only: false, before: "" };
const BETS = { fall: "fall", little: "rise by less than 0.1 nats", much: "rise by more" };
const cameTrue = { fall: (rise) => rise < 0, little: (rise) => rise >= 0 && rise < 0.1, much: (rise) => rise >= 0.1 };

const attends = ({ model, settings }) => model === "MiniTransformer" || (model === "AttentionLSTM" && settings.attention !== "none");
const gatesOf = ({ model, settings }) =>
  model === "MiniTransformer" ? [] : { lstm: ["forget", "input", "output"], gru: ["update", "reset"] }[settings.cell] ?? [];
const each = (list, change) => Object.fromEntries(list.map((one) => [one.stage, change(one)]));

/** What can be broken: the stages that have it, what to expect, what it changes, and what else there is to choose. */
function breaks() {
  const attending = live.stages.filter(attends), gated = live.stages.filter((one) => gatesOf(one).includes(broken.gate));
  const place = Math.max(0, Math.min(broken.place, live.pieces.length - 1)); // the text may have become shorter
  const at = () => (live.pieces.length ? `${nameOf(place)}, token ${place + 1}` : "a token");
  return [
    { name: "nothing", said: () => "Choose what to break. Each time you are asked for a bet before the models answer.", of: [], changes: () => ({}) },
    {
      name: "heads switched off", of: attending, how: makeHeadSwitches,
      said: () => "A head that is off adds nothing to the guess. Most heads are missed less than you might think; a few carry much.",
      changes: () => each(attending, ({ stage }) => ({ heads: [...(broken.heads[stage] ?? [])] })),
    },
    {
      name: "attention made even", of: attending,
      said: () => "Every place gets the same weight. The more a model needs its choice, the more its surprise rises.",
      changes: () => each(attending, () => ({ uniform: true })),
    },
    {
      name: "a token forgotten", of: attending, how: makePlaceChoice,
      said: () => `The key of ${at()} is deleted: no head can find it, so nothing can be fetched from there. Tokens before it do not change.`,
      changes: () => each(attending, () => ({ forgotten: [place] })),
    },
    {
      name: "a token made like any other", of: attending, how: makePlaceChoice,
      said: () => `The key of ${at()} becomes the mean of all keys: it can still be found, but no longer told apart.`,
      changes: () => each(attending, () => ({ averaged: [place] })),
    },
    {
      name: "a gate held", of: gated, how: makeGateChoice, said: () => GATES_SAID[broken.gate][broken.value],
      changes: () => Object.fromEntries(gated.map((one) => [one.stage, { gates: heldGates(one) }])),
    },
    {
      name: "another text's memory", of: live.stages, how: makeMemoryChoice,
      said: () => "The models begin your text with what they remember of another one. The nearer the two are in matter and manner, the more it helps.",
      changes: () => ({}),
    },
  ].filter(({ name, of }) => of.length || name === "nothing" || (name === "a gate held" && live.stages.some((one) => gatesOf(one).length)));
}

const GATES_SAID = {
  forget: ["The cell is emptied at every token. What is left of the past is what the state before has shown.", "Nothing is ever let go, so the cell fills up with what no longer matters."],
  input: ["Nothing new gets into the cell: the model hears, and writes nothing down.", "All that is read is written down in full, whether it matters or not."],
  output: ["The cell keeps its memory, and shows none of it.", "The cell shows all it has at every token, of use or not."],
  update: ["The state is written anew at every token; of the old one no more is heard than the reset gate lets through.", "The state never changes again: nothing that is read gets in."],
  reset: ["What was remembered has no say in what is written next.", "All that was remembered has its full say in what is written next."],
};

/** For a stage the gates that are held: of all units in all layers, or of the chosen unit of the top one. */
function heldGates({ stage, settings }) {
  const { gate, value } = broken, layers = settings.num_layers ?? 1;
  if (broken.only) return known(live.unit[stage]) ? [{ layer: layers - 1, gate, unit: live.unit[stage], value }] : [];
  return Array.from({ length: layers }, (_, layer) => ({ layer, gate, value }));
}

/** The stages in which something is broken, or will be after a bet. */
function concerned() {
  const { name, of, changes } = breakNow(), all = changes();
  if (name === "another text's memory") return broken.before.trim() ? of : [];
  return of.filter(({ stage }) => Object.values(all[stage]).some((change) => change === true || change.length));
}

// Only after a bet is anything broken.
const breakNow = () => breaks()[broken.what];
const changesNow = () => (broken.bet ? breakNow().changes() : {});
const memoryNow = () => (broken.bet && breakNow().name === "another text's memory" ? broken.before : "");
const forgottenNow = (stage) => {
  const change = changesNow()[stage];
  return [...(change?.forgotten ?? []), ...(change?.averaged ?? [])];
};

function startBreaking() {
  const gated = live.stages.flatMap(gatesOf);
  if (!gated.includes(broken.gate)) broken.gate = gated[0] ?? "forget";
  byId("break").append(...breaks().map(({ name }, index) => make("option", { value: index }, name)));
  byId("break").addEventListener("change", (event) => breakAnew(Number(event.target.value)));
  byId("bets").append(
    ...Object.entries(BETS).map(([bet, name]) =>
      make("button", { type: "button", "data-bet": bet, onclick: () => placeBet(bet) }, name),
    ),
  );
  drawBreak();
}

function breakAnew(what) {
  const was = broken.bet;
  Object.assign(broken, { what, bet: null, place: Math.max(0, live.place ?? 0) });
  byId("break").value = what;
  drawBreak();
  drawVerdict();
  if (was) readTyped();
}

/** What is broken has been chosen further: once there is a bet, it acts at once. */
function breakOn(choice = {}) {
  Object.assign(broken, choice);
  drawBreak();
  if (broken.bet) readTyped();
}

function placeBet(bet) {
  broken.bet = bet;
  drawBets();
  readTyped();
}

function drawBreak() {
  const { how, said } = breakNow();
  const had = document.activeElement?.dataset?.key;
  if (breakNow().name !== "another text's memory" || !byId("before-text")) byId("break-how").replaceChildren(...(how ? how() : []));
  if (had) byId("break-how").querySelector(`[data-key="${had}"]`)?.focus();
  byId("break-said").textContent = said();
  drawBets();
}

function drawBets() {
  byId("bets").classList.toggle("idle", !broken.what);
  byId("bet-asked").textContent = broken.bet ? "You bet that the mean surprise will" : "What do you bet? The mean surprise will";
  const some = live.pieces.length > 0 && concerned().length > 0;
  byId("bets").querySelectorAll("button").forEach((button) => {
    button.disabled = !some;
    button.setAttribute("aria-pressed", `${button.dataset.bet === broken.bet}`);
  });
}

/** Before and after, for the stages that are concerned; before the bet only how they are when whole. */
function drawVerdict() {
  if (!live.look || !live.pieces.length) {
    tellBet("");
    return byId("verdict").replaceChildren();
  }
  const stages = concerned().length ? concerned() : live.stages;
  const rows = stages.map(({ stage }) => verdictOn(stage));
  const found = rows.filter(({ rise }) => known(rise) && concerned().length); // a text of one token has no surprise
  const right = found.filter(({ rise }) => cameTrue[broken.bet]?.(rise)).length;
  const next = live.pieces[live.place + 1];
  const came = next ? `probability of ${quoted(next.glyph)}` : "probability of what came";
  const head = ["", "whole", "broken", "change", came, "likeliest"];
  const told = `Your bet came true for ${right} of ${found.length} model${found.length === 1 ? "" : "s"}.`;
  tellBet(broken.bet && found.length ? told : "");
  byId("verdict").replaceChildren(
    makeTable("Mean surprise in nats, and the guess after the chosen token", head, rows.map(({ cells }) => cells)),
  );
}

/** What came of the bet; it is read aloud, and so is written only where it is news. */
function tellBet(told) {
  if (byId("bet-told").textContent !== told) byId("bet-told").textContent = told;
}

function verdictOn(stage) {
  const told = (nats) => (nats.some(known) ? mean(nats.filter(known)) : null);
  const { before: guess, guesses } = live.look[stage], whole = told(live.whole[stage]), after = told(live.surprises[stage]);
  const chance = (all) => percent(known(all[stage][live.place + 1]) ? Math.exp(-all[stage][live.place + 1]) : null);
  const then = (one, other) => (broken.bet ? `${one} → ${other}` : one);
  const likely = then(visible((guess ?? guesses)[0]?.word ?? ""), visible(guesses[0]?.word ?? ""));
  const rise = known(whole) && known(after) ? after - whole : null;
  const results = broken.bet ? [fixed(after, 2), signed(rise, 2)] : ["?", "?"];
  const cells = [title(stage), fixed(whole, 2), ...results, then(chance(live.whole), chance(live.surprises)), likely];
  return { rise, cells };
}

const signed = (value, digits) => (known(value) ? `${value < 0 ? "" : "+"}${fixed(value, digits)}` : DASH);

// ------------------------------------------------------------------------------------------------- what else is chosen

function makeHeadSwitches() {
  return live.stages.filter(attends).map(({ stage }) => {
    const off = (broken.heads[stage] ??= new Set());
    const toggle = (name) => {
      if (!off.delete(name)) off.add(name);
      breakOn();
    };
    const heads = headsOf(stage).map(({ layer, head }) => {
      const name = `${layer}.${head}`, shown = headName({ layer, head });
      const about = { type: "button", "data-key": `${stage} ${name}`, "aria-pressed": `${!off.has(name)}` };
      const said = `${title(stage)}, head ${shown}: ${off.has(name) ? "off" : "on"}`;
      return make("button", { ...about, "aria-label": said, onclick: () => toggle(name) }, shown);
    });
    return make("div", { class: "switches" }, make("h4", {}, `${title(stage)}: click a head to switch it off or on`), make("div", { class: "heads" }, ...heads));
  });
}

function makePlaceChoice() {
  const take = () => breakOn({ place: live.place });
  return [make("div", { class: "bar" }, make("button", { type: "button", "data-key": "place", onclick: take }, "Take the token now chosen"))];
}

function makeGateChoice() {
  const gates = [...new Set(live.stages.flatMap(gatesOf))];
  const select = (key, name, options, value, choose) => {
    const choices = options.map(([is, shown]) => make("option", { value: is }, shown));
    const list = make("select", { "data-key": key, onchange: ({ target }) => choose(target.value) }, ...choices);
    list.value = value;
    return make("label", {}, `${name} `, list);
  };
  const chosenUnits = live.stages.filter(({ stage }) => known(live.unit[stage])).map(({ stage }) => `${title(stage)} ${live.unit[stage]}`);
  return [
    make("div", { class: "bar" },
      select("gate", "Gate", gates.map((gate) => [gate, gate]), broken.gate, (gate) => breakOn({ gate })),
      select("value", "held at", [[0, "0"], [1, "1"]], broken.value, (value) => breakOn({ value: Number(value) })),
      select("only", "of", [["", "all units"], ["1", `the unit chosen (${chosenUnits.join(", ") || "none yet"})`]], broken.only ? "1" : "", (only) => breakOn({ only: Boolean(only) })),
    ),
  ];
}

function makeMemoryChoice() {
  let timer = 0;
  const change = (event) => {
    broken.before = event.target.value;
    drawBets();
    clearTimeout(timer);
    timer = setTimeout(() => broken.bet && readTyped(), PAUSE);
  };
  broken.before ||= "I will be revenged. Blood and death and hell.";
  const about = { id: "before-text", type: "text", spellcheck: "false", autocomplete: "off", value: broken.before };
  return [make("p", {}, make("label", {}, "The text before yours ", make("input", { ...about, "data-key": "before", oninput: change })))];
}
