// The broadening that is chosen with the sliders.

import { by } from "./elements.js";
import { state } from "./state.js";

/** Return the broadening as a part of a request. */
export function broadening() {
  const raw = !state.model.broadened;
  const name = raw ? by("recipe").value : "gaussian";
  const gaussian = Number(by("gaussian").value);
  if (name === "gaussian") return gaussian > 0 ? { name, gaussian } : { name: "none" };
  const found = { name, gaussian, core_hole: Number(by("core_hole").value), e_cut: Number(by("e_cut").value) };
  if (name !== "lorentzian") found.gamma_max = Number(by("gamma_max").value);
  return found;
}

/** Return the widths of a broadening as a phrase. */
export function widths({ name, gaussian, core_hole: hole, gamma_max: gamma }) {
  if (name === "none") return "";
  const core = name === "gaussian" ? [] : [`${name} ${hole}${gamma ? `, ${gamma}` : ""} eV`];
  return `, ${[...core, ...(gaussian ? [`resolution ${gaussian} eV`] : [])].join(", ")}`;
}

/** Show the sliders that the recipe uses. */
function shown() {
  const name = by("recipe").value;
  const [hole, gamma, cut] = document.querySelectorAll(".raw");
  hole.hidden = cut.hidden = name === "gaussian";
  gamma.hidden = !["arctangent", "seah-dench"].includes(name);
}

export function startBroadening(broaden) {
  by("recipe-row").hidden = state.model.broadened;
  let waiting = 0;
  const moved = () => {
    clearTimeout(waiting);
    waiting = setTimeout(broaden, 60);
  };
  for (const input of document.querySelectorAll("input[type=range]")) {
    const output = document.querySelector(`output[for=${input.id}]`);
    input.addEventListener("input", () => {
      output.textContent = `${Number(input.value)} eV`;
      moved();
    });
  }
  by("broaden-kept").addEventListener("change", moved);
  by("recipe").addEventListener("change", () => { shown(); moved(); });
}
