// The first rows of a CSV file, read in the browser: bytes to text, text to rows, rows against the rules of their fields.
// Nothing here touches the page; columns.js shows what comes of it, and the tests run it without a browser.
"use strict";

const SIGNS = { comma: ",", semicolon: ";", tab: "\t", pipe: "|", hash: "#", single: "'", double: '"', backslash: "\\", none: "" };
const DELIMITERS = [",", ";", "\t", "|"];
const SHORT = 40;

/** The character that a field of the form names; undefined: it is empty. */
function signOf(text) {
  if (!text) return undefined;
  return SIGNS[text.toLowerCase()] ?? text;
}

/** The name of an encoding as browsers have it, which is not always Python's. */
function browserEncoding(name) {
  const plain = name.trim().toLowerCase().replaceAll("_", "-");
  const page = /^(?:cp|windows-?)-?(125\d|874|932|936|949|950)$/.exec(plain);
  const pages = { 874: "windows-874", 932: "shift_jis", 936: "gbk", 949: "euc-kr", 950: "big5" };
  if (page) return pages[page[1]] ?? `windows-${page[1]}`;
  const others = { "utf-8-sig": "utf-8", "mac-roman": "macintosh", "latin-1": "iso-8859-1", "shift-jis": "shift_jis", utf8: "utf-8" };
  const wide = /^utf-?16-?([lb]e)$/.exec(plain);
  return wide ? `utf-16${wide[1]}` : (others[plain] ?? plain.replace(/^iso-?8859-?/, "iso-8859-"));
}

/**
 * The text of a file's first bytes: {text}, or {problem} in words, or {unread} if only the API can read the encoding.
 * A character that the end of the bytes cuts in two is left out.
 */
function decodeHead(bytes, encoding) {
  const begins = (...marks) => marks.every((mark, place) => bytes[place] === mark);
  if (begins(0xff, 0xfe, 0, 0) || begins(0, 0, 0xfe, 0xff)) return { unread: "utf-32" };
  let name = begins(0xff, 0xfe) ? "utf-16le" : begins(0xfe, 0xff) ? "utf-16be" : begins(0xef, 0xbb, 0xbf) ? "utf-8" : "";
  const marked = Boolean(name);
  if (!marked) name = encoding ? browserEncoding(encoding) : "utf-8";
  let decoder;
  try {
    decoder = new TextDecoder(name, { fatal: true });
  } catch {
    return { unread: encoding };
  }
  let text;
  try {
    text = decoder.decode(bytes, { stream: true });
  } catch {
    const hint = marked || encoding ? "" : "; name its encoding under “How the file is written”, cp1252 in many cases";
    return { problem: `The file is not ${encoding || name.toUpperCase()}${hint}.` };
  }
  if (!text.includes("\0")) return { text };
  const hint = encoding ? "leave the encoding out" : "name its encoding under “How the file is written”, utf-16-le in many cases";
  return { problem: `The file has NUL characters, so it is not text in ${encoding || "UTF-8"}; ${hint}.` };
}

/** Index behind the lines from `at` on that are in front of the header: those to skip, comments, and blank ones. */
function startOfHeader(text, at, skipLines, comment) {
  for (let left = skipLines; left > 0; left -= 1) at = endOfLine(text, at);
  while (at < text.length) {
    const line = text.slice(at, endOfLine(text, at));
    if (!/^[ \t]*[\r\n]*$/.test(line) && !(comment && line.startsWith(comment))) break;
    at += line.length;
  }
  return at;
}

/** Index behind the line that begins at `at`. */
function endOfLine(text, at) {
  const end = /\r\n|\n|\r/g;
  end.lastIndex = at;
  return end.exec(text) ? end.lastIndex : text.length;
}

/**
 * The row that begins at `at`: its values, where it ends, whether a line end closes it, and why it can't be read.
 * The rules are those of RFC 4180; a quote inside an unquoted value is a character like any other.
 */
