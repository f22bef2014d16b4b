// Watch them learn: a slider over the moments that the trainings kept, and what each stage made of one passage by then.

const watched = results.moments ?? { passage: [], stages: [] };
const passage = watched.passage;
const moments = { at: 0, place: 0, kind: "influence", timer: 0 };
const SHADES = {
  influence: "what mattered for its guess after the token that you choose",
  attention: "where a model with attention looks from the token that you choose, and what mattered to the others",
};
const FRAME = 350; // milliseconds a moment is shown while it plays

/** "1;0.25 0.75" -> [[1], [0.25, 0.75]] */
const numbers = (rows) => rows.split(";").map((row) => row.split(" ").map(Number));

/** The slider's places, in tokens read: the moments of the run that read most. */
const timeline = watched.stages
  .map((stage) => stage.moments.map(({ tokens }) => tokens))
  .reduce((longest, one) => ((one.at(-1) ?? 0) > (longest.at(-1) ?? -1) ? one : longest), []);

/** The moment of a stage that is nearest to so many tokens; stages read batches of different sizes. */
function nearest(stage, tokens) {
  const away = (moment) => Math.abs(moment.tokens - tokens);
  return stage.moments.reduce((best, one) => (away(one) < away(best) ? one : best));
}

/** How much each token of the passage surprised, in nats; nothing stands before the first. */
const surprisesAt = (moment) => [null, ...numbers(moment.true_p).map(([p]) => -Math.log(Math.max(p, 1e-12)))];

/** e to the mean surprise, over the passage. */
function passagePerplexity(moment) {
  const told = surprisesAt(moment).filter(known);
  return Math.exp(told.reduce((sum, nats) => sum + nats, 0) / told.length);
}

/** After which token the probability of what came has risen most, over all stages: there the slider moves most. */
function mostLearned() {
  const ends = watched.stages.map(({ moments: all }) => [all[0], all.at(-1)].map(({ true_p }) => numbers(true_p)));
  const gained = passage.slice(1).map((_, at) => ends.reduce((sum, [first, end]) => sum + end[at][0] - first[at][0], 0));
  return gained.indexOf(Math.max(...gained));
}

function startMoments() {
  if (!watched.stages.length) return;
  byId("moments").hidden = byId("to-moments").hidden = false;
  moments.place = mostLearned();
  moments.at = timeline.length - 1;
  byId("moment").max = timeline.length - 1;
  byId("moment-map").hidden = !watched.stages.some((stage) => stage.moments.some(({ attention }) => attention));
  byId("moment-stages").append(...watched.stages.map(makeMomentStage));
  byId("moment").addEventListener("input", () => (stopPlaying(), showMoment(Number(byId("moment").value))));
  byId("moment-kind").addEventListener("change", () => ((moments.kind = byId("moment-kind").value), drawMoment()));
  byId("play").addEventListener("click", () => (moments.timer ? stopPlaying() : play()));
  drawMoment();
}

function showMoment(at) {
  moments.at = Math.min(Math.max(at, 0), timeline.length - 1);
  drawMoment();
}

/** From where the slider stands to the end; from the first step, where it stands at the end. */
function play() {
  if (moments.at === timeline.length - 1) showMoment(0);
  byId("play").textContent = "Stop";
  moments.timer = setInterval(() => {
    showMoment(moments.at + 1);
    if (moments.at === timeline.length - 1) stopPlaying();
  }, FRAME);
}

function stopPlaying() {
  clearInterval(moments.timer);
  moments.timer = 0;
  byId("play").textContent = "Play";
}

// ----------------------------------------------------------------------------------------------------------- a stage

function makeMomentStage({ stage, title: name }) {
  const part = (kind) => make("div", { id: `${kind}-${stage}` });
  const tokens = passage.map((token, index) =>
    make(
      "button",
      { type: "button", class: "token", "data-index": index, onclick: () => choosePlace(index) },
      visible(token),
    ),
  );
  const text = make(
    "div",
    {
      class: "text surprising",
      id: `moment-text-${stage}`,
      role: "group",
      "aria-label": `${name}: the passage. Arrow keys choose a token.`,
      onkeydown: onPlaceKey,
    },
    ...tokens.flatMap((token) => (token.textContent.endsWith("↵") ? [token, make("br")] : [token])),
  );
  return make(
    "section",
    { class: `moment-stage ${own(stage)}`, "data-watched": stage },
    make("h3", {}, make("span", { class: "number" }, `${number(stage) || ""} `), name),
    part("moment-facts"),
    text,
    make("h4", {}, "Expects next"),
    part("moment-guesses"),
    make("h4", {}, "Writes, from an empty page"),
    part("moment-sample"),
  );
}

