// What the page does besides htmx: says when the API can't be reached, shows how far a file is sent, keeps what was
// typed while the page renews itself, and tells screen readers what has changed.
"use strict";

const UNREACHABLE = "The API can't be reached; trying again.";
const NOT_SENT =
  "The API can't be reached, so it is not known whether this took effect. Look at the list of jobs before you send it again.";
const BROKEN = "Something went wrong inside the API; its log has the cause.";

const lost = document.getElementById("lost");
const say = document.getElementById("say");
let fromForm = false;
let hadFocus = false;

/** Shows what keeps the page from being up to date; no text: nothing does. */
function showLost(text) {
  if (lost.textContent !== text) lost.textContent = text;
  lost.hidden = !text;
}

/** The words of a refusal that the API has sent as HTML. */
function words(xhr) {
  const html = (xhr.getResponseHeader("Content-Type") || "").startsWith("text/html");
  const text = html ? new DOMParser().parseFromString(xhr.responseText, "text/html").body.textContent.trim() : "";
  return text || BROKEN;
}

function answer(form, text) {
  const place = form.querySelector(".answer");
  if (!place) return;
  place.replaceChildren();
  if (!text) return;
  const notice = document.createElement("p");
  notice.className = "notice bad";
  notice.textContent = text;
  place.append(notice);
}

function unreachable(event) {
  const from = event.detail.elt;
  if (from.matches("form")) answer(from, NOT_SENT);
  else showLost(UNREACHABLE);
}

document.addEventListener("htmx:sendError", unreachable);
document.addEventListener("htmx:timeout", unreachable);

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.matches("form")) answer(event.detail.elt, "");
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, requestConfig } = event.detail;
  const from = requestConfig.elt;
  fromForm = requestConfig.verb !== "get";
  // Kept until it is settled: of two answers at once, the second meets a page whose focus the first has taken away.
  hadFocus ||= Boolean(document.activeElement && document.activeElement.closest("#job"));
  if (xhr.status < 400) {
    if (from.hasAttribute("data-poll")) showLost("");
  } else if (!from.matches("form")) {
    event.detail.shouldSwap = false; // what the page shows stays, and is said to be old
    showLost(words(xhr));
  } else if (!(xhr.getResponseHeader("Content-Type") || "").startsWith("text/html")) {
    event.detail.shouldSwap = false;
    answer(from, BROKEN);
  }
});

// The buttons are renewed when the job's state changes, also by somebody else: what is being typed stays.
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const { target, fragment } = event.detail;
  if (target.id !== "actions" || fromForm) return;
  for (const input of target.querySelectorAll("input[id]:not([type=file])")) {
    const renewed = fragment.querySelector(`#${input.id}`);
    if (!renewed) continue;
    if (input.type === "radio") renewed.checked = input.checked;
    else if (input.value !== input.defaultValue) renewed.value = input.value;
  }
  const open = [...target.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent);
  for (const summary of fragment.querySelectorAll("details > summary")) {
    if (open.includes(summary.textContent)) summary.parentElement.open = true;
  }
});

document.addEventListener("htmx:afterSettle", () => {
  const live = document.querySelector("[data-say]");
  if (live && live.dataset.say !== say.textContent) say.textContent = live.dataset.say;
  const title = document.getElementById("actions-title");
  if (hadFocus && title && document.activeElement === document.body) title.focus();
  hadFocus = false;
});

document.addEventListener("htmx:xhr:progress", (event) => {
  const form = event.target.closest("form");
  const file = form && form.querySelector("input[type=file]")?.files[0];
  const { loaded, total } = event.detail;
  if (!file || total < file.size) return; // that is the answer, on its way back
  const sending = form.querySelector(".sending");
  const percent = total ? (100 * loaded) / total : 0;
  sending.hidden = false;
  sending.querySelector("progress").value = percent;
  const text = percent < 100 ? `Sending: ${Math.floor(percent / 10) * 10}%` : "Sent; it is being checked.";
  const told = sending.querySelector("[role=status]");
  if (told.textContent !== text) told.textContent = text;
});

document.addEventListener("htmx:afterRequest", (event) => {
  const sending = event.detail.elt.querySelector?.(".sending");
  if (sending) sending.hidden = true;
});

// The file of a draft is sent in parts, so that a broken connection costs one part; then the job is started.
const PART_BYTES = 8 * 1024 * 1024;
const TRIES = 20;

async function sendParts(form) {
  const file = form.querySelector("input[type=file]").files[0];
  const sending = form.querySelector(".sending");
  const path = form.dataset.parts;
  let failed = 0;
  for (let done = false; !done; ) {
    try {
      let response = await fetch(path);
      if (!response.ok) throw new Error((await refusalOf(response)) || BROKEN, { cause: "refused" });
      let { offset } = await response.json();
      while (offset < file.size) {
        const headers = { "Upload-Offset": String(offset) };
        response = await fetch(path, { method: "PATCH", headers, body: file.slice(offset, offset + PART_BYTES) });
        if (!response.ok && response.status !== 503) throw new Error(await refusalOf(response), { cause: "refused" });
        if (!response.ok) throw new Error(await refusalOf(response));
        ({ offset } = await response.json());
        failed = 0;
        sending.hidden = false;
        sending.querySelector("progress").value = (100 * offset) / file.size;
      }
      done = true;
    } catch (error) {
      failed += 1;
      if (error.cause === "refused" || failed > TRIES) throw error;
      await new Promise((go) => setTimeout(go, 1000));
    }
  }
}

async function refusalOf(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return BROKEN;
  }
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.parts) return;
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  answer(form, "");
  try {
    await sendParts(form);
    document.querySelector("form[action$='/start']").requestSubmit();
  } catch (error) {
    answer(form, error.message || NOT_SENT);
  }
  button.disabled = false;
});

// A browser that goes back may show the page as it was left: its forms would stand for the jobs they have started.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});
