// Start the page.

import { startBroadening } from "./broadening.js";
import { startChart } from "./chart.js";
import { startDownloads } from "./downloads.js";
import { by } from "./elements.js";
import { broadenAll, startKept } from "./kept.js";
import { startMeasurement } from "./measurement.js";
import { startPrediction } from "./prediction.js";
import { ask } from "./requests.js";
import { state } from "./state.js";
import { startStructures } from "./structures.js";
import { startUploads } from "./uploads.js";
import { startViewer } from "./viewer.js";

function coverage({ absorbers, kind }) {
  const byEdge = {};
  for (const [symbol, edges] of Object.entries(absorbers)) for (const edge of edges) (byEdge[edge] ||= []).push(symbol);
  return `${Object.entries(byEdge).map(([edge, symbols]) => `${symbols.join(", ")} ${edge}-edge`).join("; ")} ${kind.toUpperCase()}`;
}

function trainedOn(treatment) {
  if (treatment === "unstated") return "broadening of the training spectra not recorded";
  if (treatment === "none") return "training spectra not broadened";
  if (treatment === "synthetic") return "synthetic training spectra";
  return `treatment of the training spectra: ${treatment}`;
}

async function start() {
  try {
    state.model = await ask("/api/model");
  } catch (error) {
    by("model").textContent = error.message;
    return;
  }
  const { model } = state;
  by("model").textContent = `${model.name}: ${coverage(model)} (${trainedOn(model.treatment)})`;
  startUploads();
  startStructures();
  startViewer();
  startPrediction();
  startBroadening(broadenAll);
  startMeasurement();
  startKept();
  startDownloads();
  startChart();
}

start();
