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
  const what = event.message || happened(subject, event.kind, event.unit && event.machine);
  const words = event.unit && !what.startsWith(event.unit) ? `${event.unit}: ${what}` : what;
  const link = () => element("a", { href: `#${encodeURIComponent(event.unit)}`, onclick: (click) => { click.preventDefault(); open(event.unit); } }, words);
  return eventItem({
    kind: event.kind, at_ms: event.time * 1000, what: event.unit && open ? link() : words,
    why: event.reason === event.message ? "" : event.reason,
    steps: event.timeline ? steps(event.timeline) : [],
  });
}

export function showEvents(list, every, open) {
  const known = [];
  const draw = () => list.replaceChildren(...known.filter((e) => every.checked || !SMALL.has(e.kind)).slice(0, MOST).map((e) => fleetEvent(e, open)));
  let planned = false;
  const source = new EventSource(`${API}/events?limit=${MOST}`);
  source.onmessage = (message) => {
    const event = JSON.parse(message.data);
    if (known.some((e) => e.id === event.id)) return;
    known.unshift(event);
    known.length = Math.min(known.length, 5 * MOST);
    if (!planned) { planned = true; requestAnimationFrame(() => { planned = false; draw(); }); }
  };
  every.addEventListener("change", draw);
}
