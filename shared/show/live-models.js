// The four models once more, as a browser runs them: one text, one token at a time, and no library.
//
// Every model has three methods. `read(state, token, change)` takes one more token: it returns the new state, the features
// for the guess, and what there is to see on the way. A state is never changed, so it may be kept and read on from twice.
// `guess(step)` turns features into the log probability of every token; `logProbability(step, id)` into that of one, which
// is cheaper where the vocabulary is cut into clusters. Names are those of the model.py files.
//
// E embedding = H hidden, D = H / heads, V vocabulary. A matrix is {rows, columns, data}, row after row.
//
// `change` is what a reader may break: heads, a Set of "layer.head" that are switched off; uniform, true for equal weights;
// forgotten, a Set of places whose keys are deleted; averaged, a Set of places whose keys become the mean of all; gates, [{layer, gate, unit, value}] that are held at a value, all units
// where none is named; and nudges, [{head, place, by}] added to a score.

"use strict";

const NOTHING_CHANGED = {heads: new Set(), uniform: false, forgotten: new Set(), averaged: new Set(), gates: [], nudges: []};

// ---------------------------------------------------------------------------------------------------------- arithmetic

// matrix (rows, columns) times x (columns) -> (rows)
function times(matrix, x) {
  const {rows, columns, data} = matrix, y = new Float32Array(rows);
  let r = 0;
  // Four rows at once: no sum has to wait for another, so a processor adds them side by side, twice as fast.
  for (; r + 4 <= rows; r += 4) {
    const first = r * columns, second = first + columns, third = second + columns, fourth = third + columns;
    let a = 0, b = 0, c = 0, d = 0;
    for (let i = 0; i < columns; i++) {
      const value = x[i];
      a += data[first + i] * value;
      b += data[second + i] * value;
      c += data[third + i] * value;
      d += data[fourth + i] * value;
    }
    y[r] = a;
    y[r + 1] = b;
    y[r + 2] = c;
    y[r + 3] = d;
  }
  for (; r < rows; r++) y[r] = dot(row(matrix, r), x);
  return y;
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

const row = (matrix, r) => matrix.data.subarray(r * matrix.columns, (r + 1) * matrix.columns);
const rowsOf = (matrix, first, last) => ({
  rows: last - first, columns: matrix.columns, data: matrix.data.subarray(first * matrix.columns, last * matrix.columns),
});
const plus = (a, b) => a.map((value, i) => value + b[i]);
const linear = (layer, x) => layer.bias ? plus(times(layer.weight, x), layer.bias) : times(layer.weight, x);
const part = (x, k, size) => x.subarray(k * size, (k + 1) * size);
const sigmoid = x => 1 / (1 + Math.exp(-x));
const logSigmoid = x => x < 0 ? x - Math.log1p(Math.exp(x)) : -Math.log1p(Math.exp(-x));

function joined(parts) {
  const all = new Float32Array(parts.reduce((sum, x) => sum + x.length, 0));
  let at = 0;
  for (const x of parts) {
    all.set(x, at);
    at += x.length;
  }
  return all;
}

// The largest score is taken away first, so that no power of e is too large for a number.
function softmax(scores) {
  const largest = Math.max(...scores);
  const powers = scores.map(score => Math.exp(score - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map(power => power / sum);
}

function logSoftmax(scores) {
  let largest = -Infinity, sum = 0;
  for (const score of scores) largest = Math.max(largest, score);
  for (const score of scores) sum += Math.exp(score - largest);
  const logSum = largest + Math.log(sum);
  return scores.map(score => score - logSum);
}

// The error function, right to seven digits (Abramowitz & Stegun 1964, 7.1.26). GELU weighs x by a normal probability.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - tail * Math.exp(-x * x));
}
const gelu = x => x * (1 + erf(x / Math.SQRT2)) / 2;

// Divide a vector by its size, the root of the mean square. PyTorch adds float32's smallest step, against 0 / 0.
function rmsNorm(weight, x) {
  const size = Math.sqrt(dot(x, x) / x.length + 2 ** -23);
  return x.map((value, i) => value / size * weight[i]);
}

// ------------------------------------------------------------------------------------------------------- recurrent cells

// Each cell: weights, the input x (E), the state of the layer, gates that are held -> {state, gates}, with state[0] = h (H).
const CELLS = {
  // h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)
  rnn(layer, x, [h], held) {
    const sum = plus(linear({weight: layer.weight_ih, bias: layer.bias_ih}, x),
      linear({weight: layer.weight_hh, bias: layer.bias_hh}, h));
    const {hidden} = hold({hidden: sum.map(Math.tanh)}, held);  // no gates: what can be held is the state itself
    return {state: [hidden], gates: {hidden}};
  },

  // c_t = f * c_{t-1} + i * g and h_t = o * tanh(c_t)
  lstm(layer, x, [h, c], held) {
    const size = h.length;
    const sum = plus(linear({weight: layer.weight_ih, bias: layer.bias_ih}, x),
      linear({weight: layer.weight_hh, bias: layer.bias_hh}, h));  // (4 H): the four gates one after the other
    const gates = hold({
      input: part(sum, 0, size).map(sigmoid), forget: part(sum, 1, size).map(sigmoid),
      candidate: part(sum, 2, size).map(Math.tanh), output: part(sum, 3, size).map(sigmoid),
    }, held);
    const cell = c.map((kept, u) => gates.forget[u] * kept + gates.input[u] * gates.candidate[u]);
    return {state: [cell.map((value, u) => gates.output[u] * Math.tanh(value)), cell], gates: {...gates, cell}};
  },

  // h_t = (1 - z) * n + z * h_{t-1}; the reset gate r acts after the product with h, as in PyTorch
  gru(layer, x, [h], held) {
    const size = h.length;
    const input = linear({weight: layer.weight_ih, bias: layer.bias_ih}, x);  // (3 H)
    const memory = linear({weight: layer.weight_hh, bias: layer.bias_hh}, h);  // (3 H)
    const both = plus(input, memory);
    const gates = hold({reset: part(both, 0, size).map(sigmoid), update: part(both, 1, size).map(sigmoid)}, held);
    const candidate = h.map((_, u) => Math.tanh(input[2 * size + u] + gates.reset[u] * memory[2 * size + u]));
    const hidden = h.map((old, u) => (1 - gates.update[u]) * candidate[u] + gates.update[u] * old);
    return {state: [hidden], gates: {...gates, candidate, hidden}};
  },
};
const STATES = {rnn: 1, lstm: 2, gru: 1};  // vectors that a layer carries

function hold(gates, held) {
  for (const {gate, unit, value} of held) {
    if (gates[gate]) gates[gate] = gates[gate].map((own, u) => (unit === undefined || unit === u ? value : own));
  }
  return gates;
}

// Layers one on the other: each reads the hidden states of the layer below as if they were words.
function readLayers(model, layerStates, x, change) {
  const states = [], gates = [];
  model.layers.forEach((layer, l) => {
    const held = change.gates.filter(one => one.layer === l);
    const step = CELLS[model.cell](layer, x, layerStates[l], held);
    states.push(step.state);
    gates.push(step.gates);
    x = step.state[0];
  });
  return {states, gates, h: x};
}

function emptyStates(model) {
  return model.layers.map(() => Array.from({length: STATES[model.cell]}, () => new Float32Array(model.hiddenSize)));
}

// ------------------------------------------------------------------------------------------------------------- attention

// scores (k) of places -> weights (k): softmax over the places that are not forgotten; all equal, if that is wished.
function weigh(scores, places, change, name) {
  const seen = places.map(place => !change.forgotten.has(place));
  if (!seen.includes(true)) return scores.map(() => 0);
  for (const {head, place, by} of change.nudges) {
    if (head === name) scores = scores.map((score, k) => (places[k] === place ? score + by : score));
  }
  return softmax(scores.map((score, k) => (seen[k] ? (change.uniform ? 0 : score) : -Infinity)));
}

// The keys of places (k vectors), some of which are to be like all others.
function keysSeen(keys, places, change) {
  if (!change.averaged.size) return keys;
  const mean = mixture(keys.map(() => 1 / keys.length), keys, keys[0].length);
  return keys.map((key, k) => (change.averaged.has(places[k]) ? mean : key));
}

// weights (k), values: k vectors (D) -> their weighted sum (D)
function mixture(weights, values, size) {
  const context = new Float32Array(size);
  weights.forEach((weight, k) => {
    for (let i = 0; i < size; i++) context[i] += weight * values[k][i];
  });
  return context;
}

// One head: a query (D), keys and values of the places -> context (D) and weights (k), with the scores before softmax.
function attend(query, keys, values, places, change, name) {
  const root = Math.sqrt(query.length);
  keys = keysSeen(keys, places, change);
  const scores = keys.map(key => dot(query, key) / root);
  const weights = weigh(scores, places, change, name);
  const off = change.heads.has(name), context = mixture(off ? weights.map(() => 0) : weights, values, values[0].length);
  return {context, weights, scores, query, keys, values, off};
}

// ------------------------------------------------------------------------------------------------------- the output layer

// Frequent tokens first; a large vocabulary is cut into a head and clusters, as in shared/model/output.py.
class TiedOutput {
  constructor(embedding, tensors) {
    Object.assign(this, {embedding, bias: tensors.bias, bandVectors: tensors.band_vectors, bandBias: tensors.band_bias});
    this.starts = [0, ...[512, 4096].filter(cut => cut < Math.floor(embedding.rows / 2))];
    this.stops = [...this.starts.slice(1), embedding.rows];
  }

  scores(k, features) {
    const [first, last] = [this.starts[k], this.stops[k]];
    return plus(times(rowsOf(this.embedding, first, last), features), this.bias.subarray(first, last));
  }

  // features (E) -> log probabilities of the frequent tokens, and of the clusters after them
  head(features) {
    const frequent = this.scores(0, features);
    if (this.starts.length === 1) return logSoftmax(frequent);
    return logSoftmax(joined([frequent, plus(times(this.bandVectors, features), this.bandBias)]));
  }

  // Of one token: of the clusters only its own is asked.
  logProbability(features, id) {
    const head = this.head(features), first = this.stops[0];
    if (id < first) return head[id];
    const k = this.stops.findIndex(stop => id < stop);
    return head[first + k - 1] + logSoftmax(this.scores(k, features))[id - this.starts[k]];
  }

  // features (E) -> log probabilities (V)
  logProbabilities(features) {
    const head = this.head(features), first = this.stops[0], all = new Float32Array(this.embedding.rows);
    all.set(head.subarray(0, first));
    for (let k = 1; k < this.starts.length; k++) {
      const cluster = head[first + k - 1];
      all.set(logSoftmax(this.scores(k, features)).map(value => cluster + value), this.starts[k]);
    }
    return all;
  }
}

// --------------------------------------------------------------------------------------------------------- the four models

class RecurrentModel {  // stages 1 and 2
  constructor(tensors, settings) {
    Object.assign(this, {cell: settings.cell, hiddenSize: settings.hidden_size, ...shared(tensors, settings)});
    this.layers = layersOf(tensors, settings);
  }

  start() {
    return {read: 0, layers: emptyStates(this)};
  }

  read(state, token, change = NOTHING_CHANGED) {
    const {states, gates, h} = readLayers(this, state.layers, row(this.embedding, token), change);
    return {state: {read: state.read + 1, layers: states}, token, features: h, gates, attention: []};
  }

  guess(step) {
    return this.output.logProbabilities(step.features);
  }

  logProbability(step, id) {
    return this.output.logProbability(step.features, id);
  }
}

class AttentionLSTM {  // stage 3
  constructor(tensors, settings) {
    Object.assign(this, {
      cell: settings.cell, hiddenSize: settings.hidden_size, kind: settings.attention, heads: settings.num_heads,
      window: settings.memory_length, ...shared(tensors, settings),
    });
    this.layers = layersOf(tensors, settings);
    this.attention = tensors.attention || {};
    this.combine = tensors.combine;
    this.gate = tensors.output.gate;
  }

  start() {
    return {read: 0, layers: emptyStates(this), places: []};
  }

  // A place of the text: its key is the state from before its word, its value the word's vector.
  place(token, before, embedded, position) {
    const {key, value} = this.attention;
    if (this.kind === "multi-head") return {token, position, key: linear(key, before), value: linear(value, embedded)};
    return {token, position, key: this.kind === "additive" ? linear(key, before) : before, value: embedded};
  }

  // The state asks -> {context (H), heads: what attend returns}
  look(h, places, change) {
    const positions = places.map(place => place.position);
    if (this.kind === "additive") {
      const query = linear(this.attention.query, h);
      const keys = keysSeen(places.map(place => place.key), positions, change), values = places.map(place => place.value);
      const scores = keys.map(key => dot(row(this.attention.score.weight, 0), plus(query, key).map(Math.tanh)));
      const weights = weigh(scores, positions, change, "0.0"), off = change.heads.has("0.0");
      const context = mixture(off ? weights.map(() => 0) : weights, values, h.length);
      return {context, heads: [{context, weights, scores, query, keys, values, off}]};
    }
    const query = this.kind === "dot" ? h : linear(this.attention.query, h);
    const count = this.kind === "dot" ? 1 : this.heads, size = h.length / count;
    const heads = Array.from({length: count}, (_, n) => {
      const keys = places.map(place => part(place.key, n, size)), values = places.map(place => part(place.value, n, size));
      return attend(part(query, n, size), keys, values, positions, change, `0.${n}`);
    });
    const context = joined(heads.map(head => head.context));
    return {context: this.kind === "dot" ? context : linear(this.attention.output, context), heads};
  }

  read(state, token, change = NOTHING_CHANGED) {
    const embedded = row(this.embedding, token);
    const before = state.layers[state.layers.length - 1][0];  // h_{t-1}
    const {states, gates, h} = readLayers(this, state.layers, embedded, change);
    const places = [...state.places, this.place(token, before, embedded, state.read)].slice(-this.window);
    const {context, heads} = this.look(h, places, change);
    const features = linear(this.combine, joined([h, context])).map(Math.tanh);
    return {
      state: {read: state.read + 1, layers: states, places}, token, features, gates, attention: [heads], places,
      positions: places.map(place => place.position),
    };
  }

  // How much of the guess is copied, and by how much from each word: log (1 - g), log g, and token -> weight
  copying(step) {
    const [first] = step.attention[0], gate = linear(this.gate, step.features)[0], copied = new Map();
    if (!first.off) step.places.forEach(({token}, k) => copied.set(token, (copied.get(token) || 0) + first.weights[k]));
    return {keep: logSigmoid(-gate), copy: logSigmoid(gate), copied};
  }

  // p(word) = (1 - g) * p(word by the output layer) + g * (the first head's weights where the word stands)
  guess(step) {
    const written = this.output.logProbabilities(step.features), {keep, copy, copied} = this.copying(step);
    const answer = written.map(value => keep + value);
    for (const [token, weight] of copied) {
      answer[token] = Math.log(Math.exp(keep + written[token]) + Math.exp(copy) * weight);
    }
    return answer;
  }

  logProbability(step, id) {
    const written = this.output.logProbability(step.features, id), {keep, copy, copied} = this.copying(step);
    if (!copied.has(id)) return keep + written;
    return Math.log(Math.exp(keep + written) + Math.exp(copy) * copied.get(id));
  }
}

class MiniTransformer {  // stage 4
  constructor(tensors, settings) {
    Object.assign(this, {
      hiddenSize: settings.hidden_size, heads: settings.num_heads, window: settings.context_length,
      positions: settings.positions, ...shared(tensors, settings), blocks: tensors.blocks, norm: tensors.norm.weight,
      place: tensors.place && tensors.place.weight,
    });
  }

  start() {
    return {read: 0, first: 0, tokens: [], caches: this.blocks.map(() => [])};
  }

  // Turn each pair of numbers (x_i, x_{i + D/2}) by its position's angle.
  rotate(x, position) {
    const half = x.length / 2, turned = new Float32Array(x.length);
    for (let i = 0; i < half; i++) {
      const angle = position * 10000 ** (-2 * i / x.length), cosine = Math.cos(angle), sine = Math.sin(angle);
      turned[i] = x[i] * cosine - x[half + i] * sine;
      turned[half + i] = x[i] * sine + x[half + i] * cosine;
    }
    return turned;
  }

  // One layer's attention: x (E), the cache of places before -> (E), the new cache, heads
  selfAttention(layer, x, cache, position, l, change) {
    const both = linear(layer.query_key_value, x), size = this.hiddenSize / this.heads, width = this.hiddenSize;
    const turn = head => this.positions === "rotary" ? this.rotate(head, position) : head;
    const split = (k, turned) => Array.from({length: this.heads}, (_, n) => {
      const head = part(part(both, k, width), n, size);
      return turned ? turn(head) : head;
    });
    const queries = split(0, true);
    const places = [...cache, {position, keys: split(1, true), values: split(2, false)}].slice(-this.window);
    const positions = places.map(place => place.position);
    const heads = queries.map((query, n) => {
      const keys = places.map(place => place.keys[n]), values = places.map(place => place.values[n]);
      return attend(query, keys, values, positions, change, `${l}.${n}`);
    });
    return {x: linear(layer.output, joined(heads.map(head => head.context))), cache: places, heads};
  }

  readBlocks(x, caches, position, change) {
    const newCaches = [], attention = [];
    this.blocks.forEach((block, l) => {
      const looked = this.selfAttention(
        block.attention, rmsNorm(block.attention_norm.weight, x), caches[l], position, l, change);
      x = plus(x, looked.x);
      x = plus(x, linear(block.contract, linear(block.expand, rmsNorm(block.network_norm.weight, x)).map(gelu)));
      newCaches.push(looked.cache);
      attention.push(looked.heads);
    });
    return {x: rmsNorm(this.norm, x), caches: newCaches, attention};
  }

  read(state, token, change = NOTHING_CHANGED) {
    let {first, tokens, caches} = state;
    const embed = (one, position) => {
      const vector = row(this.embedding, one);
      return this.positions === "rotary" ? vector : plus(vector, row(this.place, position - first));
    };
    if (this.positions !== "rotary") {
      // Places in a window cannot slide: when it is full, its last half is read again from place 0.
      if (state.read - first === this.window) {
        tokens = tokens.slice(tokens.length - Math.floor(this.window / 2));
        first = state.read - tokens.length;
        caches = this.blocks.map(() => []);
        tokens.forEach((one, i) => {
          caches = this.readBlocks(embed(one, first + i), caches, first + i, change).caches;
        });
      }
      tokens = [...tokens, token];
    }
    const step = this.readBlocks(embed(token, state.read), caches, state.read, change);
    return {
      state: {read: state.read + 1, first, tokens, caches: step.caches}, features: step.x, gates: [],
      attention: step.attention, positions: step.caches[0].map(place => place.position),
    };
  }

  guess(step) {
    return this.output.logProbabilities(step.features);
  }

  logProbability(step, id) {
    return this.output.logProbability(step.features, id);
  }
}

// -------------------------------------------------------------------------------------------------- from a file's numbers

function shared(tensors) {
  return {embedding: tensors.embedding.weight, output: new TiedOutput(tensors.embedding.weight, tensors.output)};
}

function layersOf(tensors) {
  return tensors.layers.map(layer => ({
    weight_ih: layer.weight_ih_l0, weight_hh: layer.weight_hh_l0, bias_ih: layer.bias_ih_l0, bias_hh: layer.bias_hh_l0,
  }));
}

const MODELS = {RNN: RecurrentModel, LSTM: RecurrentModel, AttentionLSTM, MiniTransformer};

// header: {model, settings, tensors: [{name, shape, offset, kind}]}, bytes: Uint8Array -> the model.
// A matrix of kind "int8" begins with one float32 scale a row; then come its rows of whole numbers from -127 to 127.
function buildModel(header, bytes) {
  const tensors = {};
  for (const {name, shape, offset, kind} of header.tensors) {
    put(tensors, name.split("."), unpack(bytes, offset, shape, kind));
  }
  return new MODELS[header.model](tensors, header.settings);
}

function unpack(bytes, offset, shape, kind) {
  const rows = shape.length > 1 ? shape[0] : 1, columns = shape[shape.length - 1], start = bytes.byteOffset + offset;
  if (kind === "float32") {
    const data = new Float32Array(bytes.buffer.slice(start, start + 4 * rows * columns));
    return shape.length > 1 ? {rows, columns, data} : data;
  }
  const scales = new Float32Array(bytes.buffer.slice(start, start + 4 * rows));
  const whole = new Int8Array(bytes.buffer, start + 4 * rows, rows * columns);
  const data = Float32Array.from(whole, (value, i) => value * scales[Math.floor(i / columns)]);
  return {rows, columns, data};
}

// "blocks.0.norm.weight" -> blocks[0].norm.weight
function put(tree, [name, ...rest], value) {
  if (!rest.length) tree[name] = value;
  else put(tree[name] ??= /^\d+$/.test(rest[0]) ? [] : {}, rest, value);
}
