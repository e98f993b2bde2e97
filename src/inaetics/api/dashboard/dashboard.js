// The cluster's page: machines with their units, the table of units; the events and a unit's details are modules beside.
// Held requests: the API answers when something changed; on a clock are only health and what agents run asked for.
import { activeOf, everywhere, get, stale, stateWords, units } from "./common.js";
import { openDetails, refreshDetails } from "./details.js";
import { Events } from "./events.js";
import { age, element, keepFocus, mark, showLive, whileSeen } from "./parts.js";
import { watchSoftware } from "./software.js";

const HELD_S = 30;
const RETRY_MS = 1000;
const HEALTH_MS = 5000;
const MACHINES_MS = 500;
const MOST_ROWS = 400;
const MOST_CHIPS = 60;

const byId = (id) => document.getElementById(id);
let machines = [];
let lost = []; // hosts that ought to be there and are not
const placedBefore = new Map(); // unit → machine, to show what arrived
let health = null;

// ---- machines

function chip(unit, active, where) {
  const moved = placedBefore.has(unit.name) && placedBefore.get(unit.name) !== where && !unit.is_global;
  return element("li", {}, element("button", {
    type: "button", class: moved ? "chip new" : "chip", "data-active": active, "data-key": unit.name, "data-unit": unit.name,
    title: `${unit.name}: ${active}`, onclick: () => openDetails(unit.name),
  }, mark(), element("span", {}, unit.name.replace(/\.service$/, "")), element("span", { class: "visually-hidden" }, `, ${active}`)));
}

function chips(list, where) {
  const shown = list.slice(0, MOST_CHIPS).map(([unit, active]) => chip(unit, active, where));
  if (list.length > MOST_CHIPS) shown.push(element("li", { class: "muted" }, `and ${list.length - MOST_CHIPS} more`));
  return element("ul", { class: "chips" }, ...shown);
}

function showMachines() {
  const on = new Map();
  const add = (where, unit, active) => { if (!on.has(where)) on.set(where, []); on.get(where).push([unit, active]); };
  const waiting = [];
  for (const unit of units.values()) {
    if (unit.is_global) continue;
    if (unit.reason) waiting.push([unit, "waits"]);
    else if (unit.machine) add(unit.machine.id, unit, activeOf(unit));
  }
  for (const [name, states] of everywhere) {
    for (const state of units.has(name) ? states : []) add(state.machine.id, units.get(name), state.active);
  }
  const cards = machines.map((machine) => {
    const here = (on.get(machine.id) ?? []).sort(([a], [b]) => a.name.localeCompare(b.name));
    on.delete(machine.id);
    const rest = machine.draining ? "draining" : machine.cordoned ? "cordoned" : "";
    return element("article", { class: rest ? "card machine resting" : "card machine", "data-machine": machine.name, "aria-label": machine.name },
      element("div", { class: "machine-head" }, element("h3", {}, machine.name),
        rest ? element("span", { class: "badge warn" }, rest) : null,
        health?.leader === machine.name ? element("span", { class: "badge", title: "its engine decides what runs where" }, "leader") : null),
      element("p", {}, [machine.address, machine.cores ? `${machine.cores} cores` : "", machine.memory ? `${(machine.memory / 2 ** 30).toFixed(0)} GiB` : "", ...Object.entries(machine.metadata).map(([k, v]) => `${k}=${v}`)].filter(Boolean).join(" · ")),
      here.length ? chips(here, machine.id) : element("p", {}, "nothing runs here"));
  });
  cards.push(...lost.map(lostCard));
  cards.sort((a, b) => a.dataset.machine.localeCompare(b.dataset.machine, "en", { numeric: true }));
  for (const [id, here] of on) {
    const name = here[0][0].machine?.name ?? id.slice(0, 8);
    if (lost.some((host) => host.name === name)) continue;
    cards.push(element("article", { class: "card machine gone", "data-machine": name, "aria-label": name },
      element("div", { class: "machine-head" }, element("h3", {}, name), element("span", { class: "badge bad" }, "not there")),
      element("p", {}, "its units are being placed elsewhere"), chips(here, id)));
  }
  if (waiting.length) {
    cards.push(element("article", { class: "card machine waiting", "aria-label": "Waiting units" },
      element("div", { class: "machine-head" }, element("h3", {}, "Waiting"), element("span", { class: "badge warn" }, `${waiting.length}`)),
      element("p", {}, "no machine fits them now; choose one to see why"), chips(waiting, "")));
  }
  keepFocus(byId("machines"), () => byId("machines").replaceChildren(...cards));
  for (const unit of units.values()) if (unit.machine) placedBefore.set(unit.name, unit.machine.id);
}

