// What the parts that sum a job up need besides htmx: what is open stays open while they renew themselves.
"use strict";

document.addEventListener("htmx:beforeSwap", (event) => {
  const { target } = event.detail;
  if (!target.matches?.("[data-keeps-open]")) return;
  const open = [...target.querySelectorAll("details[open][id]")].map((found) => found.id);
  const focused = document.activeElement?.closest("details[id]");
  const again = target.contains(focused) && document.activeElement.matches("summary") ? focused.id : null;
  document.addEventListener(
    "htmx:afterSwap",
    () => {
      for (const id of open) document.getElementById(id)?.setAttribute("open", "");
      if (again) document.querySelector(`#${again} > summary`)?.focus();
    },
    { once: true },
  );
});

// Copying needs a secure place (https, or this machine); where it is not, the text can be selected.
for (const button of document.querySelectorAll("[data-copies]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    const told = button.parentElement.querySelector("[role=status]");
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
      told.textContent = "Copied.";
    } catch {
      told.textContent = "The browser does not allow it; select the text instead.";
    }
  });
}

// Ticks in the list of jobs stay while the list renews itself, and open the form they belong to.
let ticked = [];
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id === "jobs") {
    ticked = [...document.querySelectorAll("#jobs .tick:checked")].map((tick) => tick.value);
    const focused = document.activeElement?.matches("#jobs .tick") ? document.activeElement.value : null;
    document.addEventListener(
      "htmx:afterSwap",
      () => {
        for (const tick of document.querySelectorAll("#jobs .tick")) {
          tick.checked = ticked.includes(tick.value);
          if (tick.value === focused) tick.focus();
        }
      },
      { once: true },
    );
  }
});
document.addEventListener("change", (event) => {
  const form = document.getElementById("many-details");
  if (event.target.matches("#jobs .tick") && event.target.checked && form) form.open = true;
});
