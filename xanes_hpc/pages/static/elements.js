// The document's elements, and the colours of the theme.

import { state } from "./state.js";

export const by = (id) => document.getElementById(id);

export const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;
export const touched = () => matchMedia("(pointer: coarse)").matches;
export const ink = () => (dark() ? "#eeeeee" : "#1a1a1a");

/** Return an element with properties and children. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Return a phrase as a sentence. */
export const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

/** Return a paragraph. */
export const line = (textContent, className = "") => element("p", { textContent, className });

/** Return a click's action that is not called again while it runs, and shows its error in a place. The user's click brings the place into view. */
export const safely = (button, place, action) => async ({ isTrusted: byUser }) => {
  if (by(button).ariaBusy === "true") return;
  by(button).ariaBusy = "true";
  const look = () => byUser && by(place).scrollIntoView({ block: "nearest" });
  try {
    const running = action();
    look();
    await running;
  } catch (error) {
    by(place).replaceChildren(line(error.message, "no"));
  } finally {
    by(button).ariaBusy = "false";
    look();
  }
};

/** Show the choices of a select; it is disabled without any. */
export function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) => new Option(text, value, false, String(value) === String(chosen))));
  select.disabled = entries.length === 0;
}

/** Show errors; that of the structure shown stays. */
export function problems(texts) {
  const every = state.noAbsorber ? [...texts, state.noAbsorber] : texts;
  by("problems").replaceChildren(...every.map((textContent) => element("p", { textContent })));
}

/** Return the number in a field; null if it is empty. */
export const numberIn = (id) => (by(id).value.trim() === "" || !Number.isFinite(by(id).valueAsNumber) ? null : by(id).valueAsNumber);

/** Call an action a little after the last of several calls. */
export function delayed(action, milliseconds = 150) {
  let waiting = 0;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(action, milliseconds);
  };
}

/** Offer a file for saving. */
export function save(download, blob) {
  const link = element("a", { href: URL.createObjectURL(blob), download });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
