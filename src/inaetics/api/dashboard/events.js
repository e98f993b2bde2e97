// Events as they happen, the newest first; a failover shows its timeline as a bar.
import { API } from "./common.js";
import { SMALL, element, eventItem, happened } from "./parts.js";

const MOST = 200;
const STEPS = ["decided", "pulled", "started", "active"];

/** [name, milliseconds] of what the API knows; the loss itself only where somebody saw it. */
function steps(timeline) {
  const known = STEPS.map((step) => [step, timeline[`${step}_ms`]]).filter(([, at]) => Number.isFinite(at));
  return Number.isFinite(timeline.detected_at) ? [["detected", 0], ...known] : known;
}

/** An event as the API tells it; `open` is called with the unit's name when it is chosen. */
export function fleetEvent(event, open) {
  const subject = event.unit || event.machine || "";
  // "after 11.8 s", as the message of a machine that returned, does not say whose.
  const told = event.message && (event.unit || event.message.includes(subject));
  const what = told ? event.message : happened(subject, event.kind, event.unit && event.machine);
  const words = event.unit && !what.startsWith(event.unit) ? `${event.unit}: ${what}` : what;
  const link = () => element("a", { href: `#${encodeURIComponent(event.unit)}`, onclick: (click) => { click.preventDefault(); open(event.unit); } }, words);
  return eventItem({
    kind: event.kind, at_ms: event.time * 1000, what: event.unit && open ? link() : words,
    why: [told ? "" : event.message, event.reason === event.message ? "" : event.reason].filter(Boolean).join("; "),
    steps: event.timeline ? steps(event.timeline) : [],
  });
}

/** Kinds of events that are about a machine, not about what runs there. */
const OF_MACHINES = new Set(["joined", "left", "returned", "cordoned", "uncordoned", "metadata"]);
const AGAIN_MS = 1000;

/** The list of events. `moved` is called when something became of a machine. */
export class Events {
  constructor(list, every, open, moved) {
    this.list = list;
    this.every = every;
    this.open = open;
    this.moved = moved;
    this.known = [];
    this.planned = false;
    every.addEventListener("change", () => this.draw());
  }

  /** Read what happened lately and what happens, until `signal`. */
  follow(signal) {
    const since = this.known.length ? `after=${this.known[0].id}` : `limit=${MOST}`;
    const source = new EventSource(`${API}/events?${since}`);
    let again = 0;
    source.onmessage = (message) => this.take(JSON.parse(message.data));
    source.onerror = () => { // a browser gives up where the answer is an error: none of the control hosts answers just now
      if (source.readyState === EventSource.CLOSED && !signal.aborted) again = setTimeout(() => this.follow(signal), AGAIN_MS);
    };
    signal.addEventListener("abort", () => { source.close(); clearTimeout(again); });
  }

  take(event) {
    if (this.known.some((e) => e.id === event.id)) return;
    this.known.unshift(event);
    this.known.length = Math.min(this.known.length, 5 * MOST);
    if (OF_MACHINES.has(event.kind)) this.moved();
    if (this.planned) return;
    this.planned = true;
    requestAnimationFrame(() => { this.planned = false; this.draw(); });
  }

  draw() {
    const shown = this.known.filter((e) => this.every.checked || !SMALL.has(e.kind)).slice(0, MOST);
    this.list.replaceChildren(...shown.map((e) => fleetEvent(e, this.open)));
    if (!shown.length) this.list.replaceChildren(element("li", { class: "muted" }, "nothing yet"));
  }
}
