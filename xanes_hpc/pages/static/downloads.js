// The prediction and the chart as files.

import { png } from "./chart.js";
import { by, problems, save } from "./elements.js";
import { request } from "./prediction.js";
import { ask } from "./requests.js";
import { state, when } from "./state.js";
import { structure } from "./structures.js";

const fileName = () => structure().name.replace(/[^\w.+()-]+/g, "_");

async function exported(kind) {
  try {
    const text = await ask(`/api/export/${kind}`, request());
    save(`${fileName()}.${kind}`, new Blob([text], { type: "text/plain" }));
  } catch (error) {
    problems([error.message]);
  }
}

function enabled() {
  by("csv").disabled = by("xdi").disabled = !state.predicted;
  by("png").disabled = !state.predicted && !state.kept.length;
}

export function startDownloads() {
  for (const kind of ["csv", "xdi"]) by(kind).addEventListener("click", () => exported(kind));
  by("png").addEventListener("click", async () => save(`${state.predicted ? fileName() : "spectra"}.png`, await png()));
  when("prediction kept", enabled);
}