function readRow(text, at, { delimiter, quote = '"', escape = "" }) {
  const values = [];
  let value = "";
  let begins = true;
  let problem;
  while (at < text.length) {
    const sign = text[at];
    if (escape && sign === escape && escapes(text[at + 1], [delimiter, quote, escape])) {
      value += text[at + 1];
      at += 2;
      begins = false;
    } else if (begins && quote && sign === quote) {
      const quoted = readQuoted(text, at + 1, quote, escape, delimiter);
      if (quoted.open) return { values: [...values, quoted.value], end: text.length, ended: false, problem };
      ({ value, end: at } = quoted);
      begins = false;
      if (at < text.length && text[at] !== delimiter && text[at] !== "\n" && text[at] !== "\r") {
        problem ??= `a value goes on behind its closing ${quote}`;
      }
    } else if (sign === delimiter) {
      values.push(value);
      value = "";
      begins = true;
      at += 1;
    } else if (sign === "\n" || sign === "\r") {
      return { values: [...values, value], end: endOfLine(text, at), ended: true, problem };
    } else {
      value += sign;
      begins = false;
      at += 1;
    }
  }
  return { values: [...values, value], end: at, ended: false, problem };
}

/** Whether an escape character makes this sign part of the value; before any other it is a character itself. */
function escapes(sign, special) {
  return sign === "\n" || sign === "\r" || (Boolean(sign) && special.includes(sign));
}

/** A quoted value whose opening quote is in front of `at`; `open`: it does not end. */
function readQuoted(text, at, quote, escape, delimiter) {
  let value = "";
  for (; at < text.length; at += 1) {
    if (escape && text[at] === escape && escapes(text[at + 1], [delimiter, quote, escape])) {
      at += 1;
      value += text[at];
    } else if (text[at] !== quote) {
      value += text[at];
    } else if (text[at + 1] === quote) {
      value += quote;
      at += 1;
    } else {
      return { value, end: at + 1, open: false };
    }
  }
  return { value, end: at, open: true };
}

/**
 * The text of the header, a line `sep=;` in front of it included, and where the rows begin.
 * {text, end}; {open: true}: it does not end in this text.
 */
function headerOf(text, { delimiter, quote, escape, skipLines = 0, comment }, whole) {
  const start = startOfHeader(text, 0, skipLines, comment);
  const separator = /^("?)sep=([^\r\n"])\1[ \t,;]*(?:\r\n|\n|\r)/i.exec(text.slice(start, start + 200));
  const at = separator ? startOfHeader(text, start + separator[0].length, 0, comment) : start;
  const candidates = delimiter ? [delimiter] : separator ? [separator[2]] : DELIMITERS;
  const found = candidates.map((one) => readRow(text, at, { delimiter: one, quote, escape }));
  const closed = found.filter((row) => row.ended || whole);
  if (closed.length === 0) return { open: true };
  const end = Math.max(...closed.map((row) => row.end));
  return { text: text.slice(start, end), end };
}

/** The rows from `at` on that end in this text; blank lines are passed over, as everywhere. */
function rowsFrom(text, at, format, whole, most) {
  const rows = [];
  while (at < text.length && rows.length < most) {
    const row = readRow(text, at, format);
    if (!row.ended && !whole) break;
    if (!row.ended && format.quote !== "" && text.slice(at).startsWith(format.quote ?? '"') && row.values.length === 1) {
      row.problem ??= "a quote in it is not closed";
    }
    if (row.end - at > 0 && text.slice(at, row.end).replace(/[\r\n]+$/, "") !== "") rows.push(row);
    at = row.end;
  }
  return rows;
}

/** What is wrong with a value, in words that go on after the column's name; empty: nothing that a browser can know. */
function checkCell(rules, text, raw) {
  const told = checkText(rules, text);
  // The apostrophe that a spreadsheet's guard puts before a formula is taken off before the value is checked.
  return told && !raw && /^'+[=+\-@\t\r]/.test(text) ? checkText(rules, text.slice(1)) : told;
}