/** A machine that ought to be there: since when it is not, what it ran, and where that is now. */
function lostCard(host) {
  const since = host.since ? `lost ${age(Date.now() / 1000 - host.since)} ago` : "";
  const went = host.ran.map((each) => {
    const unit = units.get(each.name) ?? { name: each.name };
    const state = each.machine ? each.active || "activating" : "waits";
    const where = each.machine ? `→ ${each.machine}` : "waits for a machine";
    return element("li", {}, element("button", {
      type: "button", class: "chip", "data-active": state, "data-key": `${host.name} ${each.name}`, "data-went": each.name,
      title: `${each.name}: ${state}`, onclick: () => openDetails(unit.name),
    }, mark(), element("span", {}, each.name.replace(/\.service$/, "")), element("small", { class: "muted" }, where), element("span", { class: "visually-hidden" }, `, ${state}`)));
  });
  return element("article", { class: "card machine gone", "data-machine": host.name, "data-state": "lost", "aria-label": host.name },
    element("div", { class: "machine-head" }, element("h3", {}, host.name), element("span", { class: "badge bad" }, "lost")),
    element("p", {}, [host.address, since].filter(Boolean).join(" · ")),
    went.length ? element("p", {}, "what ran here") : element("p", {}, "nothing is known to have run here"),
    went.length ? element("ul", { class: "chips" }, ...went.slice(0, MOST_CHIPS)) : null,
    went.length > MOST_CHIPS ? element("p", {}, `and ${went.length - MOST_CHIPS} more`) : null,
    element("p", { class: "remedy" }, "It leaves this list when it is back, or with ", element("code", {}, `fleetctl forget ${host.name}`), "."));
}

// ---- units

function showUnits() {
  const wanted = byId("filter").value.trim().toLowerCase();
  const found = [...units.values()].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }))
    .filter((unit) => !wanted || [unit.name, unit.description, unit.machine?.name ?? "", activeOf(unit), unit.sub ?? ""].some((text) => text.toLowerCase().includes(wanted)));
  const now = Date.now() / 1000;
  const rows = found.slice(0, MOST_ROWS).map((unit) => element("tr", { "data-active": activeOf(unit), "data-row": unit.name },
    element("td", {}, element("button", { type: "button", "data-key": unit.name, "data-unit": unit.name, onclick: () => openDetails(unit.name) }, unit.name)),
    element("td", {}, element("span", {}, mark(), stateWords(unit))),
    element("td", {}, unit.machine?.name ?? (unit.is_global ? "all" : "–")),
    element("td", {}, unit.since ? age(now - unit.since) : "–"),
    element("td", {}, unit.reason ? "no machine fits it now: choose it to see why" : unit.message || unit.placed || "")));
  keepFocus(byId("units"), () => byId("units").replaceChildren(...rows));
  byId("unit-count").textContent = wanted ? `${found.length} of ${units.size}` : `${units.size}`;
  byId("more").hidden = found.length <= MOST_ROWS;
  byId("more").textContent = `${found.length - MOST_ROWS} more: filter to see them`;
}

// ---- what keeps it alive

let rests = false; // an answer that was under way is drawn, and says nothing of how we are

function showState() {
  if (rests) return;
  if (stale) return showLive("lost", `out of date: ${stale}`);
  const parts = [lost.length ? `${machines.length} of ${machines.length + lost.length} machines` : `${machines.length} machines`, `${units.size} units`];
  if (health?.leader) parts.push(`leader ${health.leader}`);
  showLive("live", `live · ${parts.join(" · ")}`);
}

let drawing = false;
function draw() { // many answers, one drawing
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; showMachines(); showUnits(); showState(); refreshDetails(); });
}

/** Ask with `after`, take what changed, ask again; on an error start from the beginning. */
async function follow(path, take, signal) {
  let after = null;
  while (!signal.aborted) {
    try {
      const query = after === null ? "" : `?after=${after}&wait_s=${HELD_S}`;
      const answer = await get(path + query, { timeout_s: HELD_S + 15, signal });
      take(answer);
      after = answer.revision;
      draw();
      readMachines();
    } catch (error) {
      if (signal.aborted) return;
      after = null;
      showLive("lost", "no answer – trying again");
      console.warn(error);
      await pause(RETRY_MS);
    }
  }
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

let asked = null; // while machines are being read: whether they are to be read once more

/** Read machines and hosts, soon and not too often; they are asked for when something happened, and now and then. */
async function readMachines() {
  if (asked !== null) { asked = true; return; }
  do {
    asked = false;
    try {
      const [list, known] = await Promise.all([get("/machines"), get("/hosts")]);
      machines = list.machines;
      lost = known.hosts.filter((host) => host.state === "lost");
      draw();
    } catch (error) { console.warn(error); } // whether anybody answers shows where changes are followed
    await pause(MACHINES_MS);
  } while (asked);
  asked = null;
}

function takeChanges(changes) {
  if (changes.complete) units.clear();
  for (const name of changes.names) units.delete(name);
  for (const unit of changes.units) units.set(unit.name, unit);
  if (changes.names.some((name) => units.get(name)?.is_global || everywhere.has(name))) void readStates();
}

/** Which machines a global unit runs on is in the list of states; few clusters have one, so it is read when needed. */
async function readStates() {
  try {
    const { states } = await get("/states");
    everywhere.clear();
    for (const state of states) {
      if (!units.get(state.name)?.is_global) continue;
      everywhere.set(state.name, [...(everywhere.get(state.name) ?? []), state]);
    }
    draw();
  } catch (error) { console.warn(error); }
}

async function watchHealth(signal) {
  while (!signal.aborted) {
    try { health = await get("/health", { signal }); draw(); } catch (error) { console.warn(error); }
    readMachines();
    await pause(HEALTH_MS);
  }
}

byId("filter").addEventListener("input", showUnits);
const events = new Events(byId("events"), byId("all-events"), openDetails, readMachines);
whileSeen(() => {
  rests = false;
  const resting = new AbortController();
  void follow("/changes", takeChanges, resting.signal);
  void watchHealth(resting.signal);
  events.follow(resting.signal);
  return () => { rests = true; resting.abort(); showLive("waiting", "rests: nobody looks"); };
});
void watchSoftware();
