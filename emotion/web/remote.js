"use strict";

// The server that this page comes from. `answer` of texts gives an array of {probabilities, unfamiliar, truncated}.
const backend = (() => {
  const model = JSON.parse(document.getElementById("model-description").textContent);
  let token = "";
  let hasDeclined = false;

  // Ask for another token than `used`, unless that has been done for another request meanwhile.
  function askForToken(used) {
    if (token !== used) return;
    const problem = used ? "The server refuses this token." : "This server asks for its token.";
    token = hasDeclined ? "" : (window.prompt(`${problem} Its token:`) ?? "").trim();
    hasDeclined = !token;
    if (hasDeclined) throw new Error("the server asks for its token: load this page again to give it");
    if (!/^[!-~]+$/.test(token)) askForToken(token); // no header can hold it
  }

  async function reached(address, request) {
    try {
      return await fetch(address, request);
    } catch {
      throw new Error("the server cannot be reached");
    }
  }

  async function asked(texts) {
    const used = token;
    const response = await reached(`v2/models/${encodeURIComponent(model.name)}/infer`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(used && { Authorization: `Bearer ${used}` }) },
      body: JSON.stringify({ inputs: [{ name: "text", shape: [texts.length], datatype: "BYTES", data: texts }] }),
    });
    if (response.status === 401) {
      askForToken(used);
      return asked(texts);
    }
    if (response.status === 429) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return asked(texts);
    }
    if (!response.ok) throw await refusal(response);
    const content = await response.json();
    return Object.fromEntries(content.outputs.map((output) => [output.name, output.data]));
  }

  // `isOfTexts`: other texts may be answered.
  async function refusal(response) {
    const { error } = await response.json().catch(() => ({})); // a proxy between may answer in HTML
    const reason = error?.replace(/^inputs\[0\]: /, "the text ") ?? `the server answers with status ${response.status}`;
    return Object.assign(new Error(reason), { isOfTexts: [413, 422].includes(response.status) });
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

  const isTruncated = async (text) => (await answer([text]))[0].truncated;

  return { model, start: async () => {}, answer, isTruncated, atOnce: model.atOnce };
})();
