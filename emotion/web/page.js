const element = (id) => document.getElementById(id);
const { labels } = backend.model;
const colour = (label) => `var(--c${Math.min(label, 6)})`;
const percent = (share) => `${(100 * share).toFixed(share > 0.995 || share < 0.005 ? 1 : 0)} %`;

// One text

let asked = 0;
let waiting;

async function show(text) {
  const mine = ++asked;
  element("answer").hidden = !text.trim();
  element("status").textContent = "";
  if (!text.trim()) return;
  try {
    const [answer] = await backend.answer([text]);
    if (mine !== asked) return; // the text has changed meanwhile
    const label = highest(answer.probabilities);
    element("label").textContent = labels[label];
    element("confidence").textContent = `with ${percent(answer.probabilities[label])} confidence`;
    warn(answer);
    const explain = (which) => {
      fillBars(element("bars"), answer.probabilities, answer.probabilities.map(percent), explain, which);
      return explainWords(text, which, mine);
    };
    await explain(label);
  } catch (error) {
    if (mine === asked) fail("status", error);
  }
}

function warn({ unfamiliar, truncated }) {
  const sentences = [];
  if (unfamiliar) sentences.push("This text is unlike those that the model learned from: expect more mistakes.");
  if (truncated) sentences.push(`It is longer than the model reads: only its first ${backend.model.maxLength} tokens count.`);
  element("warning").textContent = sentences.join(" ");
  element("warning").hidden = !sentences.length;
}

const highest = (values) => values.indexOf(Math.max(...values));

function fillBars(list, shares, values, onChoice, chosen) {
  const most = onChoice ? 1 : Math.max(...shares, 1e-9);
  const focused = list.contains(document.activeElement) ? document.activeElement.textContent : null;
  const order = shares.map((_, label) => label).sort((a, b) => shares[b] - shares[a]);
  list.replaceChildren(
    ...order.map((label) => {
      const item = document.createElement("li");
      const name = document.createElement(onChoice ? "button" : "span");
      name.className = onChoice ? "" : "name";
      name.textContent = labels[label];
      if (onChoice) {
        name.type = "button";
        name.setAttribute("aria-pressed", String(label === chosen));
        name.title = `Which words speak for ${labels[label]}?`;
        name.addEventListener("click", () => onChoice(label));
      }
      const track = document.createElement("div");
      track.className = "track";
      track.ariaHidden = "true";
      const fill = document.createElement("div");
      fill.className = "fill";
      fill.style.width = `${(100 * shares[label]) / most}%`;
      fill.style.setProperty("--colour", colour(label));
      track.append(fill);
      const value = document.createElement("span");
      value.className = "value";
      value.textContent = values[label];
      item.append(name, track, value);
      return item;
    }),
  );
  if (focused) [...list.querySelectorAll("button")].find((button) => button.textContent === focused)?.focus();
}

const MOST_WORDS = 128;

// Score words as `scripts/explain.py` does: by the log-probability that the label loses without the word.
async function explainWords(text, label, mine) {
  element("words-title").textContent = `Which words speak for ${labels[label]}`;
  const parts = text.match(/\s+|\S+/gu) ?? [];
  const words = parts.map((_, place) => place).filter((place) => parts[place].trim()).slice(0, MOST_WORDS);
  element("words").textContent = text;
  const without = words.map((place) => parts.filter((_, other) => other !== place && other !== place + 1).join(""));
  const found = [];
  const batches = [text, ...without];
  for (let start = 0; start < batches.length; start += backend.atOnce)
    found.push(...(await backend.answer(batches.slice(start, start + backend.atOnce))));
  if (mine !== asked) return;
  const [whole, ...rest] = found.map((answer) => Math.log(Math.max(answer.probabilities[label], 1e-30)));
  const scores = new Map(words.map((place, index) => [place, whole - rest[index]]));
  const largest = Math.max(...[...scores.values()].map(Math.abs), 0.1);
  element("words").replaceChildren(
    ...parts.map((part, place) => {
      const span = document.createElement("span");
      span.textContent = part;
      const score = scores.get(place) ?? 0;
      if (Math.abs(score) < 0.1 * largest) return part.trim() ? span : document.createTextNode(part);
      span.className = score > 0 ? "for" : "against";
      span.title = `${score > 0 ? "for" : "against"}: ${Math.abs(score).toFixed(2)} nats`;
      span.style.setProperty("--colour", colour(label));
      span.style.setProperty("--share", (Math.abs(score) / largest).toFixed(2));
      return span;
    }),
  );
}

// Many texts

// Parse RFC 4180: fields in quotes may hold separators, line breaks and doubled quotes.
function parseCsv(content) {
  const separator = guessedSeparator(content);
  const rows = [];
  let row = [];
  let field = "";
  let quoted = false;
  let begun = false;
  for (let place = 0; place < content.length; place++) {
    const character = content[place];
    if (quoted) {
      if (character !== '"') field += character;
      else if (content[place + 1] === '"') field += content[++place];
      else quoted = false;
    } else if (character === '"' && !field) {
      quoted = begun = true;
    } else if (character === separator) {
      row.push(field);
      field = "";
      begun = true;
    } else if (character === "\n" || character === "\r") {
      if (character === "\r" && content[place + 1] === "\n") place++;
      if (begun || field) rows.push([...row, field]);
      row = [];
      field = "";
      begun = false;
    } else field += character;
  }
  if (quoted) throw new Error("The CSV must end outside quotes: one is never closed.");
  if (begun || field) rows.push([...row, field]);
  return rows;
}

function guessedSeparator(content) {
  const head = content.split(/[\r\n]/, 1)[0];
  const counts = [",", ";", "\t"].map((separator) => head.split(separator).length);
  return [",", ";", "\t"][highest(counts)];
}

