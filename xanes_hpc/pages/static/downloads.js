// Files for the user to save.

import { png } from "./chart.js";
import { by, problems } from "./elements.js";
import { request } from "./prediction.js";
import { ask } from "./requests.js";
import { state, when } from "./state.js";
import { structure } from "./structures.js";

/** Offer a file for saving. */
export function save(download, blob) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

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
  for (const topic of ["prediction", "kept"]) when(topic, enabled);
}
