// Matches of the measured spectrum with the open structures and the library.

import { broadening } from "./broadening.js";
import { by, element, line, safely, sentence } from "./elements.js";
import { keep } from "./kept.js";
import { maxShift } from "./measurement.js";
import { asGiven, asked, elementAndEdge, predictionOf } from "./prediction.js";
import { ask } from "./requests.js";
import { state, when } from "./state.js";
import { cell, flagged, heading } from "./tables.js";

const MOST = 200;

function enabled() {
  const { measured, predicted, model, structures } = state;
  by("why-measured").textContent = !measured ? "Open a measured spectrum to align, match and fit it." : !predicted ? "Open a structure that the model knows to align and fit." : "";
  by("fit").disabled = !measured || !predicted;
  by("match-open").disabled = !measured || !structures.length;
  const { library } = model;
  by("match-library").hidden = !library;
  by("match-library").disabled = !measured;
  if (library) by("match-library").textContent = `Match the library ${library.name} (${library.sites.toLocaleString("en")} sites)`;
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
    return element("tr", {}, flagged(own.flag, own.site), cell(own.score.toPrecision(4), "number"), cell(own.error_percent.toFixed(1), "number"), cell(`${(-own.shift).toFixed(2)}${own.at_limit ? "*" : ""}`, "number"), element("td", {}, button));
  });
  const about = `${state.measured.name} beside ${where}, ${found.start_ev.toFixed(0)} to ${found.stop_ev.toFixed(0)} eV, ${scaled}. Best first, by score: −2 ln(likelihood), which weighs every energy by σ.${found.ranked.some((own) => own.at_limit) ? " * shift at the largest tried." : ""}`;
  const best = found.ranked[0];
  Object.assign(by("match-words"), { textContent: found.verdict ? sentence(found.verdict) : `Best of ${where}: ${best.site}, error ${best.error_percent.toFixed(1)} %; see the table below.`, className: found.verdict ? "no" : "hint" });
  by("match-result").replaceChildren(
    element("h2", { textContent: "Match" }),
    ...(found.verdict ? [line(sentence(found.verdict), "no")] : []),
    ...(found.held_out && !found.verdict ? [line(`For comparison: ${found.held_out}.`, "hint")] : []),
    line(about, "hint"),
    element("div", { className: "scroll" }, element("table", { ariaLabel: "Match" }, heading(["Site", ["Score", "number"], ["Error (%)", "number"], ["Shift (eV)", "number"], ""]), element("tbody", {}, ...rows))),
  );
}

export function startComparisons() {
  by("match-open").addEventListener("click", safely("match-open", "match-result", matchOpen));
  by("match-library").addEventListener("click", safely("match-library", "match-result", matchLibrary));
  when("prediction measurement structure", enabled);
  when("upload", () => { if (state.model.library) by("match-library").click(); });
  when("curve", () => { for (const id of ["match-result", "match-words"]) by(id).replaceChildren(); });
  enabled();
}
