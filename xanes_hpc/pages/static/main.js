// Start the page.

import { startAbout } from "./about.js";
import { startAddress } from "./address.js";
import { startBackground } from "./background.js";
import { startBroadening } from "./broadening.js";
import { startChart } from "./chart.js";
import { startComparisons } from "./comparisons.js";
import { startDownloads } from "./downloads.js";
import { by } from "./elements.js";
import { startExplanation } from "./explanation.js";
import { startFit } from "./fit.js";
import { startKept } from "./kept.js";
import { startMeasurement } from "./measurement.js";
import { startPrediction } from "./prediction.js";
import { ask } from "./requests.js";
import { state } from "./state.js";
import { openExample, startStructures } from "./structures.js";
import { startUploads } from "./uploads.js";
import { startViewer } from "./viewer.js";
import { startZoom } from "./zoom.js";

async function start() {
  try {
    state.model = await ask("/api/model");
  } catch (error) {
    by("model").textContent = error.message;
    return;
  }
  const parts = [
    startAbout, startUploads, startStructures, startViewer, startPrediction, startBroadening, startMeasurement, startBackground,
    startComparisons, startFit, startKept, startDownloads, startExplanation, startZoom, startChart, startAddress,
  ];
  for (const part of parts) part();
  openExample();
}

start();
