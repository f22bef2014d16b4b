// The curves, drawn from their numbers as SVG.

const DASHES = ["1 4", null, "8 4", "2 3", "10 3 2 3"]; // by a stage's number; counting is 0
const nats = "nats per token (lower is better)";

/** What is drawn: each chart's series are lists of x and y, and an error where one is known. */
function chartList() {
  const { learning, context, position, gradient } = results.curves ?? {};
  const counted = (results.table ?? []).find((row) => !number(row.stage))?.validation_perplexity;
  const reference = counted ? { name: "counting", y: Math.log(counted) } : null;
  const learned = (x) => (learning ?? []).map((one) => ({ stage: one.stage, x: one[x], y: one.validation_loss }));
  const pick = (from, x, y) =>
    (from?.stages ?? []).map((one) => ({ stage: one.stage, x: x(one), y: one[y], error: one.standard_error }));
  return [
    {
      heading: "Learning, by tokens read",
      read: "At the same place across, the lower line has made more of the same amount of text.",
      x: "training tokens",
      y: nats,
      xBase: 10,
      series: learned("tokens"),
      reference,
    },
    {
      heading: "Learning, by time",
      read: "The same losses against the clock: the lower line has made more of the same time.",
      x: "seconds of training",
      y: nats,
      xBase: 10,
      series: learned("seconds"),
      reference,
    },
    {
      heading: "How much context helps",
      read:
        `The same ${fixed(context?.targets)} tokens are predicted from more and more text before them; where a line ` +
        "goes flat, more text no longer helps (upright strokes: one standard error up and down).",
      x: "tokens of context",
      y: nats,
      xBase: 2,
      series: pick(context, () => context.lengths, "nats"),
    },
    {
      heading: "Loss by position",
      read:
        "Reading begins with an empty memory; as long as a line falls, what was read helps (means over the places " +
        "1, 2, 3 to 4, 5 to 8 and so on, each drawn at its last place).",
      x: "tokens read",
      y: nats,
      xBase: 2,
      series: (position?.stages ?? []).map(byDoublings),
    },
    {
      heading: "How far back the gradient reaches",
      read:
        "How strongly a guess depends on the token so many places back; a straight fall is an exponential one, since " +
        "the scale on the left counts in powers of ten; where nothing is felt any more, a line ends.",
      x: "tokens back",
      y: "size of the gradient",
      yBase: 10,
      series: pick(gradient, () => gradient.distances, "norms"),
    },
  ];
}

/** Single positions are noisy: positions 1, 2, 3 to 4, 5 to 8, ... are averaged, each weighted by its count. */
function byDoublings({ stage, nats: losses, counts }) {
  const [x, y] = [[], []];
  for (let start = 0, end = 1; start < losses.length; [start, end] = [end, 2 * end]) {
    const places = losses
      .slice(start, end)
      .map((_, offset) => start + offset)
      .filter((place) => known(losses[place]));
    const total = places.reduce((sum, place) => sum + (counts?.[place] ?? 1), 0);
    x.push(Math.min(end, losses.length));
    y.push(total ? places.reduce((sum, place) => sum + losses[place] * (counts?.[place] ?? 1), 0) / total : null);
  }
  return { stage, x, y };
}

function startCharts() {
  const charts = chartList().filter((chart) => points(chart).length);
  byId("curves").hidden = !charts.length;
  charts.forEach((chart) => {
    const picture = make("div");
    const data = makeDetails("The numbers", () => numbersOf(chart));
    byId("charts").append(
      make(
        "figure",
        { class: "chart" },
        make("h3", {}, chart.heading),
        make("p", {}, chart.read),
        picture,
        data.element,
      ),
    );
    // Drawn at its own width, so that the lettering stays readable on a phone.
    new ResizeObserver(([entry]) => {
      const width = Math.round(entry.contentRect.width);
      if (width && width !== chart.width) picture.replaceChildren(drawChart(chart, (chart.width = width)));
    }).observe(picture);
  });
}

/** The numbers that can be drawn: all that are known and, on a logarithmic axis, above 0. */
function points(chart) {
  const fits = (value, base) => known(value) && (!base || value > 0);
  return chart.series
    .flatMap(({ x, y, error }, series) =>
      (x ?? []).map((at, index) => ({ series, index, x: at, y: y?.[index], error: error?.[index] })),
    )
    .filter((point) => fits(point.x, chart.xBase) && fits(point.y, chart.yBase));
}

