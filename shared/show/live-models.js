// The four models once more, as a browser runs them: one text, one token at a time, and no library.
//
// Every model has three methods. `read(state, token, change)` takes one more token: it returns the new state, the features
// for the guess, and what there is to see on the way. A state is never changed, so it may be kept and read on from twice.
// `guess(step)` turns features into the log probability of every token; `logProbabilities(steps, ids)` into those of the
// tokens that came, which is cheaper where the vocabulary is cut into clusters. Names are those of the model.py files.
//
// E embedding = H hidden, D = H / heads, V vocabulary. A matrix is {rows, columns, data}, row after row.
//
// `change` is what a reader may break: heads, a Set of "layer.head" that are switched off; uniform, true for equal weights;
// forgotten, a Set of places whose keys are deleted; averaged, a Set of places whose keys become the mean of all; gates,
// [{layer, gate, unit, value}] that are held at a value, all units where none is named; and nudges, [{head, place, by}] added to a score.

"use strict";

const NOTHING_CHANGED = {heads: new Set(), uniform: false, forgotten: new Set(), averaged: new Set(), gates: [], nudges: []};

// ---------------------------------------------------------------------------------------------------------- arithmetic

// matrix (rows, columns) times x (columns) -> (rows)
function times(matrix, x) {
  const {rows, columns, data} = matrix, y = new Float32Array(rows);
  let r = 0;
  // Eight rows at once: no sum has to wait for another, so a processor adds them side by side, more than twice as fast.
  for (; r + 8 <= rows; r += 8) {
    const first = r * columns, second = first + columns, third = second + columns, fourth = third + columns;
    const fifth = fourth + columns, sixth = fifth + columns, seventh = sixth + columns, eighth = seventh + columns;
    let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
    for (let i = 0; i < columns; i++) {
      const value = x[i];
      a += data[first + i] * value;
      b += data[second + i] * value;
      c += data[third + i] * value;
      d += data[fourth + i] * value;
      e += data[fifth + i] * value;
      f += data[sixth + i] * value;
      g += data[seventh + i] * value;
      h += data[eighth + i] * value;
    }
    [y[r], y[r + 1], y[r + 2], y[r + 3]] = [a, b, c, d];
    [y[r + 4], y[r + 5], y[r + 6], y[r + 7]] = [e, f, g, h];
  }
  for (; r < rows; r++) y[r] = dot(row(matrix, r), x);
  return y;
}

// The same for several vectors, two at once: a weight that has been fetched is used twice.
function timesEach(matrix, xs) {
  const ys = xs.map(() => new Float32Array(matrix.rows));
  for (let n = 0; n + 2 <= xs.length; n += 2) timesTwo(matrix, xs[n], xs[n + 1], ys[n], ys[n + 1]);
  if (xs.length % 2) ys[xs.length - 1] = times(matrix, xs[xs.length - 1]);
  return ys;
}

