// Asking the server for changes. Looking is free; a change needs the cluster's token, asked for once a session.

import { element } from "./parts.js";

const PATIENCE_MS = 28000; // the server answers within 25 s whatever it is asked, the way through a control host within 30
const KEY = "inaetics-token";
const byId = (id) => document.getElementById(id);

/** Change something: POST `body` to `path`. Returns the answer's JSON, or null when the person would not give the token.
 *  Throws Error with the server's words. */
export async function change(path, body) {
  let answer = await post(path, body);
  while (answer.status === 401) {
    const again = sessionStorage.getItem(KEY) ? "The token given is not this cluster's. " : "";
    sessionStorage.removeItem(KEY);
    const token = await ask({
      title: "The cluster's token", yes: "Go on", token: true,
      text: `${again}Whoever changes something shows that the cluster is theirs: “inaetics token” prints it where the cluster was made.`,
    });
    if (!token) return null;
    sessionStorage.setItem(KEY, token);
    answer = await post(path, body);
  }
  const said = await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(said?.error?.message ?? `${path}: the server answered ${answer.status}`);
  return said;
}

async function post(path, body) {
  const token = sessionStorage.getItem(KEY);
  const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  try {
    return await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch (error) {
    throw new Error(error.name === "TimeoutError" ? `the server did not answer within ${PATIENCE_MS / 1000} s` : "the server cannot be reached", { cause: error });
  }
}

/** Ask a person; `warnings` are what they should know. Resolves with the token typed (or true, where none is asked for), or null. */
export function ask({ title, text, yes, token = false, warnings = [] }) {
  const dialog = byId("ask");
  byId("ask-warnings").hidden = !warnings.length;
  byId("ask-warnings").replaceChildren(...warnings.map((words) => element("li", {}, words)));
  byId("ask-title").textContent = title;
  byId("ask-text").textContent = text;
  byId("ask-yes").textContent = yes;
  byId("ask-token-row").hidden = !token;
  byId("ask-token").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    byId("ask-cancel").onclick = () => dialog.close("cancel");
    dialog.onclose = () => {
      const said = dialog.returnValue === "yes" ? (token ? byId("ask-token").value.trim() : true) : null;
      byId("ask-token").value = "";
      resolve(said || null);
    };
  });
}
