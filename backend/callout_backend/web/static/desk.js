// The agent's desk: what waits for an answer and how long yet, to-dos, and what may be done about an order.
"use strict";

(() => {
  const PAGE = 50;
  const EVERY_MS = 60000; // asked for anyway, should news be lost
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const texts = JSON.parse($("page").dataset.texts);
  const heartbeatMs = Number($("page").dataset.heartbeat) * 1000;
  let locale = root.dataset.locale;
  let shown = [];
  let ahead = 0; // of the server's clock over ours, in milliseconds
  let pages = 1;
  let timers = [];
  let deaf = () => {};
  let leaving = false; // by their own will

  const QUEUE = `query Desk($filter: DeskFilter, $first: Int!, $after: String) {
    desk(filter: $filter, first: $first, after: $after) {
      now hasMore endCursor
      nodes {
        orderId number priority red kind state description customerName siteName reporterName reporterPhone serial errorCode
        tags duplicates teamId teamNameEn teamNameZh handlerId handlerName handlerPresence epoch flag holdReason paused dueAt markAt
        respondedAt resolveDueAt
      }
    }
  }`;
  const TODOS = `query Todos($locale: String!) {
    myTodos(first: 50) { nodes { id state urgent orderId text(locale: $locale) } }
  }`;
  const TEAMS = "query Teams { teams { id code nameEn nameZh members { userId name active } } }";
  const ACTS = {
    respond: "mutation Respond($orderId: UUID!, $text: String) { respondToOrder(orderId: $orderId, text: $text) { first } }",
    take_over: `mutation TakeOver($orderId: UUID!, $epoch: Int!, $reason: String!) {
      takeOver(orderId: $orderId, epoch: $epoch, reason: $reason) { epoch } }`,
    hand_on: `mutation HandOn($orderId: UUID!, $epoch: Int!, $reason: String!, $userId: UUID, $teamId: UUID) {
      handOn(orderId: $orderId, epoch: $epoch, reason: $reason, userId: $userId, teamId: $teamId) { epoch } }`,
    move_deadline: `mutation Move($orderId: UUID!, $milestone: String!, $minutes: Int!, $reason: String!, $until: DateTime) {
      moveDeadline(orderId: $orderId, milestone: $milestone, minutes: $minutes, reason: $reason, until: $until) { dueAt } }`,
  };

  const say = (key, values = {}) =>
    Object.entries(values).reduce((text, [name, value]) => text.replace(`{${name}}`, () => value), texts[key]?.[locale] ?? key);
  // A code as people say it; what is no code of ours is a name already.
  const named = (of, code) => texts[`${of}_${code}`]?.[locale] ?? code;
  const make = (name, attributes = {}, ...children) => {
    const made = Object.assign(document.createElement(name), attributes);
    made.append(...children.filter((child) => child !== null && child !== ""));
    return made;
  };
  const tell = (place, text) => {
    place.textContent = text;
    place.hidden = !text;
  };
  const wrong = (fault) => (fault.offline ? say("offline") : fault.message || say("ended"));

  // ---------------------------------------------------------------- orders

  const countdown = (order) => {
    const due = Date.parse(order.respondedAt ? order.resolveDueAt : order.dueAt);
    const seconds = Math.floor((due - Date.now() - ahead) / 1000);
    if (order.paused) return { text: say("paused", { reason: named("hold", order.holdReason ?? "other") }), className: "left" };
    if (seconds < 0) return { text: say("late", { minutes: Math.ceil(-seconds / 60) }), className: "left late" };
    const text = seconds < 60 ? say("left_seconds", { seconds }) : say("left", { minutes: Math.floor(seconds / 60) });
    const soon = order.markAt && Date.parse(order.markAt) <= Date.now() + ahead;
    return { text, className: soon && !order.respondedAt ? "left soon" : "left" };
  };

  const tick = () => {
    for (const order of shown) {
      const place = order.place;
      if (!place) continue;
      const { text, className } = countdown(order);
      if (place.textContent !== text) place.textContent = text;
      place.className = className;
    }
  };

  const row = (order) => {
    order.place = make("p", { className: "left" });
    const marks = [
      order.red && make("span", { className: "tag red", textContent: say("red") }),
      order.flag && make("span", { className: "tag flag", textContent: say(`flag_${order.flag}`) }),
      ...order.tags.map((tag) => make("span", { className: "tag", textContent: named("tag", tag) })),
      order.duplicates && make("span", { className: "tag", textContent: say("duplicates", { count: order.duplicates }) }),
    ].filter(Boolean);
    const presence = say(order.handlerPresence === "offline" ? "presence_offline" : order.handlerPresence);
    const holder = order.handlerName ? `${say("handler", { name: order.handlerName })} (${presence})` : say("nobody");
    const about = [order.reporterName, order.reporterPhone, order.serial, order.errorCode].filter(Boolean).join(" · ");
    const acts = Object.keys(ACTS)
      .filter((act) => act !== "respond" || !order.respondedAt)
      .map((act) => {
        const button = make("button", { type: "button", textContent: say(act) });
        button.dataset.act = act;
        button.addEventListener("click", () => open(act, order));
        return button;
      });
    const made = make("li", { className: `order${order.red ? " red" : ""}${order.flag ? " flagged" : ""}` },
      make("p", {}, make("strong", { textContent: `${order.number} · ${order.priority}` }),
        ` · ${order.customerName} · ${order.siteName}`),
      order.place,
      make("p", { className: "soft", textContent: [holder, locale === "zh" ? order.teamNameZh : order.teamNameEn, say(`state_${order.state}`)].filter(Boolean).join(" · ") }),
      make("small", { textContent: say(order.respondedAt ? "to_resolve" : "to_answer") }),
      make("p", { textContent: order.description }),
      make("span"),
      make("p", { className: "soft", textContent: about }, ...marks),
      make("span"),
      make("div", { className: "acts" }, ...acts));
    made.dataset.order = order.orderId;
    return made;
  };

  // Puts new rows in place of a list's. Who walks it by keyboard keeps their place: the same button, else the next of that
  // row, else of whichever row stands there now.
  const replace = (list, of, rows) => {
    const held = list.contains(document.activeElement) ? document.activeElement : null;
    const at = held && [...list.children].indexOf(held.closest("li"));
    const was = held?.closest("li").dataset[of];
    list.replaceChildren(...rows);
    if (held) focus(rows.find((one) => one.dataset[of] === was) ?? rows[Math.min(at, rows.length - 1)], held.dataset.act);
  };
  const focus = (row, act) => (row?.querySelector(`[data-act="${act}"]`) ?? row?.querySelector("[data-act]"))?.focus();

  const filter = () => ({
    all: {}, unanswered: { answered: false }, mine: { mine: true }, nobodys: { nobodys: true }, flagged: { flagged: true },
  })[$("view").value];

  const load = async () => {
    const found = [];
    let after = null;
    let more = false;
    for (let page = 0; page < pages; page += 1) {
      const { desk } = await staff.ask(QUEUE, { filter: filter(), first: PAGE, after });
      found.push(...desk.nodes);
      ahead = Date.parse(desk.now) - Date.now();
      after = desk.endCursor;
      more = desk.hasMore;
      if (!more) break;
    }
    shown = found;
    replace($("orders"), "order", found.map(row));
    $("nothing").hidden = found.length > 0;
    $("more").hidden = !more;
    tick();
  };

  const loadTodos = async () => {
    const { myTodos } = await staff.ask(TODOS, { locale });
    replace($("todos"), "todo", myTodos.nodes.map((todo) => {
      const button = (act, key) => {
        const made = make("button", { type: "button", textContent: say(key) });
        made.dataset.act = act;
        made.addEventListener("click", async () => {
          made.setAttribute("aria-disabled", "true"); // a disabled button loses the focus
          await staff.ask(`mutation Settle($id: UUID!) { ${act}(id: $id) { state } }`, { id: todo.id })
            .catch((fault) => tell($("problem"), wrong(fault)));
          refresh();
        });
        return made;
      };
      const made = make("li", {}, make("span", { textContent: todo.text }),
        todo.state === "open" ? button("acknowledgeTodo", "seen") : "", button("finishTodo", "done"));
      made.dataset.todo = todo.id;
      return made;
    }));
    $("todo-box").hidden = myTodos.nodes.length === 0;
  };

  let loading = null;
  let again = false;
  const refresh = () => {
    if (loading) { again = true; return loading; }
    loading = Promise.all([load(), loadTodos()])
      .then(() => tell($("problem"), ""))
      .catch((fault) => { if (fault.status !== 401) tell($("problem"), wrong(fault)); })
      .finally(() => {
        loading = null;
        if (again) { again = false; refresh(); }
      });
    return loading;
  };

  // ---------------------------------------------------------------- what may be done

  const field = (name, key, control) => {
    control.name = name;
    return make("label", {}, say(key), control);
  };
  const reason = () => field("reason", "reason", make("textarea", { required: true, maxLength: 1000, rows: 2 }));

  const FIELDS = {
    respond: async () => [field("text", "text", make("textarea", { maxLength: 4000, rows: 4 }))],
    take_over: async () => [reason()],
    hand_on: async () => {
      const { teams } = await staff.ask(TEAMS);
      const choices = teams.flatMap((team) => {
        const name = locale === "zh" ? team.nameZh : team.nameEn;
        return [
          make("option", { value: `team:${team.id}`, textContent: say("team", { name }) }),
          ...team.members.filter((member) => member.active).map((member) =>
            make("option", { value: `user:${member.userId}:${team.id}`, textContent: `${member.name} · ${name}` })),
        ];
      });
      return [field("to", "to_whom", make("select", { required: true }, ...choices)), reason()];
    },
    move_deadline: async () => [
      field("milestone", "milestone", make("select", {}, ...["first_response", "arrival", "resolution"].map((name) =>
        make("option", { value: name, textContent: say(name) })))),
      field("minutes", "minutes", make("input", { type: "number", min: 1, max: 1440, value: 15, required: true })),
      field("hours", "hours", make("input", { type: "number", min: 1, max: 168, value: 1, required: true })),
      reason(),
    ],
  };

  const values = (act, order, given) => {
    const base = { orderId: order.orderId };
    if (act === "respond") return { ...base, text: given.get("text") || null };
    const why = { ...base, reason: given.get("reason") };
    if (act === "take_over") return { ...why, epoch: order.epoch };
    if (act === "hand_on") {
      const [kind, first, second] = given.get("to").split(":");
      const to = kind === "team" ? { teamId: first } : { userId: first, teamId: second };
      return { ...why, epoch: order.epoch, ...to };
    }
    const until = new Date(Date.now() + ahead + Number(given.get("hours")) * 3600000 - 1000).toISOString();
    return { ...why, milestone: given.get("milestone"), minutes: Number(given.get("minutes")), until };
  };

  let asked = null;
  const open = async (act, order) => {
    try {
      $("ask-fields").replaceChildren(...await FIELDS[act]());
    } catch (fault) {
      tell($("problem"), wrong(fault));
      return;
    }
    asked = { act, order };
    $("ask-title").textContent = `${say(act)} · ${order.number}`;
    tell($("ask-problem"), "");
    $("ask").showModal();
  };
  $("ask-cancel").addEventListener("click", () => $("ask").close());
  // The button that opened it may have been replaced meanwhile.
  $("ask").addEventListener("close", () => focus($("orders").querySelector(`[data-order="${asked.order.orderId}"]`), asked.act));
  $("ask").querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const { act, order } = asked;
    $("ask-ok").disabled = true;
    try {
      await staff.ask(ACTS[act], values(act, order, new FormData(event.target)));
      $("ask").close();
    } catch (fault) {
      // Somebody was faster: what they did is seen behind the dialog, and the next try means that.
      if (fault.code === "HANDLER_CHANGED") order.epoch = Number(fault.extensions.details.epoch);
      tell($("ask-problem"), wrong(fault));
    } finally {
      $("ask-ok").disabled = false;
      refresh();
    }
  });

  // ---------------------------------------------------------------- session, language, presence

  const stop = () => {
    deaf();
    timers.forEach(clearInterval);
    timers = [];
    shown = [];
    $("ask").close();
    $("orders").replaceChildren();
    $("todos").replaceChildren();
    for (const id of ["desk", "presence-box", "sign-out"]) $(id).hidden = true;
    $("who").textContent = "";
    $("sign-in").hidden = false;
    tell($("problem"), leaving ? "" : say("ended"));
  };

  const beat = () => staff.ask("mutation Beat { heartbeat { state byHand } }")
    .then(({ heartbeat }) => { $("presence").value = heartbeat.state; })
    // Unheard for long, they are taken for gone, and their orders go to others: they should know.
    .catch((fault) => { if (fault.offline) tell($("problem"), wrong(fault)); });

  const begin = ({ user, organisation }) => {
    $("sign-in").hidden = true;
    $("sign-in").reset();
    for (const id of ["desk", "presence-box", "sign-out"]) $(id).hidden = false;
    $("who").textContent = `${user.name} · ${organisation.name}`;
    pages = 1;
    leaving = false;
    beat();
    refresh();
    timers = [setInterval(tick, 1000), setInterval(beat, heartbeatMs), setInterval(refresh, EVERY_MS)];
    deaf = staff.listen(refresh);
  };

  $("sign-in").addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = new FormData(event.target);
    const button = event.target.querySelector("button");
    button.disabled = true;
    try {
      const answer = await staff.signIn(given.get("organisation"), given.get("email"), given.get("password"));
      tell($("problem"), "");
      begin(answer);
    } catch (fault) {
      tell($("problem"), fault.offline ? say("no_answer") : fault.message);
    } finally {
      button.disabled = false;
    }
  });
  staff.onEnd(stop);
  $("sign-out").addEventListener("click", () => { leaving = true; staff.signOut(); });
  $("presence").addEventListener("change", (event) => {
    staff.ask("mutation Be($state: String!) { setPresence(state: $state) { state } }", { state: event.target.value })
      .then(refresh)
      .catch((fault) => tell($("problem"), wrong(fault)));
  });
  $("view").addEventListener("change", () => { pages = 1; refresh(); });
  $("more").addEventListener("click", () => { pages += 1; refresh(); });
  language.onChange((chosen) => {
    locale = chosen;
    if (!$("desk").hidden) refresh();
  });

  $("sign-in").elements.organisation.value = staff.remembered();
  $("sign-in").hidden = false;
})();