function checkText(rules, text) {
  if (rules.missing.includes(text)) {
    return rules.required ? `is required, but ${text ? `'${text}' stands for no value` : "empty"}` : "";
  }
  const length = [...text].length;
  const counted = length === 1 ? "1 character" : `${length.toLocaleString("en-US")} characters`;
  if (length < rules.shortest) return `is ${counted} long; at least ${rules.shortest} are needed`;
  if (length > rules.longest) return `is ${counted} long; at most ${rules.longest} are allowed`;
  for (const [source, reason] of rules.patterns) {
    if (!matches(source, text)) return reason;
  }
  if (rules.words && !rules.words.flat().includes(text)) {
    return `is neither true nor false; write '${rules.words[0][0]}' or '${rules.words[1][0]}'`;
  }
  if (rules.iso && !inCalendar(text)) return rules.type === "date" ? "is no day of the calendar" : "is no day and time of the calendar";
  const value = measured(rules, text);
  if (value === undefined) return "";
  if (value === Infinity || value === -Infinity) return "is too large for a number";
  if (rules.least && value < measuredBound(rules, rules.least)) return rules.least.reason;
  if (rules.most && value > measuredBound(rules, rules.most)) return rules.most.reason;
  if (rules.choices.length && rules.type !== "boolean" && !rules.choices.includes(chosen(rules, text, value))) {
    const named = rules.choices.map(String).sort();
    return `is none of ${named.slice(0, 8).join(", ")}${named.length > 8 ? ` and ${named.length - 8} others` : ""}`;
  }
  return "";
}

/** Whether the text matches; true for a pattern that this browser does not understand. */
function matches(source, text) {
  try {
    return new RegExp(source, "u").test(text);
  } catch {
    return true;
  }
}

/** The value to compare: a number, a text, a moment in milliseconds; undefined: the browser can't tell. */
function measured(rules, text) {
  if (rules.type === "string" || rules.type === "any" || (rules.type === "date" && rules.iso)) return text;
  if (rules.type === "datetime" && rules.iso) return momentOf(text);
  if (rules.type !== "integer" && rules.type !== "number") return undefined;
  if (!rules.number) return asNumber(text);
  if (!rules.number.source) return undefined;
  const found = new RegExp(rules.number.source, "u").exec(text);
  if (!found) return undefined;
  const digits = rules.number.group ? found[2].replaceAll(rules.number.group, "") : found[2];
  return asNumber(found[1] + digits.replace(rules.number.decimal, "."));
}

/** Digits of other scripts are numbers for the API; a browser can't tell which. */
function asNumber(text) {
  const value = Number(text);
  return Number.isNaN(value) ? undefined : value;
}

function measuredBound(rules, bound) {
  return rules.type === "datetime" ? momentOf(bound.value) : bound.value;
}

function chosen(rules, text, value) {
  return rules.type === "datetime" ? text.replace(" ", "T") : value;
}

function momentOf(text) {
  let iso = text.replace(" ", "T").replace(/(\.\d{3})\d+/, "$1");
  if (!iso.includes("T")) iso += "T00:00:00";
  if (!/(?:Z|[+-]\d\d:?\d\d)$/.test(iso.slice(10))) iso += "Z";
  const at = Date.parse(iso.replace(/([+-]\d\d)(\d\d)$/, "$1:$2"));
  return Number.isNaN(at) ? undefined : at;
}

/** Whether a text that looks like a date, or a date and time, is one of the calendar. */
function inCalendar(text) {
  const found = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?)?/.exec(text);
  if (!found) return true; // digits of other scripts
  const [year, month, day, hour = 0, minute = 0, second = 0] = found.slice(1).map((part) => Number(part ?? 0));
  const days = [31, year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  return year > 0 && month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] && hour < 24 && minute < 60 && second < 60;
}

/**
 * Each row against the columns that the API has matched: {number, cells: [{text, reason}], reason}. `told` has `fields`
 * (the field of each column of the file; empty: it is passed over) and `checks` (field -> rules).
 */
function checkRows(rows, told, raw) {
  return rows.map((row, place) => {
    let reason = row.problem ? `can't be read: ${row.problem}` : "";
    if (!reason && row.values.length !== told.fields.length) {
      const few = row.values.length < told.fields.length ? "few" : "many";
      reason = `has too ${few} values: ${row.values.length} instead of ${told.fields.length}`;
    }
    const cells = told.fields.map((field, column) => {
      const text = row.values[column] ?? "";
      const rules = told.checks[field];
      return { text, reason: reason || !rules ? "" : checkCell(rules, text, raw) };
    });
    return { number: place + 1, cells, reason };
  });
}

/** A value as a cell of a table shows it. */
function shortened(text) {
  const signs = [...text];
  return signs.length > SHORT ? `${signs.slice(0, SHORT).join("")}...` : text;
}