function choosePlace(place) {
  moments.place = Math.min(Math.max(place, 0), passage.length - 1);
  drawMoment();
}

function onPlaceKey(event) {
  const last = passage.length - 1;
  const place = { ArrowLeft: moments.place - 1, ArrowRight: moments.place + 1, Home: 0, End: last }[event.key];
  if (place === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  choosePlace(place);
  event.currentTarget.querySelector("[aria-current]").focus({ preventScroll: true });
}

function drawMoment() {
  const tokens = timeline[moments.at];
  const shown = watched.stages.map((stage) => ({ stage, moment: nearest(stage, tokens) }));
  const each = shown.map(({ stage, moment }) => `${stage.title} ${fixed(passagePerplexity(moment), 1)}`);
  const told = `After up to ${short(tokens)} tokens, perplexity of the passage: ${each.join(", ")}.`;
  byId("moment").value = moments.at;
  byId("moment").setAttribute("aria-valuetext", told);
  byId("moment-is").textContent = `Up to ${short(tokens)} tokens read by each; whose training was shorter stays at its end.`;
  byId("moments-shade").textContent = SHADES[moments.kind];
  shown.forEach(({ stage, moment }) => {
    drawMomentFacts(stage, moment);
    drawMomentText(stage, moment);
    drawMomentGuesses(stage, moment);
    byId(`moment-sample-${stage.stage}`).replaceChildren(make("p", { class: "moment-sample" }, moment.sample || "(nothing but blank lines)"));
  });
}

function drawMomentFacts({ stage, moments: all }, moment) {
  const done = moment === all.at(-1) ? ", the last" : "";
  const whole = moment.validation
    ? ` Whole validation text, at step ${fixed(moment.validation.step)}: ${fixed(Math.exp(moment.validation.validation_loss), 1)}.`
    : "";
  byId(`moment-facts-${stage}`).replaceChildren(
    make(
      "p",
      { class: "most" },
      `Step ${fixed(moment.step)}, ${short(moment.tokens)} tokens${done}, ${seconds(moment.seconds)}. Perplexity of this passage: `,
      make("b", {}, fixed(passagePerplexity(moment), 1)),
      `.${whole}`,
    ),
  );
}

/** Shade for what mattered after the chosen token, ink under a word for how much it surprised. */
function drawMomentText({ stage }, moment) {
  const kind = moments.kind === "attention" && moment.attention ? "attention" : "influence";
  const row = numbers(moment[kind])[moments.place];
  const surprises = surprisesAt(moment);
  const text = byId(`moment-text-${stage}`);
  text.className = `text surprising by-${kind}`;
  text.querySelectorAll(".token").forEach((token, index) => {
    token.style.setProperty("--weight", Math.sqrt((row[index] ?? 0) / 1000).toFixed(3));
    token.style.setProperty("--surprise", Math.min(1, (surprises[index] ?? 0) / 10).toFixed(3));
    token.tabIndex = index === moments.place ? 0 : -1;
    token.title = known(surprises[index]) ? `surprise ${fixed(surprises[index], 1)} nats` : "nothing stands before it";
    token.setAttribute("aria-label", `${spoken(passage[index]) ?? visible(passage[index])}, ${token.title}`);
    if (index === moments.place) token.setAttribute("aria-current", "true");
    else token.removeAttribute("aria-current");
  });
}

function drawMomentGuesses({ stage }, moment) {
  const { place } = moments;
  const followed = passage[place + 1];
  const p = numbers(moment.next_p)[place];
  const guesses = moment.next[place].map((token, at) => makeGuess({ token, probability: p[at] }, token === followed));
  const then = known(followed)
    ? `Then came ${quoted(followed)}, to which it gave ${percent(numbers(moment.true_p)[place][0])}.`
    : "The passage ends here.";
  byId(`moment-guesses-${stage}`).replaceChildren(
    make("ol", { class: "guesses" }, ...guesses),
    make("p", { class: "followed" }, then),
  );
}
