// Texts typed or pasted, one a line, and one text before two experts.
import { asCurl, asPython, json, Refused } from "/page/api.js";
import { answer, bars, CLASSES, el, numbers } from "/page/draw.js";
import { called, SAMPLES, say } from "/page/words.js";

const $ = (id) => document.getElementById(id);

export function status(node, words, wrong = false, ...more) {
  node.replaceChildren(words, ...more);
  node.classList.toggle("wrong", wrong);
}

async function copy(words) {
  let done = true;
  try {
    await navigator.clipboard.writeText(words);
  } catch {
    const area = el("textarea", { "aria-hidden": "true" });   // plain http on another machine has no clipboard
    area.value = words;
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
  }
  $("toast").textContent = say(done ? "copied" : "uncopied");
  $("toast").classList.add("shown");
  setTimeout(() => $("toast").classList.remove("shown"), 1600);
}

const copies = (body) => [
  el("button", { class: "chip", on: { click: () => copy(asCurl(body)) } }, say("curl")),
  el("button", { class: "chip", on: { click: () => copy(asPython(body)) } }, say("python"))];

// What a button starts: `work` gives what `show` is then handed; till then it is handed null, so nothing of an earlier run
// stays. Of several runs at once the last alone is shown.
function runs(button, node, work, show) {
  let turn = 0;
  return async () => {
    const own = ++turn;
    show(null);
    status(node, say("working"));
    button.disabled = true;
    try {
      const found = await work();
      if (own === turn) show(found);
    } catch (error) {
      if (own === turn) status(node, error.message, true);
    } finally {
      if (own === turn) button.disabled = false;
    }
  };
}

function filled(area, text) {
  if (text.length) return text;
  area.focus();
  throw new Refused(say("nothing"));
}

export function startTexts(known) {
  let shown = null, sides = null;

  const go = runs($("go"), $("said"), async () => {
    const texts = filled($("words"), $("words").value.split("\n").map((line) => line.trim()).filter(Boolean));
    const { limits } = await known();
    if (texts.length > limits.max_texts) throw new Refused(say("lines")(texts.length, limits.max_texts));
    const why = $("why").checked, explain = why && texts.length <= limits.max_explained;
    const body = { texts, domain: $("expert").value || null, scores: true, explain };
    const began = performance.now(), found = await json("/v1/predict", body);
    return { body, found, ms: Math.max(1, Math.round(performance.now() - began)), cut: why && !explain, most: limits.max_explained };
  }, (found) => { shown = found; show(); });

  function show() {
    if (!shown) { $("tally").replaceChildren(); $("answers").replaceChildren(); return; }
    const { body, found, ms, cut, most } = shown, mix = Object.fromEntries(CLASSES.map((name) => [name, 0]));
    for (const one of found.predictions) mix[one.label] += 1;
    status($("said"), say("answered")(body.texts.length, ms), false, ...(cut ? [say("noWhy")(most)] : []), ...copies(body));
    $("tally").replaceChildren(...(body.texts.length > 3 ? [bars(mix), numbers(mix, String)] : []));
    $("answers").replaceChildren(...found.predictions.map((one, at) => answer(body.texts[at], one)));
  }

  const versus = runs($("versus"), $("verdict"), async () => {
    const text = filled($("one"), $("one").value.split(/\s*\n\s*/).join(" ").trim());
    const { explains } = await known();             // which also fills the two choices
    const asked = [$("left").value, $("right").value, null].map((domain, at) =>
      json("/v1/predict", { texts: [text], domain, scores: true, explain: explains && at < 2 }));
    return { text, found: (await Promise.all(asked)).map((one) => one.predictions[0]) };
  }, (found) => { sides = found; showSides(); });

  function showSides() {
    if (!sides) { $("sides").replaceChildren(); return; }
    const [one, other, routed] = sides.found;
    status($("verdict"), `${say(one.label === other.label ? "agree" : "differ")} ${say("chose")(called(routed.expert))}`);
    $("sides").replaceChildren(answer(sides.text, one, "article"), answer(sides.text, other, "article"));
  }

  $("samples").replaceChildren(...SAMPLES.map((text) => el("button", { class: "chip", lang: "zh", title: text, on: { click: () => {
    $("words").value = [$("words").value.trim(), text].filter(Boolean).join("\n");
    $("words").focus();
  } } }, text)));
  $("go").addEventListener("click", go);
  $("versus").addEventListener("click", versus);
  for (const [area, act] of [["words", go], ["one", versus]])
    $(area).addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); act(); }
    });
  document.addEventListener("words", () => { show(); showSides(); });
}
