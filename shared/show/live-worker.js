// What the worker does: it holds the models, reads what is typed, and answers the page's questions one after the other.
//
// A question is a message {question, ...}; the answer has the same question and number. Of several of one kind that wait,
// only the newest is answered, and a long answer stops as soon as a newer text makes it stale.

"use strict";

let readers = [];  // one a stage
let tokenizer = null;

// A model that reads a text and keeps what it found after every token, so that a text which only grew, or changed at its
// end, costs no more than the new tokens.
class Reading {
  constructor(model) {
    Object.assign(this, {model, ids: [], steps: [], losses: [], situation: ""});
  }

  // ids of the text; what a reader broke; ids of another text, whose memory this one is to be read with
  read(ids, change, beforeIds, situation) {
    let same = 0;
    if (situation === this.situation) while (same < ids.length && ids[same] === this.ids[same]) same++;
    else this.begin = this.model.readAll(this.model.start(), beforeIds).at(-1)?.state ?? this.model.start();
    this.steps.length = this.losses.length = same;
    this.steps.push(...this.model.readAll(this.stateBefore(same), ids.slice(same), change));
    if (!same && ids.length) this.losses.push(null);  // nothing stands before the first
    const first = this.losses.length, before = this.steps.slice(first - 1, -1);
    this.losses.push(...this.model.logProbabilities(before, ids.slice(first)).map(value => -value));
    Object.assign(this, {ids: [...ids], situation});
  }

  stateBefore(place) {
    return place ? this.steps[place - 1].state : this.begin;
  }

  // Log probabilities (V) of the token after a place; kept, since the page asks for them again.
  guess(place) {
    const step = this.steps[place];
    return (step.answer ??= this.model.guess(step));
  }

  // How many tokens were read before the text began: places count from its first token.
  get shift() {
    return this.begin.read;
  }
}

// One stage: the model as the reader left it, and beside it the whole one, as long as something is broken.
class Reader {
  constructor(header, bytes) {
    const model = buildModel(header, bytes);
    Object.assign(this, {stage: header.stage, model, whole: new Reading(model), changed: new Reading(model)});
  }

  read(ids, change, before) {
    this.change = changeOf(change, before.length);
    this.broken = Boolean(change) || before.length > 0;
    this.whole.read(ids, NOTHING_CHANGED, [], "whole");
    if (this.broken) this.changed.read(ids, this.change, before, JSON.stringify([change ?? null, before]));
    this.now = this.broken ? this.changed : this.whole;
  }
}

function changeOf(change, shift) {
  const {heads = [], uniform = false, forgotten = [], averaged = [], gates = [], nudges = []} = change ?? {};
  const places = list => new Set(list.map(place => place + shift));
  const moved = nudges.map(nudge => ({...nudge, place: nudge.place + shift}));
  return {heads: new Set(heads), uniform, forgotten: places(forgotten), averaged: places(averaged), gates, nudges: moved};
}

// The likeliest tokens; what top-k or top-p has taken all probability from is none of them.
const named = (probabilities, count) =>
  likeliest(probabilities, count).filter(id => probabilities[id] > 0)
    .map(id => ({word: tokenizer.glyph(id), id, p: probabilities[id]}));

const lastOf = list => list[list.length - 1];
const read = () => Math.min(...readers.map(({now}) => (now ? now.steps.length : 0)));  // tokens that all have read

