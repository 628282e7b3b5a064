// The first rows of a CSV file, read in the browser: bytes to text, text to rows, rows against the rules of their fields.
// Nothing here touches the page; columns.js shows what comes of it, and the tests run it without a browser.
"use strict";

const SIGNS = { comma: ",", semicolon: ";", tab: "\t", "\\t": "\t", pipe: "|", hash: "#", single: "'", double: '"', backslash: "\\", none: "" };
const DELIMITERS = [",", ";", "\t", "|"];
const SHORT = 40;

/** The character that a field of the form names; undefined: it is empty. */
function signOf(text) {
  if (!text) return undefined;
  return SIGNS[text.toLowerCase()] ?? text;
}

/**
 * The name that browsers have for an encoding; undefined: they do not know it, or read it otherwise than the API. Theirs of
 * Hebrew, Chinese, Japanese and Korean have more characters than Python's of the same name.
 */
function browserEncoding(name) {
  const plain = name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
  const [, page] = /^(?:cp|windows)(125[0-46-8]|874)$/.exec(plain) ?? [];
  if (page) return `windows-${page}`;
  const [, part] = /^iso8859(\d\d?)$/.exec(plain) ?? [];
  if (part) return `iso-8859-${part}`;
  const unicode = { utf8: "utf-8", utf8sig: "utf-8", ascii: "utf-8", usascii: "utf-8", utf16le: "utf-16le", utf16be: "utf-16be" };
  const others = { latin1: "iso-8859-1", cp866: "ibm866", ibm866: "ibm866", koi8r: "koi8-r", macroman: "macintosh", macintosh: "macintosh" };
  return { ...unicode, ...others }[plain];
}

/** The bytes 0x80 to 0x9f, which browsers take for those of Windows in these parts of ISO 8859. */
const OF_WINDOWS = ["iso-8859-1", "iso-8859-9", "iso-8859-11"];

/**
 * The text of a file's first bytes: {text}, or {problem} in words, or {unread} if only the API can read the encoding.
 * `bad` has the lines of the text, as [start, end], that are not UTF-8: their rows are row errors. A character that the end
 * of the bytes cuts in two is left out, unless they are the `whole` file.
 */
function decodeHead(bytes, encoding, whole) {
  const begins = (...marks) => marks.every((mark, place) => bytes[place] === mark);
  if (begins(0xff, 0xfe, 0, 0) || begins(0, 0, 0xfe, 0xff)) return { unread: "utf-32" };
  const marked = begins(0xff, 0xfe) ? "utf-16le" : begins(0xfe, 0xff) ? "utf-16be" : begins(0xef, 0xbb, 0xbf) ? "utf-8" : undefined;
  const named = encoding ? browserEncoding(encoding) : "utf-8";
  if (marked && encoding && named !== marked && !(marked.startsWith("utf-16") && /^utf[-_ ]?16$/i.test(encoding))) {
    return { problem: `The file begins with the byte order mark of ${marked.toUpperCase()}, so it is not ${encoding}; leave the encoding out.` };
  }
  const name = marked ?? named;
  if (!name) return { unread: encoding };
  let text;
  try {
    text = new TextDecoder(name, { fatal: true }).decode(bytes, { stream: !whole });
  } catch (error) {
    if (error instanceof RangeError) return { unread: encoding };
  }
  if (OF_WINDOWS.includes(name) && bytes.some((byte) => byte >= 0x80 && byte < 0xa0)) return { unread: encoding };
  // A byte that stands for nothing in an encoding of Windows is a control character for browsers.
  if (text !== undefined && !(name.startsWith("windows-") && /[\x80-\x9f]/.test(text))) return { text };
  if (name === "utf-8" && (encoding || !inAnotherEncoding(bytes, whole))) return decodeLines(bytes, whole);
  if (name === "utf-8" && !encoding) {
    return { problem: "The file is not UTF-8; name its encoding under “How the file is written”, cp1252 in many cases." };
  }
  return { problem: `The file is not ${encoding || name.toUpperCase()}.` };
}