function drawChart(chart, width) {
  const all = points(chart);
  const names = chart.series.map(({ stage }) =>
    width < 440 ? `${number(stage)}` : `${number(stage)} ${title(stage)}`,
  );
  const room = { left: 46, right: 18 + 7.6 * Math.max(...names.map((name) => name.length)), top: 26, bottom: 46 };
  const height = Math.round(Math.min(360, Math.max(260, width * 0.6)));
  const ys = all.flatMap(({ y, error }) => [y - (error ?? 0), y + (error ?? 0)]).concat(chart.reference?.y ?? []);
  const across = axis(
    all.map(({ x }) => x),
    room.left,
    width - room.right,
    chart.xBase,
    Math.floor(width / 80),
  );
  across.ticks = farApart(across.ticks, across.place);
  const down = axis(ys, height - room.bottom, room.top, chart.yBase, 6, 0.05);
  const picture = draw("svg", {
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": `${chart.heading}. The numbers are in the table below.`,
  });
  picture.append(...drawAxes(chart, across, down, room, width, height));
  const lines = chart.series.map(({ stage }, series) =>
    drawLine(
      stage,
      all.filter((point) => point.series === series),
      across,
      down,
    ),
  );
  picture.append(...lines, ...drawNames(chart, names, all, across, down, [room.top, height - room.bottom]));
  return picture;
}

/** From values to places along one axis, and the values that get a tick. With a base it is logarithmic. */
function axis(values, from, to, base, most, margin = 0) {
  const bend = base ? Math.log : (value) => value;
  let [low, high] = [Math.min(...values.map(bend)), Math.max(...values.map(bend))];
  const spare = (high - low) * margin || (high === low ? 0.5 : 0);
  [low, high] = [low - spare, high + spare];
  const place = (value) => from + ((to - from) * (bend(value) - low)) / (high - low);
  const ticks = base ? powers(low, high, base, most) : steps(low, high, most);
  return { place, ticks, from, to };
}

/** Round values crowd towards the end of a logarithmic axis: those whose labels would touch the one before go. */
function farApart(ticks, place) {
  const kept = [];
  for (const tick of ticks) if (!kept.length || place(tick) - place(kept.at(-1)) >= LABEL) kept.push(tick);
  return kept;
}
const LABEL = 46; // pixels across, with some room beside it

/** Round values at equal distances: multiples of 1, 2 or 5 times a power of ten. */
function steps(low, high, most) {
  const size = 10 ** Math.floor(Math.log10((high - low) / most));
  const step = size * [1, 2, 5, 10].find((factor) => (high - low) / (factor * size) <= most);
  return Array.from(
    { length: Math.floor(high / step) - Math.ceil(low / step) + 1 },
    (_, index) => (Math.ceil(low / step) + index) * step,
  );
}

/** Powers of the base; on a short axis of tens, also twice and five times them; on a very short one, round values. */
function powers(low, high, base, most) {
  const factors = base === 10 && (high - low) / Math.log(10) < 3 ? [1, 2, 5] : [1];
  const found = [];
  for (let power = Math.floor(low / Math.log(base)); power * Math.log(base) <= high; power++) {
    found.push(...factors.map((factor) => factor * base ** power));
  }
  const inside = found.filter((value) => Math.log(value) >= low - 1e-9 && Math.log(value) <= high + 1e-9);
  if (base === 10 && inside.length < 3) return steps(Math.exp(low), Math.exp(high), most);
  return inside.filter((_, index) => (index - inside.length + 1) % Math.ceil(inside.length / most) === 0);
}

/** Powers of ten where a logarithmic axis begins below a thousandth; k and M for large numbers; else digits. */
function tickLabel(value, base, least) {
  const power = Math.log10(value);
  if (base === 10 && least < 0.001 && Math.abs(power - Math.round(power)) < 1e-9) {
    return `10${[...String(Math.round(power))].map((sign) => SUPERSCRIPTS[sign]).join("")}`;
  }
  return value >= 10000
    ? short(value)
        .replace(/(\.\d*?)0+(?= )/, "$1")
        .replace(". ", " ")
    : String(Number(value.toPrecision(6))).replace("-", "−");
}
const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

function drawAxes(chart, across, down, room, width, height) {
  const bottom = height - room.bottom;
  const rows = down.ticks.flatMap((value) => [
    draw("line", {
      class: "grid",
      x1: room.left,
      x2: width - room.right,
      y1: down.place(value),
      y2: down.place(value),
    }),
    draw(
      "text",
      { class: "axis", x: room.left - 7, y: down.place(value) + 4, "text-anchor": "end" },
      tickLabel(value, chart.yBase, down.ticks[0]),
    ),
  ]);
  const columns = across.ticks.flatMap((value) => [
    draw("line", { class: "grid", x1: across.place(value), x2: across.place(value), y1: bottom, y2: bottom + 5 }),
    draw(
      "text",
      { class: "axis", x: across.place(value), y: bottom + 20, "text-anchor": "middle" },
      tickLabel(value, chart.xBase, across.ticks[0]),
    ),
  ]);
  const scales = { x: chart.xBase ? ", logarithmic" : "", y: chart.yBase ? ", logarithmic" : "" };
  return [
    ...rows,
    ...columns,
    draw("text", { class: "title", x: 0, y: 13 }, chart.y + scales.y),
    draw("text", { class: "title", x: width - room.right, y: height - 6, "text-anchor": "end" }, chart.x + scales.x),
  ];
}