const ANSWERS = {
  // Models and tokenizer, once: each stage's weights come compressed, as base64.
  async build({stages, saved}) {
    const unpacked = await Promise.all(stages.map(({weights}) => inflated(decoded(weights))));
    readers = stages.map(({header}, number) => new Reader(header, unpacked[number]));
    tokenizer = buildTokenizer(saved);
    return {};
  },

  // A text -> its pieces, and how surprised each stage was by each. `change` is for some stages: stage -> what is broken.
  async read({text, changes = {}, before = "", most}) {
    const all = tokenizer.encode(text), pieces = all.slice(-most), ids = pieces.map(({id}) => id);
    const beforeIds = before ? tokenizer.encode(before).slice(-most).map(({id}) => id) : [];
    const stages = [];
    for (const reader of readers) {
      reader.read(ids, changes[reader.stage], beforeIds);
      const {stage, now, whole, broken} = reader;
      stages.push({stage, surprises: now.losses, whole: whole.losses, broken});
      if (await newer("read")) return null;
    }
    const shown = pieces.map(({id, text: typed}) => ({
      glyph: id === tokenizer.unknown ? typed : tokenizer.glyph(id), id, unknown: id === tokenizer.unknown,
    }));
    return {pieces: shown, cut: all.length - pieces.length, stages};
  },

  // What each stage expects after a place, with temperature, top-k and top-p, and where it looked.
  look({place, sampling = {}, count = 6}) {
    if (place >= read()) return null;
    return {stages: readers.map(({stage, now, whole, broken}) => {
      const step = now.steps[place];
      return {
        stage, guesses: named(reshaped(now.guess(place), sampling), count),
        before: broken ? named(whole.guess(place).map(Math.exp), 1) : null,
        attention: step.attention.map(heads => heads.map(({weights, off}) => ({weights: Array.from(weights), off}))),
        positions: (step.positions ?? []).map(position => position - now.shift),
      };
    })};
  },

  // The units of each stage's top recurrent layer whose memory moves most, token by token, and the one chosen; wanted:
  // stage -> what of them.
  units({wanted = {}, chosen = {}, count = 10}) {
    if (!read()) return null;
    const found = readers.filter(({model}) => model.layers).map(({stage, model, now}) => {
      const steps = now.steps.map(step => lastOf(step.gates));
      const memory = model.cell === "lstm" ? "cell" : "hidden", names = Object.keys(steps[0]);
      const moved = Float64Array.from({length: model.hiddenSize}, (_, unit) =>
        steps.reduce((sum, gates, t) => sum + (t ? Math.abs(gates[memory][unit] - steps[t - 1][memory][unit]) : 0), 0));
      const gate = names.includes(wanted[stage]) ? wanted[stage] : memory;
      const most = likeliest(moved, count), own = chosen[stage];
      const listed = known(own) && !most.includes(own) ? [...most, own] : most;
      const units = listed.map(unit => ({unit, values: steps.map(gates => gates[gate][unit])}));
      return {stage, gate, names, units};
    });
    return {stages: found};
  },

  // The numbers behind one head's choice at a place, or behind one unit's new state; `nudge` adds to one place's score at
  // this place only, and `held` sets one gate: what would the guess have been?
  byHand({stage, place, layer, head, unit, nudge = null, held = null}) {
    if (place >= read()) return null;
    const reader = readers.find(one => one.stage === stage), {now, model} = reader, token = now.ids[place];
    const change = {...reader.change};
    if (nudge) change.nudges = [...change.nudges, {head: `${layer}.${head}`, place: nudge.place + now.shift, by: nudge.by}];
    if (held) change.gates = [...change.gates, {layer: model.layers.length - 1, unit, ...held}];
    const state = now.stateBefore(place), step = model.read(state, token, change);
    const answer = {
      stage, place, nudge, held, before: named(now.guess(place).map(Math.exp), 4),
      after: named(model.guess(step).map(Math.exp), 4),
    };
    if (known(head)) return {...answer, layer, head, ...headByHand(step, layer, head, now.shift, change)};
    return {...answer, unit, ...unitByHand(model, state, step, unit)};
  },

  // Tokens that all stages write after the text read last, one after the other, with the same random numbers; each goes to
  // the page as soon as it is there. Other questions are answered in between; a new text ends it.
  async write(question) {
    const {number, seed, length, sampling = {}} = question;
    if (!read()) return {};
    question.writers ??= readers.map(({stage, model, change, now}) => {
      const show = tokenizer.streamer();
      for (const id of now.ids) show(id);  // what stands before decides the first space
      return {stage, model, change, show, random: randomNumbers(seed), step: lastOf(now.steps), written: 0};
    });
    for (const writer of question.writers) {
      const {model, change, random} = writer;
      const probabilities = reshaped(model.guess(writer.step), {...sampling, banned: tokenizer.unknown});
      const id = draw(probabilities, random()), p = probabilities[id];
      self.postMessage({question: "written", number, stage: writer.stage, text: writer.show(id), p});
      Object.assign(writer, {step: model.read(writer.step.state, id, change), written: writer.written + 1});
    }
    if (question.writers[0].written === length || await newer("write") || waiting.has("read")) return {};
    waiting.set("write", question);  // the next token after what else has been asked
    return null;
  },

  // How surprised each stage is by every token of a text, which is read by itself.
  score({text}) {
    const pieces = tokenizer.encode(text), ids = pieces.map(({id}) => id);
    return {pieces, stages: readers.map(({stage, model}) => {
      const reading = new Reading(model);
      reading.read(ids, NOTHING_CHANGED, [], "score");
      return {stage, surprises: reading.losses};
    })};
  },
};

