// The hosts and what runs on them, what moves where, and what happened, a failover with its timeline.
import { ask, change } from "./ask.js";
import { problem } from "./controls.js";
import { SMALL, element, eventItem, happened, keepFocus, mark } from "./parts.js";
import { number } from "./pipeline.js";

const MOST_EVENTS = 60;
const MOVED_MS = 20000; // so long a unit that moved says where it came from

/** Whether a control host shows this page, wherever felix@1 runs. */
export const viaCluster = location.pathname.startsWith("/demonstrator/");

const byId = (id) => document.getElementById(id);
const whereBefore = new Map(); // unit → host
const moves = new Map(); // unit → {from, at}
let agents = new Map();
let cluster = null;

/** Which agents do what, for the colours of their units. */
export function tellAgents(known) {
  agents = known;
  if (cluster) showHosts();
}

export function showCluster(data) {
  if (!data) {
    byId("no-cluster").hidden = false;
    byId("no-cluster").textContent = "The cluster is not heard of just now.";
    return;
  }
  cluster = data;
  for (const unit of cluster.units) {
    const before = whereBefore.get(unit.name);
    if (unit.host && before && before !== unit.host) cameFrom(unit.name, before);
    if (unit.host) whereBefore.set(unit.name, unit.host);
  }
  byId("no-cluster").hidden = !data.stale;
  byId("no-cluster").textContent = data.stale ? `Out of date: ${data.stale}` : "";
  byId("cluster-count").textContent = `${cluster.hosts.length} hosts · ${cluster.units.length} units`;
  showHosts();
  showEvents();
}

/** Said for a while, also when nothing else happens in the cluster. */
function cameFrom(name, from) {
  const move = { from, at: performance.now() };
  moves.set(name, move);
  setTimeout(() => {
    if (moves.get(name) !== move) return; // it has moved on
    moves.delete(name);
    showHosts();
  }, MOVED_MS);
}

function showHosts() {
  const on = new Map(cluster.hosts.map((host) => [host.name, []]));
  const waiting = [];
  for (const unit of cluster.units) {
    if (!unit.host) waiting.push(unit);
    else if (on.has(unit.host)) on.get(unit.host).push(unit);
  }
  const cards = cluster.hosts.map((host) => hostCard(host, on.get(host.name)));
  if (waiting.length) {
    cards.push(element("article", { class: "card machine waiting", "aria-label": "Waiting units" },
      element("div", { class: "machine-head" }, element("h3", {}, "Waiting"), element("span", { class: "badge warn" }, `${waiting.length}`)),
      element("p", {}, waiting[0].reason || "no host fits them now"), chips(waiting)));
  }
  keepFocus(byId("machines"), () => byId("machines").replaceChildren(...cards));
}

function hostCard(host, units) {
  const lost = host.state === "lost";
  const badge = lost ? element("span", { class: "badge bad" }, "lost") : host.state === "up" ? null : element("span", { class: "badge warn" }, host.state);
  const button = cluster.local
    ? element("button", { type: "button", "data-key": `host ${host.name}`, "aria-label": `${lost ? "Start" : "Kill"} ${host.name}`, onclick: () => (lost ? start(host.name) : kill(host.name, units)) }, lost ? "Start" : "Kill")
    : null;
  return element("article", { class: lost ? "card machine gone" : host.state === "up" ? "card machine" : "card machine resting", "data-machine": host.name, "data-state": host.state, "aria-label": host.name },
    element("div", { class: "machine-head" }, element("h3", {}, host.name), badge, button),
    element("p", {}, [host.address, ...host.offices].join(" · ")),
    lost ? lostChips(host) : units.length ? chips(units) : element("p", {}, "nothing runs here"));
}

/** What ran on a host that is lost, and where that is now. */
function lostChips(host) {
  if (!host.ran.length) return element("p", {}, "nothing is known to have run here");
  return element("div", {}, element("p", {}, "what ran here"), element("ul", { class: "chips" }, ...host.ran.map(({ unit, host: where, active }) => {
    const name = unit.replace(/\.service$/, "");
    const state = where ? active || "activating" : "waits";
    return element("li", { class: "chip", "data-active": state, "data-stage": stageOf(name), "data-went": unit },
      mark(), element("span", {}, name), element("small", {}, where ? `→ ${where}` : "waits for a host"), element("span", { class: "visually-hidden" }, `, ${state}`));
  })));
}

