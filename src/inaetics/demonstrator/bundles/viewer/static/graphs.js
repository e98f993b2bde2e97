// Graphs of agents, drawn by uPlot (vendored): only those that are in view, and the queue's fill beside the controls.
import { element } from "./parts.js";
import { number } from "./pipeline.js";

const uPlot = window.uPlot;
const WINDOW_S = 90;
const FEW = 12; // graphs that fit beside everything else on a wall screen
const UNSEEN = 6; // a graph out of view says its figures once in so many readings

// What is drawn of an agent, by what it reports. An agent of several trades has a graph for each; one of none shows its first series.
const PANELS = [
  { stage: "producer", title: "producer", series: ["produced", "refused"], colours: ["--blue", "--red"] },
  { stage: "queue", title: "queue", series: ["fill"], also: ["queued", "in flight"], colours: ["--orange"], highest: 100 },
  { stage: "processor", title: "processor", series: ["processed"], also: ["cost"], colours: ["--green"] },
  { stage: "datastore", title: "data store", series: ["stored"], colours: ["--violet"] },
  { stage: "datastore", title: "produced to stored", series: ["latency p99", "latency p50"], colours: ["--orange", "--violet"] },
  { stage: "datastore", title: "store size", series: ["store size"], also: ["rows"], colours: ["--violet"] },
];
const OTHER = { stage: "none", title: "agent", series: [], colours: ["--blue", "--orange"] };

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const small = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const figure = (n) => (Number.isFinite(n) && Math.abs(n) < 100 ? small.format(n) : number(n));
const minutes = new Intl.DateTimeFormat([], { minute: "2-digit", second: "2-digit" });

function axes(highest) {
  const axis = { stroke: css("--muted"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  return [
    { ...axis, size: 24, space: 70, values: (_u, ticks) => ticks.map((t) => minutes.format(t * 1000)) },
    { ...axis, size: 48, space: 30, values: (_u, ticks) => ticks.map((v) => (highest ? `${v} %` : figure(v))) },
  ];
}

function plot(root, series, highest) {
  return new uPlot({
    width: root.clientWidth, height: root.clientHeight, legend: { show: false }, cursor: { show: false }, padding: [6, 14, 0, 0],
    scales: { x: { auto: false }, y: { auto: false } }, axes: axes(highest), series: [{}, ...series],
  }, [[], ...series.map(() => [])], root);
}

function line(colour, dashed) {
  const stroke = css(colour);
  return { stroke, width: 2, dash: dashed ? [6, 4] : undefined, points: { show: false }, fill: dashed ? undefined : `${stroke}22` };
}

/** Charts keep the size of their place. */
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) target.owner?.resize();
});

class Graph {
  constructor(agent, panel) {
    this.panel = panel;
    this.where = element("span", { class: "where" });
    this.badge = element("span", { class: "badge bad", hidden: true }, "late");
    this.figures = new Map();
    this.legend = element("ul", { class: "legend" });
    this.chart = element("div", { class: "chart" });
    this.root = element("article", { class: "graph", "data-agent": agent.agent, "data-stage": panel.stage, "aria-label": `${agent.agent}: ${panel.title}` },
      element("div", { class: "graph-head" }, element("h3", {}, agent.agent), this.where, this.badge), this.legend, this.chart);
    this.chart.owner = this;
    this.seen = false;
    this.drawn = 0;
    this.show(agent);
    sizes.observe(this.chart);
  }

  /** What `hello` says anew of the agent. */
  show(agent) {
    this.agent = agent;
    const of = (names) => names.map((name) => agent.series.find((series) => series.name === name)).filter(Boolean);
    this.series = of(this.panel.series);
    this.where.textContent = `${this.panel.title} on ${agent.host}`;
    this.legend.replaceChildren(...[...this.series, ...of(this.panel.also ?? [])].map((series, i) => {
      const value = element("b");
      this.figures.set(series.name, [series, value]);
      const swatch = i < this.series.length ? element("span", { class: i ? "swatch dashed" : "swatch", style: { "--c": `var(${this.panel.colours[i]})` } }) : null;
      return element("li", {}, swatch, `${series.name} `, value, ` ${series.unit}`);
    }));
  }

  draw(now) {
    this.root.classList.toggle("late", this.agent.late);
    this.badge.hidden = !this.agent.late;
    this.drawn += 1;
    if (this.seen || this.drawn % UNSEEN === 1) this.tell();
    if ((this.plot && !this.seen) || !this.chart.clientWidth) return; // each once, then those in view
    this.plot ??= plot(this.chart, this.series.map((_, i) => line(this.panel.colours[i], i > 0)), this.panel.highest);
    const from = now - WINDOW_S * 1000;
    const shown = this.series.map((series) => series.points.filter(([t]) => t > from));
    const times = (shown[0] ?? []).map(([t]) => t / 1000);
    const values = shown.map((points, i) => (i ? align(times, points) : points.map(([, v]) => v)));
    let highest = 1;
    for (const list of values) for (const v of list) if (v > highest) highest = v;
    this.plot.batch(() => {
      this.plot.setData([times, ...values], false);
      this.plot.setScale("x", { min: from / 1000, max: now / 1000 });
      this.plot.setScale("y", { min: 0, max: this.panel.highest ?? highest * 1.15 });
    });
  }

