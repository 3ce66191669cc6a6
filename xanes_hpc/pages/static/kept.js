// The spectra kept for comparison.

import { broadening } from "./broadening.js";
import { by, element, problems } from "./elements.js";
import { labelOf, predict } from "./prediction.js";
import { ask } from "./requests.js";
import { changed, state, when } from "./state.js";

const COLOURS = ["#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#D55E00"];
const DASHES = ["solid", "dash", "dashdot", "longdash"];

function keep() {
  if (!state.predicted || state.kept.some((own) => own.key === state.predicted.key)) return;
  const n = state.kept.length;
  const style = { colour: COLOURS[n % COLOURS.length], dash: DASHES[Math.floor(n / COLOURS.length) % DASHES.length] };
  state.kept.push({ ...state.predicted, ...style });
  changed("kept");
}

/** Predict again with the chosen broadening, and the kept spectra too if that is wanted. */
export async function broadenAll() {
  if (state.predicted) await predict();
  const wanted = broadening();
  if (!by("broaden-kept").checked) return;
  for (const own of [...state.kept]) {
    const asked = { ...own.asked, broadening: wanted };
    const key = JSON.stringify(asked);
    if (key === own.key) continue;
    try {
      const found = await ask("/api/predict", asked);
      const at = state.kept.indexOf(own);
      if (JSON.stringify(wanted) !== JSON.stringify(broadening())) return; // the sliders have moved meanwhile
      if (at >= 0) state.kept[at] = { ...own, ...found, label: labelOf(asked, found), asked, key };
    } catch (error) {
      problems([`${own.label}: ${error.message}`]);
    }
  }
  changed("kept");
}

function row(own, k) {
  const swatch = element("i");
  swatch.style.background = own.colour;
  const button = element("button", { type: "button", textContent: "Remove", ariaLabel: `Remove ${own.label}` });
  button.addEventListener("click", () => {
    state.kept.splice(k, 1);
    changed("kept");
  });
  return element("li", {}, swatch, element("span", { textContent: own.label + (own.distrust ? " (out of domain)" : "") }), button);
}

export function startKept() {
  by("keep").addEventListener("click", keep);
  when("kept", () => by("kept").replaceChildren(...state.kept.map(row)));
  when("prediction", () => { by("keep").disabled = !state.predicted; });
}
