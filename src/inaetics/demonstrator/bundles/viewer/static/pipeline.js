// The picture of the pipeline: what each stage counted, how fast it goes, and whether the sum holds.
import { element } from "./parts.js";

const byId = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const number = (n) => (Number.isFinite(n) ? whole.format(n) : "–");
const perSecond = (n) => (Number.isFinite(n) ? `${whole.format(n)} /s` : "–");

/** Names of the agents that carry `bundle`, those that are late left out. */
const having = (agents, bundle) => [...agents.values()]
  .filter((agent) => !agent.late && agent.bundles.some((name) => name.split(" ")[0].startsWith(bundle))).map((agent) => agent.agent);

/** The last figure of a series of an agent. */
const last = (agent, name) => agent.series.find((series) => series.name === name)?.points.at(-1)?.[1];

export function showPipeline(system, agents) {
  step += 1;
  say("produced", number(system.produced));
  say("queued", number(system.queued));
  say("processed", number(system.processed));
  say("stored", number(system.stored));
  flow("rate-produced", system.rates.produced);
  flow("rate-processed", system.rates.processed);
  flow("rate-stored", system.rates.stored);
  const bursts = [...agents.values()].some((agent) => !agent.late && last(agent, "in bursts"));
  say("producer-note", note(having(agents, "producer"), `${bursts ? "in bursts · " : ""}${number(system.refused)} refused`));
  say("queue-note", note(having(agents, "queue"), `${number(system.in_flight)} in flight`));
  say("processor-note", note(having(agents, "processor")));
  const latency = system.latency_ms;
  say("store-note", note(having(agents, "datastore"), latency ? `from produced to stored ${number(latency.p50)} ms, 99 % within ${number(latency.p99)} ms` : ""));
  showMeter(system.queue_percent);
  showAccounting(system.accounting);
}

function say(id, text) {
  const node = byId(id);
  if (node.textContent !== text) node.textContent = text;
}

function note(agents, more) {
  const who = agents.length > 3 ? `${agents.length} agents` : agents.join(", ") || "nobody just now";
  return more ? `${who} · ${more}` : who;
}

const STEPS = ["0", "8px", "16px"];
let step = 0;

/** The rate on an arrow; its dots step on while there is one. */
function flow(id, rate) {
  say(id, perSecond(rate));
  const arrow = byId(id).parentElement;
  arrow.toggleAttribute("data-flows", rate > 0);
  arrow.style.setProperty("--step", STEPS[step % STEPS.length]);
}

function showMeter(percent) {
  const meter = byId("queue-meter");
  const known = Number.isFinite(percent);
  meter.hidden = !known;
  if (!known) return;
  meter.firstElementChild.style.transform = `scaleX(${Math.min(1, percent / 100).toFixed(3)})`;
  meter.setAttribute("aria-valuenow", Math.round(percent));
  meter.toggleAttribute("data-high", percent >= 80);
}

function showAccounting(report) {
  const box = byId("accounting");
  const holds = report ? (report.holds ? "yes" : "no") : "unknown";
  if (box.dataset.holds !== holds) box.dataset.holds = holds;
  say("accounting-note", report ? report.note : "");
  byId("accounting-note").hidden = !report?.note;
  if (!report) return;
  const part = (value, name) => element("span", {}, element("b", {}, number(value)), ` ${name}`);
  const parts = [part(report.refused, "refused"), part(report.queued, "queued"), part(report.in_flight, "in flight"), part(report.stored, "stored")];
  if (report.lost_with_queue) parts.push(part(report.lost_with_queue, "lost with their queue"));
  byId("accounting-sum").replaceChildren(
    part(report.produced, "produced"), report.holds ? "=" : "≠",
    ...parts.flatMap((each, i) => (i ? ["+", each] : [each])),
    element("span", { class: "verdict" }, report.holds ? "✓ nothing is missing" : "✗ the sum does not hold"));
}