// base64 -> bytes
function decoded(text) {
  const signs = atob(text), bytes = new Uint8Array(signs.length);
  for (let i = 0; i < signs.length; i++) bytes[i] = signs.charCodeAt(i);
  return bytes;
}

// What Python's zlib has compressed, as it was.
async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const known = value => value !== undefined && value !== null;

function headByHand(step, layer, head, shift, {uniform, forgotten}) {
  const {query, keys, values, scores, weights, context, off} = step.attention[layer][head];
  const places = scores.map((score, k) => ({
    place: step.positions[k] - shift, key: Array.from(keys[k]), value: Array.from(values[k]), score, weight: weights[k],
    weighed: forgotten.has(step.positions[k]) ? -Infinity : score,  // what softmax is given, where it is not made even
  }));
  return {query: Array.from(query), places, context: Array.from(context), off, uniform};
}

// One unit of the top layer: its state before and after, and its gates or the sums that made it.
function unitByHand(model, state, step, unit) {
  const l = model.layers.length - 1, gates = Object.entries(step.gates[l]).map(([name, x]) => [name, x[unit]]);
  const layer = model.layers[l], old = state.layers[l], now = step.state.layers[l];
  const x = l ? step.state.layers[l - 1][0] : row(model.embedding, step.token);
  // In a plain RNN three sums make the state: what the layer below says, what the state before says, and the bias.
  const sums = {
    input: dot(row(layer.weight_ih, unit), x), memory: dot(row(layer.weight_hh, unit), old[0]),
    bias: (layer.bias_ih?.[unit] ?? 0) + (layer.bias_hh?.[unit] ?? 0),
  };
  return {
    cell: model.cell, gates: Object.fromEntries(gates), sums: model.cell === "rnn" ? sums : null,
    h: [old[0][unit], now[0][unit]], c: old[1] ? [old[1][unit], now[1][unit]] : null,
  };
}

// ------------------------------------------------------------------------------------------------------- one after another

const waiting = new Map();  // kind of question -> the newest that waits
let busy = false;

// Let messages come in, and say whether one of this kind has.
const pause = typeof MessageChannel === "undefined" ? null : new MessageChannel();
async function newer(question) {
  await new Promise(resolve => {
    pause.port1.onmessage = resolve;
    pause.port2.postMessage(null);
  });
  return waiting.has(question);
}

async function answerAll() {
  busy = true;
  while (waiting.size) {
    // What has been typed comes first: other questions are of a text that all models have read.
    const question = waiting.has("read") ? "read" : waiting.keys().next().value, data = waiting.get(question);
    waiting.delete(question);
    try {
      const answer = await ANSWERS[question](data);
      if (answer) self.postMessage({question, number: data.number, ...answer});
    } catch (error) {
      self.postMessage({question, number: data.number, error: String(error)});
    }
    await newer(question);
  }
  busy = false;
}

if (typeof self !== "undefined") {
  self.onmessage = ({data}) => {
    waiting.delete(data.question);  // the newest goes to the end of the queue
    waiting.set(data.question, data);
    if (!busy) answerAll();
  };
}
