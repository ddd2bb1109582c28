// A file: dropped or chosen, sent, its progress watched, its answer fetched, its sentiment drawn.
import { blob, call, events } from "/page/api.js";
import { bars, byTicker, el, gathered, numbers, timeline } from "/page/draw.js";
import { status } from "/page/texts.js";
import { say, told } from "/page/words.js";

const $ = (id) => document.getElementById(id);
const TYPES = { csv: "text/csv", tsv: "text/tab-separated-values", jsonl: "application/x-ndjson", ndjson: "application/x-ndjson",
  parquet: "application/vnd.apache.parquet" };

const ending = (file) => file.name.split(".").pop().toLowerCase();

export function startFile(known) {
  let file = null, done = null, running = null;

  function take(chosen) {
    if (!chosen || running) return;
    const taken = Object.hasOwn(TYPES, ending(chosen));
    file = taken ? chosen : null;
    name();
    $("send").disabled = !taken;
    done = null;
    $("outcome").replaceChildren();
    status($("told"), taken ? "" : say("endings"), !taken);
  }

  function name() {
    $("dropped").textContent = file ? `${file.name} · ${file.size < 1024 ? `${file.size} B` : `${(file.size / 1024).toFixed(0)} KB`}` : say("drop");
  }

  async function send() {
    done = null;
    running = new AbortController();
    $("send").disabled = true;
    $("stop").hidden = $("progress").hidden = false;
    $("bar").removeAttribute("value");
    $("outcome").replaceChildren();
    status($("told"), say("sending"));
    try {
      await file.slice(0, 1).arrayBuffer().catch(() => { throw new Error(say("stale")); });
      await known();
      const query = new URLSearchParams({ name: file.name, bom: String($("bom").checked) });
      if ($("column").value.trim()) query.set("text", $("column").value.trim());
      if ($("fileexpert").value) query.set("domain", $("fileexpert").value);
      const answer = await call(`/v1/predict/file?${query}`, { method: "POST", body: file, signal: running.signal,
        headers: { "Content-Type": TYPES[ending(file)], Accept: "text/event-stream" } });
      let ended = false;
      for await (const [event, data] of events(answer)) {
        if (event === "progress") {
          $("bar").value = data.rows / data.of;
          status($("told"), say("rows")(data.rows, data.of));
        } else if (event === "done") {
          done = data;
          ended = true;
          show();
        } else throw new Error(told(data));
      }
      if (!ended) throw new Error(say("gone"));
    } catch (error) {
      status($("told"), error.name === "AbortError" ? say("stopped") : error.message, error.name !== "AbortError");
    } finally {
      running = null;
      $("send").disabled = false;
      $("stop").hidden = $("progress").hidden = true;
    }
  }

  // What is told of an answer that can be fetched, beside the button that fetches it.
  const offer = (words, wrong = false) => status($("told"), words, wrong,
    el("button", { id: "download", class: "primary", on: { click: download } }, say("download")));

  async function download() {
    const own = done;
    try {
      const place = URL.createObjectURL(await blob(own.file)), link = el("a", { href: place, download: own.name });
      document.body.append(link);
      link.click();
      link.remove();
      setTimeout(() => URL.revokeObjectURL(place), 10_000);
    } catch (error) {
      if (done === own) offer(error.message, true);
    }
  }

  function show() {
    if (!done) return;
    offer(say("done")(done));
    const parts = [el("section", { class: "card" }, el("h2", {}, say("all")), bars(done.all), numbers(done.all, (n) => n.toLocaleString()))];
    if (done.days.length) {
      const { unit, columns } = gathered(done.days);
      parts.push(el("section", { class: "card", id: "time" }, el("h2", {}, `${say("time")} · ${say("unit")[unit]}`), timeline(columns)));
    }
    if (done.tickers.length) parts.push(el("section", { class: "card", id: "tickers" }, el("h2", {}, say("tickers")), byTicker(done.tickers)));
    $("outcome").replaceChildren(...parts);
  }

  $("chosen").addEventListener("change", () => {
    take($("chosen").files[0]);
    $("chosen").value = "";                       // or the same file, mended, would be no change
  });
  $("send").addEventListener("click", send);
  $("stop").addEventListener("click", () => running?.abort());
  for (const kind of ["dragenter", "dragover"]) $("drop").addEventListener(kind, (event) => { event.preventDefault(); $("drop").classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) $("drop").addEventListener(kind, (event) => { event.preventDefault(); $("drop").classList.remove("over"); });
  $("drop").addEventListener("drop", (event) => take(event.dataTransfer.files[0]));
  // A file that falls beside the box is not taken, and not opened in the page's place either.
  for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => { if (event.dataTransfer?.types.includes("Files")) event.preventDefault(); });
  document.addEventListener("words", () => { name(); show(); });
}
