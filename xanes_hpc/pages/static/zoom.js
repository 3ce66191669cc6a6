// The energies that the chart shows.

import { rangeText, remember, restoredRange } from "./address.js";
import { by, numberIn } from "./elements.js";
import { changed, shown, state, when } from "./state.js";

/** Return the energies that the shown spectra cover; null without any. */
export function covered() {
  const own = shown();
  return own ? [own.energies[0], own.energies.at(-1)] : null;
}

/** Show only some energies; all with null. */
export function zoomTo(range) {
  const all = covered();
  const whole = !range || (all && range[0] <= all[0] && range[1] >= all[1]);
  state.zoom = whole || !(range[0] < range[1]) ? null : range;
  changed("zoom");
}

function typed() {
  const all = covered();
  if (!all) return;
  zoomTo([numberIn("zoom-from") ?? all[0], numberIn("zoom-to") ?? all[1]]);
}

function show() {
  const all = covered();
  for (const [k, id] of ["zoom-from", "zoom-to"].entries()) {
    by(id).disabled = !all;
    const value = (state.zoom || all || [])[k];
    if (document.activeElement !== by(id)) by(id).value = value === undefined ? "" : Number(value.toFixed(1));
  }
  by("zoom-reset").disabled = !state.zoom;
}

export function startZoom() {
  state.zoom = restoredRange("zoom");
  remember("zoom", () => rangeText(state.zoom));
  for (const id of ["zoom-from", "zoom-to"]) by(id).addEventListener("change", typed);
  by("zoom-reset").addEventListener("click", () => { zoomTo(null); by("zoom-from").focus(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && state.zoom) zoomTo(null); });
  when("zoom prediction kept", show);
}
