// Load, work for each sample, how many agents there are of a kind, and the autoscaler in its own words.
import { change } from "./ask.js";
import { clock, element } from "./parts.js";

const SETTLED_MS = 250; // a slider that rests so long is meant
const MOST_PIPS = 24;
const PATHS = { producers: "scaleProducer", processors: "scaleProcessor" };
const STAGES = { producers: "producer", processors: "processor" };

const byId = (id) => document.getElementById(id);
const sets = new Map(); // kind → its elements

/** Do what a control says; what went wrong is told beside the controls. */
async function wish(path, body, shown) {
  try {
    const said = await change(path, body);
    problem("");
    if (said) shown(said);
  } catch (error) {
    problem(error.message);
  }
}

export function problem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
}

// ---- sliders

class Slider {
  constructor(input, text, words, wanted) {
    this.input = input;
    this.text = text;
    this.words = words;
    this.touched = 0;
    this.known = null;
    this.differ = false;
    this.input.addEventListener("input", () => {
      this.say(this.input.valueAsNumber);
      clearTimeout(this.timer);
      this.touched = performance.now();
      this.timer = setTimeout(() => wanted(this.input.valueAsNumber).finally(() => { this.touched = 0; this.show(this.known); }), SETTLED_MS);
    });
  }

  /** What holds now, null where agents `differ` or nobody knows; a slider in somebody's hand stays where it is. */
  show(value, differ = this.differ) {
    this.known = value;
    this.differ = differ;
    this.input.disabled = value === null && !differ;
    if (this.touched) return;
    if (value !== null) this.input.value = value;
    this.say(value);
  }

  say(value) {
    this.text.textContent = value !== null ? this.words(value) : this.differ ? "they differ" : "–";
    this.input.setAttribute("aria-valuetext", this.text.textContent);
  }
}

const load = new Slider(byId("utilisation"), byId("utilisation-text"), (percent) => `${percent} %`, (percent) => wish("utilisation", { utilisation: percent }, showUtilisation));
const cost = new Slider(byId("cost"), byId("cost-text"), (us) => `${us} µs`, (us) => wish("cost", { us }, showUtilisation));

const bursts = byId("bursts");
bursts.addEventListener("click", () => wish("mode", { mode: bursts.getAttribute("aria-checked") === "true" ? "periodic" : "burst" }, showUtilisation));

export function showUtilisation(said) {
  const differ = (name) => said?.differ.includes(name) ?? false;
  load.show(said?.percent ?? null, differ("percent"));
  cost.show(said?.cost_us ?? null, differ("cost_us"));
  bursts.disabled = !said?.mode && !differ("mode");
  bursts.setAttribute("aria-checked", String(said?.mode === "burst"));
  byId("bursts-hint").textContent = differ("mode") ? "some producers are, some are not" : "a second's samples at once, not evenly";
}

// ---- how many there are

const automatic = byId("automatic");
automatic.addEventListener("click", () => wish("automatic", { on: automatic.getAttribute("aria-checked") !== "true" }, showScaling));

export function showScaling(scaling) {
  automatic.disabled = !scaling;
  byId("explanation").textContent = scaling?.explanation ?? "No coordinator runs just now: nothing is scaled.";
  if (!scaling) {
    for (const set of sets.values()) set.less.disabled = set.more.disabled = set.slider.input.disabled = true;
    return;
  }
  automatic.setAttribute("aria-checked", String(scaling.automatic));
  for (const set of scaling.sets) showSet(set);
  byId("decisions").replaceChildren(...scaling.decisions.map((each) => element("li", { "data-by": each.by },
    element("time", { datetime: new Date(each.at_ms).toISOString() }, clock.format(each.at_ms)),
    element("span", {}, decided(each)))));
}

/** The autoscaler's reasons name the numbers themselves. */
function decided({ before, after, kind, reason }) {
  const numbers = `${before} → ${after} ${kind}`;
  return !reason ? numbers : reason.includes(numbers) ? reason : `${numbers}: ${reason}`;
}

function showSet(set) {
  if (!sets.has(set.kind)) sets.set(set.kind, makeSet(set.kind));
  const shown = sets.get(set.kind);
  shown.slider.input.min = set.least;
  shown.slider.input.max = Math.max(set.most, set.wanted);
  shown.slider.show(set.wanted);
  shown.slider.input.disabled = set.least >= set.most;
  shown.less.disabled = set.wanted <= set.least;
  shown.more.disabled = set.wanted >= set.most;
  shown.hint.textContent = set.running === set.wanted ? `all run · ${set.least} to ${set.most}` : `${set.running} of ${set.wanted} run · ${set.least} to ${set.most}`;
  const pips = Math.min(MOST_PIPS, Math.max(set.most, set.wanted));
  shown.pips.replaceChildren(...Array.from({ length: pips }, (_, i) => element("span", { "data-runs": i < set.running, "data-room": i >= set.wanted })));
}

function makeSet(kind) {
  const name = kind[0].toUpperCase() + kind.slice(1);
  const button = (sign, by, label) => element("button", {
    type: "button", "aria-label": label, id: `${kind}-${by > 0 ? "more" : "less"}`, onclick: () => wish(PATHS[kind], { change: by }, showScaling),
  }, sign);
  const input = element("input", { type: "range", id: `${kind}-slider`, step: 1 });
  const count = element("output", { id: `${kind}-count`, for: `${kind}-slider` });
  const set = {
    slider: new Slider(input, count, String, (wanted) => wish(PATHS[kind], { count: wanted }, showScaling)),
    less: button("−", -1, `One of the ${kind} less`), more: button("+", 1, `One more of the ${kind}`),
    hint: element("p", { class: "hint" }), pips: element("div", { class: "pips", "aria-hidden": "true" }),
  };
  byId("sets").append(element("div", { class: "control", "data-stage": STAGES[kind], role: "group", "aria-label": name },
    element("label", { for: `${kind}-slider` }, name), element("span", { class: "stepper" }, set.less, count, set.more), input, set.pips, set.hint));
  return set;
}
