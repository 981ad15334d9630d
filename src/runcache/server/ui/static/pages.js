// Conveniences. Every page works without them.
"use strict";

// A box that ticks all others of its form, and buttons that say how many are ticked.
for (const all of document.querySelectorAll("input[data-selects]")) {
  const boxes = [...all.form.querySelectorAll(`input[name="${all.dataset.selects}"]`)];
  const buttons = [...all.form.querySelectorAll("button[data-counts]")];
  const update = () => {
    const count = boxes.filter((box) => box.checked).length;
    all.checked = count > 0 && count === boxes.length;
    all.indeterminate = count > 0 && count < boxes.length;
    for (const button of buttons) {
      button.disabled = count === 0;
      button.textContent = count ? `${button.dataset.counts} (${count})` : button.dataset.counts;
    }
  };
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    update();
  });
  for (const box of boxes) box.addEventListener("change", update);
  // Where the browser came back to a page it may have kept what was ticked.
  window.addEventListener("pageshow", update);
  all.hidden = false;
}

// Menus close as one expects them to.
const menus = [...document.querySelectorAll("details.menu")];
document.addEventListener("click", (event) => {
  for (const menu of menus) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of menus.filter((each) => each.open)) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
