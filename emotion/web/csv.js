// Read CSVs as emotion/data/csv_files.py does: the same rows, or an error in the same row.

const SEPARATORS = [",", ";", "\t"];
const SEPARATOR_LINE = new RegExp(`^("?)sep=("?)([^"\\r\\n])\\2\\1[${SPACES}]*$`, "iu"); // Excel's first line
const NOT_DOUBLED = 'a quote within a quoted cell must be doubled (""), found one that is single or escaped (\\")';

const holdsText = (cells) => cells.some((cell) => !isBlank(cell));

// Return where the first line begins whose quotes may be escaped by backslashes (emotion/data/backslashes.py).
function startOfDoubt(content, separator) {
  if (!content.includes('\\"')) return Infinity;
  const ends = [separator, "\r", "\n", undefined]; // undefined: of the content
  let closed = false;
  let goesOn = false;
  for (const quote of content.matchAll(/(?<!\\)(\\*)"("?)/g)) {
    const isEscaped = quote[1].length % 2 === 1;
    const isDouble = quote[2] !== "";
    const atStart = ends.includes(content[quote.index - 1]);
    const atEnd = ends.includes(content[quote.index + quote[0].length]);
    if ((closed && (isEscaped || (atEnd && !isDouble))) || (goesOn && atStart))
      return Math.max(...["\n", "\r"].map((end) => content.lastIndexOf(end, quote.index))) + 1;
    closed = isEscaped && atEnd && !isDouble;
    goesOn = isEscaped && atEnd && isDouble;
  }
  return Infinity;
}

// Yield the cells of each record; an empty line has none.
function* records(content, separator) {
  const doubt = startOfDoubt(content, separator);
  let cells = [];
  let cell = "";
  let state = "line begins";
  for (let place = 0; place < content.length; place++) {
    if (place >= doubt) throw new Error(NOT_DOUBLED);
    const character = content[place];
    if (state === "in quotes") {
      if (character !== '"') cell += character;
      else if (content[place + 1] === '"') cell += content[++place];
      else state = "behind quotes";
    } else if (character === separator) {
      cells.push(cell);
      cell = "";
      state = "cell begins";
    } else if (character === "\n" || character === "\r") {
      if (character === "\r" && content[place + 1] === "\n") place++;
      yield state === "line begins" ? [] : [...cells, cell];
      cells = [];
      cell = "";
      state = "line begins";
    } else if (state === "behind quotes") {
      throw new Error(NOT_DOUBLED);
    } else if (character === '"' && state !== "in cell") {
      state = "in quotes";
    } else {
      cell += character;
      state = "in cell";
    }
  }
  if (state === "in quotes") throw new Error("every quote must be closed, found an open one");
  if (state !== "line begins") yield [...cells, cell];
}

// Return the places of the columns “text”; of those in other cases, such as “Text”, if there are none.
function textColumns(names) {
  const places = (wanted) => names.flatMap((name, place) => (wanted(name) ? [place] : []));
  const exact = places((name) => name === "text");
  return exact.length ? exact : places((name) => name.toLowerCase() === "text");
}

// Return the separator that yields a column “text”, else the most columns, the header under it, and the rest.
function findForm(content) {
  const line = content.match(/^[^\r\n]*(\r\n|\r|\n)?/)[0];
  const named = line.match(SEPARATOR_LINE);
  const table = named ? content.slice(line.length) : content;
  let best, failure;
  for (const separator of named ? [named[3]] : SEPARATORS) {
    const all = records(table, separator);
    try {
      const header = firstRecord(all);
      const fit = (textColumns(header.map(strip)).length ? 1e9 : 0) + header.length;
      if (!best || fit > best.fit) best = { fit, header, rest: all };
    } catch (error) {
      failure = new Error(`The CSV cannot be read: ${error.message} in row 1.`);
    }
  }
  if (!best) throw failure;
  return best;
}

function firstRecord(all) {
  for (let next = all.next(); !next.done; next = all.next()) if (holdsText(next.value)) return next.value;
  return [];
}

// Return the columns' names, the texts' column, the rows, each with as many cells, and the first row's number.
function readTable(content) {
  if (content.includes("\0")) throw new Error("The CSV must be text; it has a NUL character.");
  const { header, rest } = findForm(content);
  if (!header.length) throw new Error("The CSV must have at least one row.");
  const names = header.map(strip);
  const found = textColumns(names);
  if (found.length > 1) throw new Error("The CSV must have one column “text”; it has several.");
  if (found.length) return { names, column: found[0], rows: completeRows(rest, names.length, true), firstRow: 2 };
  if (names.length > 1)
    throw new Error(`The CSV must have a column “text”; it has: ${names.join(", ").slice(0, 200)}.`);
  return { names: ["text"], column: 0, rows: [header, ...completeRows(rest, 1, false)], firstRow: 1 };
}

// Fill rows that are too short, and drop separators at their ends if all rows have as many.
function completeRows(records, width, hasHeader) {
  const rows = [];
  let row = 1;
  let first;
  const where = (number) => `in row ${number}${hasHeader ? " (the header is row 1)" : ""}`;
  const each = records[Symbol.iterator]();
  for (;;) {
    let next;
    try {
      next = each.next();
    } catch (error) {
      throw new Error(`The CSV cannot be read: ${error.message} ${where(row + 1)}.`);
    }
    if (next.done) return rows;
    const record = next.value;
    const holds = holdsText(record);
    if (width > 1 && record.length <= 1 && !holds) continue; // an empty line
    row++;
    if (holds || width === 1) {
      const here = { row, cells: Math.max(record.length, width) };
      // The separator of a single column is a guess, so each may be a part of the text.
      first ??= width > 1 ? here : { row, cells: width };
      // Where a text holds a separator, its row's last cell may be empty and hide the surplus.
      if (here.cells !== first.cells || holdsText(record.slice(width))) {
        const most = first.cells > here.cells ? first : here;
        throw new Error(
          `Every row must have at most ${width} ${width === 1 ? "cell" : "cells"}, as the first row has; ` +
            `found ${most.cells} ${where(most.row)}. Put texts that hold separators between quotes.`,
        );
      }
    }
    rows.push(Array.from({ length: width }, (_, place) => record[place] ?? ""));
  }
}

// Read what is pasted: as a table if its first line has a column “text” or tabs, else as lines that are texts.
function readPasted(content) {
  if (content.split(/[\r\n]/, 1)[0].includes("\t") || hasTextColumn(content)) return readTable(content);
  if (isBlank(content)) throw new Error("What is pasted must have at least one row.");
  const lines = content.replace(/(\r\n|\r|\n)$/, "").split(/\r\n|\r|\n/);
  return { names: ["text"], column: 0, rows: lines.map((line) => [line]), firstRow: 1 };
}

function hasTextColumn(content) {
  try {
    return textColumns(findForm(content).header.map(strip)).length > 0;
  } catch {
    return false; // a line that begins with a quote
  }
}

const csvLine = (cells) =>
  `${cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : cell)).join(",")}\n`;

function decoded(buffer) {
  const bytes = new Uint8Array(buffer, 0, Math.min(2, buffer.byteLength));
  let encoding = "utf-8";
  if (bytes[0] === 0xff && bytes[1] === 0xfe) encoding = "utf-16le";
  if (bytes[0] === 0xfe && bytes[1] === 0xff) encoding = "utf-16be";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(buffer);
  } catch {
    throw new Error("The CSV must be in UTF-8. Save it as “CSV UTF-8” and choose it again.");
  }
}
