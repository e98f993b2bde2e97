// What the parts of the page share: asking the API, and words for a unit's state.

export const API = "../inaetics/v1";

/** Units by name, as the API tells them; `dashboard.js` keeps it current. */
export const units = new Map();

/** Why what is shown may be out of date, in the API's words; empty when it is not. */
export let stale = "";

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
