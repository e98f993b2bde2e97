// What the parts of the page share: asking the API, making elements, and words for a unit's state.

export const API = "../inaetics/v1";

/** Units by name, as the API tells them; `dashboard.js` keeps it current. */
export const units = new Map();

/** Why what is shown may be out of date, in the API's words; empty when it is not. */
export let stale = "";

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined) continue;
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export async function get(path, { timeout_s = 10, signal } = {}) {
  const within = AbortSignal.timeout(timeout_s * 1000);
  const answer = await fetch(`${API}${path}`, { cache: "no-store", signal: signal ? AbortSignal.any([signal, within]) : within });
  if (!answer.ok) throw new Error((await answer.json().catch(() => null))?.error?.message ?? `${path}: ${answer.status}`);
  stale = answer.headers.get("Inaetics-Stale") ?? "";
  return answer.json();
}

/** What machines say of global units: a list for each unit. */
export const everywhere = new Map();

/** What a unit is in one word: systemd's own, and "waits" for one that no machine has. */
export function activeOf(unit) {
  if (unit.is_global) return worst((everywhere.get(unit.name) ?? []).map((state) => state.active)) ?? "inactive";
  if (unit.reason) return "waits";
  return unit.active ?? (unit.desired === "launched" ? "activating" : "inactive");
}

/** Of several machines' words the one that wants attention most. */
function worst(words) {
  return ["failed", "activating", "deactivating", "reloading", "inactive", "active"].find((word) => words.includes(word));
}

export function stateWords(unit) {
  if (unit.reason) return "waits for a machine";
  if (unit.is_global) return `${activeOf(unit)} on ${(everywhere.get(unit.name) ?? []).length} machines`;
  if (!unit.active) return unit.desired === "inactive" ? "inactive" : `${unit.desired}, not reported yet`;
  return unit.sub && unit.sub !== unit.active ? `${unit.active} (${unit.sub})` : unit.active;
}

export function mark() { return element("span", { class: "mark", "aria-hidden": "true" }); }

export function age(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d`;
}