/** A stage's line with its dashes, its errors, and its kind of mark on the points if these are few. */
function drawLine(stage, those, across, down) {
  const group = draw("g", { class: own(stage), "data-series": stage });
  const runs = those.map(
    (point, at) =>
      (at && point.index === those[at - 1].index + 1 ? " L" : " M") +
      `${across.place(point.x).toFixed(1)} ${down.place(point.y).toFixed(1)}`,
  );
  group.append(draw("path", { class: "line", d: runs.join(""), "stroke-dasharray": DASHES[number(stage) % 5] }));
  for (const { x, y, error } of those) {
    if (error)
      group.append(
        draw("line", {
          class: "error",
          x1: across.place(x),
          x2: across.place(x),
          y1: down.place(y - error),
          y2: down.place(y + error),
        }),
      );
  }
  const marked = those.length <= 24 ? those : those.filter((_, at) => at % Math.ceil(those.length / 12) === 0);
  group.append(...marked.map(({ x, y }) => drawShape(number(stage), across.place(x), down.place(y))));
  return group;
}

function drawShape(kind, x, y) {
  const corners = { 2: "-4 -4 4 -4 4 4 -4 4", 3: "0 -5 5 4 -5 4", 4: "0 -5.5 5.5 0 0 5.5 -5.5 0" }[kind];
  const place = { class: "shape", transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` };
  return corners ? draw("polygon", { ...place, points: corners }) : draw("circle", { ...place, r: 4 });
}

/** Each line's name at its right end; names that would overlap are moved apart. */
function drawNames(chart, names, all, across, down, [top, bottom]) {
  const ends = chart.series.map(({ stage }, series) => ({
    stage,
    name: names[series],
    end: all.filter((point) => point.series === series).pop(),
  }));
  const labels = ends
    .filter(({ end }) => end)
    .map(({ stage, name, end }) => ({
      stage,
      name,
      x: across.place(end.x),
      y: down.place(end.y),
      at: down.place(end.y),
    }));
  labels.sort((one, other) => one.at - other.at);
  labels.forEach((label, index) => (label.at = Math.max(label.at, top, index ? labels[index - 1].at + 16 : 0)));
  [...labels]
    .reverse()
    .forEach((label, index, list) => (label.at = Math.min(label.at, index ? list[index - 1].at - 16 : bottom)));
  const drawn = labels.flatMap(({ stage, name, x, y, at }) => [
    draw("line", { class: "leader", x1: x + 7, y1: y, x2: across.to + 9, y2: at }),
    draw("text", { class: `name ${own(stage)}`, x: across.to + 12, y: at + 4.5 }, name),
  ]);
  if (!chart.reference) return drawn;
  const y = down.place(chart.reference.y);
  return [
    ...drawn,
    draw(
      "g",
      { class: "own-0" },
      draw("line", { class: "line", x1: across.from, x2: across.to, y1: y, y2: y, "stroke-dasharray": DASHES[0] }),
      draw("text", { class: "name", x: across.to - 4, y: y - 6, "text-anchor": "end" }, chart.reference.name),
    ),
  ];
}

/** One column a model where all were measured at the same places; else one line a point. */
function numbersOf(chart) {
  const same = chart.series.every(({ x }) => String(x) === String(chart.series[0].x));
  const cell = (one, index) => tidy(one.y?.[index]) + (known(one.error?.[index]) ? ` ± ${tidy(one.error[index])}` : "");
  if (same) {
    const rows = chart.series[0].x.map((x, index) => [tidy(x), ...chart.series.map((one) => cell(one, index))]);
    return makeTable(chart.heading, [chart.x, ...chart.series.map(({ stage }) => title(stage))], rows, "inner");
  }
  const rows = chart.series.flatMap((one) =>
    (one.x ?? []).map((x, index) => [title(one.stage), tidy(x), cell(one, index)]),
  );
  return makeTable(chart.heading, ["model", chart.x, chart.y], rows, "inner");
}

/** Four figures, or all of a whole number. */
function tidy(value) {
  if (!known(value)) return DASH;
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return fixed(value);
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

startReader();
startMoments();
startTable();
startCharts();
startRest();
startLive();
