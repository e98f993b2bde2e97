// Changing what agents run: first what it would do, then, when a person says so, doing it. Each change is a version.
// It needs the operator's certificate, which `inaetics dashboard` shows, and the cluster's token, asked for when missing.
import { API } from "./common.js";
import { element } from "./parts.js";

const KEY = "inaetics-token";
const WITHIN_MS = 15000;
const TRIAL_S = 60; // the cluster goes back by itself when a target fails within this
const byId = (id) => document.getElementById(id);
const dialog = byId("change");

/** Show what `wish` would change, and do it if the person wants. Resolves when the dialog is closed. */
export async function propose(wish, title) {
  let planned;
  open(title);
  try {
    planned = await post({ ...wish, plan: true });
  } catch (error) {
    fail(error);
  }
  if (planned) await offer(wish, planned);
  await closed();
}

/** Let a person edit the mapping; what it would change is shown before anything is. `read` gives the one in force. */
export async function editMapping(read) {
  open("The mapping");
  const { text } = await read();
  const area = element("textarea", { id: "mapping-text", spellcheck: "false", "aria-label": "The mapping, as TOML", rows: "16" });
  area.value = text;
  byId("change-body").replaceChildren(area);
  const plan = button("Show what it changes", async () => {
    try {
      const planned = await post({ text: area.value, plan: true });
      await offer({ text: area.value }, planned);
    } catch (error) { fail(error); }
  });
  buttons(plan);
  area.focus();
  await closed();
}

/** The changes of a plan as a table; those that change nothing are counted. */
function changesTable(planned) {
  const some = planned.changes.filter((each) => each.added.length || each.removed.length || each.changed.length);
  const rows = some.map((each) => element("tr", { "data-change": each.target },
    element("td", {}, each.target),
    element("td", {}, element("ul", {},
      ...each.added.map((name) => element("li", {}, `+ ${name}`)),
      ...each.changed.map(([name, old, now]) => element("li", {}, `${name} ${old} → ${now}`)),
      ...each.removed.map((name) => element("li", {}, `− ${name}`))),
      element("p", { class: "muted" }, [each.starts.length && `starts ${each.starts.join(" → ")}`, each.stops.length && `then stops ${each.stops.join(" → ")}`].filter(Boolean).join("; "))),
    element("td", {}, each.why)));
  const words = `${some.length} of ${planned.changes.length} known targets change.`;
  if (!some.length) return element("p", {}, words);
  return element("div", {}, element("p", {}, words), element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, element("tr", {}, ...["Target", "Change", "Why"].map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, ...rows))));
}

async function offer(wish, planned) {
  problem("");
  const forward = wish.text !== undefined || !Object.keys(wish).length; // not back, and of no single target
  const reason = element("input", { type: "text", id: "change-reason", maxlength: "200", placeholder: "for the history" });
  byId("change-body").replaceChildren(
    element("p", {}, `Version ${planned.version} would be: ${planned.note}. Nothing was changed yet.`),
    changesTable(planned),
    element("p", {}, element("label", {}, "Why: ", reason)),
    element("p", { class: "muted" }, `All targets change side by side, each as one step. One that cannot goes back by itself${forward ? `; when one that this changes cannot within ${TRIAL_S} s, the cluster goes back everywhere` : "; everywhere, you go back: “Go back…” beside a version"}.`));
  const go = button(`Put version ${planned.version} in force`, async () => {
    go.disabled = true;
    try {
      const made = await post({ ...wish, ...(forward ? { trial_s: TRIAL_S } : {}), expected: planned.before, reason: reason.value.trim(), by: who() });
      byId("change-body").replaceChildren(element("p", { role: "status" }, `Version ${made.version} is in force: ${made.note}.`));
      buttons();
      problem("");
    } catch (error) {
      go.disabled = false;
      fail(error);
    }
  });
  buttons(go);
  go.focus();
}

// ---- asking the API

/** POST; asks for the token when one is needed. Throws Error with the API's words. */
async function post(body) {
  for (;;) {
    const answer = await send(body);
    const text = await answer.text();
    if (answer.ok) return JSON.parse(text);
    const words = wordsOf(text) || `the API answered ${answer.status}`;
    const wrong = answer.status === 403 && words.includes("control token"); // not: this certificate may not
    if (answer.status !== 401 && !wrong) throw new Error(words);
    sessionStorage.removeItem(KEY);
    sessionStorage.setItem(KEY, await askToken(words));
  }
}

/** The API's error, or what the way to it says. */
function wordsOf(text) {
  try { return JSON.parse(text).error.message; } catch { return text.trim(); }
}

async function send(body) {
  const token = sessionStorage.getItem(KEY);
  const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  try {
    return await fetch(`${API}/provisioning/versions`, { method: "POST", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(WITHIN_MS) });
  } catch (error) {
    throw new Error(error.name === "TimeoutError" ? "the API did not answer within 15 s (what became of it is in the list of versions)" : "the API cannot be reached", { cause: error });
  }
}

function askToken(words) {
  problem(words);
  const form = byId("change-token-form");
  const field = byId("change-token");
  form.hidden = false;
  field.value = "";
  field.focus();
  return new Promise((resolve, reject) => {
    dialog.addEventListener("close", () => reject(new Error("no token was given: nothing was changed")), { once: true });
    form.onsubmit = (event) => {
      event.preventDefault();
      if (!field.value.trim()) return;
      form.hidden = true;
      problem("");
      resolve(field.value.trim());
      field.value = "";
    };
  });
}

/** Who asks, as `inaetics dashboard` told this browser. */
function who() {
  const found = document.cookie.split("; ").find((each) => each.startsWith("inaetics-who="));
  return `${found ? decodeURIComponent(found.slice("inaetics-who=".length)) : "somebody"} (dashboard)`;
}

// ---- the dialog

function open(title) {
  byId("change-title").textContent = title;
  byId("change-body").replaceChildren(element("p", {}, "asking…"));
  byId("change-token-form").hidden = true;
  problem("");
  buttons();
  if (!dialog.open) dialog.showModal();
}

function closed() {
  if (!dialog.open) return Promise.resolve();
  return new Promise((resolve) => { dialog.addEventListener("close", resolve, { once: true }); });
}

function button(text, act) { return element("button", { type: "button", class: "primary", onclick: act }, text); }
function buttons(...more) { byId("change-buttons").replaceChildren(element("button", { type: "button", id: "change-close", onclick: () => dialog.close() }, more.length ? "Cancel" : "Close"), ...more); }
function problem(text) { byId("change-problem").textContent = text; byId("change-problem").hidden = !text; }

function fail(error) {
  problem(error.message);
  if (byId("change-body").textContent === "asking…") byId("change-body").replaceChildren();
}
