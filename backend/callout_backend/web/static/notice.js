// Whoever sees this page has read the notice: the script says so at once, which robots that only fetch the page do not.
"use strict";

(() => {
  const TIMEOUT_MS = 10000;
  const $ = (id) => document.getElementById(id);
  const form = $("tell");
  if (!form) return;

  const tell = async (act) => {
    const answer = await fetch(location.pathname, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ act }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  };

  form.addEventListener("submit", async (event) => {
    const act = event.submitter ? event.submitter.value : "read";
    // Leads on to another page: for the browser.
    if (act === "answers") return;
    event.preventDefault();
    try {
      await tell(act);
      $(`done-${act}`).hidden = false;
      if ($(act)) $(act).hidden = true;
    } catch {
      form.submit();
    }
  });

  const opened = async () => {
    if (document.hidden) return;
    document.removeEventListener("visibilitychange", opened);
    try {
      const found = await tell("read");
      if ($("read")) $("read").hidden = true;
      // What must be acknowledged is acknowledged here first.
      if (found.goOn && !$("acknowledge")) location.replace(found.goOn);
    } catch {
      // The button is still there.
    }
  };
  document.addEventListener("visibilitychange", opened);
  opened();
})();
