// Choosing or dropping a file shows its first rows under the dataset's columns, before it is sent. The browser reads
// them (rows.js); the API is asked which column is which field, with the header alone.
"use strict";

const HEAD_BYTES = 64 * 1024;
const LONGEST_HEADER = 256 * 1024; // csvfile/header.py takes none that is longer
const CHECKED_ROWS = 5000;
const SHOWN_ROWS = 8;
const SHOWN_MISFITS = 12;
const FORMAT = ["encoding", "delimiter", "quote", "escape", "skip_lines", "comment"];
const ZIPPED = "The columns of a file in a zip are known once it has been sent.";
const UNREADABLE = "This browser can't read the file. Is it a folder, or has it been moved?";

/** What the form says; a form without fields of its own says what its job was asked for. */
function formValue(form, table, name) {
  const fixed = table.dataset.fixed ? JSON.parse(table.dataset.fixed) : {};
  if (name === "dataset") return form.getAttribute("data-dataset") || form.elements.dataset.value; // form.dataset is a field
  return fixed[name] ?? form.elements[name]?.value ?? "";
}

function isRaw(form, table) {
  return table.dataset.fixed ? Boolean(JSON.parse(table.dataset.fixed).raw) : Boolean(form.elements.raw?.checked);
}

function formatOf(form, table) {
  const said = (name) => formValue(form, table, name);
  const anew = said("quote") || said("escape"); // such a file is written anew before its header is looked at
  return {
    delimiter: signOf(said("delimiter")) ?? (anew ? "," : undefined),
    quote: signOf(said("quote")) ?? '"',
    escape: signOf(said("escape")) ?? "",
    skipLines: Number(said("skip_lines")) || 0,
    comment: signOf(said("comment")),
  };
}

/** The first bytes of a file, unpacked: {bytes, whole}; {zip: true}. */
async function headBytes(file, most) {
  const bytes = new Uint8Array(await file.slice(0, most).arrayBuffer());
  if (bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4) return { zip: true };
  const whole = file.size <= most;
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return { bytes, whole };
  const parts = [];
  let size = 0;
  let ended = false;
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  try {
    while (size < most) {
      const { value, done } = await reader.read();
      ended = done;
      if (done) break;
      parts.push(value);
      size += value.length;
    }
    reader.cancel().catch(() => {});
  } catch {
    // The stream of a slice breaks off; what has come until then is the beginning of the text.
  }
  return { bytes: new Uint8Array(await new Blob(parts).arrayBuffer()).subarray(0, most), whole: whole && ended && size <= most };
}

/** The file's text and its header: {text, bad, header, whole}, or {problem}, {note} in words, or {unread}: an encoding. */
async function headOf(file, format, encoding) {
  for (const most of [HEAD_BYTES, LONGEST_HEADER]) {
    let head;
    try {
      head = await headBytes(file, most);
    } catch {
      return { problem: UNREADABLE };
    }
    if (head.zip) return { note: ZIPPED };
    const decoded = decodeHead(head.bytes, encoding, head.whole);
    if (decoded.problem && !head.whole && most < LONGEST_HEADER) continue; // more of it may show that it is UTF-8
    if (decoded.problem || decoded.unread) return decoded;
    const header = headerOf(decoded.text, format, head.whole);
    // A header that does not end in the whole file is sent as it is: the API says what is wrong with it.
    if (header.open && !head.whole) continue;
    const problem = headerProblem(decoded, header, encoding);
    return problem ? { problem } : { ...decoded, header, whole: head.whole };
  }
  return { problem: "The header does not end: a quote in it is not closed, or it takes more than 256 KiB." };
}

/** Asks the API which column is which field; `sent`: the header, or the first bytes with the options `more`. */
async function matched(form, table, sent, more, asked) {
  const body = new FormData();
  const names = ["columns", "mapping", "organisation", "mode", "empty", ...more];
  for (const name of names) body.append(name, formValue(form, table, name));
  if (sent) {
    if (!table.dataset.fixed) body.append("dataset", formValue(form, table, "dataset"));
    for (const [name, value] of Object.entries(sent)) body.append(name, value);
  }
  let html = "";
  try {
    const response = await fetch(table.dataset.columns, { method: "POST", body, headers: { "HX-Request": "true" } });
    if (response.ok) html = await response.text();
  } catch {
    // Without the table the form works all the same: what does not fit is refused when the file is sent.
  }
  if (table.asked !== asked) return false; // another file has been chosen meanwhile
  const focused = document.activeElement?.dataset.column;
  table.innerHTML = html;
  if (focused !== undefined) {
    [...table.querySelectorAll("select")].find((select) => select.dataset.column === focused)?.focus();
  }
  return true;
}

function told(form, table, className, text) {
  const notice = document.createElement("p");
  notice.className = className;
  notice.textContent = text;
  table.replaceChildren(notice);
  sayFitting(form, text);
}

function sayFitting(form, text) {
  const place = form.querySelector(".fitting");
  if (place && place.textContent !== text) place.textContent = text;
}

