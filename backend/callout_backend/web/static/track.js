// Keeps the customer's page up to date: asks every twenty seconds while it is looked at. Without it the page reloads itself.
"use strict";

(() => {
  const EVERY_MS = 20000;
  const TIMEOUT_MS = 10000;
  const $ = (id) => document.getElementById(id);
  const facts = $("facts");
  if (!facts) return;

  const write = (id, texts) => {
    const row = $(`${id}-row`);
    if (row) row.hidden = !texts;
    if (!texts) return;
    const line = document.createElement("span");
    line.dataset.en = texts.en;
    line.dataset.zh = texts.zh;
    line.textContent = texts[language.now()];
    // A headline that says the same again is not read out again.
    if ($(id).textContent !== line.textContent) $(id).replaceChildren(line);
  };

  const show = (state) => {
    for (const [id, texts] of Object.entries(state.lines)) write(id, texts);
    $("sketch").toggleAttribute("hidden", !state.sketch);
    if (state.sketch) {
      $("van").setAttribute("transform", `translate(${state.sketch.x} ${state.sketch.y})`);
      Object.assign($("ring").dataset, state.sketch.ring);
      $("ring").textContent = state.sketch.ring[language.now()];
    }
  };

  const look = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(facts.dataset.state, {
        cache: "no-store",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (answer.status === 404 || answer.status === 410) {
        location.reload();
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      show(await answer.json());
      $("offline").hidden = true;
    } catch {
      $("offline").hidden = false;
    }
  };

  setInterval(look, EVERY_MS);
  document.addEventListener("visibilitychange", look);
  window.addEventListener("online", look);
})();
