// Many texts: the predictions of a CSV's rows, a chart of them, and a download

const PREVIEW = 50; // rows
const SHOWN = 160; // characters of each
const NOTES = { empty: "empty", truncated: "cut off", unfamiliar: "unfamiliar" };
const ADDED = ["predicted_label", "predicted_emotion", "confidence", "empty_text", "truncated_text", "unfamiliar"];
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
    element("done").textContent = "";
    element("progress").hidden = element("stop").hidden = true;
  }
}

async function predictRows(table, name) {
  const { rows, column } = table;
  element("progress").value = 0;
  element("progress").hidden = element("stop").hidden = false;
  element("csv-status").textContent = `${name}: ${counted(rows.length, "row")} to predict …`;
  const answers = [];
  let failure;
  try {
    for (let start = 0; start < rows.length && !stopped; start += backend.atOnce) {
      const texts = rows.slice(start, start + backend.atOnce).map((row) => row[column]);
      const found = await answersOrReasons(texts);
      answers.push(...found.map((answer, place) => ({ ...answer, empty: isBlank(texts[place]) })));
      element("progress").value = answers.length / rows.length;
      element("done").textContent = `${number(answers.length)} of ${number(rows.length)} rows`;
      await pause();
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
  preview(rows.slice(0, PREVIEW), column, answers);
  element("csv-answer").hidden = false;
}

// Let the page live. A timer would wait for a second in a tab that nobody looks at; a message does not.
function pause() {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
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
  const marked = (key, what) => {
    const found = done.filter((answer) => answer[key]).length;
    if (found) sentences.push(`${counted(found, "row")} ${found === 1 ? "has" : "have"} ${what}.`);
  };
  marked("empty", "no text");
  marked("truncated", `more than ${backend.model.maxLength} tokens, of which only the first are read`);
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
  const more = hasDistances ? ADDED : ADDED.slice(0, -1);
  const cells = ({ probabilities, reason, empty, truncated, unfamiliar }) => {
    if (reason) return more.map(() => "");
    const label = highest(probabilities);
    const marks = [empty, truncated, unfamiliar].map((mark) => (mark ? "True" : "False"));
    return [label, labels[label], probabilities[label].toFixed(6), ...marks].slice(0, more.length);
  };
  const lines = [[...names, ...more], ...answers.map((answer, place) => [...rows[place], ...cells(answer)])];
  URL.revokeObjectURL(download);
  download = URL.createObjectURL(new Blob([lines.map(csvLine).join("")], { type: "text/csv" }));
  element("download").href = download;
  element("download").download = `${name.replace(/\.[^.]*$/, "")}_predictions.csv`;
}

function preview(rows, column, answers) {
  const cell = (tag, content, className = "") => {
    const made = document.createElement(tag);
    made.textContent = content;
    made.className = className;
    return made;
  };
  const line = (...cells) => {
    const row = document.createElement("tr");
    row.append(...cells);
    return row;
  };
  const titles = [cell("th", "text"), cell("th", "emotion"), cell("th", "confidence", "number")];
  element("preview").tHead.replaceChildren(line(...titles));
  const lines = rows.slice(0, answers.length).map((row, place) => {
    const text = row[column];
    const shown = cell("td", text.length > SHOWN ? `${text.slice(0, SHOWN)} …` : text);
    const { probabilities, reason, ...marks } = answers[place];
    if (reason) return line(shown, cell("td", "none"), cell("td", ""));
    const label = highest(probabilities);
    const emotion = cell("td", labels[label]);
    for (const [mark, note] of Object.entries(NOTES)) if (marks[mark]) emotion.append(cell("small", note, "muted"));
    return line(shown, emotion, cell("td", percent(probabilities[label]), "number"));
  });
  element("preview").tBodies[0].replaceChildren(...lines);
}

const readFile = (file) => predictCsv(async () => readTable(decoded(await file.arrayBuffer())), file.name);

element("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = ""; // the same file may be chosen again
  if (file) readFile(file);
});
element("stop").addEventListener("click", () => {
  stopped = true;
});
const carriesFiles = (event) => event.dataTransfer.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  element("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) element("drop").classList.remove("over"); // the file has left the page
});
document.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault(); // beside its place, too: the browser would open the file instead of this page
  element("drop").classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) readFile(file);
});
const predictPasted = (content) => predictCsv(() => readPasted(content), "pasted.csv");
element("paste").addEventListener("paste", (event) => {
  event.preventDefault();
  const [file] = event.clipboardData.files;
  if (file) readFile(file);
  else predictPasted(event.clipboardData.getData("text/plain"));
});
element("paste").addEventListener("change", (event) => {
  const { value } = event.target; // typed, or put there by a phone's keyboard
  event.target.value = "";
  if (!isBlank(value)) predictPasted(value);
});
