// The chart of the predicted, kept and measured spectra.

import { by, dark, ink } from "./elements.js";
import { state, when } from "./state.js";

const PREDICTION = "#0072B2";
const shade = (k) => (dark() ? `rgba(86,180,233,${k === 2 ? 0.28 : 0.45})` : `rgba(0,114,178,${k === 2 ? 0.18 : 0.3})`);

function band(found, k) {
  const { energies, mean, std } = found;
  const edge = (sign) => mean.map((y, i) => y + sign * k * std[i]);
  return {
    x: [...energies, ...[...energies].reverse()], y: [...edge(1), ...edge(-1).reverse()], fill: "toself", mode: "lines",
    line: { width: 0 }, fillcolor: shade(k), hoverinfo: "skip", name: "±1σ, ±2σ", showlegend: k === 1, legendgroup: "band",
  };
}

const line = (found, color, dash = "solid") => ({
  x: found.energies, y: found.mean, mode: "lines", name: found.label, line: { color, width: 2, dash },
});

function measuredTraces() {
  const { measured, shift, factor } = state;
  const beside = state.predicted || state.kept[0];
  if (!measured || !beside) return [];
  const { e0, origin } = beside;
  let offset = -shift;
  const isAbsolute = measured.absolute === null ? measured.energies[0] > 0.5 * (e0 || Infinity) : measured.absolute;
  if (origin === "e0" && isAbsolute) offset -= e0 || 0;
  if (origin === "absolute" && !isAbsolute) offset += e0 || 0;
  return [{
    x: measured.energies.map((e) => e + offset), y: measured.intensities.map((y) => y * factor), mode: "lines",
    name: measured.name, line: { color: ink(), width: 1.5, dash: "dot" },
  }];
}

function traces() {
  const { predicted, kept } = state;
  const own = predicted ? [band(predicted, 2), band(predicted, 1), line(predicted, PREDICTION)] : [];
  return [...own, ...kept.map((one) => line(one, one.colour, one.dash)), ...measuredTraces()];
}

function annotations(edge) {
  const outside = state.predicted && state.predicted.distrust;
  const doubt = { x: 1, y: 1, xref: "paper", yref: "paper", text: "out of domain", font: { color: "#d55e00" }, showarrow: false, xanchor: "right", yanchor: "top" };
  const mark = { x: edge, y: 1, yref: "paper", text: "E₀", showarrow: false, xanchor: "left", yanchor: "top", bgcolor: dark() ? "#121212b0" : "#ffffffb0" };
  return [...(outside ? [doubt] : []), ...(edge === null ? [] : [mark])];
}

function layout(shown) {
  const first = state.predicted || state.kept[0];
  const relative = !first || first.origin === "e0";
  const edge = !first ? null : relative ? 0 : first.e0;
  const unit = first && first.unit !== "arbitrary" ? ` (${first.unit})` : "";
  const narrow = innerWidth < 600;
  const below = narrow ? 29 * shown + 10 : 0; // height of the legend, one entry per line
  by("spectrum").style.height = narrow ? `${320 + below}px` : "";
  return {
    height: narrow ? 320 + below : by("spectrum").clientHeight,
    margin: { l: 55, r: 15, t: 10, b: 45 + below },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink() },
    xaxis: {
      visible: Boolean(first), title: { text: relative ? "E − E₀ (eV)" : "energy (eV)" }, gridcolor: "#8884", zeroline: false,
      range: first ? [first.energies[0], first.energies[first.energies.length - 1]] : undefined,
    },
    yaxis: { visible: Boolean(first), title: { text: `intensity${unit}` }, gridcolor: "#8884", rangemode: "tozero" },
    legend: narrow ? { orientation: "v", x: 0, yref: "container", y: 0, yanchor: "bottom" } : { orientation: "h", y: 1.02, yanchor: "bottom" },
    shapes: edge === null ? [] : [{ type: "line", x0: edge, x1: edge, yref: "paper", y0: 0, y1: 1, line: { color: "#888888", dash: "dash", width: 1.5 } }],
    annotations: annotations(edge),
    uirevision: "kept",
  };
}

export function draw() {
  const shown = traces();
  const inLegend = shown.filter((trace) => trace.showlegend !== false).length;
  Plotly.react("spectrum", shown, layout(inLegend), { displayModeBar: false, responsive: true });
}

/** Return the chart as a PNG, black on white. */
export async function png() {
  const { data, layout: own } = by("spectrum");
  const paper = { paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff", font: { color: "#111111" } };
  const black = (trace) => (trace.line && trace.line.color === ink() ? { ...trace, line: { ...trace.line, color: "#111111" } } : trace);
  const figure = { data: data.map(black), layout: { ...own, ...paper } };
  const url = await Plotly.toImage(figure, { format: "png", width: 1200, height: 800, scale: 2 });
  const bytes = Uint8Array.from(atob(url.split(",")[1]), (character) => character.charCodeAt(0));
  return new Blob([bytes], { type: "image/png" });
}

export function startChart() {
  for (const topic of ["prediction", "measurement", "kept"]) when(topic, draw);
  draw();
}
