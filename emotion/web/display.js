// What both parts of the page show with

const element = (id) => document.getElementById(id);
const { labels } = backend.model;
const colour = (label) => `var(--c${Math.min(label, 6)})`;
const number = (count) => count.toLocaleString("en");
const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
const percent = (share) => `${(100 * share).toFixed(share > 0.995 || share < 0.005 ? 1 : 0)} %`;

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
      fill.hidden = !shares[label]; // the smallest bar is not of nothing
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

function fail(id, error) {
  element(id).textContent = error.message[0].toUpperCase() + error.message.slice(1);
}

// The model, or the reason why it cannot answer

const ready = backend.start().catch((error) => {
  throw new Error(`The model cannot run in this browser: ${error.message}`);
});
