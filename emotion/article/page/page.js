"use strict";
// Tables are sorted by buttons in their headings. Without JavaScript, the headings are plain.
function key(cell) {
  const text = cell.textContent.trim();
  const number = parseFloat(text.replaceAll(",", ""));
  return { text, number };
}

function sort(table, column, descending) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, ...key(row.cells[column]) }));
  const sign = descending ? -1 : 1;
  const full = rows.filter((each) => each.text);
  const numeric = full.every((each) => /^[+-]?\.?\d/.test(each.text));
  full.sort((a, b) => sign * (numeric ? a.number - b.number : a.text.localeCompare(b.text)));
  body.append(...full.map((each) => each.row), ...rows.filter((each) => !each.text).map((each) => each.row));
}

for (const table of document.querySelectorAll(".sortable table")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const next = heading.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", next);
      sort(table, column, next === "descending");
    });
  });
}

// The cells of a confusion matrix open their texts in a dialog. Without JavaScript, they lead to the texts below.
const dialog = document.getElementById("examples");
const title = document.getElementById("examples-title");
const texts = document.getElementById("examples-texts");
let opener = null;
for (const link of document.querySelectorAll(".confusion a")) {
  const source = document.getElementById(link.hash.slice(1));
  const name = source.parentElement.querySelector("summary").textContent;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = link.textContent;
  button.title = name;
  button.setAttribute("aria-haspopup", "dialog");
  button.addEventListener("click", () => {
    opener = button;
    title.textContent = name;
    const list = source.cloneNode(true);
    list.removeAttribute("id");
    texts.replaceChildren(list);
    dialog.showModal();
    dialog.scrollTop = 0;
  });
  link.replaceWith(button);
}
dialog.addEventListener("close", () => opener && opener.focus());
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
