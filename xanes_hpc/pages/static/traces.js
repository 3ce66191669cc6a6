// The curves of the chart.

import { dark, ink } from "./elements.js";
import { shown, state } from "./state.js";

export const predictionColour = () => (dark() ? "#6cc0f0" : "#0067a0");
const SHADES = { 0.9545: 0.17, 0.6827: 0.42 };

function band(found, level) {
  const { energies, mean, std, intervals } = found;
  const { sigmas } = intervals.find((interval) => interval.level === level);
  const edge = (sign) => mean.map((y, i) => y + sign * sigmas * std[i]);
  const colour = dark() ? "108,192,240" : "0,103,160";
  return {
    x: [...energies, ...[...energies].reverse()], y: [...edge(1), ...edge(-1).reverse()], fill: "toself", mode: "lines",
    line: { width: 0 }, fillcolor: `rgba(${colour},${SHADES[level]})`, hoverinfo: "skip", name: `${(100 * level).toFixed(0)} % interval`,
  };
}

const line = (found, color, dash = "solid") => ({
  x: found.energies, y: found.mean, customdata: found.std, mode: "lines", name: found.label, line: { color, width: 2, dash },
  hovertemplate: "%{y:.3~g} ± %{customdata:.2~g}",
});

/** Return the prediction with its bands, and the kept spectra. */
export function spectraTraces() {
  const { predicted, kept } = state;
  const own = predicted ? [band(predicted, 0.9545), band(predicted, 0.6827), line(predicted, predictionColour())] : [];
  return [...own, ...kept.filter((one) => one.key !== predicted?.key).map((one) => line(one, one.colour, one.dash))];
}

/** Return the measured spectrum, shifted and scaled to the prediction. */
export function measuredTraces() {
  const { measured, placed } = state;
  const beside = shown();
  if (!measured || !beside) return [];
  const { shift, factor, offset, slope } = placed || { shift: 0, factor: 1, offset: 0, slope: 0 };
  const { e0, origin } = beside;
  const { energies, intensities, absolute } = measured.curve;
  let moved = -shift;
  const isAbsolute = absolute === null ? energies[0] > 0.5 * (e0 || Infinity) : absolute;
  if (origin === "e0" && isAbsolute) moved -= e0 || 0;
  if (origin === "absolute" && !isAbsolute) moved += e0 || 0;
  return [{
    x: energies.map((e) => e + moved), y: intensities.map((y, k) => y * factor + offset + slope * (energies[k] + moved)),
    mode: "lines",
    name: measured.name, line: { color: ink(), width: 1.5, dash: "dot" }, hovertemplate: "%{y:.4~g}",
  }];
}

/** Return measured minus predicted. */
export function residualTraces() {
  const { measured, placed, predicted } = state;
  if (!measured || !predicted || !placed || !placed.energies.length) return [];
  return [{
    x: placed.energies, y: placed.residual, yaxis: "y2", mode: "lines", name: "residual", showlegend: false,
    line: { color: ink(), width: 1.2 }, hovertemplate: "%{y:.2~g}",
  }];
}
