// What the project's pages share: making elements, words for times, one event with its failover's timeline.

/** An element; `on…` adds listeners, `style` is an object of properties (inline text would break the page's policy). */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") node.className = value;
    else if (key === "style") for (const [name, what] of Object.entries(value)) node.style.setProperty(name, what);
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** The shape of a state; its colour comes from the nearest `data-active`. */
export function mark() { return element("span", { class: "mark", "aria-hidden": "true" }); }

export function age(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d`;
}

export const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** Shows in the page's corner whether it is live: "waiting", "live" or "lost". */
export function showLive(state, text) {
  const pill = document.getElementById("live");
  const words = document.getElementById("live-text");
  if (pill.dataset.state !== state) pill.dataset.state = state;
  if (words.textContent !== text) words.textContent = text;
}

const HIDDEN_MS = 5000;

/** Call `begin` while the page is looked at; what it returns ends that again, once the page is hidden for a while.
 *  A browser has six connections for a server, for all its tabs together: those that nobody sees must not hold them. */
export function whileSeen(begin) {
  let end = null;
  let timer = 0;
  const turn = () => {
    clearTimeout(timer);
    if (!document.hidden) end ??= begin();
    else timer = setTimeout(() => { end?.(); end = null; }, HIDDEN_MS);
  };
  document.addEventListener("visibilitychange", turn);
  turn();
}

/** Replacing nodes must not throw a keyboard user back to the top: what had the focus (by `data-key`) has it again. */
export function keepFocus(root, change) {
  const focused = root.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  change();
  if (focused) root.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

const TONES = {
  active: "good", joined: "good", returned: "good", uncordoned: "good",
  failed: "bad", refused: "bad", left: "bad",
  moved: "move", placed: "move", failover: "move", leader: "move", rollout: "move",
  activating: "wait", restarting: "wait", cordoned: "wait", deactivating: "wait", kept: "wait", withdrawn: "wait",
};

const VERBS = { placed: "placed on", moved: "moved to", failover: "runs again on", withdrawn: "withdrawn from", removed: "removed from", kept: "stays on" };

/** "celix@1 moved to worker-5"; `where` is empty for what has no place, or is one. */
export function happened(subject, kind, where) {
  return `${subject} ${where ? `${VERBS[kind] ?? `${kind} on`} ${where}` : kind}`;
}

/** Steps of everyday life, shown when every change is asked for. */
export const SMALL = new Set(["activating", "deactivating", "loaded", "withdrawn", "removed", "wanted", "inactive", "reloading"]);

/** One event of the fleet: `what` is a text or a node; `steps` are [name, milliseconds since the loss] of a failover. */
export function eventItem({ kind, at_ms: atMs, what, why, steps = [] }) {
  return element("li", { class: "event", "data-kind": kind, "data-tone": TONES[kind] },
    element("time", { datetime: new Date(atMs).toISOString() }, clock.format(atMs)),
    element("span", { class: "kind" }, kind),
    element("span", { class: "what" }, what),
    why ? element("span", { class: "why" }, why) : null,
    steps.length ? timeline(steps) : null);
}

const PLACES = ["decided", "pulled", "started", "active"];
const ms = (n) => (n >= 10000 ? `${(n / 1000).toFixed(1)} s` : `${Math.round(n)} ms`);

/** detected → decided → pulled → started → active, each step as wide as it took long, in the colour beside its name. */
function timeline(steps) {
  const widths = [0, 0, 0, 0];
  let before = 0;
  const known = steps.filter(([name, at]) => PLACES.includes(name) && Number.isFinite(at));
  const seen = steps.some(([name]) => name === "detected"); // else the decision counts as the beginning
  for (const [name, at] of known) {
    widths[PLACES.indexOf(name)] = Math.max(0, at - before);
    before = Math.max(before, at);
  }
  return element("span", { class: "timeline" },
    element("span", { class: "bar", "aria-hidden": "true" }, ...widths.map((width, i) => element("span", { "data-step": PLACES[i], style: { flex: `${width} 0 0` } }))),
    element("span", { class: "steps" }, seen ? "detected" : "decided",
      ...known.filter(([name]) => seen || name !== "decided").flatMap(([name, at]) => [" → ", element("span", {}, element("span", { class: "key", "data-step": name, "aria-hidden": "true" }), `${name} +${ms(at)}`)])));
}
