// What agents run: the version of the mapping in force, how far each target is with it, the versions before.
// Read again once a second while somebody is on the way, every few seconds otherwise, and not while nobody looks.
import { get, units } from "./common.js";
import { editMapping, propose } from "./software_change.js";
import { age, element, keepFocus, mark } from "./parts.js";

const BUSY_MS = 1000;
const QUIET_MS = 5000;
const FEW_VERSIONS = 8;
const ACTIVE = { current: "active", failed: "failed", given: "activating", waiting: "waits" };
const WORDS = { current: "runs it", failed: "failed", given: "was given it", waiting: "waiting" };
const EVENTS = { given: "given", installed: "installed", failed: "refused", "rolled-back": "went back from" };

const byId = (id) => document.getElementById(id);
const when = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const time = (seconds) => (seconds ? element("time", { datetime: new Date(seconds * 1000).toISOString(), title: when.format(seconds * 1000) }, `${age(Date.now() / 1000 - seconds)} ago`) : "–");

let listed = null;
let versions = [];
let all = false; // every version is shown
let shown = null; // the target of the dialog
let wake = () => {};

// ---- targets

/** A target that is not there is no trouble: nothing is heard of it, and its unit does not run. */
const isAway = (target) => target.outcome === "waiting" && !["active", "activating", "reloading"].includes(target.unit);
const activeOf = (target) => (isAway(target) ? "inactive" : ACTIVE[target.outcome]);
const wordsOf = (target) => (isAway(target) ? "is not there" : WORDS[target.outcome]);
const lastOf = (target) => target.standing?.last ?? null;

function lastWords(target) {
  const last = lastOf(target);
  if (!last) return "nothing was ever heard of it";
  return [`${EVENTS[last.event]} ${last.version}, `, time(last.at), last.error ? `: ${last.error}` : ""];
}

function row(target) {
  return element("tr", { "data-active": activeOf(target), "data-target": target.target, "data-outcome": target.outcome },
    element("td", {}, element("button", { type: "button", "data-key": target.target, onclick: () => openTarget(target.target) }, target.target)),
    element("td", {}, element("span", {}, mark(), wordsOf(target)), target.held ? element("span", { class: "badge warn", title: `held at version ${target.held.version}` }, "held") : null),
    element("td", {}, target.bundles.length ? target.bundles.join(", ") : "nothing"),
    element("td", {}, ...[lastWords(target)].flat()));
}

function showTargets() {
  const there = listed.targets.filter((target) => !isAway(target));
  const current = there.filter((target) => target.outcome === "current").length;
  keepFocus(byId("targets"), () => byId("targets").replaceChildren(...listed.targets.map(row)));
  byId("no-targets").hidden = listed.targets.length > 0;
  byId("target-count").textContent = listed.targets.length ? `${current} of ${there.length} run what they shall` : "";
}

// ---- versions

function versionRow(version, inForce) {
  const back = element("button", { type: "button", "data-key": `v${version.version}`, onclick: () => propose({ back_to: version.version }, `Go back to version ${version.version}`).then(() => wake()) }, "Go back…");
  return element("tr", { "data-version": version.version },
    element("td", {}, `${version.version}`),
    element("td", {}, version.note, version.by ? element("span", { class: "muted" }, ` by ${version.by}`) : null),
    element("td", {}, time(version.at)),
    element("td", {}, inForce ? element("span", { class: "badge" }, "in force") : back));
}

function showVersions() {
  const rows = (all ? versions : versions.slice(0, FEW_VERSIONS)).map((version, i) => versionRow(version, i === 0));
  keepFocus(byId("versions"), () => byId("versions").replaceChildren(...rows));
  byId("all-versions").hidden = all || versions.length <= FEW_VERSIONS;
  byId("all-versions").textContent = `${versions.length - FEW_VERSIONS} earlier versions`;
  byId("no-versions").hidden = versions.length > 0;
  byId("apply-newest").disabled = !versions.length;
}

function showServer() {
  byId("provisioning-page").hidden = !units.get("provisioning.service")?.machine;
}

// ---- one target

