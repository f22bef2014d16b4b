// From log probabilities to the next token, as in shared/model/sampling.py.

"use strict";

const COLDEST = 1e-6;  // below this temperature only the likeliest token is left; dividing by less would overflow

// log probabilities (V) -> probabilities (V) after temperature, top-k and top-p, which are null where they are off.
function reshaped(logProbabilities, {temperature = 1, topK = null, topP = null, banned = null}) {
  const scores = Float64Array.from(logProbabilities, (value, id) => id === banned ? -Infinity : value);
  if (temperature < COLDEST) {
    const likeliest = scores.indexOf(scores.reduce((best, score) => Math.max(best, score)));
    return scores.map((_, id) => id === likeliest ? 1 : 0);
  }
  let probabilities = logSoftmax(scores.map(score => score / temperature)).map(Math.exp);
  const order = topK === null && topP === null ? [] : likeliestFirst(probabilities);
  if (topK !== null) {
    for (const id of order.slice(topK)) probabilities[id] = 0;
    probabilities = divided(probabilities);
  }
  if (topP !== null && topP < 1) {
    let before = 0;  // the probability of all likelier tokens
    order.forEach((id, rank) => {
      const own = probabilities[id];
      if (rank && before >= topP) probabilities[id] = 0;
      before += own;
    });
    probabilities = divided(probabilities);
  }
  return probabilities;
}

function divided(probabilities) {
  const sum = probabilities.reduce((total, p) => total + p, 0);
  return probabilities.map(p => p / sum);
}

// Ids in falling order of probability; of equals the smaller id first.
function likeliestFirst(probabilities) {
  return Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
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
