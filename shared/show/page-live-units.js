// Memory, unit by unit: a row for each of the units that move most, a column for each token.

const wanted = {}; // stage -> which of its gates, or its memory, is shown
const recurrent = () => live.stages.filter(({ model }) => model !== "MiniTransformer");
const FORMS = { input: "input gate", forget: "forget gate", output: "output gate", update: "update gate", reset: "reset gate", hidden: "hidden state", cell: "cell state" };
const formOf = (name) => FORMS[name] ?? name; // of a gate's name, how it is said

function startUnits() {
  byId("units-part").hidden = !recurrent().length;
}

/** After the columns have been drawn, so that an answer to a key never waits for this. */
function askUnits() {
  if (recurrent().length) ask("units", { wanted, chosen: live.unit });
}

function drawUnits({ stages: found }) {
  live.units = Object.fromEntries(found.map((one) => [one.stage, one]));
  drawUnitChoices(found);
  const head = live.pieces.map(({ glyph }, place) =>
    make("th", { scope: "col", class: "column", "data-place": place }, make("span", {}, visible(glyph))),
  );
  const groups = found.flatMap((one) => unitRows(one));
  const had = document.activeElement?.dataset?.unit, scrolled = byId("units").scrollLeft;
  const named = make("tr", {}, make("th", { scope: "col" }, "unit"), ...head);
  byId("units").replaceChildren(make("table", { class: "units" }, make("thead", {}, named), make("tbody", {}, ...groups)));
  byId("units").scrollLeft = scrolled;
  if (had) byId("units").querySelector(`[data-unit="${had}"]`)?.focus({ preventScroll: true });
  markColumn();
  drawHandParts();
}

/** A choice for each stage: its memory, or one of its gates. */
function drawUnitChoices(found) {
  if (byId("unit-choices").childElementCount) return;
  byId("unit-choices").append(
    ...found.map(({ stage, names, gate }) => {
      const options = names.map((name) => make("option", { value: name }, formOf(name)));
      const choose = (event) => ((wanted[stage] = event.target.value), askUnits());
      const list = make("select", { onchange: choose }, ...options);
      list.value = gate;
      list.disabled = names.length === 1;
      return make("label", {}, `${title(stage)} `, list);
    }),
  );
}

function unitRows({ stage, gate, units }) {
  const largest = Math.max(...units.flatMap(({ values }) => values.map(Math.abs)), 1e-9);
  const said = `${title(stage)}: ${formOf(gate)}, the strongest shade is ${fixed(largest, 2)}`;
  const group = make("tr", {}, make("th", { class: "group", colspan: live.pieces.length + 1, scope: "rowgroup" }, make("span", {}, said)));
  const rows = units.map(({ unit, values }) => {
    const about = { type: "button", "data-unit": `${stage} ${unit}`, "aria-pressed": `${live.unit[stage] === unit}` };
    const name = make("button", { ...about, "aria-label": `${title(stage)}, unit ${unit}`, onclick: () => chooseUnit(stage, unit) }, `${unit}`);
    const cells = values.map((value, place) => {
      const sign = value < 0 ? "minus" : "plus";
      const cell = make("td", { class: sign, title: `unit ${unit} at ${nameOf(place)}: ${fixed(value, 2)}`, "data-place": place });
      cell.style.setProperty("--size", (Math.abs(value) / largest).toFixed(2));
      return cell;
    });
    return make("tr", { class: own(stage) }, make("th", { scope: "row" }, name), ...cells);
  });
  return [group, ...rows];
}

/** The column of the chosen token gets a frame. */
function markColumn() {
  byId("units").querySelectorAll("[data-place]").forEach((cell) => {
    cell.classList.toggle("here", Number(cell.dataset.place) === live.place);
  });
  tellUnit();
}

function chooseUnit(stage, unit) {
  live.unit[stage] = live.unit[stage] === unit ? null : unit;
  byId("units").querySelectorAll("[data-unit]").forEach((button) => {
    const [of, name] = button.dataset.unit.split(" ");
    if (of === stage) button.setAttribute("aria-pressed", `${Number(name) === live.unit[stage]}`);
  });
  tellUnit();
  if (breakNow().name === "a gate held") breakOn(); // it may be of the unit chosen
  chooseHandPart(stage, known(live.unit[stage]) ? `unit ${unit}` : null);
}

/** Which unit is chosen, its values at the chosen token, and a way to hold its gate. */
function tellUnit() {
  const told = Object.values(live.units ?? {}).flatMap(({ stage, gate, units }) => {
    const found = units.find(({ unit }) => unit === live.unit[stage]);
    return found ? [`${title(stage)}, unit ${found.unit}: ${formOf(gate)} ${fixed(found.values[live.place], 2)} at ${nameOf(live.place)}. `] : [];
  });
  const holds = live.stages.some((one) => gatesOf(one).length && known(live.unit[one.stage]));
  const hold = make("button", { type: "button", class: "link", onclick: holdChosen }, "Hold its gate");
  byId("unit-chosen").replaceChildren(...(told.length ? [told.join("")] : ["No unit is chosen."]), ...(holds ? [hold] : []));
}

function holdChosen() {
  const what = breaks().findIndex(({ name }) => name === "a gate held");
  broken.only = true;
  breakAnew(what);
  byId("break").focus();
}
