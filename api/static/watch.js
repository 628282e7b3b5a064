// The page of a job renews itself as soon as the job's state has changed: the API tells it by server-sent events. Without
// them, and for all the rest, the page asks every second or every three.
"use strict";

const MOST_REPEATS = 5; // another process of the API may answer, and know of the change a moment later
let source = null;
let toldState = "";
let repeats = 0;

function shownJob() {
  return document.querySelector("#live[data-state]");
}

function catchUp() {
  const live = shownJob();
  if (!live || !toldState || live.dataset.state === toldState || repeats >= MOST_REPEATS) return;
  repeats += 1;
  window.htmx.trigger(document.body, "job-told");
}

function stopWatching() {
  source?.close();
  source = null;
}

/** One stream while the page is seen and its job can still change: a browser has few connections to a server. */
function watch() {
  const path = document.hidden ? undefined : shownJob()?.dataset.events;
  if (!path) return stopWatching();
  if (source) return;
  source = new EventSource(path);
  source.addEventListener("state", (event) => {
    toldState = JSON.parse(event.data).state;
    repeats = 0;
    catchUp();
  });
}

document.addEventListener("htmx:afterSettle", () => {
  catchUp(); // a request that was under way may have been answered with the state before
  watch();
});
document.addEventListener("visibilitychange", watch);
window.addEventListener("pagehide", stopWatching);
watch();
