// The request form: switching the language keeps what was typed, and a button that is sending is not pressed twice.
// Without it the form works as it is.
"use strict";

(() => {
  const root = document.documentElement;
  const switcher = document.getElementById("switch");
  const form = document.getElementById("form");
  switcher.addEventListener("click", (event) => {
    if (!form) return;
    event.preventDefault();
    const locale = switcher.dataset.other;
    const other = locale === "zh" ? "en" : "zh";
    root.lang = locale === "zh" ? "zh-CN" : "en";
    for (const element of document.querySelectorAll("[data-en][data-zh]")) {
      element.textContent = element.dataset[locale];
    }
    form.elements.lang.value = locale;
    switcher.dataset.other = other;
    switcher.lang = other === "zh" ? "zh-CN" : "en";
    switcher.textContent = other === "zh" ? "中文" : "English";
  });
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
