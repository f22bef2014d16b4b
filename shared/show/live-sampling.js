// From log probabilities to the next token, as in shared/model/sampling.py.

"use strict";

const COLDEST = 1e-6;  // below this temperature only the likeliest token is left; dividing by less would overflow

// log probabilities (V) -> probabilities (V) after temperature, top-k and top-p, which are null where they are off.
function reshaped(logProbabilities, {temperature = 1, topK = null, topP = null, banned = null}) {
  const scores = new Float64Array(logProbabilities);
  if (banned !== null) scores[banned] = -Infinity;
  if (temperature < COLDEST) {
    const likeliest = scores.indexOf(scores.reduce((best, score) => Math.max(best, score)));
    return scores.map((_, id) => id === likeliest ? 1 : 0);
  }
  for (let id = 0; id < scores.length; id++) scores[id] /= temperature;
  let probabilities = softmax(scores);
  if (topK !== null) probabilities = only(likeliest(probabilities, topK), probabilities);
  if (topP !== null && topP < 1) probabilities = only(nucleus(probabilities, topP), probabilities);
  return probabilities;
}

// Probabilities of these ids, scaled to add up to 1; of all others 0.
function only(ids, probabilities) {
  const kept = new Float64Array(probabilities.length);
  for (const id of ids) kept[id] = probabilities[id];
  const sum = kept.reduce((total, p) => total + p, 0);
  return kept.map(p => p / sum);
}

// The ids of the largest probabilities, the likeliest first; of equals the smaller id first. To sort a whole vocabulary
// would take ten times as long.
function likeliest(probabilities, count) {
  const best = [];
  for (let id = 0; id < probabilities.length; id++) {
    if (best.length === count && probabilities[id] <= probabilities[best[count - 1]]) continue;
    let at = best.length;
    while (at && probabilities[id] > probabilities[best[at - 1]]) at--;
    best.splice(at, 0, id);
    best.length = Math.min(best.length, count);
  }
  return best;
}

// The fewest likely tokens that together have topP: each whose likelier ones have less.
function nucleus(probabilities, topP) {
  // All tokens below this size together have less than 1 - topP, so none of them belongs: they need not be sorted.
  const least = (1 - topP) / probabilities.length / 2;
  const ids = Array.from(probabilities.keys()).filter(id => probabilities[id] >= least);
  ids.sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  let before = 0;  // the probability of all likelier tokens
  return ids.filter((id, rank) => {
    const belongs = !rank || before < topP;
    before += probabilities[id];
    return belongs;
  });
}

// Lay the tokens on a line, each as long as it is probable, and see where a point from 0 to 1 falls.
function draw(probabilities, point) {
  const total = probabilities.reduce((sum, p) => sum + p, 0);
  let end = 0, last = 0;
  for (let id = 0; id < probabilities.length; id++) {
    if (!probabilities[id]) continue;
    end += probabilities[id];
    last = id;
    if (point * total < end) return id;
  }
  return last;
}

// Random numbers from 0 to 1 that a seed brings back (xorshift of 32 bits, after mixing the seed).
function randomNumbers(seed) {
  let x = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}
