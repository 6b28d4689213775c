// The page's language: every sentence is there in both, so that switching loses nothing that was entered.
// Without it the switch is a link to the same page.
"use strict";

const language = (() => {
  const root = document.documentElement;
  const switcher = document.getElementById("switch");
  const heard = [];
  let now = root.dataset.locale;

  const show = (locale) => {
    const other = locale === "zh" ? "en" : "zh";
    now = locale;
    root.lang = locale === "zh" ? "zh-CN" : "en";
    for (const element of document.querySelectorAll("[data-en][data-zh]")) {
      element.textContent = element.dataset[locale];
    }
    for (const element of document.querySelectorAll("[data-label-en][data-label-zh]")) {
      element.setAttribute("aria-label", locale === "zh" ? element.dataset.labelZh : element.dataset.labelEn);
    }
    // What is sent, and where links lead, goes on in the language that is read.
    for (const field of document.querySelectorAll('input[name="lang"]')) field.value = locale;
    for (const [name, elements] of [["action", "form"], ["href", "a"]]) {
      for (const element of document.querySelectorAll(`${elements}[${name}^="?lang="]`)) {
        const spoken = element === switcher ? other : locale;
        element.setAttribute(name, element.getAttribute(name).replace(/^\?lang=\w+/, `?lang=${spoken}`));
      }
    }
    switcher.dataset.other = other;
    switcher.lang = other === "zh" ? "zh-CN" : "en";
    switcher.textContent = other === "zh" ? "中文" : "English";
    for (const act of heard) act(locale);
  };
  switcher.addEventListener("click", (event) => {
    event.preventDefault();
    show(switcher.dataset.other);
  });

  return {
    // "en" or "zh"
    now: () => now,
    onChange: (act) => { heard.push(act); },
  };
})();
