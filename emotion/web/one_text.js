// One text: its emotions as bars, and the words that speak for each

let asked = 0;
let explained = 0;
let waiting;

async function show(text) {
  const mine = ++asked;
  explained++; // the words of the text before are no longer wanted
  element("status").textContent = "";
  if (isBlank(text)) {
    reveal(false);
    return;
  }
  try {
    const [answer] = await backend.answer([text]);
    if (mine !== asked) return; // the text has changed meanwhile
    const label = highest(answer.probabilities);
    element("label").textContent = labels[label];
    element("confidence").textContent = `with ${percent(answer.probabilities[label])} confidence`;
    reveal(true, warnings(answer));
    const explain = (which) => {
      fillBars(element("bars"), answer.probabilities, answer.probabilities.map(percent), explain, which);
      explainWords(text, which);
    };
    explain(label);
  } catch (error) {
    if (mine !== asked) return;
    reveal(false);
    fail("status", error);
  }
}

function warnings({ unfamiliar, truncated }) {
  const sentences = [];
  if (unfamiliar) sentences.push("This text is unlike those that the model learned from: expect more mistakes.");
  const most = backend.model.maxLength;
  if (truncated) sentences.push(`It is longer than the model reads: only its first ${most} tokens count.`);
  return sentences.join(" ");
}

// Show the answer, or nothing. Screen readers say what appears within the part that they watch.
function reveal(isAnswered, warning = "") {
  element("verdict").hidden = element("answer").hidden = !isAnswered;
  element("warning").textContent = warning;
  element("warning").hidden = !warning;
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

element("text").addEventListener("input", (event) => {
  clearTimeout(waiting);
  waiting = setTimeout(() => show(event.target.value), 120);
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
