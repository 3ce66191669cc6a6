// The chart of the predicted, kept and measured spectra, with the residual below.

import { by, dark, ink, touched } from "./elements.js";
import { explained, look } from "./explanation.js";
import { chartAxis, chartLayout, plot } from "./plots.js";
import { changed, shown, state, when } from "./state.js";
import { measuredTraces, residualTraces, spectraTraces } from "./traces.js";
import { covered, zoomTo } from "./zoom.js";

const RANGE = "#c25500";

let at = null; // the energy that is read, counted from the first
let doubled = false; // whether double clicks are listened to

const edgeOf = (own) => (!own ? null : own.origin === "e0" ? 0 : own.e0);

/** Return the range of intensities between two energies. */
function heights(traces, [from, to]) {
  let [low, high] = [0, 0];
  for (const { x, y } of traces) for (const [k, e] of x.entries()) if (e >= from && e <= to) [low, high] = [Math.min(low, y[k]), Math.max(high, y[k])];
  return [low - (low < 0 ? 0.05 * (high - low) : 0), high + 0.06 * (high - low)];
}

function shapes(edge) {
  const marked = explained();
  const line = { type: "line", x0: edge, x1: edge, yref: "paper", y0: 0, y1: 1, line: { color: ink(), dash: "dot", width: 1 }, layer: "below" };
  const box = marked && { type: "rect", x0: marked[0], x1: marked[1], yref: "paper", y0: 0, y1: 1, fillcolor: RANGE, opacity: 0.18, line: { color: RANGE, width: 1.5 } };
  return [...(edge === null ? [] : [line]), ...(box ? [box] : [])];
}

function annotations(edge, residual) {
  const outside = state.predicted && state.predicted.distrust;
  const doubt = { x: 1, y: 1, xref: "paper", yref: "paper", text: "out of domain", font: { color: dark() ? "#ffa066" : "#a84300" }, showarrow: false, xanchor: "right", yanchor: "top" };
  const mark = { x: edge, y: 1, yref: "paper", text: "E₀", showarrow: false, xanchor: "left", yanchor: "top" };
  const below = { x: 0, y: 0.2, xref: "paper", yref: "paper", text: "residual: measured − predicted", font: { size: 11 }, showarrow: false, xanchor: "left", yanchor: "bottom" };
  return [...(outside ? [doubt] : []), ...(edge === null ? [] : [mark]), ...(residual ? [below] : [])];
}

function layout(spectra, residual, n) {
  const own = shown();
  const edge = edgeOf(own);
  const range = state.zoom || covered() || [0, 1];
  const narrow = by("spectrum").clientWidth < 440;
  const [common, axis] = [chartLayout(), chartAxis()];
  const relative = !own || own.origin === "e0";
  const highest = residual.length ? Math.max(...residual[0].y.map(Math.abs)) || 1 : 1;
  by("spectrum").classList.toggle("tall", residual.length > 0);
  const unit = own && own.unit !== "arbitrary" ? own.unit.replace("angstrom", "Å") : "arbitrary units";
  return {
    ...common,
    height: by("spectrum").clientHeight,
    margin: { l: 55, r: 12, t: narrow ? 22 * n + 8 : 28 + 20 * Math.max(0, Math.ceil(n / 3) - 1), b: 42 },
    hovermode: !own ? false : narrow ? "x" : "x unified", dragmode: touched() ? false : "zoom", hoverlabel: { ...common.hoverlabel, namelength: 28 },
    xaxis: { ...axis, visible: Boolean(own), range, ticks: "outside", ticklen: 4, tickcolor: "rgba(0,0,0,0)", title: { text: relative ? `energy from E₀${own?.e0 ? ` = ${own.e0.toFixed(1)} eV` : ""} (eV)` : "energy (eV)", standoff: 6 }, hoverformat: ".1f", unifiedhovertitle: { text: `%{x:.1f} eV${relative ? " from E₀" : ""}` }, anchor: residual.length ? "y2" : "y", spikethickness: 1, spikecolor: "#888", spikedash: "solid" },
    yaxis: { ...axis, visible: Boolean(own), exponentformat: "power", automargin: "width", title: { text: `absorption (${unit})` }, range: heights(spectra, range), fixedrange: true, domain: residual.length ? [0.27, 1] : [0, 1] },
    yaxis2: { ...axis, visible: Boolean(residual.length), exponentformat: "power", automargin: "width", range: [-1.1 * highest, 1.1 * highest], fixedrange: true, domain: [0, 0.19], nticks: 4, zeroline: true, zerolinecolor: "#888" },
    legend: { orientation: narrow ? "v" : "h", x: 0, y: 1, yanchor: "bottom", font: { size: 12 }, uirevision: "kept" },
    shapes: shapes(edge), annotations: annotations(edge, residual.length > 0),
  };
}

