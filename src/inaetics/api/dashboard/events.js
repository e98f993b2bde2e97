// Events as they happen, the newest first; a failover shows its timeline as a bar.
import { API, element } from "./common.js";

const MOST = 200;
const TONES = {
  active: "good", joined: "good", returned: "good", uncordoned: "good",
  failed: "bad", refused: "bad", left: "bad",
  moved: "move", placed: "move", failover: "move", leader: "move", rollout: "move",
  activating: "wait", restarting: "wait", cordoned: "wait", deactivating: "wait", kept: "wait", withdrawn: "wait",
};
/** Steps of everyday life; shown when every change is asked for. */
const SMALL = new Set(["activating", "deactivating", "loaded", "withdrawn", "removed", "wanted", "inactive", "reloading"]);

const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const ms = (n) => (n >= 10000 ? `${(n / 1000).toFixed(1)} s` : `${Math.round(n)} ms`);

export function eventItem(event, open) {
  const subject = event.unit || event.machine || "";
  const what = event.message || `${subject} ${event.kind}${event.unit && event.machine ? ` on ${event.machine}` : ""}`;
  const words = event.unit && !what.startsWith(event.unit) ? `${event.unit}: ${what}` : what;
  return element("li", { class: "event", "data-kind": event.kind, "data-tone": TONES[event.kind] },
    element("time", { datetime: new Date(event.time * 1000).toISOString() }, clock.format(event.time * 1000)),
    element("span", { class: "kind" }, event.kind),
    element("span", { class: "what" }, event.unit && open
      ? element("a", { href: `#${encodeURIComponent(event.unit)}`, onclick: (click) => { click.preventDefault(); open(event.unit); } }, words)
      : words),
    event.reason && event.reason !== event.message ? element("span", { class: "why" }, event.reason) : null,
    event.timeline ? timeline(event.timeline) : null);
}

/** detected → decided → pulled → started → active, each step as long as it took. */
function timeline(line) {
  let before = 0;
  const steps = [["decided", line.decided_ms], ["pulled", line.pulled_ms], ["started", line.started_ms], ["active", line.active_ms]]
    .filter(([, at]) => at !== null && at !== undefined)
    .map(([name, at]) => { const took = Math.max(0, at - before); before = Math.max(before, at); return [name, took, at]; });
  const words = ["detected", ...steps.map(([name, , at]) => `${name} +${ms(at)}`)].join(" → ");
  const places = { decided: 1, pulled: 2, started: 3, active: 4 };
  const bar = [1, 2, 3, 4].map((place) => element("span", { style: `flex: ${steps.find(([name]) => places[name] === place)?.[1] ?? 0} 0 0` }));
  return element("span", { class: "timeline" },
    element("span", { class: "bar", "aria-hidden": "true" }, ...bar), element("span", { class: "steps" }, words));
}

export function showEvents(list, every, open) {
  const known = [];
  const draw = () => list.replaceChildren(...known.filter((e) => every.checked || !SMALL.has(e.kind)).slice(0, MOST).map((e) => eventItem(e, open)));
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
