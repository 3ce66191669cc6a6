// The broadening that is chosen with the sliders.

import { remember, restored, restoredNumber } from "./address.js";
import { by, delayed } from "./elements.js";
import { changed, state, when } from "./state.js";

/** Return the broadening as a part of a request. */
export function broadening() {
  const raw = !state.model.broadened;
  const name = raw ? by("recipe").value : "gaussian";
  const gaussian = Number(by("gaussian").value);
  if (name === "gaussian") return gaussian > 0 ? { name, gaussian } : { name: "none" };
  const found = { name, gaussian, core_hole: Number(by("core_hole").value), e_cut: Number(by("e_cut").value) };
  if (name !== "lorentzian") found.gamma_max = Number(by("gamma_max").value);
  if (name === "arctangent") found.centre = Number(by("centre").value);
  return found;
}

/** Return the widths of a broadening as a phrase. */
export function widths({ name, gaussian, core_hole: hole, gamma_max: gamma }) {
  if (name === "none") return "";
  const core = name === "gaussian" ? [] : [`${name} ${hole}${gamma ? `, ${gamma}` : ""} eV`];
  return `, ${[...core, ...(gaussian ? [`resolution ${gaussian} eV`] : [])].join(", ")}`;
}

/** Set the width of a slider; its range grows if need be. */
export function setWidth(id, value) {
  by(id).max = Math.max(by(id).max, Math.ceil(value));
  by(id).value = value;
  document.querySelector(`output[for=${id}]`).textContent = `${Number(by(id).value)} eV`;
}

/** Show the sliders that the recipe uses. */
function showSliders() {
  const name = by("recipe").value;
  const [hole, gamma, centre, cut] = document.querySelectorAll(".raw");
  hole.hidden = cut.hidden = name === "gaussian";
  centre.hidden = name !== "arctangent";
  gamma.hidden = !["arctangent", "seah-dench"].includes(name);
}

export function startBroadening() {
  by("recipe-row").hidden = state.model.broadened;
  const recipe = restored("recipe");
  if (recipe && [...by("recipe").options].some(({ value }) => value === recipe)) by("recipe").value = recipe;
  remember("recipe", () => (state.model.broadened || by("recipe").value === "gaussian" ? null : by("recipe").value));
  const moved = delayed(() => changed("broadening"), 60);
  for (const input of document.querySelectorAll("input[type=range]")) {
    const standard = input.value;
    const asked = restoredNumber(input.id);
    if (asked !== null) setWidth(input.id, asked);
    remember(input.id, () => (input.value === standard ? null : input.value));
    input.addEventListener("input", () => {
      setWidth(input.id, input.value);
      moved();
    });
  }
  if (!state.model.broadened) showSliders();
  by("broaden-kept").addEventListener("change", moved);
  by("recipe").addEventListener("change", () => { showSliders(); moved(); });
  when("kept", () => { by("broaden-kept-row").hidden = !state.kept.length; });
}