/** The text of bytes that are not all UTF-8, and its lines that have such bytes. */
function decodeLines(bytes, whole) {
  const bad = [];
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    let end = at;
    while (end < bytes.length && bytes[end] !== 10 && bytes[end] !== 13) end += 1;
    end += 1;
    const options = { stream: !whole && end > bytes.length };
    const line = bytes.subarray(at, end);
    const start = text.length;
    try {
      text += new TextDecoder("utf-8", { fatal: true, ignoreBOM: at > 0 }).decode(line, options);
    } catch {
      text += new TextDecoder("utf-8", { ignoreBOM: at > 0 }).decode(line, options);
      bad.push([start, text.length]);
    }
    at = end;
  }
  return { text, bad };
}

const VALID =
  /[\0-\x7f]+|(?:[\xc2-\xdf]|\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]|\xed[\x80-\x9f]|\xf0[\x90-\xbf][\x80-\xbf]|[\xf1-\xf3][\x80-\xbf]{2}|\xf4[\x80-\x8f][\x80-\xbf])[\x80-\xbf]/y;
const BEGUN =
  /(?:[\xc2-\xf4]|\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]|\xed[\x80-\x9f]|\xf0[\x90-\xbf][\x80-\xbf]?|[\xf1-\xf3][\x80-\xbf]{1,2}|\xf4[\x80-\x8f][\x80-\xbf]?)$/y;

// What these say is in csvfile/text/encodings.py, under the same names.
const MOST_BAD_BYTES = 1000;
const IN_WORDS = 0.8;
const SEVERAL = 4;
const DIFFERENT = 3;
const HARDLY_LETTERS = 0xfe;
const TYPED = "\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u20ac";

/** Whether an upload of a file that begins so is refused since it is in another encoding; see csvfile/text/encodings.py. */
function inAnotherEncoding(bytes, whole) {
  const signs = [...bytes].map((byte) => String.fromCharCode(byte)).join("");
  const bad = [];
  for (let at = signs.startsWith("\xef\xbb\xbf") ? 3 : 0; at < signs.length; ) {
    VALID.lastIndex = BEGUN.lastIndex = at;
    const [found] = VALID.exec(signs) ?? [];
    if (found) {
      if (found[0] > "\x7f") return false;
      at += found.length;
    } else {
      if (!whole && BEGUN.test(signs)) break;
      bad.push(at);
      at += 1;
    }
  }
  const some = bad.slice(0, MOST_BAD_BYTES);
  const words = some.filter((place) => inAWord(signs, place)).length;
  const different = new Set(some.map((place) => signs[place]));
  const several = some.length >= SEVERAL && different.size >= DIFFERENT && Math.max(...some.map((place) => bytes[place])) < HARDLY_LETTERS;
  return bad.length > 0 && (words >= IN_WORDS * some.length || several);
}

function inAWord(signs, place) {
  const [before, sign, behind] = [signs[place - 1] ?? "", signs[place], signs[place + 1] ?? ""];
  if ("\x81\x8d\x8f\x90\x9d".includes(sign)) return false;
  const letter = new TextDecoder("windows-1252").decode(Uint8Array.of(sign.charCodeAt(0)));
  if (TYPED.includes(letter)) return /[A-Za-z0-9 ]/.test(before + behind);
  if (sign.charCodeAt(0) >= HARDLY_LETTERS || !/\p{L}/u.test(letter)) return false;
  if (/[A-Za-z]/.test(before)) return /\p{Lowercase}/u.test(letter) || /[A-Z]/.test(before);
  return /[a-z]/.test(behind);
}