function decoded(buffer) {
  const bytes = new Uint8Array(buffer, 0, Math.min(2, buffer.byteLength));
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder("utf-16le").decode(buffer);
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return new TextDecoder("utf-16be").decode(buffer);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(buffer);
  } catch {
    throw new Error("The CSV must be in UTF-8. Save it as “CSV UTF-8” and choose it again.");
  }
}

const PREVIEW = 50;
let stopped = false;
let running = false;
let download = "";

async function predictCsv(content, name) {
  if (running) return;
  running = true;
  stopped = false;
  element("csv-answer").hidden = true;
  try {
    const [header, ...rows] = parseCsv(content);
    if (!header) throw new Error("The CSV must have at least one row.");
    let column = header.findIndex((cell) => cell.trim().toLowerCase() === "text");
    let names = header;
    let body = rows;
    if (column < 0 && header.length === 1) {
      column = 0; // lines without a header
      names = ["text"];
      body = [header, ...rows];
    }
    if (column < 0) throw new Error(`The CSV must have a column “text”; it has: ${header.join(", ").slice(0, 200)}.`);
    if (!body.length) throw new Error("The CSV must have at least one row; it has only a header.");
    const short = body.findIndex((row) => row.length <= column);
    if (short >= 0) throw new Error(`Each row must have a text; row ${short + 2} has ${body[short].length} cells.`);
    await predictRows(names, body, column, name);
  } catch (error) {
    fail("csv-status", error);
  } finally {
    running = false;
    element("progress").hidden = element("stop").hidden = true;
  }
}

async function predictRows(names, rows, column, name) {
  element("progress").hidden = element("stop").hidden = false;
  const answers = [];
  for (let start = 0; start < rows.length && !stopped; start += backend.atOnce) {
    const texts = rows.slice(start, start + backend.atOnce).map((row) => row[column]);
    answers.push(...(await backend.answer(texts)));
    element("progress").value = answers.length / rows.length;
    element("csv-status").textContent = `${name}: ${answers.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
    await new Promise((resolve) => setTimeout(resolve)); // the page stays alive
  }
  const counts = labels.map(() => 0);
  for (const { probabilities } of answers) counts[highest(probabilities)]++;
  const unlike = answers.filter((answer) => answer.unfamiliar).length;
  const done = `${name}: ${answers.length.toLocaleString("en")} rows${stopped ? `, stopped before ${(rows.length - answers.length).toLocaleString("en")} more` : ""}.`;
  element("csv-status").textContent =
    unlike > 0.1 * answers.length
      ? `${done} ${percent(unlike / answers.length)} of them are unlike the text that the model learned from (5 % would be usual): expect more mistakes.`
      : done;
  if (!answers.length) return;
  fillBars(element("counts"), counts, counts.map((count) => count.toLocaleString("en")));
  const added = answers.map((answer) => {
    const label = highest(answer.probabilities);
    const cells = [label, labels[label], answer.probabilities[label].toFixed(6)];
    return answer.unfamiliar === null ? cells : [...cells, answer.unfamiliar ? "True" : "False"];
  });
  const more = ["predicted_label", "predicted_emotion", "confidence", ...(added[0].length > 3 ? ["unfamiliar"] : [])];
  const lines = [[...names, ...more], ...added.map((cells, place) => [...rows[place], ...cells])];
  URL.revokeObjectURL(download);
  download = URL.createObjectURL(new Blob([lines.map(csvLine).join("")], { type: "text/csv" }));
  element("download").href = download;
  element("download").download = `${name.replace(/\.[^.]*$/, "")}_predictions.csv`;
  preview(["text", "emotion", "confidence"], rows.slice(0, PREVIEW), column, answers);
  element("csv-answer").hidden = false;
}

const csvLine = (cells) =>
  `${cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : cell)).join(",")}\n`;

function preview(names, rows, column, answers) {
  const line = (cells, tag) => {
    const row = document.createElement("tr");
    cells.forEach((cell, place) => {
      const made = document.createElement(tag);
      made.textContent = cell;
      if (place === 2) made.className = "number";
      row.append(made);
    });
    return row;
  };
  const table = element("preview");
  table.tHead.replaceChildren(line(names, "th"));
  table.tBodies[0].replaceChildren(
    ...rows.slice(0, answers.length).map((row, place) => {
      const { probabilities } = answers[place];
      const label = highest(probabilities);
      return line([row[column].slice(0, 300), labels[label], percent(probabilities[label])], "td");
    }),
  );
}

async function readFile(file) {
  try {
    await predictCsv(decoded(await file.arrayBuffer()), file.name);
  } catch (error) {
    fail("csv-status", error);
  }
}

function fail(id, error) {
  element(id).textContent = error.message;
}

element("text").addEventListener("input", (event) => {
  clearTimeout(waiting);
  waiting = setTimeout(() => show(event.target.value), 120);
});
element("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = ""; // the same file may be chosen again
  if (file) readFile(file);
});
element("stop").addEventListener("click", () => {
  stopped = true;
});
const drop = element("drop");
drop.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) readFile(file);
});
drop.addEventListener("paste", (event) => {
  event.preventDefault();
  const [file] = event.clipboardData.files;
  if (file) readFile(file);
  else predictCsv(event.clipboardData.getData("text/plain"), "pasted.csv");
});

(async () => {
  try {
    await backend.start();
    element("text").disabled = false;
    element("status").textContent = "";
    document.documentElement.dataset.ready = "true";
    await show(element("text").value);
  } catch (error) {
    element("status").textContent = `The model cannot run in this browser: ${error.message}`;
  }
})();
