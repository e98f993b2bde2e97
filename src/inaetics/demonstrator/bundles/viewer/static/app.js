// The demonstrator's page. Reads the viewer's JSON once a second; draws with uPlot (vendored).
"use strict";

const PERIOD_MS = 1000;
const WINDOW_S = 90;

// What a graph shows of an agent, by what it does: [series, style]. Anything else falls back on its first two series.
const ROLES = [
  { stage: "producer", title: "producer", series: ["produced", "refused"], colours: ["--blue", "--red"] },
  { stage: "queue", title: "queue", series: ["queued", "in flight"], colours: ["--orange", "--violet"] },
  { stage: "processor", title: "processor", series: ["processed"], colours: ["--green"] },
  { stage: "datastore", title: "data store", series: ["stored"], colours: ["--violet"] },
];
const OTHER = { stage: "none", title: "agent", series: [], colours: ["--blue", "--orange"] };

const byId = (id) => document.getElementById(id);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const show = (n) => (n === undefined ? "–" : whole.format(n));
const rate = (n) => (n === undefined ? "–" : `${whole.format(n)} /s`);

const graphs = new Map();
let since = 0;

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") node.className = value; else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

class Graph {
  constructor(agent) {
    this.points = new Map(); // series name → {unit, points}
    this.where = element("span", { class: "where" });
    this.badge = element("span", { class: "badge", hidden: "" }, "late");
    this.legend = element("ul", { class: "legend" });
    this.chart = element("div", { class: "chart" });
    this.root = element("article", { class: "graph", "data-agent": agent, "aria-label": agent },
      element("div", { class: "graph-head" }, element("h3", {}, agent), this.where, this.badge),
      this.legend, this.chart);
    this.plot = null;
    new ResizeObserver(() => this.plot?.setSize({ width: this.chart.clientWidth, height: this.chart.clientHeight })).observe(this.chart);
  }

  add(data, now) {
    for (const series of data.series) {
      const mine = this.points.get(series.name) ?? { points: [] };
      mine.unit = series.unit;
      mine.points = mine.points.concat(series.points).filter(([t]) => t > now - WINDOW_S * 1000);
      this.points.set(series.name, mine);
    }
    const names = new Set(data.series.map((s) => s.name));
    for (const name of this.points.keys()) if (!names.has(name)) this.points.delete(name);
    this.role = ROLES.find((r) => names.has(r.series[0])) ?? { ...OTHER, series: [...names].slice(0, 2) };
    this.root.dataset.stage = this.role.stage;
    this.root.classList.toggle("late", data.late);
    this.badge.hidden = !data.late;
    this.where.textContent = `${this.role.title} on ${data.host}`;
    this.draw(now);
  }

  draw(now) {
    const shown = this.role.series.filter((name) => this.points.has(name));
    this.legend.replaceChildren(...shown.map((name, i) => {
      const { unit, points } = this.points.get(name);
      const last = points.at(-1)?.[1];
      return element("li", {},
        element("span", { class: i ? "swatch dashed" : "swatch", style: `--c: var(${this.role.colours[i]})` }),
        `${name} `, element("b", {}, show(last)), ` ${unit}`);
    }));
    const times = this.points.get(shown[0])?.points.map(([t]) => t / 1000) ?? [];
    const values = shown.map((name) => align(times, this.points.get(name).points));
    const key = shown.join("|");
    if (this.plot && this.key !== key) { this.plot.destroy(); this.plot = null; }
    if (!this.plot && this.chart.clientWidth) { this.key = key; this.plot = this.make(shown); }
    if (!this.plot) return;
    this.plot.batch(() => {
      this.plot.setData([times, ...values], false);
      this.plot.setScale("x", { min: now / 1000 - WINDOW_S, max: now / 1000 });
      const highest = Math.max(1, ...values.flat().filter((v) => v !== null));
      this.plot.setScale("y", { min: 0, max: highest * 1.15 });
    });
  }

