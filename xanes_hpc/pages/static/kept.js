// The spectra kept for comparison, and their table.

import { broadening } from "./broadening.js";
import { by, element, problems, save } from "./elements.js";
import { maxShift } from "./measurement.js";
import { asGiven, predictionOf } from "./prediction.js";
import { ask } from "./requests.js";
import { changed, state, when } from "./state.js";
import { cell, flagged, heading } from "./tables.js";
import { predictionColour } from "./traces.js";

const COLOURS = ["#00875f", "#b5558d", "#b97700", "#2f8ccc", "#7a7a7a", "#c25500"];
const DASHES = ["solid", "dash", "dashdot", "longdash"];
const MOST = 50;
const FAR = 150; // eV

/** Keep a spectrum, once. */
export function keep(own) {
  if (state.kept.some((other) => other.key === own.key) || state.kept.length === MOST) return;
  const n = state.kept.length;
  const style = { colour: COLOURS[n % COLOURS.length], dash: DASHES[Math.floor(n / COLOURS.length) % DASHES.length] };
  state.kept.push({ ...own, ...style });
  changed("kept");
  compare();
}

/** Predict the kept spectra again with the chosen broadening, if that is wanted. */
async function broaden() {
  const wanted = broadening();
  if (!by("broaden-kept").checked) return;
  for (const own of state.kept.filter(({ asked }) => asked)) {
    const asked = { ...own.asked, broadening: wanted };
    if (JSON.stringify(asked) === own.key) continue;
    try {
      const found = await predictionOf(asked);
      const at = state.kept.indexOf(own);
      if (JSON.stringify(wanted) !== JSON.stringify(broadening())) return; // the sliders have moved meanwhile
      if (at >= 0) state.kept[at] = { ...own, ...found };
    } catch (error) {
      problems([`${own.label}: ${error.message}`]);
    }
  }
  changed("kept");
  compare();
}

/** Whether a prediction is of the measured edge: those of others are far away. */
function ofTheEdge({ e0 }, { normalisation: { e0_ev: measured } }) {
  return e0 === null || measured < 0.5 * e0 || Math.abs(measured - e0) < FAR;
}

/** Find the error and shift of every kept spectrum beside the measured one. */
async function compare() {
  const { measured, kept } = state;
  for (const own of kept) own.comparison = null;
  const known = measured ? kept.filter((own) => ofTheEdge(own, measured)) : [];
  if (measured && known.length) {
    try {
      const { ranked } = await ask("/api/match", { experiment: measured.curve, scale: measured.scale, origin: state.model.origin, predictions: known.map(asGiven), keep: MOST, max_shift: maxShift() });
      if (measured !== state.measured) return;
      for (const found of ranked) known[found.row].comparison = found;
    } catch {
      // the cells stay empty; the measurement's own status says what is wrong with it
    }
  }
  show();
}

const figures = ({ e0, comparison }) => [
  e0 === null ? "" : e0.toFixed(1),
  comparison ? comparison.error_percent.toFixed(1) : "",
  comparison ? `${(-comparison.shift).toFixed(2)}${comparison.at_limit ? "*" : ""}` : "",
];

function row(own, k) {
  const swatch = element("span", { className: "swatch" });
  swatch.style.background = own.key === state.predicted?.key ? predictionColour() : own.colour; // as in the chart
  const button = element("button", { type: "button", textContent: "Remove", ariaLabel: `Remove ${own.label}` });
  button.addEventListener("click", () => {
    state.kept.splice(k, 1);
    changed("kept");
    (by("kept").querySelectorAll("button")[k] || by("keep")).focus();
  });
  const site = element("span", { textContent: own.label });
  return element("tr", {}, flagged(own.distrust, swatch, site), ...figures(own).map((text) => cell(text, "number")), element("td", {}, button));
}

function show() {
  by("kept-box").hidden = !state.kept.length;
  const note = state.measured ? "Error and shift of the measured spectrum beside each; * shift at the largest tried." : "Open a measured spectrum to see errors and shifts.";
  by("kept-words").textContent = note;
  by("kept").replaceChildren(
    heading(["Site", ["E₀ (eV)", "number"], ["Error (%)", "number"], ["Shift (eV)", "number"], ""]),
    element("tbody", {}, ...state.kept.map(row)),
  );
  const full = state.kept.length === MOST;
  by("keep").disabled = !state.predicted || full;
  by("why-keep").textContent = !state.predicted ? "Open a structure to keep or download its spectrum." : full ? `At most ${MOST} spectra are kept.` : "";
}

function download() {
  const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
  const lines = state.kept.map((own) => [quoted(own.label), ...figures(own), quoted(own.distrust || "")].join(","));
  save("kept-spectra.csv", new Blob([["site,e0_ev,error_percent,shift_ev,flag", ...lines, ""].join("\n")], { type: "text/csv" }));
}

export function startKept() {
  by("keep").addEventListener("click", () => keep(state.predicted));
  by("kept-csv").addEventListener("click", download);
  when("kept prediction", show);
  when("curve", compare);
  when("broadening", broaden);
}