async function showColumns(form) {
  const table = form.querySelector(".columns");
  const stored = table.hasAttribute("data-stored"); // the file is on the server
  const file = stored ? null : form.querySelector("input[type=file]").files[0];
  const asked = (table.asked = {});
  table.hidden = !file && !stored;
  if (table.hidden) return sayFitting(form, "");
  if (stored) return void (await matched(form, table, null, FORMAT, asked));
  const format = formatOf(form, table);
  const head = await headOf(file, format, formValue(form, table, "encoding").trim());
  if (table.asked !== asked) return;
  if (head.problem) return told(form, table, "notice bad", head.problem);
  if (head.note) return told(form, table, "hint", head.note);
  if (head.unread) return offerToSend(form, table, file, head.unread, asked);
  const sent = { whole: "on", file: new Blob([head.header.text]) };
  if (!(await matched(form, table, sent, ["delimiter", "quote", "escape"], asked))) return;
  const place = table.querySelector(".first-rows");
  if (!place) return sayFitting(form, table.querySelector(".notice")?.textContent ?? "");
  const api = JSON.parse(place.dataset.told);
  const { text, header, whole, bad } = head;
  const begin = header.ends[api.delimiter] ?? header.end;
  const rows = rowsFrom(text, begin, { ...format, delimiter: api.delimiter }, whole, CHECKED_ROWS, bad);
  showSamples(table, api, rows);
  showRows(form, place, api, checkRows(rows, api, isRaw(form, table)));
}

/** An encoding that no browser knows, or reads as the API does, is one of Python's, perhaps: its first bytes have to be sent. */
function offerToSend(form, table, file, encoding, asked) {
  told(form, table, "hint", `This browser can't read ${encoding} as the API does: the first rows are known once they are sent.`);
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Send the first 256 KiB, to see its columns";
  button.addEventListener("click", async () => {
    const sent = { file: file.slice(0, LONGEST_HEADER) };
    if (file.size <= LONGEST_HEADER) sent.whole = "on";
    if (await matched(form, table, sent, FORMAT, asked)) table.querySelector("select, .notice")?.focus();
  });
  table.append(button);
}

/** The first values of each column, beside the field that it is taken for. */
function showSamples(table, api, rows) {
  const cells = table.querySelectorAll("td.value");
  cells.forEach((cell, column) => {
    const samples = rows.slice(0, 3).map((row) => row.values[column]).filter(Boolean);
    cell.textContent = samples.map(shortened).join(", ");
  });
}

