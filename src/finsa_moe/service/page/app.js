// The page's start: language, theme, tabs, and what the service says of itself.
import { json } from "/page/api.js";
import { el } from "/page/draw.js";
import { startFile } from "/page/file.js";
import { startTexts, status } from "/page/texts.js";
import { called, say, speak, spoken } from "/page/words.js";

const $ = (id) => document.getElementById(id);
const system = matchMedia("(prefers-color-scheme: dark)");
const TABS = ["texts", "compare", "file"];
let model = null, asked = null;

function theme(chosen) {
  const dark = chosen ? chosen === "dark" : system.matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").textContent = say("theme")[dark ? "light" : "dark"];
}

function options(select, first) {
  const before = select.value;
  select.replaceChildren(...(first ? [el("option", { value: "" }, say("router"))] : []),
    ...(model?.experts || []).map((name) => el("option", { value: name }, called(name))));
  if ([...select.options].some((option) => option.value === before)) select.value = before;
}

function words() {
  document.documentElement.lang = spoken() === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  for (const node of document.querySelectorAll("[data-hint]")) node.placeholder = say(node.dataset.hint);
  for (const node of document.querySelectorAll("[data-name]")) node.setAttribute("aria-label", say(node.dataset.name));
  $("words").placeholder = say("hint");
  $("language").textContent = say("language");
  $("language").lang = spoken() === "zh" ? "en" : "zh";
  theme(localStorage.getItem("finsa-theme"));
  options($("expert"), true); options($("fileexpert"), true);
  options($("left"), false); options($("right"), false);
  if (model) {
    $("model").textContent = `${model.name} · ${model.engine}`;
    $("limits").textContent = say("limits")(model.limits);
  }
  document.dispatchEvent(new Event("words"));
}

function open(name) {
  for (const tab of TABS) {
    const chosen = tab === name;
    $(tab).hidden = !chosen;
    $(`tab-${tab}`).setAttribute("aria-selected", String(chosen));
    $(`tab-${tab}`).tabIndex = chosen ? 0 : -1;
  }
}

for (const tab of TABS) $(`tab-${tab}`).addEventListener("click", () => open(tab));
$("tabs").addEventListener("keydown", (event) => {
  const now = TABS.findIndex((tab) => !$(tab).hidden);
  const to = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: -1 }[event.key];
  if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();                         // or the page scrolls
  const next = TABS.at(to % TABS.length);
  open(next);
  $(`tab-${next}`).focus();
});
$("language").addEventListener("click", () => { speak(spoken() === "zh" ? "en" : "zh"); words(); });
$("theme").addEventListener("click", () => {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("finsa-theme", next);
  theme(next);
});
system.addEventListener("change", () => theme(localStorage.getItem("finsa-theme")));
if (navigator.platform.startsWith("Mac")) $("keys").textContent = "⌘ ↵";

async function ask() {
  const found = await json("/v1/model");
  model = found;
  $("why").checked = $("why").checked && found.explains;
  $("why").disabled = !found.explains;
  if ($("said").classList.contains("wrong")) status($("said"), "");    // of an earlier try
  words();
  if (found.experts.length > 1) $("right").value = found.experts[1];
  return found;
}

// The model that is served; asked for again by each action until the service has told it.
const known = () => (asked ??= ask().catch((error) => { asked = null; throw error; }));

words();
startTexts(known);
startFile(known);
known().catch((error) => status($("said"), error.message, true));
