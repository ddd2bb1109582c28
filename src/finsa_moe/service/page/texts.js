// Texts typed or pasted, one a line, and one text before two experts.
import { asCurl, asPython, json } from "/page/api.js";
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

export function startTexts(model) {
  let shown = null, sides = null, turn = 0;

  async function go() {
    const texts = $("words").value.split("\n").map((line) => line.trim()).filter(Boolean);
    const limits = model()?.limits || { max_texts: 1024, max_explained: 16 };
    if (!texts.length) { status($("said"), say("nothing"), true); $("words").focus(); return; }
    if (texts.length > limits.max_texts) { status($("said"), say("lines")(texts.length, limits.max_texts), true); return; }
    const explain = $("why").checked && texts.length <= limits.max_explained;
    const body = { texts, domain: $("expert").value || null, scores: true, explain };
    const own = ++turn;
    status($("said"), say("working"));
    $("go").disabled = true;
    try {
      const began = performance.now(), found = await json("/v1/predict", body);
      if (own !== turn) return;
      shown = { body, found, ms: Math.max(1, Math.round(performance.now() - began)), cut: $("why").checked && !explain, most: limits.max_explained };
      show();
    } catch (error) {
      status($("said"), error.message, true);
    } finally {
      $("go").disabled = false;
    }
  }

  function show() {
    if (!shown) return;
    const { body, found, ms, cut, most } = shown, mix = Object.fromEntries(CLASSES.map((name) => [name, 0]));
    for (const one of found.predictions) mix[one.label] += 1;
    status($("said"), say("answered")(body.texts.length, ms), false, ...(cut ? [say("noWhy")(most)] : []), ...copies(body));
    $("tally").replaceChildren(...(body.texts.length > 3 ? [bars(mix), numbers(mix, String)] : []));
    $("answers").replaceChildren(...found.predictions.map((one, at) => answer(body.texts[at], one)));
  }

  async function versus() {
    const text = $("one").value.split(/\s*\n\s*/).join(" ").trim(), names = [$("left").value, $("right").value];
    if (!text) { status($("verdict"), say("nothing"), true); $("one").focus(); return; }
    const explain = Boolean(model()?.explains);
    status($("verdict"), say("working"));
    $("versus").disabled = true;
    try {
      const asked = [...names, null].map((domain, at) => json("/v1/predict", { texts: [text], domain, scores: true, explain: explain && at < 2 }));
      const found = (await Promise.all(asked)).map((one) => one.predictions[0]);
      sides = { text, found };
      showSides();
    } catch (error) {
      status($("verdict"), error.message, true);
    } finally {
      $("versus").disabled = false;
    }
  }

  function showSides() {
    if (!sides) return;
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
