// The demonstrator's page. One stream of server-sent events feeds it; every part of the page draws what it is handed.
import { showCluster, tellAgents, viaCluster } from "./cluster.js";
import { problem, showScaling, showUtilisation } from "./controls.js";
import { Graphs, FillChart } from "./graphs.js";
import { age, element, showLive, whileSeen } from "./parts.js";
import { showPipeline } from "./pipeline.js";

const AGAIN_MS = 1000;
const SILENT_MS = 20000; // the server says something at least every 15 s

const byId = (id) => document.getElementById(id);
const graphs = new Graphs(byId("graphs"));
const fill = new FillChart(byId("fill-chart"));
const agents = new Map(); // name → what `hello` said of it; series carry their points
let interval = 500;
let hosts = null; // null until the cluster is known
let heard = 0;
let lost = false;

const on = {
  hello(data) {
    interval = data.interval_ms;
    if (lost) problem(""); // what was refused or not answered then says nothing about now
    lost = false;
    const before = new Map(agents);
    agents.clear();
    for (const agent of data.agents) {
      const known = before.get(agent.agent)?.series ?? [];
      for (const series of agent.series) series.points ??= known.find((s) => s.name === series.name)?.points ?? [];
      agents.set(agent.agent, agent);
    }
    graphs.reset(agents);
    showAgents(data.time_ms);
    tellAgents(agents);
    fill.begin([...agents.values()].flatMap((agent) => agent.series).find((series) => series.name === "fill")?.points ?? []);
    on.cluster(data.cluster);
    on.scaling(data.scaling);
    on.utilisation(data.utilisation);
    showFigures(data);
  },

  points(data) {
    const late = new Set(data.late);
    for (const [name, values] of Object.entries(data.agents)) {
      agents.get(name)?.series.forEach((series, i) => {
        if (values[i] === null || values[i] === undefined) return;
        series.points.push([data.time_ms, values[i]]);
        if (series.points.length > 200) series.points.splice(0, series.points.length - 180);
      });
    }
    for (const agent of agents.values()) agent.late = late.has(agent.agent);
    showFigures(data);
  },

  scaling(data) { fill.marks(data); showScaling(data); },
  utilisation(data) { showUtilisation(data); },
  cluster(data) { hosts = data?.hosts.filter((host) => host.state !== "lost").length ?? null; showCluster(data); },
};

function showFigures({ time_ms: now, system }) {
  showPipeline(system, agents);
  fill.add(now, system.queue_percent);
  if (document.hidden) return;
  graphs.draw(now);
  fill.draw(now);
  const there = [...agents.values()].filter((agent) => !agent.late).length;
  const late = agents.size - there;
  showLive("live", [`live · ${there} agents`, hosts === null ? "" : `${hosts} hosts`, late ? `${late} late` : ""].filter(Boolean).join(" · "));
}

function showAgents(now) {
  byId("agents").replaceChildren(...[...agents.values()].map((agent) => element("tr", {},
    element("td", {}, agent.agent), element("td", {}, agent.host), element("td", {}, agent.address),
    element("td", {}, agent.bundles.join(", ")), element("td", {}, agent.late ? "late" : age((now - agent.since_ms) / 1000)))));
  byId("empty").hidden = agents.size > 0;
}

// ---- the stream; a browser tries again by itself only while the server answers at all

/** What may have happened and what would help, once: a status that is said again is read out again. */
function showLost() {
  if (!byId("lost").hidden) return;
  byId("lost").textContent = viaCluster
    ? "This page runs on the worker that felix@1 runs on, and comes back by itself once that runs elsewhere. If it does not, the control host that shows it may be dead too: “inaetics dashboard” goes on at another."
    : "This page runs on the worker that felix@1 runs on, and this address is that worker's. If it is dead, felix@1 is started elsewhere: “inaetics dashboard” opens an address that survives.";
  byId("lost").hidden = false;
}

let disconnect = () => {};

function connect() {
  const source = new EventSource("events");
  for (const [name, handle] of Object.entries(on)) {
    source.addEventListener(name, (message) => { heard = performance.now(); byId("lost").hidden = true; handle(JSON.parse(message.data)); });
  }
  source.onerror = () => {
    lost = true;
    showLive("lost", "no answer – trying again");
    showLost();
    disconnect();
    const again = setTimeout(connect, AGAIN_MS);
    disconnect = () => clearTimeout(again);
  };
  heard = performance.now();
  const watch = setInterval(() => { if (performance.now() - heard > SILENT_MS) source.onerror(); }, interval * 4);
  disconnect = () => { source.close(); clearInterval(watch); };
}

byId("to-cluster").hidden = !viaCluster;
byId("by-command").hidden = viaCluster;
whileSeen(() => {
  connect();
  return () => { disconnect(); showLive("waiting", "rests: nobody looks"); };
});