function element(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

/** The columns of the table: those of the dataset in their order, then those of the file that are nothing yet. */
function headsOf(api) {
  const heads = api.dataset.map((field) => {
    const column = api.fields.indexOf(field);
    if (column >= 0) return { field, column, hint: api.names[column] === field ? "" : `column ${api.names[column]}`, bad: false };
    if (api.missing.includes(field)) return { field, column, hint: "missing", bad: true };
    return { field, column, hint: api.filled[field] === undefined ? "not in the file" : `${api.filled[field]}`, bad: false };
  });
  api.names.forEach((name, column) => {
    if (!api.decided[column]) heads.push({ field: name, column, hint: "no column of the dataset", bad: true });
  });
  return heads;
}

function showRows(form, place, api, rows) {
  const heads = headsOf(api);
  const bad = rows.filter((row) => row.reason || row.cells.some((cell) => cell.reason));
  const sentence = sentenceOf(rows, bad, heads);
  const first = rows.slice(0, SHOWN_ROWS);
  const further = bad.filter((row) => row.number > SHOWN_ROWS).slice(0, SHOWN_MISFITS);
  const parts = [element("p", { class: "rows-title" }, "First rows"), element("p", { class: bad.length || heads.some((head) => head.bad) ? "unfit" : "hint" }, sentence)];
  if (rows.length) {
    const label = "First rows of the file under the columns of the dataset";
    const columns = heads.map((head) => {
      const hint = head.hint ? [element("span", { class: "hint" }, head.hint)] : [];
      return element("th", { scope: "col", ...(head.bad ? { class: "misfit" } : {}) }, head.field, ...hint);
    });
    const top = element("tr", {}, element("th", { scope: "col" }, "Row"), ...columns);
    const body = element("tbody", {}, ...[...first, ...further].map((row) => lineOf(row, heads)));
    const table = element("table", { class: "preview-rows" }, element("thead", {}, top), body);
    parts.push(element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": label }, table));
  }
  const reasons = bad.slice(0, SHOWN_MISFITS).map((row) => element("li", {}, reasonOf(row, api)));
  if (reasons.length) parts.push(element("ul", { class: "misfits" }, ...reasons));
  if (bad.length > reasons.length) parts.push(element("p", { class: "hint" }, `and ${bad.length - reasons.length} more of the rows that were looked at`));
  place.replaceChildren(...parts);
  sayFitting(form, sentence);
}

function sentenceOf(rows, bad, heads) {
  const count = rows.length.toLocaleString("en-US");
  const refused = heads.some((head) => head.bad) ? " The columns in red do not fit the dataset: such a file is refused." : "";
  if (!rows.length) return `There is no row behind the header in the first 64 KiB.${refused}`;
  const one = rows.length === 1;
  if (bad.length) {
    const single = bad.length === 1;
    const some = `${bad.length.toLocaleString("en-US")} of the first ${count} rows ${single ? "does" : "do"} not fit.`;
    // What follows an open quote is its text: there is no row behind it that could be stored.
    const open = bad.some((row) => row.open) ? " A quote is not closed, so the job would fail there: correct the file first." : "";
    const errors = ` ${single ? "It would be a row error" : "They would be row errors"}; the others are stored.`;
    return (one ? "The first row does not fit." : some) + (refused || open || errors);
  }
  const which = one ? "The first row fits" : `The first ${count} rows fit`;
  return refused.trim() || `${which} the dataset. Nothing has been sent yet but the header.`;
}

function reasonOf(row, api) {
  if (row.reason) return `Row ${row.number} ${row.reason}`;
  const column = row.cells.findIndex((cell) => cell.reason);
  return `Row ${row.number}: ${api.fields[column]} ${row.cells[column].reason}`;
}

function lineOf(row, heads) {
  const number = element("th", { scope: "row", ...(row.reason ? { class: "misfit", title: `the row ${row.reason}` } : {}) }, String(row.number));
  if (row.reason) number.append(element("span", { class: "unseen" }, ` (the row ${row.reason})`));
  const cells = heads.map((head) => {
    if (head.column < 0) return element("td", { class: head.bad ? "misfit" : "hint" }, head.bad ? "" : head.hint);
    const { text, reason } = row.cells[head.column];
    if (!reason) return element("td", head.bad || row.reason ? { class: "misfit" } : {}, shortened(text));
    const told = `${head.field} ${reason}`;
    return element("td", { class: "misfit", title: told }, shortened(text) || "(empty)", element("span", { class: "unseen" }, ` (${told})`));
  });
  return element("tr", {}, number, ...cells);
}

/** What was chosen for the columns becomes what is sent, and is looked at anew. */
function takeChoices(form) {
  const chosen = [...form.querySelectorAll("[data-column]")].filter((select) => select.value !== "?");
  const pairs = chosen.map((select) => [select.dataset.column, select.value === "-" ? null : select.value.slice(1)]);
  if (form.elements.columns) form.elements.columns.value = JSON.stringify(Object.fromEntries(pairs));
  showColumns(form);
}

document.addEventListener("change", (event) => {
  const form = event.target.closest("form");
  if (!form?.querySelector(".columns")) return;
  const { name } = event.target;
  if (event.target.matches("[data-column]")) {
    takeChoices(form);
  } else if (event.target.matches("input[type=file]") || ["dataset", "mode", "mapping", ...FORMAT].includes(name)) {
    if (form.elements.columns) form.elements.columns.value = "";
    showColumns(form);
  } else if (["empty", "raw"].includes(name)) {
    showColumns(form);
  }
});

// A file may be dropped anywhere on its form, and on the closed card of a form, which it opens.
function dropForm(event) {
  if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return null;
  const form = event.target.closest?.("form") ?? event.target.closest?.("details.start")?.querySelector("form");
  return form?.querySelector("input[type=file]:not(:disabled)") ? form : null;
}

function unmarkDrops() {
  for (const marked of document.querySelectorAll(".dropping")) marked.classList.remove("dropping");
}

document.addEventListener("dragover", (event) => {
  if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
  event.preventDefault(); // a file that misses the form would else take the place of the page
  const form = dropForm(event);
  event.dataTransfer.dropEffect = form ? "copy" : "none";
  unmarkDrops();
  (form?.closest("details.start") ?? form)?.classList.add("dropping");
});

document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) unmarkDrops();
});

document.addEventListener("drop", (event) => {
  unmarkDrops();
  if (!event.dataTransfer?.files.length) return;
  event.preventDefault();
  const form = dropForm(event);
  if (!form) return;
  form.closest("details")?.setAttribute("open", "");
  if (event.dataTransfer.files.length > 1) return answer(form, "Drop one file: each job has one.");
  const input = form.querySelector("input[type=file]");
  input.files = event.dataTransfer.files;
  answer(form, "");
  input.dispatchEvent(new Event("change", { bubbles: true }));
  input.focus();
});

// A browser that loads a page again may keep the file that was chosen.
for (const input of document.querySelectorAll("form:has(.columns) input[type=file]")) {
  if (input.files.length) showColumns(input.closest("form"));
}

// On a slow connection, a column's field may have been chosen before this script was there.
for (const form of document.querySelectorAll("form:has([data-column])")) {
  const selects = [...form.querySelectorAll("[data-column]")];
  if (selects.some((select) => !select.selectedOptions[0]?.defaultSelected)) takeChoices(form);
}
