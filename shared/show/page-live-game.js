// You against them: the reader guesses the next words of a passage that no model has learned from.

const game = { next: 0, guesses: [] }; // how many words were guessed, and what the reader said

function startGame() {
  if (!results.to_guess) return;
  byId("game").hidden = false;
  byId("game-form").addEventListener("submit", (event) => (event.preventDefault(), guessWord()));
  byId("game-new").addEventListener("click", restartGame);
  ask("score", { text: results.to_guess.text });
}

/** The passage has been scored by all stages: its words and their surprises are here, and the reader may begin. */
function startGuessing({ stages: found }) {
  game.nats = Object.fromEntries(found.map(({ stage, surprises }) => [stage, surprises]));
  const count = results.to_guess.words.length;
  byId("game-rule").textContent =
    `Guess ${count} words of a passage that no model has learned from. Half of your probability goes to your guess; the ` +
    "other half is shared out as counting would share it. So a right guess gets at least one half, and a wrong one still half of what counting gives.";
  restartGame();
}

function restartGame() {
  Object.assign(game, { next: 0, guesses: [] });
  byId("game-said").textContent = "";
  drawGame();
}

/** What was guessed is right if it is the word, in whatever letters. */
function guessWord() {
  const { words } = results.to_guess, one = words[game.next], guess = byId("game-guess").value.trim();
  if (!one || !guess) return;
  const right = guess.toLowerCase() === one.word.toLowerCase();
  const p = (right ? 0.5 : 0) + one.counting / 2;
  game.guesses.push({ guess, right, nats: -Math.log(p) });
  game.next += 1;
  const theirs = Object.keys(game.nats).map((stage) => `${title(stage)} ${chanceOf(Math.exp(-game.nats[stage][one.place]))}`);
  byId("game-said").textContent = `It was ${quoted(one.word)}: you gave it ${chanceOf(p)}, ${theirs.join(", ")}.`;
  byId("game-guess").value = "";
  drawGame();
}

/** A small probability is easier to grasp as one in so many. */
const chanceOf = (p) => (p < 0.01 ? `1 in ${fixed(Number((1 / p).toPrecision(2)))}` : percent(p));

function drawGame() {
  const { words, before } = results.to_guess, done = words.slice(0, game.next);
  const shownWords = done.flatMap((one, at) => {
    const { guess, right } = game.guesses[at];
    const word = make("b", { class: right ? "right" : "wrong" }, one.word);
    return [one.lead, word, ...(right ? [] : [make("small", {}, " (you: ", make("s", {}, guess), ")")])];
  });
  const next = words[game.next];
  byId("game-text").replaceChildren(before, ...shownWords, next ? `${next.lead}____` : "");
  byId("game-guess").disabled = byId("game-form").querySelector("button").disabled = !next;
  if (!next && game.guesses.length) byId("game-new").focus(); // the box that had the focus is shut
  drawScore(done);
}

function drawScore(done) {
  const perplexity = (nats) => (nats.length ? fixed(Math.exp(mean(nats)), 1) : DASH);
  const rows = [
    ["You", perplexity(game.guesses.map(({ nats }) => nats))],
    ["Counting", perplexity(done.map(({ counting }) => -Math.log(counting)))],
    ...Object.entries(game.nats).map(([stage, nats]) => [title(stage), perplexity(done.map(({ place }) => nats[place]))]),
  ];
  byId("game-score").replaceChildren(makeTable(`Perplexity over the ${done.length} word${done.length === 1 ? "" : "s"} guessed so far; lower is better`, ["", "perplexity"], rows));
}
