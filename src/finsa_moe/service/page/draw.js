// What is drawn: answers, bars, words by their pull, charts. Texts are set as text, never as markup.
import { called, say, spoken } from "/page/words.js";

export const CLASSES = ["bearish", "neutral", "bullish"];
const STRANGE = 0.99;                              // as finsa_moe.runtime.prediction has it

export function el(tag, properties = {}, ...children) {
  const node = tag === "svg" || properties.svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "svg") continue;
    else if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (name === "style") Object.assign(node.style, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const percent = (share) => `${(100 * share).toFixed(share > 0.9995 || share < 0.0005 ? 0 : 1)}%`;

export function bars(scores) {
  const whole = CLASSES.reduce((sum, name) => sum + scores[name], 0) || 1;
  const said = CLASSES.map((name) => `${say(name)} ${percent(scores[name] / whole)}`).join(", ");
  return el("div", { class: "bars", role: "img", "aria-label": said, title: said },
    ...CLASSES.map((name) => el("span", { class: name, style: { width: `${(100 * scores[name]) / whole}%` } })));
}

export function numbers(scores, shown = percent) {
  return el("div", { class: "scores", "aria-hidden": "true" }, ...CLASSES.map((name) =>
    el("span", {}, `${say(name)} `, el("b", { class: `${name}-ink` }, shown(scores[name])))));
}

// The words that pull, in the text's order; `share` is of the strongest pull, or of 0.3 where all are weaker.
function pulling(characters, explanation) {
  const pull = (word) => word.bullish - word.bearish, most = Math.max(0.3, ...explanation.words.map((word) => Math.abs(pull(word))));
  return explanation.words.map((word) => {
    const up = pull(word) > 0, size = Math.abs(pull(word));
    return { start: word.start, end: word.end, shown: characters.slice(word.start, word.end).join(""), up, size, share: size / most,
      said: `${say(up ? "pullsUp" : "pullsDown")} ${percent(size)}` };
  }).filter((word) => word.share >= 0.04);
}

function words(characters, pulls) {
  const line = el("div", { class: "text", lang: "zh" });
  let at = 0;
  for (const { start, end, shown, up, share, said } of pulls) {
    const colour = `var(--${up ? "bullish" : "bearish"}-rgb)`;
    line.append(characters.slice(at, start).join(""), el("mark", {
      class: up ? "up" : "down", title: said,
      style: { background: `rgb(${colour} / ${(0.55 * share).toFixed(3)})`, borderBottomColor: `rgb(${colour} / ${(0.25 + 0.75 * share).toFixed(3)})` },
    }, shown));
    at = end;
  }
  line.append(characters.slice(at).join(""));
  return line;
}

const legend = () => el("div", { class: "legend" },
  el("span", {}, el("i", { class: "up" }), say("pullsUp")), el("span", {}, el("i", { class: "down" }), say("pullsDown")));

// What lies behind a drawing in numbers, which a finger cannot point at and a screen reader does not see.
const inNumbers = (...rows) => el("details", {}, el("summary", {}, say("inNumbers")), el("div", { class: "scroll" }, el("table", {}, ...rows)));

const strongest = (pulls) => inNumbers(...[...pulls].sort((a, b) => b.size - a.size).map(({ shown, said }) =>
  el("tr", {}, el("th", { scope: "row", lang: "zh" }, shown), el("td", {}, said))));

export function answer(text, found, tag = "li") {
  const label = found.label, strange = found.novelty !== null && found.novelty >= STRANGE;
  const weights = Object.entries(found.expert_weights || {});
  const characters = Array.from(text);            // offsets count characters, as Python does
  const pulls = found.explanation ? pulling(characters, found.explanation) : [];
  const others = Object.entries(found.explanation?.experts || {}).filter(([name]) => name !== found.expert);
  return el(tag, { class: "card answer", "data-label": label },
    el("div", { class: "verdict" },
      el("b", { class: `${label}-ink`, lang: "zh" }, found.sentiment),
      spoken() === "en" ? el("small", {}, say(label)) : null,
      el("span", { class: "number" }, percent(found.confidence)), el("small", {}, say("confidence"))),
    words(characters, pulls),
    el("div", {}, found.explanation ? legend() : null, pulls.length ? strongest(pulls) : null, bars(found.scores), numbers(found.scores)),
    el("div", { class: "facts" },
      el("span", { class: "fact main" }, `${say("expert")} ${called(found.expert)}`),
      el("span", { class: "fact" }, say("weights"), ...weights.map(([name, share]) => el("span", { class: "weight" },
        `${called(name)} ${percent(share)}`, el("meter", { value: share.toFixed(3), min: 0, max: 1, "aria-label": `${called(name)} ${percent(share)}` })))),
      ...others.map(([name, scores]) => {
        const best = CLASSES.reduce((a, b) => (scores[b] > scores[a] ? b : a));
        return el("span", { class: "fact" }, `${say("others")}${called(name)} `, el("b", { class: `${best}-ink` }, say(best)), ` ${percent(scores[best])}`);
      }),
      found.uncertain ? el("span", { class: "fact warn" }, say("uncertain")) : null,
      found.truncated ? el("span", { class: "fact warn" }, say("truncated")) : null,
      strange ? el("span", { class: "fact warn" }, say("strange")) : null));
}

// Days gathered into as many columns as can be told apart.
export function gathered(days, most = 90) {
  const week = (day) => { const d = new Date(`${day}T00:00Z`); d.setUTCDate(d.getUTCDate() - ((d.getUTCDay() + 6) % 7)); return d.toISOString().slice(0, 10); };
  for (const [unit, key] of [["day", (day) => day], ["week", week], ["month", (day) => day.slice(0, 7)]]) {
    const sums = new Map();
    for (const row of days) {
      const sum = sums.get(key(row.day)) || { day: key(row.day), bearish: 0, neutral: 0, bullish: 0 };
      for (const name of CLASSES) sum[name] += row[name];
      sums.set(sum.day, sum);
    }
    if (sums.size <= most || unit === "month") return { unit, columns: [...sums.values()] };
  }
  return null;
}

// Columns drawn to the width there is, and the same in numbers.
export function timeline(columns) {
  const frame = el("div", { class: "frame" }), counts = (column) => CLASSES.map((name) => el("td", {}, column[name].toLocaleString()));
  new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width && width !== Number(frame.dataset.width)) frame.replaceChildren(drawn(columns, frame.dataset.width = width));
  }).observe(frame);
  return el("div", {}, frame, inNumbers(el("tr", {}, ...["day", ...CLASSES].map((name) => el("th", { scope: "col" }, say(name)))),
    ...columns.map((column) => el("tr", {}, el("th", { scope: "row" }, column.day), ...counts(column)))));
}

