// The provisioning page. One question is always held by the server, which answers it when something changed.
"use strict";

const HOLD_S = 20;
const RETRY_MS = 1000;
const MOST_OFTEN_MS = 250; // a hundred agents that switch are shown together, not one by one

const byId = (id) => document.getElementById(id);
const two = (number) => String(number).padStart(2, "0");

// 2026-11-23 18:04:05, in the reader's zone: as the command line writes it, and no month is taken for a day.
function time(seconds) {
  if (!seconds) return "–";
  const at = new Date(seconds * 1000);
  const day = [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(two).join("-");
  return `${day} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":")}`;
}

const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") node.className = value; else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== ""));
  return node;
}

function row(...cells) {
  return element("tr", {}, ...cells.map((cell) => (cell instanceof Node && cell.tagName === "TD" ? cell : element("td", {}, cell))));
}

function size(bytes) {
  return bytes < 1024 * 1024 ? `${Math.max(1, Math.round(bytes / 1024))} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

function chips(bundles) {
  return element("ul", { class: "chips" }, ...bundles.map((bundle) => {
    const [name, version] = bundle.split(" ");
    return element("li", {}, `${name} `, element("span", {}, version));
  }));
}

const STATES = { current: "up to date", changing: "changing", failed: "failed" };

function card(target) {
  const words = target.there ? STATES[target.state] : `silent for ${Math.round(target.seen_s)} s`;
  const versions = target.running ? `runs ${target.running}` : "runs nothing yet";
  const wanted = target.state === "current" || !target.wanted ? "" : `, shall run ${target.wanted}`;
  return element("article", { class: target.there ? "card target" : "card target away", "data-state": target.state, "data-target": target.target, "aria-label": target.target },
    element("div", { class: "target-head" }, element("span", { class: "dot", "aria-hidden": "true" }),
      element("h3", {}, target.target), element("span", { class: "where" }, target.where), element("span", { class: "badge" }, words)),
    element("p", { class: "where" }, `${versions}${wanted} · ${target.rule}`),
    target.error ? element("p", { class: "bad" }, target.error) : "",
    target.bundles.length ? chips(target.bundles) : element("p", { class: "dim" }, "no bundles"));
}

function details(entry) {
  const parts = [];
  if (entry.error) parts.push(entry.error);
  if (entry.started?.length) parts.push(`started ${entry.started.join(", ")}`);
  if (entry.stopped?.length) parts.push(`stopped ${entry.stopped.join(", ")}`);
  if (entry.bundles?.length && entry.event === "given") parts.push(entry.bundles.join(", "));
  if (entry.seconds) parts.push(`in ${entry.seconds} s`);
  if (entry.by) parts.push(`applied by ${entry.by}`);
  return parts.join(" · ");
}

function show(data) {
  byId("version").textContent = data.version || "none";
  byId("version-note").textContent = data.version ? `${data.note}${data.by ? ` by ${data.by}` : ""}, ${time(data.at)}` : "nothing is deployed";
  const current = data.targets.filter((target) => target.state === "current").length;
  byId("targets-figure").textContent = data.targets.length;
  byId("targets-note").textContent = data.targets.length ? `${current} up to date` : "";
  const names = new Set(data.bundles.map((bundle) => bundle.name));
  byId("bundles-figure").textContent = names.size;
  byId("bundles-note").textContent = count(data.bundles.length, "version", "versions");
  byId("troubles").replaceChildren(...[data.error, ...data.troubles].filter(Boolean).map((text) => element("li", {}, text)));
  byId("targets-empty").hidden = data.targets.length > 0;
  byId("targets").replaceChildren(...data.targets.map(card));
  byId("rules").replaceChildren(...data.rules.map((rule) => row(element("td", {}, element("code", {}, rule.rule.replaceAll("'", ""))), rule.bundles.length ? chips(rule.bundles) : "nothing")));
  byId("bundles").replaceChildren(...data.bundles.map((bundle) => row(
    bundle.name, bundle.version, size(bundle.size), element("td", { title: bundle.sha256 }, element("code", {}, bundle.sha256.slice(0, 12))),
    bundle.signed ? "yes" : element("td", { class: "bad" }, "no"), element("td", { class: "dim" }, `${time(bundle.at)}${bundle.by ? ` by ${bundle.by}` : ""}`))));
  byId("log").replaceChildren(...data.log.map((entry) => row(
    time(entry.at), entry.target, element("td", { class: entry.error ? "bad" : "" }, entry.event), element("td", {}, element("code", {}, entry.version)),
    element("td", { class: "dim" }, details(entry)))));
}

function live(state, text) {
  byId("live").dataset.state = state;
  byId("live-text").textContent = text;
}

const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

async function follow() {
  let revision = -1;
  for (;;) {
    try {
      const answer = await fetch(`overview?after=${revision}&wait_s=${revision < 0 ? 0 : HOLD_S}`, { signal: AbortSignal.timeout((HOLD_S + 5) * 1000) });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const data = await answer.json();
      revision = data.revision;
      show(data);
      live("live", "live");
      await sleep(MOST_OFTEN_MS);
    } catch (error) {
      revision = -1;
      live("lost", `no answer (${error.message})`);
      await sleep(RETRY_MS);
    }
  }
}

const viaCluster = location.pathname.startsWith("/provisioning/"); // a control host shows this page
byId("to-cluster").hidden = !viaCluster;
byId("by-command").hidden = viaCluster;
follow();