  make(shown) {
    const axis = { stroke: css("--muted"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    return new uPlot({
      width: this.chart.clientWidth, height: this.chart.clientHeight,
      legend: { show: false }, cursor: { show: false }, padding: [6, 4, 0, 0],
      scales: { x: { auto: false }, y: { auto: false } },
      axes: [
        { ...axis, size: 24, space: 70, values: (_u, ticks) => ticks.map((t) => new Date(t * 1000).toLocaleTimeString([], { minute: "2-digit", second: "2-digit" })) },
        { ...axis, size: 48, space: 30, values: (_u, ticks) => ticks.map((v) => show(v)) },
      ],
      series: [{}, ...shown.map((_, i) => ({
        stroke: css(this.role.colours[i]), width: 2, dash: i ? [6, 4] : undefined, points: { show: false },
        fill: i ? undefined : css(this.role.colours[i]) + "22",
      }))],
    }, [[], ...shown.map(() => [])], this.chart);
  }

  redraw() { this.plot?.destroy(); this.plot = null; }
}

// Values at the first series' times; where a series has none, a gap.
function align(times, points) {
  const values = new Map(points.map(([t, v]) => [t / 1000, v]));
  return times.map((t) => values.get(t) ?? null);
}

function showGraphs(data) {
  const names = new Set(data.agents.map((a) => a.agent));
  for (const [name, graph] of graphs) if (!names.has(name)) { graph.root.remove(); graphs.delete(name); }
  for (const agent of data.agents) {
    if (!graphs.has(agent.agent)) {
      const graph = new Graph(agent.agent);
      graphs.set(agent.agent, graph);
      const after = [...graphs.keys()].sort();
      byId("graphs").insertBefore(graph.root, graphs.get(after[after.indexOf(agent.agent) + 1])?.root ?? null);
    }
    graphs.get(agent.agent).add(agent, data.time_ms);
    for (const series of agent.series) since = Math.max(since, series.points.at(-1)?.[0] ?? 0);
  }
  byId("empty").hidden = names.size > 0;
}

function showPipeline(stats, info) {
  byId("produced").textContent = show(stats.produced);
  byId("queued").textContent = show(stats.queued);
  byId("processed").textContent = show(stats.processed);
  byId("stored").textContent = show(stats.stored);
  byId("rate-produced").textContent = rate(stats.rates.produced);
  byId("rate-processed").textContent = rate(stats.rates.processed);
  byId("rate-stored").textContent = rate(stats.rates.stored);
  const running = (bundle) => info.agents.filter((a) => !a.late && a.bundles.some((b) => b.startsWith(bundle + " "))).map((a) => a.agent);
  byId("producer-note").textContent = note(running("producer"), `${show(stats.refused)} refused`);
  byId("queue-note").textContent = note(running("queue"), `${show(stats.in_flight)} in flight`);
  byId("processor-note").textContent = note(running("processor"));
  byId("store-note").textContent = note(running("datastore"));
}

function note(agents, more) {
  const where = agents.length > 3 ? `${agents.length} agents` : agents.join(", ") || "nobody just now";
  return more ? `${where} · ${more}` : where;
}

function showAgents(info) {
  byId("agents").replaceChildren(...info.agents.map((a) => element("tr", {},
    element("td", {}, a.agent), element("td", {}, a.host), element("td", {}, a.address),
    element("td", {}, a.bundles.join(", ")), element("td", {}, a.late ? "late" : age(info.time_ms - a.since_ms)))));
}

function age(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  return s < 3600 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

function state(name, text) {
  byId("live").dataset.state = name;
  if (byId("live-text").textContent !== text) byId("live-text").textContent = text;
}

async function read(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function tick() {
  try {
    const [statistics, stats, info] = await Promise.all([
      read(`statistics/since/${since}`), read("systemStats"), read("clusterInfo")]);
    showGraphs(statistics);
    showPipeline(stats, info);
    showAgents(info);
    state("live", `live · ${info.agents.length} agents`);
  } catch (error) {
    state("lost", "no answer – trying again");
    console.warn(error);
  }
  setTimeout(tick, PERIOD_MS);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const graph of graphs.values()) graph.redraw(); });
tick();