function chips(units) {
  const sorted = [...units].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  return element("ul", { class: "chips" }, ...sorted.map((unit) => {
    const name = unit.name.replace(/\.service$/, "");
    const moved = moves.get(unit.name);
    const state = unit.host ? unit.active || "activating" : "waits";
    return element("li", { class: moved ? "chip new" : "chip", style: moved ? { "animation-delay": `${moved.at - performance.now()}ms` } : {}, "data-active": state, "data-unit": unit.name, "data-stage": stageOf(name), title: unit.reason || `${name}: ${state}` },
      mark(), element("span", {}, name), moved ? element("small", {}, `from ${moved.from}`) : null, element("span", { class: "visually-hidden" }, `, ${state}`));
  }));
}

const STAGES = { producer: "producer", queue: "queue", datastore: "datastore", processor: "processor" };

function stageOf(name) {
  const bundles = agents.get(name)?.bundles.map((bundle) => bundle.split(" ")[0]) ?? [];
  return Object.keys(STAGES).find((stage) => bundles.some((bundle) => bundle.startsWith(stage)));
}

async function kill(host, units) {
  const here = units.length ? `${units.length} ${units.length === 1 ? "unit runs" : "units run"} there and will be started elsewhere.` : "Nothing of the fleet runs there.";
  const sure = await ask({ title: `Kill ${host}?`, yes: `Kill ${host}`, text: `Everything on it dies at once, as when its power is cut. ${here}`, warnings: losses(host, units) });
  if (sure) await at("kill", host);
}

/** What goes with a host and does not come back, in words. */
function losses(host, units) {
  const here = units.map((unit) => agents.get(unit.name.replace(/\.service$/, ""))).filter(Boolean);
  const having = (bundle) => here.find((agent) => agent.bundles.some((name) => name.split(" ")[0] === bundle));
  const last = (agent, name) => agent.series.find((series) => series.name === name)?.points.at(-1)?.[1] ?? 0;
  const words = [];
  const queue = having("queue");
  if (queue) {
    words.push(`The queue is on it: what it holds is lost (${number(last(queue, "queued") + last(queue, "in flight"))} samples now), and will be counted as lost.`);
  }
  if (having("datastore")) {
    words.push(`The data store is on it: its data stays on the disk of ${host} and does not follow. Elsewhere it begins with what is there, usually nothing, and the accounting begins anew.`);
  }
  if (having("viewer")) {
    words.push(viaCluster
      ? "This page is on it: it comes back by itself once felix@1 runs elsewhere."
      : "This page is on it, and this address dies with it: “inaetics dashboard” opens one that survives.");
  }
  return words;
}

const start = (host) => at("start", host);

async function at(path, host) {
  try {
    const said = await change(path, { host });
    problem("");
    byId("under-way").textContent = said?.under_way ?? "";
    byId("under-way").hidden = !said?.under_way;
  } catch (error) {
    const died = path === "kill" && cluster.hosts.some((each) => each.name === host && each.state === "lost");
    problem(died ? "" : error.message); // with the host that this page comes from, the answer dies too
  }
}

/** What the fleet does with every unit all the time; the cluster's own page tells it. */
const EVERYDAY = new Set([...SMALL, "submitted", "placed"]);

function showEvents() {
  const shown = cluster.events.filter((event) => !EVERYDAY.has(event.kind)).slice(0, MOST_EVENTS);
  if (!shown.length) return;
  byId("events").replaceChildren(...shown.map((event) => {
    const subject = (event.unit || event.host).replace(/\.service$/, "");
    const telling = event.text.includes(subject);
    return eventItem({
      kind: event.kind, at_ms: event.at_ms, steps: event.failover,
      what: telling ? event.text : happened(subject, event.kind, event.unit && event.host),
      why: telling ? "" : event.text,
    });
  }));
}
