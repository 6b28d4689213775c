// Conversations that wait for a person, on the hotline agent's page: read, answer, complete into an order, close.
"use strict";

const waitingList = ({ say, make, tell, wrong, inputs }) => {
  const EVERY_MS = 30000;
  const PAGE = 50;
  const PATHS = ["contactName", "contactPhone", "contactEmail", "customerName", "address", "serial", "product", "errorCode"];
  const $ = (id) => document.getElementById(id);
  const dialog = $("talk");
  const form = $("talk-form");
  let rows = [];
  let pages = 1;
  let more = false;
  let draft = null;
  let kinds = [];
  let asked = 0;
  let timer = 0;
  let deaf = () => {};

  const LIST = `query IntakeDrafts($first: Int!, $after: String) {
    intakeDrafts(first: $first, after: $after) {
      endCursor hasMore
      nodes { id channelCode channelKind peer state reason description createdAt updatedAt }
    }
  }`;
  const ONE = `query IntakeDraft($id: UUID!) {
    intakeDraft(id: $id) {
      id channelCode peer state reason locale description kind values orderId
      faults { path en zh }
      messages { id direction text state at }
      files { id name state }
    }
  }`;
  const ANSWER = "mutation Answer($id: UUID!, $text: String!) { answerDraft(id: $id, text: $text) { id } }";
  const CLOSE = "mutation Close($id: UUID!, $reason: String!) { closeDraft(id: $id, reason: $reason) { id } }";
  const COMPLETE = `mutation Complete($id: UUID!, $values: JSON, $kind: String) {
    completeDraft(id: $id, values: $values, kind: $kind) { orderId order { number } }
  }`;

  const moment = (text) => new Date(text).toLocaleString(document.documentElement.lang, { dateStyle: "short", timeStyle: "short" });
  const locale = () => language.now();

  // ---------------------------------------------------------------- the list

  const show = () => {
    tell($("waiting-none"), rows.length ? "" : say("waiting_none"));
    $("waiting-more").hidden = !more;
    $("waiting-list").replaceChildren(
      ...rows.map((one) => {
        const button = make("button", { type: "button", textContent: say("open") });
        button.addEventListener("click", () => open(one.id));
        const state = say(one.state === "desk" ? "state_desk" : "state_open");
        const row = make("li", {},
          make("p", {}, make("strong", { textContent: one.peer }), ` · ${one.channelCode} · ${state} · ${moment(one.updatedAt)}`),
          make("p", { className: "soft", textContent: one.description.slice(0, 200) || "…" }),
          button);
        row.dataset.draft = one.id;
        return row;
      }),
    );
  };

  const load = async () => {
    const mine = ++asked;
    const found = [];
    try {
      let after = null;
      let answer = null;
      for (let n = 0; n < pages; n += 1) {
        answer = (await staff.ask(LIST, { first: PAGE, after })).intakeDrafts;
        found.push(...answer.nodes);
        after = answer.endCursor;
        if (!answer.hasMore) break;
      }
      if (mine !== asked) return; // asked once more meanwhile
      rows = found;
      more = answer.hasMore;
      tell($("waiting-problem"), "");
      show();
    } catch (fault) {
      if (mine === asked) tell($("waiting-problem"), wrong(fault));
    }
  };

  // ---------------------------------------------------------------- one of them

  const ownKind = () => kinds.find((one) => one.code === (form.elements.kind.value || draft?.kind));

  // Values of a conversation are texts: of several choices, their codes with commas between.
  const textOf = (input) => (input.multiple ? [...input.selectedOptions].map((one) => one.value).join(",") : input.value.trim());
  const fill = (input, text) => {
    if (!input.multiple) input.value = text;
    else for (const option of input.options) option.selected = text.split(",").includes(option.value);
  };

  const showInputs = () => {
    const known = draft.values ?? {};
    const wanted = new Set(draft.faults.map((one) => one.path));
    const kept = Object.fromEntries([...$("talk-values").querySelectorAll("[data-path]")].map((one) => [one.dataset.path, textOf(one)]));
    const own = (ownKind()?.body.fields ?? []).filter((one) => inputs.needed(ownKind(), one) || `fields.${one.code}` in known || wanted.has(`fields.${one.code}`));
    const fields = [
      ...PATHS.map((path) => [path, say(path), make("input", { type: "text", maxLength: 1000, autocomplete: "off" })]),
      ...own.map((one) => [`fields.${one.code}`, one.label[locale()], inputs.make(one)]),
    ];
    $("talk-values").replaceChildren(
      ...fields.map(([path, label, input]) => {
        input.dataset.path = path;
        fill(input, kept[path] ?? known[path] ?? "");
        input.setAttribute("aria-invalid", String(wanted.has(path)));
        return make("label", {}, label, input);
      }),
    );
  };

  const showDraft = () => {
    $("talk-title").textContent = `${draft.peer} · ${draft.channelCode}`;
    $("talk-messages").replaceChildren(
      ...draft.messages.map((one) =>
        make("li", { className: one.direction === "out" ? "out" : "in" },
          make("small", { textContent: `${say(one.direction === "out" ? "from_us" : "from_them")} · ${moment(one.at)}` }),
          make("p", { textContent: one.text || "…" }))),
      ...draft.files.map((one) => make("li", { className: "in" }, make("small", { textContent: say("file") }), ` ${one.name}`)),
    );
    $("talk-faults").replaceChildren(...draft.faults.map((one) => make("li", { textContent: one[locale()] })));
    showInputs();
    const over = !["open", "desk"].includes(draft.state);
    for (const button of dialog.querySelectorAll("button[data-act]")) button.disabled = over;
    if (over) tell($("talk-problem"), say("talk_over"));
  };

  const fetchDraft = async (id) => {
    const { intakeDraft } = await staff.ask(ONE, { id });
    draft = intakeDraft;
  };

  const open = async (id) => {
    try {
      await fetchDraft(id);
      if (!draft) return await load(); // somebody closed it
      form.reset();
      $("talk-values").replaceChildren();
      form.elements.description.value = draft.description;
      nameKinds();
      form.elements.kind.value = draft.kind && kinds.some((one) => one.code === draft.kind) ? draft.kind : "";
      tell($("talk-problem"), "");
      showDraft();
      dialog.showModal();
    } catch (fault) {
      tell($("waiting-problem"), wrong(fault));
    }
  };

  const act = (name, doIt) => async () => {
    const buttons = [...dialog.querySelectorAll("button[data-act]")];
    for (const button of buttons) button.disabled = true;
    tell($("talk-problem"), "");
    try {
      const done = await doIt();
      for (const button of buttons) button.disabled = false;
      if (done) {
        dialog.close();
        tell($("done"), done);
      } else showDraft();
      await load();
    } catch (fault) {
      for (const button of buttons) button.disabled = false;
      tell($("talk-problem"), wrong(fault));
    }
  };

  const answer = act("answer", async () => {
    const text = form.elements.answer.value.trim();
    if (!text) throw { message: say("say_something") };
    await staff.ask(ANSWER, { id: draft.id, text });
    form.elements.answer.value = "";
    await fetchDraft(draft.id);
    return "";
  });
  const complete = act("complete", async () => {
    const known = draft.values ?? {};
    const values = {};
    for (const input of $("talk-values").querySelectorAll("[data-path]")) {
      const text = textOf(input);
      if (text !== (known[input.dataset.path] ?? "")) values[input.dataset.path] = text || null;
    }
    const description = form.elements.description.value.trim();
    if (description && description !== draft.description) values.description = description;
    const given = { id: draft.id, values, kind: form.elements.kind.value || null };
    const { completeDraft } = await staff.ask(COMPLETE, given);
    if (completeDraft.orderId) return say("taken", { number: completeDraft.order?.number ?? "" });
    await fetchDraft(draft.id);
    tell($("talk-problem"), say("still_missing"));
    return "";
  });
  const close = act("close", async () => {
    const reason = form.elements.reason.value.trim();
    if (!reason) throw { message: say("say_why") };
    await staff.ask(CLOSE, { id: draft.id, reason });
    return say("talk_closed");
  });

  form.addEventListener("submit", (event) => event.preventDefault());
  form.elements.kind.addEventListener("change", showInputs);
  $("talk-answer").addEventListener("click", answer);
  $("talk-complete").addEventListener("click", complete);
  $("talk-close").addEventListener("click", close);
  $("talk-back").addEventListener("click", () => dialog.close());
  $("waiting-more").addEventListener("click", () => {
    pages += 1;
    load();
  });

  const nameKinds = () => {
    const select = form.elements.kind;
    const value = select.value;
    select.replaceChildren(
      make("option", { value: "", textContent: say("by_words") }),
      ...kinds.map((one) => make("option", { value: one.code }, locale() === "zh" ? one.labelZh : one.labelEn)));
    select.value = value;
  };

  return {
    begin: (given) => {
      kinds = given;
      load();
      clearInterval(timer);
      timer = setInterval(load, EVERY_MS);
      deaf();
      deaf = staff.listen(load);
    },
    end: () => {
      clearInterval(timer);
      deaf();
      rows = [];
      show();
      if (dialog.open) dialog.close();
    },
    renamed: () => {
      show();
      if (!dialog.open) return;
      nameKinds();
      showDraft();
    },
    busy: () => dialog.open,
  };
};
