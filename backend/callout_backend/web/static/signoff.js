// The sign-off page's behaviour: signature pad, draft, sending. Without it the form still works.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const form = $("form");
  if (!form) return;

  const canvas = $("pad");
  const box = $("pad-box");
  const status = $("status");
  const send = $("send");
  const draftKey = `signoff:${form.dataset.draft}`;
  const STROKES_MAX = 200;
  const POINTS_MAX = 2000;
  const TOTAL_MAX = 20000;
  const TIMEOUT_MS = 30000;
  let strokes = [];
  let current = null;
  let pointer = null;
  let firstTouch = null;
  let sending = false;
  let failed = false;
  let shown = null;

  box.hidden = false;
  $("no-script").hidden = true;

  function message(key) {
    return document.querySelector(`[data-message="${key}"] [data-en]`).dataset[language.now()];
  }

  function say(key, text) {
    shown = text ? null : key;
    status.textContent = text || message(key);
    status.hidden = false;
  }

  function quiet() {
    shown = null;
    status.hidden = true;
    for (const element of form.querySelectorAll(".wrong")) {
      element.classList.remove("wrong");
      element.removeAttribute("aria-invalid");
    }
  }

  function nameButton() {
    send.textContent = message(sending ? "sending" : failed ? "again" : "send");
  }

  language.onChange(() => {
    nameButton();
    if (shown) say(shown);
  });

  // --- the pad: x and y in 0..1 of the box, t in milliseconds since the first touch

  function paint() {
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.lineWidth = Math.max(2, width / 180);
    pen.lineCap = pen.lineJoin = "round";
    pen.strokeStyle = pen.fillStyle = "#141414";
    for (const stroke of current ? [...strokes, current] : strokes) {
      pen.beginPath();
      stroke.forEach(([x, y], i) => (i ? pen.lineTo(x * width, y * height) : pen.moveTo(x * width, y * height)));
      if (stroke.length === 1) pen.lineTo(stroke[0][0] * width + 0.01, stroke[0][1] * height);
      pen.stroke();
    }
    $("undo").disabled = $("clear").disabled = strokes.length === 0;
  }

  function pointOf(event) {
    const area = canvas.getBoundingClientRect();
    const inside = (value) => Math.min(1, Math.max(0, Math.round(value * 10000) / 10000));
    firstTouch ??= event.timeStamp;
    return [
      inside((event.clientX - area.left - canvas.clientLeft) / canvas.clientWidth),
      inside((event.clientY - area.top - canvas.clientTop) / canvas.clientHeight),
      Math.max(0, Math.round(event.timeStamp - firstTouch)),
    ];
  }

  function extend(event) {
    const point = pointOf(event);
    const last = current[current.length - 1];
    const moved = Math.hypot((point[0] - last[0]) * canvas.clientWidth, (point[1] - last[1]) * canvas.clientHeight);
    const total = strokes.reduce((sum, stroke) => sum + stroke.length, current.length);
    if (moved >= 1 && current.length < POINTS_MAX && total < TOTAL_MAX) current.push(point);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0 || sending || strokes.length >= STROKES_MAX) return;
    event.preventDefault();
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    current = [pointOf(event)];
    paint();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    const between = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const one of between.length ? between : [event]) extend(one);
    paint();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => {
      if (event.pointerId !== pointer) return;
      strokes.push(current);
      pointer = current = null;
      canvas.classList.remove("wrong");
      paint();
      keep();
    });
  }
  $("undo").addEventListener("click", () => {
    strokes.pop();
    paint();
    keep();
  });
  $("clear").addEventListener("click", () => {
    strokes = [];
    firstTouch = null;
    paint();
    keep();
  });
  new ResizeObserver(paint).observe(canvas);

  // --- the draft: survives a reload of this tab, until it is sent

  function entered() {
    const rating = form.elements.rating.value;
    const decision = form.elements.decision.value;
    return {
      signerName: form.elements.signerName.value.trim(),
      decision,
      reason: decision === "object" ? form.elements.reason.value.trim() || null : null,
      rating: rating ? Number(rating) : null,
      strokes: $("typed").checked ? [] : strokes,
    };
  }

  function keep() {
    // A complaint about a missing entry is answered by any entry; a failed sending stays on show.
    if (shown?.startsWith("need_")) quiet();
    try {
      const draft = { ...entered(), reason: form.elements.reason.value, strokes, typed: $("typed").checked };
      sessionStorage.setItem(draftKey, JSON.stringify(draft));
    } catch {
      // Storage may be full or forbidden; the page itself still holds everything.
    }
  }

  function restore() {
    let draft = null;
    try {
      draft = JSON.parse(sessionStorage.getItem(draftKey));
    } catch {
      return;
    }
    if (!draft) return;
    form.elements.signerName.value = draft.signerName || "";
    form.elements.reason.value = draft.reason || "";
    if (draft.decision) form.elements.decision.value = draft.decision;
    form.elements.rating.value = draft.rating ? String(draft.rating) : "";
    $("typed").checked = Boolean(draft.typed);
    strokes = Array.isArray(draft.strokes) ? draft.strokes : [];
  }

  function follow() {
    $("reason-box").hidden = form.elements.decision.value !== "object";
    box.classList.toggle("by-name", $("typed").checked);
  }

  form.addEventListener("input", () => {
    follow();
    keep();
  });

  // --- sending

  function complain(key, element, field) {
    say(key);
    element.classList.add("wrong");
    field?.setAttribute("aria-invalid", "true");
    (field || element).focus();
    element.scrollIntoView({ block: "center" });
    return false;
  }

  function complete(data) {
    quiet();
    if (!data.decision) return complain("need_decision", form.querySelector("fieldset"), form.elements.decision[0]);
    if (data.decision === "object" && !data.reason) return complain("need_reason", $("reason"), $("reason"));
    if (!data.signerName) return complain("need_name", $("name"), $("name"));
    if (!$("typed").checked && data.strokes.length === 0) return complain("need_signature", canvas, $("typed"));
    return true;
  }

  function finished(decision) {
    sessionStorage.removeItem(draftKey);
    form.hidden = true;
    $(`done-${decision}`).hidden = false;
    $("done").hidden = false;
    $("done").focus();
    $("done").scrollIntoView({ block: "center" });
  }

  async function post(data) {
    const answer = await fetch(location.pathname, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", "Accept-Language": language.now() },
      body: JSON.stringify(data),
      signal: AbortSignal.timeout(TIMEOUT_MS),
      credentials: "omit",
      cache: "no-store",
    });
    if (answer.ok) return null;
    const problem = await answer.json().catch(() => ({}));
    return { code: problem.code, text: problem.detail };
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    const data = entered();
    if (!complete(data)) return;
    sending = true;
    send.disabled = true;
    nameButton();
    try {
      const problem = await post(data);
      if (problem === null) {
        finished(data.decision);
      } else if (problem.code === "SIGN_OFF_LINK_USED" && failed) {
        // The first sending may have arrived although its answer did not.
        say("arrived_before");
      } else {
        say("failed", problem.text);
      }
    } catch {
      failed = true;
      say(navigator.onLine ? "failed" : "offline");
    } finally {
      sending = false;
      send.disabled = false;
      nameButton();
    }
  });

  window.addEventListener("online", () => {
    if (failed && !sending) quiet();
  });

  restore();
  follow();
  paint();
})();