function timesTwo(matrix, x, v, y, w) {
  const {rows, columns, data} = matrix;
  let r = 0;
  for (; r + 4 <= rows; r += 4) {
    const first = r * columns, second = first + columns, third = second + columns, fourth = third + columns;
    let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
    for (let i = 0; i < columns; i++) {
      const one = x[i], other = v[i];
      const p = data[first + i], q = data[second + i], s = data[third + i], t = data[fourth + i];
      a += p * one;
      b += q * one;
      c += s * one;
      d += t * one;
      e += p * other;
      f += q * other;
      g += s * other;
      h += t * other;
    }
    [y[r], y[r + 1], y[r + 2], y[r + 3]] = [a, b, c, d];
    [w[r], w[r + 1], w[r + 2], w[r + 3]] = [e, f, g, h];
  }
  for (; r < rows; r++) [y[r], w[r]] = [dot(row(matrix, r), x), dot(row(matrix, r), v)];
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

// Adds b to a itself: for numbers that were just made, and that nobody else holds.
function add(a, b) {
  for (let i = 0; i < a.length; i++) a[i] += b[i];
  return a;
}
const plus = (a, b) => add(a.slice(), b);
const withBias = (layer, y) => layer.bias ? add(y, layer.bias) : y;
const linear = (layer, x) => withBias(layer, times(layer.weight, x));
const linearEach = (layer, xs) => timesEach(layer.weight, xs).map(y => withBias(layer, y));
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

// The largest score is taken away first, so that no power of e is too large for a number. Loops over a vocabulary are
// written out: to call a function for each of its tokens would take longer than what the function does.
function softmax(scores) {
  const largest = largestOf(scores), shares = new Float64Array(scores.length);
  let sum = 0;
  for (let i = 0; i < scores.length; i++) sum += shares[i] = Math.exp(scores[i] - largest);
  for (let i = 0; i < scores.length; i++) shares[i] /= sum;
  return shares;
}

function logSoftmax(scores) {
  const logSum = logSumExp(scores), shares = new Float64Array(scores.length);
  for (let i = 0; i < scores.length; i++) shares[i] = scores[i] - logSum;
  return shares;
}

function largestOf(scores) {
  let largest = -Infinity;
  for (let i = 0; i < scores.length; i++) if (scores[i] > largest) largest = scores[i];
  return largest;
}

function logSumExp(scores) {
  const largest = largestOf(scores);
  let sum = 0;
  for (let i = 0; i < scores.length; i++) sum += Math.exp(scores[i] - largest);
  return largest + Math.log(sum);
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
  for (let k = 0; k < values.length; k++) {
    const weight = weights[k], value = values[k];
    for (let i = 0; i < size; i++) context[i] += weight * value[i];
  }
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
    const starts = [0, ...[512, 4096].filter(cut => cut < Math.floor(embedding.rows / 2))];
    this.vocabSize = embedding.rows;
    this.bands = starts.map((start, k) => {  // of the frequent tokens, then of each cluster
      const stop = starts[k + 1] ?? embedding.rows;
      return {start, stop, weight: rowsOf(embedding, start, stop), bias: tensors.bias.subarray(start, stop)};
    });
    const {weight, bias} = this.bands[0], clusters = tensors.band_vectors;
    const rows = weight.rows + clusters.rows, data = joined([weight.data, clusters.data]);
    this.head = {weight: {rows, columns: weight.columns, data}, bias: joined([bias, tensors.band_bias])};
  }

  // Of the token that came after each of several places: features (n vectors E), ids (n) -> log probabilities (n)
  logProbabilities(features, ids) {
    const [{stop: first}, ...rare] = this.bands;
    // The head has an entry for each frequent token and, after them, one for each cluster.
    const entry = id => id < first ? id : first + rare.findIndex(band => id < band.stop);
    const found = linearEach(this.head, features).map((scores, at) => scores[entry(ids[at])] - logSumExp(scores));
    for (const band of rare) {
      const members = [...ids.keys()].filter(at => band.start <= ids[at] && ids[at] < band.stop);
      linearEach(band, members.map(at => features[at])).forEach((scores, n) => {
        found[members[n]] += scores[ids[members[n]] - band.start] - logSumExp(scores);  // the token within its cluster
      });
    }
    return found;
  }

  // features (E) -> log probabilities (V)
  guess(features) {
    const [{stop: first}, ...rare] = this.bands, all = new Float32Array(this.vocabSize);
    const head = logSoftmax(linear(this.head, features));
    all.set(head.subarray(0, first));
    rare.forEach((band, k) => {
      const scores = linear(band, features), added = head[first + k] - logSumExp(scores);
      for (let i = 0; i < scores.length; i++) all[band.start + i] = scores[i] + added;
    });
    return all;
  }
}

// --------------------------------------------------------------------------------------------------------- the four models

class LanguageModel {
  // Tokens one after the other -> their steps
  readAll(state, tokens, change = NOTHING_CHANGED) {
    const steps = [];
    for (const token of tokens) {
      steps.push(this.read(state, token, change));
      state = steps[steps.length - 1].state;
    }
    return steps;
  }

  guess(step) {
    return this.output.guess(step.features);
  }

  logProbabilities(steps, ids) {
    return this.output.logProbabilities(steps.map(step => step.features), ids);
  }
}

class RecurrentModel extends LanguageModel {  // stages 1 and 2
  constructor(tensors, settings) {
    super();
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
}

class AttentionLSTM extends LanguageModel {  // stage 3
  constructor(tensors, settings) {
    super();
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
    const written = super.guess(step), {keep, copy, copied} = this.copying(step);
    const answer = written.map(value => keep + value);
    for (const [token, weight] of copied) {
      answer[token] = Math.log(Math.exp(keep + written[token]) + Math.exp(copy) * weight);
    }
    return answer;
  }

  logProbabilities(steps, ids) {
    return super.logProbabilities(steps, ids).map((written, at) => {
      const {keep, copy, copied} = this.copying(steps[at]), weight = copied.get(ids[at]) ?? 0;
      return weight ? Math.log(Math.exp(keep + written) + Math.exp(copy) * weight) : keep + written;
    });
  }
}

class MiniTransformer extends LanguageModel {  // stage 4
  constructor(tensors, settings) {
    super();
    Object.assign(this, {
      hiddenSize: settings.hidden_size, heads: settings.num_heads, window: settings.context_length,
      positions: settings.positions, ...shared(tensors, settings), blocks: tensors.blocks, norm: tensors.norm.weight,
      place: tensors.place && tensors.place.weight,
    });
  }

