"use strict";

// The server that this page comes from. `answer` of texts gives an array of {probabilities, unfamiliar, truncated}.
const backend = (() => {
  const model = JSON.parse(document.getElementById("model-description").textContent);
  let token = "";

  async function asked(texts) {
    const response = await fetch(`v2/models/${encodeURIComponent(model.name)}/infer`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) },
      body: JSON.stringify({ inputs: [{ name: "text", shape: [texts.length], datatype: "BYTES", data: texts }] }),
    });
    if (response.status === 401) {
      token = window.prompt("This server asks for its token:") ?? "";
      if (!token) throw new Error("The server asks for a token.");
      return asked(texts);
    }
    if (response.status === 429) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return asked(texts);
    }
    const content = await response.json();
    if (!response.ok) throw new Error(content.error);
    return Object.fromEntries(content.outputs.map((output) => [output.name, output.data]));
  }

  async function answer(texts) {
    const found = await asked(texts);
    const classes = model.labels.length;
    return texts.map((_, place) => ({
      probabilities: found.probabilities.slice(place * classes, (place + 1) * classes),
      unfamiliar: found.unfamiliar ? found.unfamiliar[place] : null,
      truncated: found.truncated[place],
    }));
  }

  return { model, start: async () => {}, answer, atOnce: model.atOnce };
})();
