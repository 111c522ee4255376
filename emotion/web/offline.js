"use strict";

// The model in this page. `answer` of texts gives an array of {probabilities, unfamiliar, truncated}.
const backend = (() => {
  const model = JSON.parse(document.getElementById("model-description").textContent);
  const BATCH = 32;
  const LONG = 20_000; // characters of a text that is not tokenized whole
  let session, tokenizer, ort;

  async function unpacked(name) {
    const element = document.getElementById(`data-${name}`);
    const binary = atob(element.textContent);
    element.remove(); // frees the text
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  async function library(name) {
    const address = URL.createObjectURL(new Blob([await unpacked(name)], { type: "text/javascript" }));
    try {
      return await import(address);
    } finally {
      URL.revokeObjectURL(address);
    }
  }

  async function start() {
    const [runtime, { Tokenizer }] = await Promise.all([library("ort"), library("tokenizers")]);
    ort = runtime;
    ort.env.wasm.numThreads = 1; // several need headers that a file has not
    ort.env.wasm.wasmBinary = (await unpacked("wasm")).buffer;
    tokenizer = new Tokenizer(JSON.parse(new TextDecoder().decode(await unpacked("tokenizer"))), {});
    session = await ort.InferenceSession.create(await unpacked("model"), { executionProviders: ["wasm"] });
  }

  function normalized(text) {
    if (model.normalization !== "cardiff") return text;
    const word = (piece) =>
      piece.startsWith("@") && piece.length > 1 ? "@user" : piece.startsWith("http") ? "http" : piece;
    return text.split(" ").map(word).join(" ");
  }

  const tokens = (text) => tokenizer.encode(normalized(text), { add_special_tokens: false }).ids;

  function encoded(text) {
    const room = model.maxLength - model.before.length - model.after.length;
    let ids = text.length > LONG ? tokens(text.slice(0, text.lastIndexOf(" ", LONG) + 1)) : [];
    if (ids.length <= room) ids = tokens(text); // unless the first words of a long text are more than is read
    return { ids: [...model.before, ...ids.slice(0, room), ...model.after], truncated: ids.length > room };
  }

  async function run(rows) {
    const length = Math.max(...rows.map((row) => row.length));
    const ids = new BigInt64Array(rows.length * length).fill(BigInt(model.padding));
    const mask = new BigInt64Array(rows.length * length);
    rows.forEach((row, place) =>
      row.forEach((id, token) => {
        ids[place * length + token] = BigInt(id);
        mask[place * length + token] = 1n;
      }),
    );
    const shape = [rows.length, length];
    return session.run({
      input_ids: new ort.Tensor("int64", ids, shape),
      attention_mask: new ort.Tensor("int64", mask, shape),
    });
  }

  function floats(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  }

  const familiarity = model.familiarity && {
    ...model.familiarity,
    whitening: floats(model.familiarity.whitening),
    centres: floats(model.familiarity.centres),
  };

  // The distance of a row of features from the nearest class, as emotion/models/familiarity.py has it.
  function distance(features, start) {
    const { whitening, centres, features: size } = familiarity;
    const white = new Float64Array(size);
    for (let row = 0; row < size; row++) {
      const value = features[start + row];
      for (let column = 0; column < size; column++) white[column] += value * whitening[row * size + column];
    }
    let nearest = Infinity;
    for (let centre = 0; centre < centres.length; centre += size) {
      let sum = 0;
      for (let column = 0; column < size; column++) sum += (white[column] - centres[centre + column]) ** 2;
      nearest = Math.min(nearest, sum);
    }
    return Math.sqrt(nearest);
  }

  function softmax(logits, divisor) {
    const scaled = logits.map((logit) => logit / divisor);
    const highest = Math.max(...scaled);
    const exponents = scaled.map((value) => Math.exp(value - highest));
    const sum = exponents.reduce((a, b) => a + b);
    return exponents.map((value) => value / sum);
  }

  async function answer(texts) {
    const rows = texts.map(encoded);
    const order = rows.map((_, place) => place).sort((a, b) => rows[a].ids.length - rows[b].ids.length);
    const found = new Array(texts.length);
    for (let start = 0; start < order.length; start += BATCH) {
      const batch = order.slice(start, start + BATCH);
      const output = await run(batch.map((place) => rows[place].ids));
      const classes = model.labels.length;
      batch.forEach((place, row) => {
        const logits = Array.from(output.logits.data.slice(row * classes, (row + 1) * classes));
        const far = familiarity ? distance(output.features.data, row * familiarity.features) : 0;
        const doubt = familiarity ? 1 + familiarity.slope * Math.max(0, far - 1) : 1;
        found[place] = {
          probabilities: softmax(logits, model.temperature * doubt),
          unfamiliar: familiarity ? far > familiarity.limit : null,
          truncated: rows[place].truncated,
        };
      });
    }
    return found;
  }

  const isTruncated = async (text) => encoded(text).truncated;

  return { model, start, answer, isTruncated, atOnce: BATCH, ids: (text) => encoded(text).ids };
})();
