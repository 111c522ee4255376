const element = (id) => document.getElementById(id);
const { labels } = backend.model;
const colour = (label) => `var(--c${Math.min(label, 6)})`;
const number = (count) => count.toLocaleString("en");
const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
const percent = (share) => `${(100 * share).toFixed(share > 0.995 || share < 0.005 ? 1 : 0)} %`;

// The model, or the reason why it cannot answer

const ready = backend.start().catch((error) => {
  throw new Error(`The model cannot run in this browser: ${error.message}`);
});

// One text

let asked = 0;
let explained = 0;
let waiting;

async function show(text) {
  const mine = ++asked;
  explained++; // the words of the text before are no longer wanted
  element("status").textContent = "";
  if (isBlank(text)) {
    element("answer").hidden = true;
    return;
  }
  try {
    const [answer] = await backend.answer([text]);
    if (mine !== asked) return; // the text has changed meanwhile
    const label = highest(answer.probabilities);
    element("label").textContent = labels[label];
    element("confidence").textContent = `with ${percent(answer.probabilities[label])} confidence`;
    warn(answer);
    element("answer").hidden = false;
    const explain = (which) => {
      fillBars(element("bars"), answer.probabilities, answer.probabilities.map(percent), explain, which);
      explainWords(text, which);
    };
    explain(label);
  } catch (error) {
    if (mine !== asked) return;
    element("answer").hidden = true;
    fail("status", error);
  }
}

