// Score words as `scripts/explain.py` does (emotion/evaluation/words.py and occlusion.py).

const MOST_WORDS = 128;
const SMALLEST = 2 ** -126; // normal float32, so that logarithms are finite
const UNSPACED = // scripts that put no spaces between words
  "\\u0e00-\\u0eff\\u1000-\\u109f\\u1780-\\u17ff\\u3005-\\u3007\\u3040-\\u30ff\\u31f0-\\u31ff" +
  "\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff\\u{20000}-\\u{3ffff}";
const WORD = new RegExp(`[${UNSPACED}]|[^${SPACES}${UNSPACED}]+`, "gu");

// Return [start, end] of each word: pieces between spaces or, in scripts without spaces, characters with their marks.
function splitWords(text) {
  const spans = [];
  for (const { 0: word, index } of text.matchAll(WORD)) {
    const before = spans.at(-1);
    if (before?.[1] === index && /^\p{M}/u.test(word)) before[1] = index + word.length;
    else spans.push([index, index + word.length]);
  }
  return spans;
}

// Return how many words are read: those of which the model reads at least one token.
async function countRead(text, spans) {
  if (!(await backend.isTruncated(text))) return spans.length;
  let [read, most] = [Math.min(1, spans.length), spans.length];
  while (read < most) {
    const count = Math.ceil((read + most) / 2);
    const before = text.slice(0, spans[count - 2][1]);
    // The word is read if one more token fits behind those before it; "a" is one token in every vocabulary.
    if (await backend.isTruncated(`${before} a`)) most = count - 1;
    else read = count;
  }
  return read;
}

// Join neighbours to at most `MOST_WORDS` groups, as numpy.array_split does.
function grouped(spans) {
  const groups = Math.min(spans.length, MOST_WORDS);
  const size = Math.floor(spans.length / groups);
  const larger = spans.length % groups;
  const start = (group) => group * size + Math.min(group, larger);
  return Array.from({ length: groups }, (_, group) => [spans[start(group)][0], spans[start(group + 1) - 1][1]]);
}

// Return the part of the text that is read, and that part without each group.
function variants(text, groups) {
  const end = groups.length ? groups.at(-1)[1] : 0;
  const read = isBlank(text.slice(end)) ? text : text.slice(0, end);
  const without = groups.slice(0, -1).map(([start], place) => read.slice(0, start) + read.slice(groups[place + 1][0]));
  if (groups.length) without.push(stripBehind(read.slice(0, groups.at(-1)[0])) + read.slice(end));
  return [read, ...without];
}

// Return the groups, the nats that the label loses without each, how many words there are, and how many are read.
// Return null as soon as it is no longer wanted.
async function scoreWords(text, label, isWanted) {
  const spans = splitWords(text);
  const read = await countRead(text, spans);
  const groups = grouped(spans.slice(0, read));
  const texts = variants(text, groups);
  const logs = [];
  for (let start = 0; start < texts.length; start += backend.atOnce) {
    if (!isWanted()) return null;
    const answers = await backend.answer(texts.slice(start, start + backend.atOnce));
    logs.push(...answers.map(({ probabilities }) => Math.log(Math.max(probabilities[label], SMALLEST))));
  }
  const [whole, ...rest] = logs;
  return isWanted() ? { groups, scores: rest.map((log) => whole - log), words: spans.length, read } : null;
}
