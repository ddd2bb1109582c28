// Asking the service: one place that knows addresses, the token, and what a problem looks like.
import { say, told } from "/page/words.js";

export class Refused extends Error {}

const token = () => sessionStorage.getItem("finsa-token");

let asking = null;  // one dialog for all requests that are refused together

// Whether a token was given; who leaves the dialog by Esc gives none.
async function given() {
  const dialog = document.getElementById("asking"), field = document.getElementById("token");
  const wrong = document.getElementById("wrong");
  wrong.textContent = token() ? say("wrong") : "";
  try {
    for (;;) {
      field.value = "";
      dialog.returnValue = "";
      dialog.showModal();
      await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
      if (dialog.returnValue !== "given") return false;
      const found = field.value.trim();
      wrong.textContent = say("wrong");
      if (!/^[ -~]*$/.test(found)) continue;  // no header could bear it
      sessionStorage.setItem("finsa-token", found);
      return true;
    }
  } finally {
    asking = null;
  }
}

// What is waited for of the network; where it breaks, that is said in the reader's words.
const reached = (waited) => waited.catch((error) => { throw error.name === "AbortError" ? error : new Refused(say("gone")); });

export async function call(path, options = {}) {
  for (;;) {
    const headers = { ...options.headers, ...(token() ? { Authorization: `Bearer ${token()}` } : {}) };
    const answer = await reached(fetch(path, { ...options, headers }));
    if (answer.ok) return answer;
    if (answer.status === 401 && await (asking ??= given())) continue;
    const problem = await answer.json().catch(() => ({}));
    throw new Refused(told(problem) || `${answer.status} ${answer.statusText}`);
  }
}

export const json = (path, body) => call(path, body === undefined ? {} : {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
}).then((answer) => reached(answer.json()));

export const blob = (path) => call(path).then((answer) => reached(answer.blob()));

// A stream of server-sent events, as [name, data] pairs; a field ends at "\n" alone, as JSON leaves U+2028 as it is.
export async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reached(reader.read());
    if (done) return;
    held += value;
    const whole = held.split("\n\n");
    held = whole.pop();
    for (const one of whole) {
      const field = (name) => one.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const name = field("event"), data = field("data");
      if (name && data) yield [name, JSON.parse(data)];
    }
  }
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

export function asCurl(body) {
  const bearer = token() ? ` \\\n  -H "Authorization: Bearer $FINSA_TOKEN"` : "";
  return `curl ${location.origin}/v1/predict${bearer} \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(body))}\n`;
}

export function asPython(body) {
  const python = JSON.stringify(body, null, 4).replace(/(: |^\s*)(true|false|null)(,?)$/gm, (whole, before, word, after) =>
    before + { true: "True", false: "False", null: "None" }[word] + after);
  const bearer = token() ? `, "Authorization": f"Bearer {os.environ['FINSA_TOKEN']}"` : "";
  return `import json\n${token() ? "import os\n" : ""}from urllib.request import Request, urlopen\n\nasked = ${python}\n` +
    `request = Request("${location.origin}/v1/predict", json.dumps(asked).encode(), {"Content-Type": "application/json"${bearer}})\n` +
    `for answer in json.load(urlopen(request))["predictions"]:\n    print(answer["sentiment"], answer["confidence"], answer["expert"])\n`;
}