function moved(event) {
  if (event["xaxis.range[0]"] !== undefined) zoomTo([event["xaxis.range[0]"], event["xaxis.range[1]"]]);
  else if (event["xaxis.autorange"]) zoomTo(null);
  const box = edgeOf(shown()) === null ? 0 : 1;
  const ends = [0, 1].map((n) => event[`shapes[${box}].x${n}`] ?? explained()?.[n]);
  if (Object.keys(event).some((key) => key.startsWith(`shapes[${box}].x`))) look(Math.min(...ends), Math.max(...ends));
}

/** Read the spectrum with the arrow keys, from its highest point; with Shift in larger steps. */
function readOn(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const own = shown();
  if (!step || !own) return;
  event.preventDefault();
  const { energies, mean, std } = own;
  const [first, last] = state.zoom || covered();
  const inside = energies.map((_, k) => k).filter((k) => energies[k] >= first && energies[k] <= last);
  const next = (at ?? mean.indexOf(Math.max(...mean))) + step * (event.shiftKey ? 10 : 1);
  at = Math.max(inside[0], Math.min(inside.at(-1), next));
  Plotly.Fx.hover("spectrum", { xval: energies[at] });
  by("spectrum-words").textContent = `${energies[at].toFixed(1)} eV: ${mean[at].toPrecision(3)} ± ${std[at].toPrecision(2)}`;
}

/** Say in words what the chart shows. */
function describe() {
  const own = state.predicted;
  const peak = own && own.mean.indexOf(Math.max(...own.mean));
  by("spectrum-words").textContent = own ? `${own.label}: highest at ${own.energies[peak].toFixed(1)} eV${own.origin === "e0" ? " from the edge" : ""}, ${own.mean[peak].toPrecision(3)} ± ${own.std[peak].toPrecision(2)}.` : "";
}

function draw() {
  const spectra = [...spectraTraces(), ...measuredTraces()];
  const residual = residualTraces();
  const inLegend = [...spectra, ...residual].filter((trace) => trace.showlegend !== false).length;
  plot("spectrum", [...spectra, ...residual], layout(spectra, residual, inLegend), "plotly_relayout", moved, { doubleClick: false, edits: { shapePosition: true } });
  if (!doubled) by("spectrum").on("plotly_doubleclick", () => zoomTo(null));
  doubled = true;
  at = null;
  describe();
}

function title() {
  const { model, predicted } = state;
  const own = predicted ? `${predicted.label}, ${predicted.element} ${predicted.edge}-edge` : "Kept spectra";
  return `${own}: predicted by ${model.name}${state.measured ? `, beside ${state.measured.name}` : ""}`;
}

/** Return the chart with a title as a PNG, black on white. */
export async function png() {
  const { data, layout: own } = by("spectrum");
  const black = (color) => (color === ink() ? "#1a1a1a" : color);
  const figure = {
    data: data.map((trace) => ({ ...trace, line: { ...trace.line, color: black(trace.line?.color) } })),
    layout: { ...own, title: { text: title().slice(0, 110), font: { size: 16 }, y: 0.98 }, margin: { ...own.margin, t: own.margin.t + 45 }, paper_bgcolor: "#fff", plot_bgcolor: "#fff", font: { color: "#1a1a1a" } },
  };
  const url = await Plotly.toImage(figure, { format: "png", width: 1200, height: 800, scale: 2 });
  const bytes = Uint8Array.from(atob(url.split(",")[1]), (character) => character.charCodeAt(0));
  return new Blob([bytes], { type: "image/png" });
}

export function startChart() {
  when("prediction measurement kept zoom effects", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const topic of ["measurement", "structure"]) changed(topic); });
  by("spectrum").addEventListener("keydown", readOn);
  draw();
}