function warn({ unfamiliar, truncated }) {
  const sentences = [];
  if (unfamiliar) sentences.push("This text is unlike those that the model learned from: expect more mistakes.");
  const most = backend.model.maxLength;
  if (truncated) sentences.push(`It is longer than the model reads: only its first ${most} tokens count.`);
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

async function explainWords(text, label) {
  const mine = ++explained;
  element("status").textContent = "";
  element("words-title").textContent = `Which words speak for ${labels[label]}`;
  element("words").textContent = text;
  element("words-note").textContent = "";
  element("words").ariaBusy = "true";
  try {
    const found = await scoreWords(text, label, () => mine === explained);
    if (!found) return;
    element("words").replaceChildren(...markedWords(text, label, found));
    element("words-note").textContent = wordsNote(found);
  } catch (error) {
    if (mine === explained) fail("status", error);
  } finally {
    if (mine === explained) element("words").ariaBusy = "false";
  }
}

function markedWords(text, label, { groups, scores }) {
  const largest = Math.max(...scores.map(Math.abs), 0.1);
  const parts = [];
  let end = 0;
  groups.forEach(([start, next], place) => {
    parts.push(text.slice(end, start), markedWord(text.slice(start, next), label, scores[place], largest));
    end = next;
  });
  return [...parts, text.slice(end)];
}

function markedWord(word, label, score, largest) {
  if (Math.abs(score) < 0.1 * largest) return word;
  const direction = score > 0 ? "for" : "against";
  const spoken = document.createElement("span"); // colours and lines say nothing to a screen reader
  spoken.className = "hidden";
  spoken.textContent = ` (${direction})`;
  const span = document.createElement("span");
  span.append(word, spoken);
  span.className = direction;
  span.title = `${direction}: ${Math.abs(score).toFixed(2)} nats`;
  span.style.setProperty("--colour", colour(label));
  span.style.setProperty("--share", (Math.abs(score) / largest).toFixed(2));
  return span;
}

function wordsNote({ groups, words, read }) {
  const sentences = [];
  const left = words - read;
  if (left) sentences.push(`The model does not read the last ${counted(left, "word")}, so nothing is said of them.`);
  if (groups.length < read)
    sentences.push(`${number(read)} words are scored in ${groups.length} groups of neighbours.`);
  return sentences.join(" ");
}

// Many texts

const PREVIEW = 50;
const ADDED = ["predicted_label", "predicted_emotion", "confidence", "unfamiliar"];
let stopped = false;
let running = false;
let download = "";

// `read` returns a table as `readTable` does.
async function predictCsv(read, name) {
  if (running) {
    element("csv-note").textContent = `${name} is not read, as another CSV is not done yet. Stop that one, or wait.`;
    return;
  }
  running = true;
  stopped = false;
  element("csv-answer").hidden = true;
  element("csv-status").textContent = `${name}: waiting for the model …`;
  try {
    await ready;
    const table = await read();
    if (!table.rows.length) throw new Error("The CSV must have at least one row; it has only a header.");
    const clash = ADDED.find((column) => table.names.includes(column));
    if (clash) throw new Error(`The CSV must not have a column “${clash}” yet; choose the original CSV.`);
    await predictRows(table, name);
  } catch (error) {
    fail("csv-status", error);
  } finally {
    running = false;
    element("csv-note").textContent = "";
    element("progress").hidden = element("stop").hidden = true;
  }
}

async function predictRows(table, name) {
  const { rows, column } = table;
  element("progress").value = 0;
  element("progress").hidden = element("stop").hidden = false;
  const answers = [];
  let failure;
  try {
    for (let start = 0; start < rows.length && !stopped; start += backend.atOnce) {
      answers.push(...(await answersOrReasons(rows.slice(start, start + backend.atOnce).map((row) => row[column]))));
      element("progress").value = answers.length / rows.length;
      element("csv-status").textContent = `${name}: ${number(answers.length)} of ${number(rows.length)} rows`;
      await new Promise((resolve) => setTimeout(resolve)); // the page stays alive
    }
  } catch (error) {
    if (!answers.length) throw error;
    failure = error; // what is done stays available
  }
  element("csv-status").textContent = summary(table, answers, name, failure);
  const done = answers.filter((answer) => !answer.reason);
  if (!done.length) return;
  const counts = labels.map(() => 0);
  for (const { probabilities } of done) counts[highest(probabilities)]++;
  fillBars(element("counts"), counts, counts.map(number));
  offerDownload(table, answers, name);
  preview(["text", "emotion", "confidence"], rows.slice(0, PREVIEW), column, answers);
  element("csv-answer").hidden = false;
}

// Answer texts; if the server refuses them, each alone, so that one that is too long does not stop the others.
async function answersOrReasons(texts) {
  try {
    return await backend.answer(texts);
  } catch (error) {
    if (!error.isOfTexts) throw error;
    if (texts.length === 1) return [{ reason: error.message }];
  }
  const answers = [];
  for (const text of texts) answers.push(...(await answersOrReasons([text])));
  return answers;
}

function summary({ rows, firstRow }, answers, name, failure) {
  const left = number(rows.length - answers.length);
  let end = ".";
  if (failure) end = `, failed before ${left} more: ${failure.message}.`;
  else if (stopped) end = `, stopped before ${left} more.`;
  const sentences = [`${name}: ${counted(answers.length, "row")}${end}`];
  const refused = answers.findIndex((answer) => answer.reason);
  const done = answers.filter((answer) => !answer.reason);
  if (refused >= 0) {
    const without = `${counted(answers.length - done.length, "row")} without a prediction`;
    const where = `row ${refused + firstRow}${firstRow === 2 ? " (the header is row 1)" : ""}`;
    sentences.push(`${without}, the first is ${where}: ${answers[refused].reason}.`);
  }
  const unlike = done.filter((answer) => answer.unfamiliar).length;
  if (unlike > 0.1 * done.length)
    sentences.push(
      `${percent(unlike / done.length)} of the predicted are unlike the text that the model learned from ` +
        "(5 % would be usual): expect more mistakes.",
    );
  return sentences.join(" ");
}

function offerDownload({ names, rows }, answers, name) {
  const hasDistances = answers.some((answer) => typeof answer.unfamiliar === "boolean");
  const more = hasDistances ? ADDED : ADDED.slice(0, 3);
  const cells = ({ probabilities, unfamiliar, reason }) => {
    if (reason) return more.map(() => "");
    const label = highest(probabilities);
    const all = [label, labels[label], probabilities[label].toFixed(6), unfamiliar ? "True" : "False"];
    return all.slice(0, more.length);
  };
  const lines = [[...names, ...more], ...answers.map((answer, place) => [...rows[place], ...cells(answer)])];
  URL.revokeObjectURL(download);
  download = URL.createObjectURL(new Blob([lines.map(csvLine).join("")], { type: "text/csv" }));
  element("download").href = download;
  element("download").download = `${name.replace(/\.[^.]*$/, "")}_predictions.csv`;
}

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
      const { probabilities, reason } = answers[place];
      const text = row[column].slice(0, 300);
      if (reason) return line([text, "none", ""], "td");
      const label = highest(probabilities);
      return line([text, labels[label], percent(probabilities[label])], "td");
    }),
  );
}

const readFile = (file) => predictCsv(async () => readTable(decoded(await file.arrayBuffer())), file.name);

function fail(id, error) {
  element(id).textContent = error.message[0].toUpperCase() + error.message.slice(1);
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
  else {
    const content = event.clipboardData.getData("text/plain");
    predictCsv(() => readPasted(content), "pasted.csv");
  };
});

(async () => {
  try {
    await ready;
    element("text").disabled = false;
    element("status").textContent = "";
    document.documentElement.dataset.ready = "true";
    await show(element("text").value);
  } catch (error) {
    fail("status", error);
  }
})();
