// One unit: why it is where it is or waits, its journal as it comes, its events, its file.
import { API, activeOf, get, stateWords, units } from "./common.js";
import { fleetEvent } from "./events.js";
import { age, element, mark } from "./parts.js";

const MOST_LINES = 2000;
const TABS = ["why", "journal", "events", "file"];
const byId = (id) => document.getElementById(id);
const dialog = byId("details");
let shown = null; // the unit's name
let stop = null; // ends what is being followed

export function openDetails(name) {
  shown = name;
  byId("details-title").textContent = name;
  refreshDetails();
  if (!dialog.open) dialog.showModal();
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  select("why");
}

/** The line under the name follows the unit. */
export function refreshDetails() {
  if (!shown) return;
  const unit = units.get(shown);
  const line = byId("details-state");
  if (!unit) { line.removeAttribute("data-active"); line.textContent = "is not submitted (any more)"; return; }
  line.dataset.active = activeOf(unit);
  const where = unit.machine ? ` on ${unit.machine.name}` : "";
  const since = unit.since ? `, for ${age(Date.now() / 1000 - unit.since)}` : "";
  line.replaceChildren(mark(), `${stateWords(unit)}${where}${since}${unit.message ? ` – ${unit.message}` : ""}`);
}

function select(tab) {
  stop?.abort();
  stop = new AbortController();
  for (const each of TABS) {
    const chosen = each === tab;
    byId(`tab-${each}`).setAttribute("aria-selected", chosen);
    byId(`tab-${each}`).tabIndex = chosen ? 0 : -1;
    byId(`panel-${each}`).hidden = !chosen;
  }
  const path = encodeURIComponent(shown);
  ({ why: showWhy, journal: showJournal, events: showUnitEvents, file: showFile })[tab](path, stop.signal)
    .catch((error) => { if (error.name !== "AbortError") byId(`panel-${tab}`).firstElementChild.textContent = error.message; });
}

async function showWhy(path, signal) {
  const panel = byId("panel-why");
  panel.replaceChildren(element("p", {}, "asking…"));
  const report = await get(`/explain/${path}`, { signal });
  const rows = report.machines.map((machine) => element("tr", {},
    element("td", {}, machine.name),
    element("td", { class: machine.fits ? "verdict-yes" : "verdict-no" }, machine.fits ? "✓ fits" : "✕ does not fit"),
    element("td", {}, element("ul", {}, ...machine.constraints.filter((c) => (machine.fits ? c.because : !c.holds))
      .map((c) => element("li", {}, `${c.holds ? "✓" : "✕"} ${c.constraint}${c.because ? `: ${c.because}` : ""}`))))));
  panel.replaceChildren(element("p", {}, report.summary),
    report.remedies.length ? element("div", {}, element("h3", {}, "What would help"), element("ul", {}, ...report.remedies.map((r) => element("li", {}, r)))) : "",
    element("div", { class: "scroll verdicts" }, element("table", {},
      element("thead", {}, element("tr", {}, ...["Machine", "Verdict", "Because"].map((t) => element("th", { scope: "col" }, t)))),
      element("tbody", {}, ...rows))));
}

async function showJournal(path, signal) {
  const box = byId("journal");
  box.textContent = "reading…";
  const answer = await fetch(`${API}/journal/${path}?lines=200&follow=1`, { cache: "no-store", signal });
  if (!answer.ok) throw new Error((await answer.json().catch(() => null))?.error?.message ?? `the journal cannot be read: ${answer.status}`);
  const lines = [];
  let rest = "";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  box.textContent = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    lines.push(...parts);
    lines.splice(0, Math.max(0, lines.length - MOST_LINES));
    const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 8;
    box.textContent = lines.join("\n");
    if (atEnd) box.scrollTop = box.scrollHeight;
  }
}

async function showUnitEvents(path, signal) {
  const list = byId("unit-events");
  list.replaceChildren(element("li", {}, "asking…"));
  const found = await get(`/events?unit=${path}&limit=200`, { signal });
  list.replaceChildren(...found.events.map((event) => fleetEvent(event, null)).reverse());
  if (!found.events.length) list.replaceChildren(element("li", { class: "muted" }, "nothing is remembered of it"));
}

async function showFile(path, signal) {
  byId("file").textContent = "asking…";
  byId("file").textContent = (await get(`/units/${path}`, { signal })).text;
}

function close() {
  stop?.abort();
  shown = null;
  history.replaceState(null, "", location.pathname);
}

for (const tab of TABS) byId(`tab-${tab}`).addEventListener("click", () => select(tab));
dialog.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const at = TABS.findIndex((tab) => byId(`tab-${tab}`).getAttribute("aria-selected") === "true");
  const next = TABS[(at + step + TABS.length) % TABS.length];
  byId(`tab-${next}`).focus();
  select(next);
});
byId("details-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", close);
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