/** Why a header is no text, in words, though the file may be: {text, bad} is what `decodeHead` has made of it. */
function headerProblem({ text, bad = [] }, { start, end }, encoding) {
  if (bad.some(([from, to]) => from < end && to > start)) {
    return `The header is not ${encoding || "UTF-8"}; name the encoding of the file under “How the file is written”, cp1252 in many cases.`;
  }
  if (!text.slice(start, end).includes("\0")) return "";
  const hint = encoding ? "leave the encoding out" : "name its encoding under “How the file is written”, utf-16-le in many cases";
  return `The header has NUL characters, so the file is not text in ${encoding || "UTF-8"}; ${hint}.`;
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
 * The row that begins at `at`: its values, where it ends, whether a line end closes it, whether it can't end without more
 * (`open`), and why it can't be read.
 * The rules are those of RFC 4180; a quote inside an unquoted value is a character like any other.
 */
function readRow(text, at, { delimiter, quote = '"', escape = "" }) {
  const values = [];
  let value = "";
  let begins = true;
  let behind = false; // text behind a closing quote, in which nothing is escaped
  let open = false;
  let problem;
  while (at < text.length) {
    const sign = text[at];
    const escaped = behind ? "" : escapedAt(text, at, escape, delimiter, quote);
    if (escaped) {
      value += escaped;
      at += 1 + escaped.length;
      begins = false;
      open = /[\r\n]/.test(escaped); // and the value goes on behind it
    } else if (begins && quote && sign === quote) {
      const quoted = readQuoted(text, at + 1, quote, escape, delimiter);
      if (quoted.open) return { values: [...values, quoted.value], end: text.length, ended: false, open: true, problem };
      ({ value, end: at } = quoted);
      begins = false;
      if (at < text.length && text[at] !== delimiter && text[at] !== "\n" && text[at] !== "\r") {
        problem ??= `a value goes on behind its closing ${quote}`;
        behind = true;
      }
    } else if (sign === delimiter) {
      values.push(value);
      value = "";
      begins = true;
      behind = false;
      at += 1;
    } else if (sign === "\n" || sign === "\r") {
      return { values: [...values, value], end: endOfLine(text, at), ended: true, problem };
    } else {
      value += sign;
      begins = false;
      at += 1;
      open = sign === escape && !behind;
    }
  }
  return { values: [...values, value], end: at, ended: false, open: open && value !== "", problem };
}

/** What an escape character at `at` makes part of the value, a line end in one; before anything else it is a character itself. */
function escapedAt(text, at, escape, ...special) {
  if (!escape || text[at] !== escape) return "";
  const sign = text[at + 1] ?? "";
  if (sign === "\r" && text[at + 2] === "\n") return "\r\n";
  return sign === "\n" || sign === "\r" || sign === escape || special.includes(sign) ? sign : "";
}

/** A quoted value whose opening quote is in front of `at`; `open`: it does not end. */
function readQuoted(text, at, quote, escape, delimiter) {
  let value = "";
  for (; at < text.length; at += 1) {
    const escaped = escapedAt(text, at, escape, delimiter, quote);
    if (escaped) {
      at += escaped.length;
      value += escaped;
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

const SEPARATOR = /("?)sep=([\t!#-/:-@[-`{-~])\1[ \t,;]*(?:\r\n|\n|\r)/iy;

/**
 * The text of the header, with a line `sep=;` but nothing else in front of it, where it is, and where the rows begin with
 * each delimiter that it may have: {text, start, end, ends, open}; `open`: it does not end in this text.
 */
function headerOf(text, { delimiter, quote, escape, skipLines = 0, comment }, whole) {
  const front = startOfHeader(text, 0, skipLines, comment);
  SEPARATOR.lastIndex = front;
  const separator = SEPARATOR.exec(text);
  const start = separator ? startOfHeader(text, SEPARATOR.lastIndex, 0, comment) : front;
  const candidates = delimiter ? [delimiter] : separator ? [separator[2]] : DELIMITERS;
  const ends = {};
  for (const one of candidates) {
    const row = readRow(text, start, { delimiter: one, quote, escape });
    if (row.ended || (whole && !row.open)) ends[one] = row.end;
  }
  const open = !Object.keys(ends).length;
  const end = open ? text.length : Math.max(...Object.values(ends));
  const sent = `${separator?.[0] ?? ""}${text.slice(start, end)}`;
  // The API takes one mark off, which is that of the file.
  return { text: sent.startsWith("\ufeff") ? `\ufeff${sent}` : sent, start, end, ends, open };
}

/**
 * The rows from `at` on that end in this text; blank lines are passed over, as everywhere. `bad`: lines that are not UTF-8,
 * as [start, end].
 */
function rowsFrom(text, at, format, whole, most, bad = []) {
  const rows = [];
  let line = 0;
  while (at < text.length && rows.length < most) {
    const row = readRow(text, at, format);
    if (!row.ended && !whole) break;
    if (row.open) row.problem = "a quote in it is not closed";
    while (line < bad.length && bad[line][1] <= at) line += 1;
    if (line < bad.length && bad[line][0] < row.end) row.problem ??= "a byte in it is not UTF-8";
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

/** The bits of a text's CRC-32. */
function checksum(text) {
  let bits = -1;
  for (const byte of new TextEncoder().encode(text)) {
    bits ^= byte;
    for (let bit = 0; bit < 8; bit += 1) bits = (bits >>> 1) ^ (bits & 1 ? 0xedb88320 : 0);
  }
  return ~bits >>> 0;
}

/** Why a row of an errors.csv is refused again, which nobody has corrected; see csvfile/refused_rows.py. */
function stillRefused({ values }, { names, fields, dataset = [] }) {
  const reason = values[names?.indexOf("sluice_reason")] ?? "";
  const [, told, mark] = /^(.+) \[cells ([0-9a-f]{8})[^\]]*\]\s*$/s.exec(reason) ?? [];
  if (!mark) return "";
  const own = fields.flatMap((field, column) => (field || dataset.includes(names[column]) ? [column] : []));
  const plain = (value) => value.replace(/^'+/, "").replace(/\r\n?/g, "\n");
  const unchanged = [(column) => names[column], (column) => fields[column] || names[column]].some((nameOf) => {
    const cells = own.map((column) => [nameOf(column), values[column] ?? ""]).filter(([, value]) => value);
    cells.sort(([one], [other]) => (one < other ? -1 : 1));
    const found = checksum(cells.map(([name, value]) => `${name}\x1f${plain(value)}\x1e`).join(""));
    return found === Number.parseInt(mark, 16);
  });
  if (unchanged) return `is as it was refused: ${told}`;
  const surplus = names.some((name, column) => !name && !fields[column] && values[column]);
  return surplus ? "has too many values: what stands in a column without a name has to be removed" : "";
}

/**
 * Each row against the columns that the API has matched: {number, cells: [{text, reason}], reason}. `told` has `fields`
 * (the field of each column of the file; empty: it is passed over) and `checks` (field -> rules); for those of an errors.csv
 * `names` of the columns, and the fields of the `dataset`.
 */
function checkRows(rows, told, raw) {
  return rows.map((row, place) => {
    let reason = row.problem ? `can't be read: ${row.problem}` : stillRefused(row, told);
    if (!reason && row.values.length !== told.fields.length) {
      const few = row.values.length < told.fields.length ? "few" : "many";
      reason = `has too ${few} values: ${row.values.length} instead of ${told.fields.length}`;
    }
    const cells = told.fields.map((field, column) => {
      const text = row.values[column] ?? "";
      const rules = told.checks[field];
      return { text, reason: reason || !rules ? "" : checkCell(rules, text, raw) };
    });
    return { number: place + 1, cells, reason, open: row.open };
  });
}

/** A value as a cell of a table shows it. */
function shortened(text) {
  const signs = [...text];
  return signs.length > SHORT ? `${signs.slice(0, SHORT).join("")}...` : text;
}
