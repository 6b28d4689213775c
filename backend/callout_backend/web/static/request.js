// The request form: a button that is sending is not pressed twice.
// Without it the form works as it is.
"use strict";

(() => {
  const form = document.getElementById("form");
  const wrong = document.getElementById("wrong");
  if (wrong) wrong.focus();
  if (!form) return;
  form.addEventListener("submit", () => {
    for (const button of form.querySelectorAll("button")) button.disabled = true;
  });
  // Coming back by the browser's button shows the page as it was left.
  window.addEventListener("pageshow", () => {
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  });
})();