  tell() {
    for (const [series, value] of this.figures.values()) {
      const text = figure(series.points.at(-1)?.[1]);
      if (value.textContent !== text) value.textContent = text;
    }
  }

  resize() { this.plot?.setSize({ width: this.chart.clientWidth, height: this.chart.clientHeight }); }
  redraw() { this.plot?.destroy(); this.plot = null; }
  end() { sizes.unobserve(this.chart); this.redraw(); this.root.remove(); }
}

/** Values at the first series' times; where a series has none, a gap. */
function align(times, points) {
  const values = new Map(points.map(([t, v]) => [t / 1000, v]));
  return times.map((t) => values.get(t) ?? null);
}

function panels(agent) {
  const names = new Set(agent.series.map((series) => series.name));
  const found = PANELS.filter((panel) => names.has(panel.series[0]));
  if (found.length || !names.size) return found;
  return [{ ...OTHER, series: [...names].slice(0, 2) }];
}

export class Graphs {
  constructor(root) {
    this.root = root;
    this.graphs = new Map();
    this.inView = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const graph = [...this.graphs.values()].find((each) => each.root === entry.target);
        if (graph) graph.seen = entry.isIntersecting;
      }
    }, { rootMargin: "100px" });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const graph of this.graphs.values()) graph.redraw(); });
  }

  /** Have a graph for each trade of each agent, in the order of their names. */
  reset(agents) {
    const wanted = new Map();
    const sorted = [...agents.values()].sort((a, b) => a.agent.localeCompare(b.agent, "en", { numeric: true }));
    for (const agent of sorted) for (const panel of panels(agent)) wanted.set(`${agent.agent} ${panel.title}`, [agent, panel]);
    for (const [key, graph] of this.graphs) {
      const same = wanted.get(key);
      if (same && same[1].series.join() === graph.panel.series.join()) continue;
      this.inView.unobserve(graph.root);
      graph.end();
      this.graphs.delete(key);
    }
    document.getElementById("columns").toggleAttribute("data-few", wanted.size <= FEW);
    let place = null;
    for (const [key, [agent, panel]] of wanted) {
      let graph = this.graphs.get(key);
      if (graph) graph.show(agent);
      else {
        graph = new Graph(agent, panel);
        this.graphs.set(key, graph);
      }
      const next = place ? place.nextSibling : this.root.firstChild;
      if (next !== graph.root) this.root.insertBefore(graph.root, next);
      this.inView.observe(graph.root);
      place = graph.root;
    }
  }

  draw(now) { for (const graph of this.graphs.values()) graph.draw(now); }
}

/** Say what a mark of the autoscaler means, beside its line. */
function mean(name, mark, words) {
  const text = document.getElementById(`fill-${name}`);
  text.parentElement.hidden = mark === null;
  text.textContent = mark === null ? "" : words(mark);
}

/** The queue's fill beside the marks that the autoscaler goes by. */
export class FillChart {
  constructor(root) {
    this.root = root;
    this.points = [];
    this.low = this.high = null;
    root.owner = this;
    sizes.observe(root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  /** What was before the page was opened, or while nobody looked at it. */
  begin(points) { if (points.length) this.points = points.map(([t, v]) => [t / 1000, v]); }

  marks(scaling) {
    this.low = scaling?.low_percent ?? null;
    this.high = scaling?.high_percent ?? null;
    mean("high", this.high, (mark) => `from ${mark} %, or soon there: more processors`);
    mean("low", this.low, (mark) => `below ${mark} % for half a minute: fewer`);
  }

  add(now, percent) {
    this.points.push([now / 1000, Number.isFinite(percent) ? percent : null]);
    while (this.points.length && this.points[0][0] < now / 1000 - WINDOW_S) this.points.shift();
  }

  draw(now) {
    if (!this.root.clientWidth) return;
    this.plot ??= plot(this.root, [line("--orange", false), { ...line("--red", true), width: 1 }, { ...line("--green", true), width: 1 }], 100);
    const times = this.points.map(([t]) => t);
    this.plot.batch(() => {
      this.plot.setData([times, this.points.map(([, v]) => v), times.map(() => this.high), times.map(() => this.low)], false);
      this.plot.setScale("x", { min: now / 1000 - WINDOW_S, max: now / 1000 });
      this.plot.setScale("y", { min: 0, max: 100 });
    });
  }

  resize() { this.plot?.setSize({ width: this.root.clientWidth, height: this.root.clientHeight }); }
  redraw() { this.plot?.destroy(); this.plot = null; }
}