  start() {
    return {read: 0, tokens: [], caches: this.blocks.map(() => [])};
  }

  // The angles by which a position's pairs of numbers are turned: their cosines and sines (D / 2), for all heads and layers.
  turns(position) {
    const size = this.hiddenSize / this.heads;
    const angles = Float64Array.from({length: size / 2}, (_, i) => position * 10000 ** (-2 * i / size));
    return {cosines: angles.map(Math.cos), sines: angles.map(Math.sin)};
  }

  // Turn each pair of numbers (x_i, x_{i + D/2}) by its position's angle.
  rotate(x, {cosines, sines}) {
    const half = x.length / 2, turned = new Float32Array(x.length);
    for (let i = 0; i < half; i++) {
      turned[i] = x[i] * cosines[i] - x[half + i] * sines[i];
      turned[half + i] = x[i] * sines[i] + x[half + i] * cosines[i];
    }
    return turned;
  }

  // Of one token in layer l: its query, key and value side by side (3 E), the places before -> context (E), all places, heads
  selfAttention(all, before, {position, turns}, l, change) {
    const size = this.hiddenSize / this.heads;
    const split = k => Array.from({length: this.heads}, (_, n) => part(all, k * this.heads + n, size));
    const turned = heads => turns ? heads.map(head => this.rotate(head, turns)) : heads;
    const queries = turned(split(0));
    const places = [...before, {position, keys: turned(split(1)), values: split(2)}].slice(-this.window);
    const positions = places.map(place => place.position);
    const heads = queries.map((query, n) => {
      const keys = places.map(place => place.keys[n]), values = places.map(place => place.values[n]);
      return attend(query, keys, values, positions, change, `${l}.${n}`);
    });
    return {context: joined(heads.map(head => head.context)), places, heads};
  }

  // Vectors of tokens (T of E) that stand from `position` on, what the layers keep of those before -> for each token its
  // features (E), what the layers keep now, and attention. Unlike in an LSTM no token waits for the one before it to reach
  // the top: all go through a block before the next block begins.
  readBlocks(xs, caches, position, change) {
    const read = xs.map((_, t) => ({position: position + t, caches: [], attention: []}));
    if (this.positions === "rotary") read.forEach(one => (one.turns = this.turns(one.position)));
    this.blocks.forEach(({attention_norm, attention, network_norm, expand, contract}, l) => {
      let places = caches[l];
      const contexts = linearEach(attention.query_key_value, xs.map(x => rmsNorm(attention_norm.weight, x))).map((all, t) => {
        const looked = this.selfAttention(all, places, read[t], l, change);
        places = looked.places;
        read[t].caches.push(places);
        read[t].attention.push(looked.heads);
        return looked.context;
      });
      xs = linearEach(attention.output, contexts).map((y, t) => add(y, xs[t]));
      const wide = linearEach(expand, xs.map(x => rmsNorm(network_norm.weight, x)));
      xs = linearEach(contract, wide.map(x => x.map(gelu))).map((y, t) => add(y, xs[t]));
    });
    return read.map(({caches, attention}, t) => {
      const positions = caches[0].map(place => place.position);
      return {state: {read: position + t + 1, caches}, features: rmsNorm(this.norm, xs[t]), gates: [], attention, positions};
    });
  }

  readAll(state, ids, change = NOTHING_CHANGED) {
    if (this.positions !== "rotary") return super.readAll(state, ids, change);
    return this.readBlocks(ids.map(id => row(this.embedding, id)), state.caches, state.read, change);
  }

  read(state, token, change = NOTHING_CHANGED) {
    if (this.positions === "rotary") return this.readAll(state, [token], change)[0];
    let {tokens, caches} = state;
    const placed = (id, at) => plus(row(this.embedding, id), row(this.place, at));
    // Places in a window cannot slide: when it is full, its last half is read again from place 0.
    if (tokens.length === this.window) {
      tokens = tokens.slice(tokens.length - Math.floor(this.window / 2));
      const again = this.readBlocks(tokens.map(placed), this.blocks.map(() => []), state.read - tokens.length, change);
      caches = again[again.length - 1].state.caches;
    }
    const [step] = this.readBlocks([placed(token, tokens.length)], caches, state.read, change);
    Object.assign(step.state, {tokens: [...tokens, token]});
    return step;
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
  const data = new Float32Array(rows * columns);
  for (let r = 0, i = 0; r < rows; r++) {
    for (const stop = i + columns; i < stop; i++) data[i] = whole[i] * scales[r];
  }
  return {rows, columns, data};
}

// "blocks.0.norm.weight" -> blocks[0].norm.weight
function put(tree, [name, ...rest], value) {
  if (!rest.length) tree[name] = value;
  else put(tree[name] ??= /^\d+$/.test(rest[0]) ? [] : {}, rest, value);
}
