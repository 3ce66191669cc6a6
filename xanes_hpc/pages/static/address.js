// The view in the address: a link restores the site, zoom, windows and options. Files are not in it.

import { by, delayed } from "./elements.js";
import { state, when } from "./state.js";

const wanted = new URLSearchParams(location.hash.slice(1));
const entries = new Map();

/** Remember a part of the view under a key; `read` returns its text, or null for the default. */
export function remember(key, read) {
  entries.set(key, read);
}

/** Return what the link asks for, once; null without it. */
export function restored(key) {
  const value = wanted.get(key);
  wanted.delete(key);
  return value;
}

/** Return a restored number; null without it. */
export function restoredNumber(key) {
  const value = Number.parseFloat(restored(key));
  return Number.isFinite(value) ? value : null;
}

/** Return a restored range of energies, two ascending numbers; null without it. */
export function restoredRange(key) {
  const ends = (restored(key) || "").split(",").map(Number);
  return ends.length === 2 && ends.every(Number.isFinite) && ends[0] < ends[1] ? ends : null;
}

/** Return a range as a link has it; null without one. */
export const rangeText = (range) => (range ? range.map((end) => end.toFixed(2)).join(",") : null);

/** Return what the link asks for without using it up. */
export const pending = (key) => wanted.get(key);

/** Forget what the link asks for under some keys. */
export function forget(...keys) {
  for (const key of keys) wanted.delete(key);
}

function address() {
  const parts = new URLSearchParams(wanted);
  for (const [key, read] of entries) {
    const value = read();
    if (value !== null && value !== undefined && value !== "") parts.set(key, value);
  }
  return parts.toString();
}

const update = delayed(() => history.replaceState(null, "", `#${address()}`), 300);

/** Say which files the link's view needs. */
export function tellMissing() {
  const files = ["structure", "measured"].map(pending).filter(Boolean);
  by("link-status").textContent = files.length ? `This link shows ${files.join(" and ")}. Files are not part of a link: open them to restore the view.` : "";
}

async function copy() {
  history.replaceState(null, "", `#${address()}`);
  const names = [state.structures.some((own) => own.uploaded) && "structures", state.kept.length && "kept spectra", state.measured && "measured spectrum"].filter(Boolean);
  const needed = names.length ? ` It does not contain the ${names.join(" and ")}: whoever opens it needs the same files.` : "";
  try {
    await navigator.clipboard.writeText(location.href);
    by("link-status").textContent = `Link copied.${needed}`;
  } catch {
    by("link-status").textContent = `Copy the link from the address bar.${needed}`;
  }
}

export function startAddress() {
  by("copy-link").addEventListener("click", copy);
  addEventListener("hashchange", () => (location.hash.includes("=") ? location.reload() : update())); // another link, or a place on the page
  when("structure site prediction measurement kept zoom effects", update);
  tellMissing();
}
