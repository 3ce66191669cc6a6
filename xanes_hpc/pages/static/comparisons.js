// Matches of the measured spectrum, and the fit of the broadening.

import { broadening, setWidth } from "./broadening.js";
import { by, element } from "./elements.js";
import { keep } from "./kept.js";
import { maxShift } from "./measurement.js";
import { asGiven, asked, elementAndEdge, predictionOf, site } from "./prediction.js";
import { ask } from "./requests.js";
import { changed, state, when } from "./state.js";
import { cell, heading } from "./tables.js";

const MOST = 200;
const line = (textContent, className = "") => element("p", { textContent, className });

function enabled() {
  const { measured, predicted, model, structures } = state;
  by("why-measured").textContent = !measured ? "Open a measured spectrum to align, match and fit it." : !predicted ? "Open a structure that the model knows to align and fit." : "";
  by("fit").disabled = !measured || !predicted;
  by("match-open").disabled = !measured || !structures.length;
  const { library } = model;
  by("match-library").hidden = !library;
  by("match-library").disabled = !measured;
  if (library) by("match-library").textContent = `Match ${library.name} (${library.sites.toLocaleString("en")} sites)`;
}

const spectrum = () => ({ experiment: state.measured.curve, scale: state.measured.scale, origin: state.model.origin, max_shift: maxShift() });

async function matchOpen() {
  const symbol = state.predicted?.element || state.measured.element || elementAndEdge().element;
  const atomOf = (own) => own.absorbers.find((k) => own.symbols[k] === symbol);
  const known = state.structures.filter((own) => atomOf(own) !== undefined).slice(0, MOST);
  if (!known.length) throw new Error(`none of the open structures contains ${symbol}`);
  const predictions = [];
  for (const [k, own] of known.entries()) {
    by("match-result").replaceChildren(line(`Predicting structure ${k + 1} of ${known.length} …`));
    const absorber = atomOf(own);
    const edges = state.model.absorbers[symbol];
    const edge = edges.includes(by("edge").value) ? by("edge").value : edges[0];
    const n = own.symbols.filter((other) => other === symbol).length;
    const wanted = { structure: asked(own), absorber, edge, average: n > 1, broadening: broadening() };
    predictions.push(await predictionOf(wanted));
  }
  const found = await ask("/api/match", { ...spectrum(), predictions: predictions.map(asGiven) });
  show(found, (row) => predictions[row.row]);
}

async function matchLibrary() {
  const { model } = state;
  by("match-result").replaceChildren(line(`Matching ${model.library.name} …`));
  const found = await ask("/api/match", { ...spectrum(), ...elementAndEdge() });
  show(found, (row) => ({ ...row, label: row.site, distrust: row.flag, origin: model.origin, unit: model.unit, key: `${found.library} ${row.site}` }));
}

function show(found, kept) {
  const where = found.library ? `the ${found.compared.toLocaleString("en")} sites of ${found.library}` : `${found.compared} open structure${found.compared === 1 ? "" : "s"}`;
  const scaled = found.scale === "factor" ? "scaled by a factor for each" : "scaled by a factor for each on a straight line";
  const rows = found.ranked.map((own) => {
    const button = element("button", { type: "button", textContent: "Keep", ariaLabel: `Keep ${own.site} for comparison` });
    button.addEventListener("click", () => keep(kept(own)));
    return element("tr", {}, cell(own.site, "long"), cell(own.score.toPrecision(4), "number"), cell(own.error_percent.toFixed(1), "number"), cell(`${(-own.shift).toFixed(2)}${own.at_limit ? "*" : ""}`, "number"), cell(own.flag ? "out of domain" : ""), element("td", {}, button));
  });
  const about = `${state.measured.name} beside ${where}, ${found.start_ev.toFixed(0)} to ${found.stop_ev.toFixed(0)} eV, ${scaled}. Ranked by score, −2 ln(likelihood), which weighs every energy by σ; lowest first. * shift at the largest tried.`;
  by("match-result").replaceChildren(
    element("h2", { textContent: "Match" }),
    ...(found.verdict ? [line(`${found.verdict[0].toUpperCase()}${found.verdict.slice(1)}.`, "no")] : []),
    ...(found.held_out && !found.verdict ? [line(`For comparison: ${found.held_out}.`, "hint")] : []),
    element("div", { className: "scroll" }, element("table", {}, element("caption", { textContent: about }), heading(["Site", ["Score", "number"], ["Error (%)", "number"], ["Shift (eV)", "number"], "Flag", ""]), element("tbody", {}, ...rows))),
  );
}

const NAMES = {
  shift: ["Shift of the measurement", "eV"], scale: ["Scale of the prediction", ""], gaussian: ["Resolution, FWHM", "eV"], core_hole: ["Core hole", "eV"],
  gamma_max: ["Photoelectron, largest width", "eV"], centre: ["Centre of the rise", "eV"], e_cut: ["Empty states above", "eV"],
};

async function fit() {
  by("fit-result").replaceChildren(line("Fitting …"));
  const given = broadening();
  const own = given.name === "none" ? { name: "gaussian", gaussian: 1 } : given;
  const found = await ask("/api/fit", { ...site(), experiment: state.measured.curve, broadening: own, max_shift: maxShift() });
  const rows = Object.entries(found.parameters).map(([key, p]) => {
    const [name, unit] = NAMES[key] || [key, ""];
    const error = p.stderr === null ? "" : ` ± ${p.stderr.toPrecision(2)}`;
    const note = p.at_bound ? "at its bound" : p.undetermined ? "unconstrained" : p.varied ? "" : "fixed";
    return element("tr", {}, cell(name), cell(`${Number((key === "shift" ? -p.value : p.value).toPrecision(4))}${error} ${unit}`), cell(note));
  });
  const use = element("button", { type: "button", textContent: "Apply these widths" });
  use.addEventListener("click", () => {
    for (const key of Object.keys(found.parameters)) if (by(key)?.type === "range") setWidth(key, found.parameters[key].value);
    changed("broadening");
  });
  const notes = found.warnings || [];
  by("fit-result").replaceChildren(
    element("h2", { textContent: "Fit of the broadening" }),
    ...notes.map((text) => line(text, "no")),
    element("table", {}, element("caption", { textContent: `${found.site}, ${found.start_ev.toFixed(0)} to ${found.stop_ev.toFixed(0)} eV from E₀; R factor ${found.r_factor.toPrecision(2)}. Errors treat the residual as noise.` }), heading(["Width", "Value", "Note"]), element("tbody", {}, ...rows)),
    use,
  );
}

/** Return an action that shows its error in a place. */
const safely = (id, action) => async () => {
  try {
    await action();
  } catch (error) {
    by(id).replaceChildren(line(error.message, "no"));
  }
};

export function startComparisons() {
  by("match-open").addEventListener("click", safely("match-result", matchOpen));
  by("match-library").addEventListener("click", safely("match-result", matchLibrary));
  by("fit").addEventListener("click", safely("fit-result", fit));
  when("prediction measurement structure", enabled);
  when("upload", () => { if (state.model.library) by("match-library").click(); });
  when("curve", () => { for (const id of ["match-result", "fit-result"]) by(id).replaceChildren(); });
  enabled();
}
