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
    Object.assign(this, {stage: header.stage, model: buildModel(header, bytes), ids: [], steps: [], changed: ""});
  }

  read(ids, change = NOTHING_CHANGED, changed = "") {
    let same = 0;
    if (changed === this.changed) while (same < ids.length && ids[same] === this.ids[same]) same++;
    this.steps.length = same;
    for (const id of ids.slice(same)) {
      const state = this.steps.length ? this.steps[this.steps.length - 1].state : this.model.start();
      this.steps.push(this.model.read(state, id, change));
    }
    Object.assign(this, {ids: [...ids], changed});
  }

  // Log probabilities (V) of the token after a place; kept, since the page asks for them again.
  guess(place) {
    const step = this.steps[place];
    return step.answer ??= this.model.guess(step);
  }

  // Minus the log probability of each token, given those before it; the first has none.
  surprises() {
    return this.ids.map((id, place) => place ? this.steps[place - 1].nats ??= -this.guess(place - 1)[id] : null);
  }
}

function changeOf({heads = [], uniform = false, forgotten = [], gates = []} = {}) {
  return {heads: new Set(heads), uniform, forgotten: new Set(forgotten), gates};
}

function likeliest(probabilities, count) {
  return likeliestFirst(probabilities).slice(0, count).map(id => ({id, word: tokenizer.glyph(id), p: probabilities[id]}));
}

const ANSWERS = {
  // Models and tokenizer, once.
  build({stages, saved}) {
    readers = stages.map(({header, bytes}) => new Reader(header, bytes));
    tokenizer = buildTokenizer(saved);
    return {stages: readers.map(reader => reader.stage)};
  },

  // A text -> its pieces, and how surprised each stage was by each.
  read({text, change, first}) {
    const pieces = tokenizer.encode(text), ids = pieces.length ? pieces.map(({id}) => id) : [first];
    const stages = readers.map(reader => {
      reader.read(ids, changeOf(change), JSON.stringify(change ?? null));
      return {stage: reader.stage, surprises: reader.surprises()};
    });
    return {pieces: pieces.map(piece => ({...piece, glyph: tokenizer.glyph(piece.id)})), stages, unknown: tokenizer.unknown};
  },

  // What each stage expects after a place, with temperature, top-k and top-p, and where it looked.
  look({place, sampling = {}, count = 8}) {
    return {place, stages: readers.map(reader => {
      const step = reader.steps[place];
      return {
        stage: reader.stage, guesses: likeliest(reshaped(reader.guess(place), sampling), count),
        attention: step.attention.map(heads => heads.map(({weights, off}) => ({weights: Array.from(weights), off: !!off}))),
        positions: step.positions ?? [],
        gates: step.gates.map(gates => Object.fromEntries(Object.entries(gates).map(([name, x]) => [name, Array.from(x)]))),
      };
    })};
  },

  // Tokens that follow the text read last: the same random numbers for every stage.
  write({seed, length, sampling = {}}) {
    return {stages: readers.map(reader => {
      const random = randomNumbers(seed), show = tokenizer.streamer();
      for (const id of reader.ids) show(id);  // what stands before decides the first space
      const written = [];
      let step = reader.steps[reader.steps.length - 1];
      for (let n = 0; n < length; n++) {
        const probabilities = reshaped(reader.model.guess(step), {...sampling, banned: tokenizer.unknown});
        const id = draw(probabilities, random());
        written.push({id, text: show(id), p: probabilities[id]});
        step = reader.model.read(step.state, id);
      }
      return {stage: reader.stage, written};
    })};
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