async function openTarget(name) {
  shown = name;
  byId("target-title").textContent = name;
  byId("target-history").replaceChildren(element("tr", {}, element("td", { colspan: 3 }, "asking…")));
  showTarget();
  if (!byId("target").open) byId("target").showModal();
  await showHistory();
}

function showTarget() {
  const target = listed?.targets.find((each) => each.target === shown);
  if (!target) return;
  const state = byId("target-state");
  state.dataset.active = activeOf(target);
  state.replaceChildren(mark(), `${wordsOf(target)} · ${target.why}`);
  byId("target-bundles").textContent = target.bundles.join(", ") || "nothing";
  byId("target-running").textContent = target.standing?.running ? `${target.standing.running}: ${target.standing.bundles.join(", ") || "nothing"}` : "nothing that is known";
  byId("target-release").hidden = !target.held;
}

async function showHistory() {
  const name = shown;
  try {
    const { entries } = await get(`/provisioning/targets/${encodeURIComponent(name)}/history`);
    if (shown !== name) return;
    byId("target-history").replaceChildren(...entries.map((entry) => element("tr", { "data-event": entry.event },
      element("td", {}, time(entry.at)),
      element("td", {}, `${EVENTS[entry.event]} ${entry.version}`, entry.by ? element("span", { class: "muted" }, ` applied by ${entry.by}`) : null),
      element("td", {}, [entry.error, entry.started?.length && `started ${entry.started.join(", ")}`, entry.stopped?.length && `stopped ${entry.stopped.join(", ")}`, entry.event === "given" && (entry.bundles ?? []).join(", ")].filter(Boolean).join("; ")))));
    if (!entries.length) byId("target-history").replaceChildren(element("tr", {}, element("td", { colspan: 3 }, "nothing was ever given to it")));
  } catch (error) {
    byId("target-history").replaceChildren(element("tr", {}, element("td", { colspan: 3 }, error.message)));
  }
}

// ---- what keeps it alive

function show() {
  showServer();
  if (!listed) return;
  const problem = listed.error || (listed.targets.some((target) => target.outcome === "failed") ? "Some targets cannot run this version, and stay with what they had: choose one to see why, or go back." : "");
  byId("software-problem").textContent = problem;
  byId("software-problem").hidden = !problem;
  showTargets();
  showVersions();
  if (byId("target").open) showTarget();
}

async function read() {
  const before = lastTimes();
  listed = await get("/provisioning/targets");
  if (!versions.length || versions[0].version !== listed.version) versions = (await get("/provisioning/versions")).versions;
  show();
  if (byId("target").open && lastTimes().get(shown) !== before.get(shown)) await showHistory();
}

function lastTimes() { return new Map((listed?.targets ?? []).map((target) => [target.target, lastOf(target)?.at])); }

export async function watchSoftware() {
  document.addEventListener("visibilitychange", () => wake());
  for (;;) {
    let busy = false;
    try {
      if (!document.hidden) await read();
      busy = (listed?.targets ?? []).some((target) => !isAway(target) && ["given", "waiting"].includes(target.outcome));
    } catch (error) { console.warn(error); }
    await new Promise((resolve) => { wake = resolve; setTimeout(resolve, busy ? BUSY_MS : QUIET_MS); });
  }
}

byId("all-versions").addEventListener("click", () => { all = true; showVersions(); });
byId("apply-newest").addEventListener("click", () => propose({}, "The same mapping, with the newest bundles").then(() => wake()));
byId("edit-mapping").addEventListener("click", () => editMapping(() => get("/provisioning/versions/current").catch(() => ({ text: "" }))).then(() => wake()));
byId("target-back").addEventListener("click", () => propose({ back_to: 0, target: shown }, `${shown} back to what it had before`).then(() => wake()));
byId("target-release").addEventListener("click", () => propose({ release: true, target: shown }, `Let ${shown} follow the mapping again`).then(() => wake()));
byId("target-close").addEventListener("click", () => byId("target").close());
byId("target").addEventListener("close", () => { shown = null; });
byId("target").addEventListener("click", (event) => { if (event.target === byId("target")) byId("target").close(); });