export function drawn(columns, width) {
  const height = 240, foot = 22, left = 44, plot = height - foot - 8;
  const most = Math.max(1, ...columns.map((c) => c.bearish + c.neutral + c.bullish)), half = Math.ceil(most / 2);
  const ticks = most === 1 ? [0, 1] : [0, half, 2 * half], top = ticks.at(-1);      // counts are whole
  const step = (width - left) / columns.length, gap = Math.min(4, step * 0.2), parts = [];
  for (const tick of ticks) {
    const y = 8 + plot * (1 - tick / top);
    parts.push(el("line", { svg: true, class: "axis", x1: left, x2: width, y1: y, y2: y }),
      el("text", { svg: true, x: left - 6, y: y + 4, "text-anchor": "end" }, String(tick)));
  }
  columns.forEach((column, at) => {
    let y = 8 + plot;
    const said = `${column.day}: ${CLASSES.map((name) => `${say(name)} ${column[name]}`).join(", ")}`;
    const bar = el("g", { svg: true }, el("title", { svg: true }, said));
    for (const name of CLASSES) {
      const tall = (plot * column[name]) / top;
      y -= tall;
      if (tall > 0) bar.append(el("rect", { svg: true, class: name, x: left + at * step + gap / 2, y, width: Math.min(46, step - gap), height: tall, rx: Math.min(2, tall / 2) }));
    }
    parts.push(bar);
  });
  const every = Math.max(1, Math.ceil(columns.length / Math.max(1, Math.floor((width - left) / 85))));
  columns.forEach((column, at) => at % every === 0 && (at === 0 || left + at * step < width - 62) &&
    parts.push(el("text", { svg: true, x: left + at * step + gap / 2, y: height - 6 }, column.day)));
  const said = `${columns[0].day} – ${columns.at(-1).day}`;
  return el("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${say("time")}: ${said}` }, ...parts);
}

export function byTicker(rows) {
  return el("div", { class: "tickers" }, ...rows.flatMap((row) => [
    el("span", {}, row.ticker), bars(row), el("span", { class: "soft" }, String(row.bearish + row.neutral + row.bullish))]));
}
