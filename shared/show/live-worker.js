// What the worker does: it holds the models, reads what is typed, and answers the page's questions one after the other.
//
// A question is a message {question, ...}; the answer has the same question. Newer text makes older questions stale: the
// page numbers them, and drops answers to what is no longer asked.

"use strict";

let readers = [];  // one a stage
let tokenizer = null;

// A stage that reads a text and keeps what it found after every token, so that a text which only grew, or changed at its
// end, costs no more than the new tokens.
class Reader {
  constructor(header, bytes) {
    Object.assign(this, {stage: header.stage, model: buildModel(header, bytes), ids: [], steps: [], situation: ""});
  }

  // ids of the text; what a reader broke; ids of another text, whose memory this one is to be read with
  read(ids, change, before, situation) {
    let same = 0;
    if (situation === this.situation) while (same < ids.length && ids[same] === this.ids[same]) same++;
    else this.begin = before.reduce((state, id) => this.model.read(state, id).state, this.model.start());
    this.steps.length = same;
    for (const id of ids.slice(same)) this.steps.push(this.model.read(this.stateAfter(this.steps.length - 1), id, change));
    Object.assign(this, {ids: [...ids], situation});
  }

  stateAfter(place) {
    return place < 0 ? this.begin : this.steps[place].state;
  }

  // Log probabilities (V) of the token after a place; kept, since the page asks for them again.
  guess(place) {
    const step = this.steps[place];
    return (step.answer ??= this.model.guess(step));
  }

  // Minus the log probability of each token, given those before it; the first has none.
  surprises() {
    return this.ids.map((id, place) => (place ? -this.guess(place - 1)[id] : null));
  }
}

function changeOf({heads = [], uniform = false, forgotten = [], gates = [], nudges = []} = {}, shift = 0) {
  const moved = nudges.map(nudge => ({...nudge, place: nudge.place + shift}));
  return {heads: new Set(heads), uniform, forgotten: new Set(forgotten.map(place => place + shift)), gates, nudges: moved};
}

function likeliest(probabilities, count) {
  const best = [];  // ids, the likeliest first; to sort a whole vocabulary would take ten times as long
  for (let id = 0; id < probabilities.length; id++) {
    if (best.length === count && probabilities[id] <= probabilities[best[count - 1]]) continue;
    let at = best.length;
    while (at && probabilities[id] > probabilities[best[at - 1]]) at--;
    best.splice(at, 0, id);
    best.length = Math.min(best.length, count);
  }
  return best.map(id => ({word: tokenizer.glyph(id), p: probabilities[id]}));
}

const plain = record => Object.fromEntries(Object.entries(record).map(([name, x]) => [name, Array.from(x)]));

const ANSWERS = {
  // Models and tokenizer, once: each stage's weights come as base64.
  build({stages, saved}) {
    const decoded = text => Uint8Array.from(atob(text), character => character.charCodeAt(0));
    readers = stages.map(({header, weights}) => new Reader(header, decoded(weights)));
    tokenizer = buildTokenizer(saved);
    return {};
  },

  // A text -> its pieces, and how surprised each stage was by each. `change` is for some stages: stage -> what is broken.
  read({text, changes = {}, before = "", most}) {
    const all = tokenizer.encode(text), pieces = all.slice(-most), ids = pieces.map(({id}) => id);
    const beforeIds = before ? tokenizer.encode(before).map(({id}) => id) : [];
    const stages = readers.map(reader => {
      const change = changes[reader.stage];
      reader.read(ids, changeOf(change, beforeIds.length), beforeIds, JSON.stringify([change ?? null, beforeIds]));
      return {stage: reader.stage, surprises: reader.surprises()};
    });
    const shown = pieces.map(({id, text: typed}) => ({
      glyph: id === tokenizer.unknown ? typed : tokenizer.glyph(id), unknown: id === tokenizer.unknown,
    }));
    return {pieces: shown, cut: all.length - pieces.length, shift: beforeIds.length, stages};
  },

  // What each stage expects after a place, with temperature, top-k and top-p, and where it looked.
  look({place, sampling = {}, count = 6}) {
    return {place, stages: readers.map(reader => {
      const step = reader.steps[place], first = reader.steps[0].state.read - 1;
      return {
        stage: reader.stage, guesses: likeliest(reshaped(reader.guess(place), sampling), count),
        attention: step.attention.map(heads => heads.map(({weights, off}) => ({weights: Array.from(weights), off}))),
        positions: (step.positions ?? []).map(position => position - first), gates: step.gates.map(plain),
      };
    })};
  },

  // The numbers behind one head's choice at a place.
  byHand({stage, place, layer, head}) {
    const reader = readers.find(one => one.stage === stage), step = reader.steps[place];
    const {query, keys, values, scores, weights, context} = step.attention[layer][head];
    const first = reader.steps[0].state.read - 1;
    const places = scores.map((score, k) => ({
      place: step.positions[k] - first, key: Array.from(keys[k]), value: Array.from(values[k]), score, weight: weights[k],
    }));
    return {stage, place, layer, head, query: Array.from(query), places, context: Array.from(context)};
  },

  // Tokens that one stage writes after the text read last. With the same seed all stages get the same random numbers.
  write({stage, seed, length, sampling = {}}) {
    const reader = readers.find(one => one.stage === stage);
    const random = randomNumbers(seed), show = tokenizer.streamer();
    for (const id of reader.ids) show(id);  // what stands before decides the first space
    const written = [];
    let step = reader.steps[reader.steps.length - 1];
    for (let n = 0; n < length; n++) {
      const probabilities = reshaped(reader.model.guess(step), {...sampling, banned: tokenizer.unknown});
      const id = draw(probabilities, random());
      written.push({text: show(id), p: probabilities[id]});
      step = reader.model.read(step.state, id);
    }
    return {stage, written};
  },
};

if (typeof self !== "undefined") {
  self.onmessage = ({data}) => {
    try {
      self.postMessage({question: data.question, number: data.number, ...ANSWERS[data.question](data)});
    } catch (error) {
      self.postMessage({question: data.question, number: data.number, error: String(error)});
    }
  };
}
