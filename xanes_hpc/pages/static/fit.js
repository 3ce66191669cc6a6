// The fit of the broadening: its curve and residual, its widths, and what they are worth.

import { broadening, setWidth } from "./broadening.js";
import { by, element, ink, line, safely, sentence } from "./elements.js";
import { maxShift } from "./measurement.js";
import { chartAxis, chartLayout, plot } from "./plots.js";
import { site } from "./prediction.js";
import { askInLine } from "./requests.js";
import { changed, state, when } from "./state.js";
import { cell, heading } from "./tables.js";
import { predictionColour } from "./traces.js";

const NAMES = {
  shift: ["Shift of the prediction", "eV"], scale: ["Scale of the prediction", ""], gaussian: ["Resolution (Gaussian)", "eV FWHM"], core_hole: ["Core hole", "eV"],
  gamma_max: ["Largest width of the photoelectron", "eV"], centre: ["Centre of its rise", "eV"], width: ["Width of its rise", "eV"], seah: ["Seah’s coefficient", ""], e_cut: ["Empty states above", "eV"],
  offset: ["Line: height at E₀", ""], slope: ["Line: slope", "per eV"],
};
let found = null;

/** Return a warning with the parameters named as in the table. */
const warning = (text) => sentence(text.replace(/\b(gaussian|core_hole|gamma_max|centre|e_cut)\b/g, (key) => NAMES[key][0][0].toLowerCase() + NAMES[key][0].slice(1)));

function draw() {
  if (!found || !by("fit-chart")) return;
  const { energies: x, experiment, fitted, before } = found;
  const curve = (y, name, style, more = {}) => ({ x, y, name, mode: "lines", line: { width: 2, ...style }, hovertemplate: "%{y:.3~g}", ...more });
  const residual = experiment.map((y, k) => y - fitted[k]);
  const [common, axis] = [chartLayout(), chartAxis()];
  const narrow = by("fit-chart").clientWidth < 440;
  plot("fit-chart", [
    curve(before, "prediction, not broadened", { color: "#8c8c8c", dash: "dash", width: 1.5 }), curve(fitted, "fit", { color: predictionColour() }),
    curve(experiment, found.measured, { color: ink(), dash: "dot", width: 1.5 }), curve(residual, "residual", { color: ink(), width: 1.2 }, { yaxis: "y2", showlegend: false }),
  ], {
    ...common, margin: { l: 55, r: 12, t: narrow ? 70 : 30, b: 42 }, hovermode: narrow ? "x" : "x unified", dragmode: false, legend: { orientation: narrow ? "v" : "h", x: 0, y: 1, yanchor: "bottom", font: { size: 12 } },
    hoverlabel: { ...common.hoverlabel, namelength: 28 },
    annotations: [{ x: 0, y: 0.2, xref: "paper", yref: "paper", text: "residual: measured − fit", font: { size: 11 }, showarrow: false, xanchor: "left", yanchor: "bottom" }],
    xaxis: { ...axis, title: { text: "energy from E₀ (eV)", standoff: 6 }, fixedrange: true, hoverformat: ".1f", unifiedhovertitle: { text: "%{x:.1f} eV from E₀" }, anchor: "y2" },
    yaxis: { ...axis, title: { text: "absorption" }, fixedrange: true, domain: [0.29, 1], automargin: "width" },
    yaxis2: { ...axis, fixedrange: true, domain: [0, 0.2], nticks: 4, zeroline: true, zerolinecolor: "#888", automargin: "width" },
  });
}

function row(key, { value, stderr, at_bound: atBound, undetermined, varied }) {
  const [name, unit] = NAMES[key] || [key, ""];
  const decimals = Math.min(Math.max(1 - Math.floor(Math.log10(stderr)), 0), 6); // two digits of the error
  const text = stderr === null ? Number(value.toPrecision(4)) : `${value.toFixed(decimals)} ± ${stderr.toFixed(decimals)}`;
  const note = atBound ? "at its bound" : undetermined ? "unconstrained" : varied ? "" : "fixed";
  return element("tr", {}, cell(name), cell(`${text} ${unit}`), cell(note));
}

/** Return how much the fit explains, in words. */
function worth({ unexplained_percent: unexplained, held_out: heldOut, verdict, r_factor: r }) {
  if (verdict) return `R factor ${r.toPrecision(2)}.`;
  return `The fit leaves ${unexplained.toPrecision(2)} % of the structure that the spectrum has beside a plain edge (R factor ${r.toPrecision(2)}). ${heldOut ? `For comparison, fits of ${heldOut}.` : "There are too few held-out sites to judge it: start the server with a library of predictions that has some."}`;
}

async function fit() {
  by("fit-result").replaceChildren(line("Fitting …"));
  const given = broadening();
  const wanted = {
    ...site(), experiment: state.measured.curve, broadening: given.name === "none" ? { name: "gaussian", gaussian: 1 } : given,
    baseline: state.measured.scale === "line" ? "line" : "none", max_shift: maxShift(),
  };
  const { measured } = state;
  const answer = await askInLine("/api/fit", wanted, (ahead) => by("fit-result").replaceChildren(line(ahead ? `Busy: ${ahead} ${ahead === 1 ? "fit comes" : "fits come"} first …` : "Fitting …")));
  if (measured !== state.measured) return by("fit-result").replaceChildren();
  found = { ...answer, measured: measured.name };
  const use = element("button", { type: "button", textContent: "Apply these widths" });
  use.addEventListener("click", () => {
    for (const key of Object.keys(found.parameters)) if (by(key)?.type === "range") setWidth(key, found.parameters[key].value);
    changed("broadening");
  });
  by("fit-result").replaceChildren(
    element("h2", { textContent: "Fit of the broadening" }),
    ...found.warnings.map((text) => line(warning(text), "no")),
    line(`${found.site}, ${found.start_ev.toFixed(0)} to ${found.stop_ev.toFixed(0)} eV from E₀. ${worth(found)}`, "hint"),
    element("div", { id: "fit-chart", className: "plot", role: "img", ariaLabel: "The measured spectrum, the fit and the residual" }),
    element("table", { ariaLabel: "Fit" }, heading(["Parameter", "Value", ""]), element("tbody", {}, ...Object.entries(found.parameters).map(([key, p]) => row(key, p)))),
    line("Errors treat the residual as noise; those of the prediction come on top.", "hint"),
    use,
  );
  draw();
}

export function startFit() {
  by("fit").addEventListener("click", safely("fit", "fit-result", fit));
  when("curve", () => by("fit-result").replaceChildren());
  when("measurement", draw);
}
