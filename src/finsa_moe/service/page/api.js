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

export async function call(path, options = {}) {
  for (;;) {
    const headers = { ...options.headers, ...(token() ? { Authorization: `Bearer ${token()}` } : {}) };
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(say("gone"));
    }
    if (answer.ok) return answer;
    if (answer.status === 401 && await (asking ??= given())) continue;
    const problem = await answer.json().catch(() => ({}));
    throw new Refused(told(problem) || `${answer.status} ${answer.statusText}`);
  }
}

export const json = (path, body) => call(path, body === undefined ? {} : {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
}).then((answer) => answer.json());

// A stream of server-sent events, as [name, data] pairs.
export async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += value;
    const whole = held.split("\n\n");
    held = whole.pop();
    for (const one of whole) {
      const name = /^event: (.*)$/m.exec(one), data = /^data: (.*)$/m.exec(one);
      if (name && data) yield [name[1], JSON.parse(data[1])];
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
