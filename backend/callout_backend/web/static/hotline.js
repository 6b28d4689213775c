// The hotline agent's page: who calls, what they want, and what would become of it, while they are still speaking.
"use strict";

(() => {
  const TYPING_MS = 250;
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const texts = JSON.parse($("page").dataset.texts);
  const form = $("request");
  let locale = root.dataset.locale;
  let found = [];
  let chosen = null; // the caller, as `callers` gave it
  let at = -1;
  let asked = 0;
  let checks = 0;
  let kinds = [];
  let key = "";
  let taking = false;
  let guessed = ""; // the kind that the words suggest, where the agent chose none

  const CALLERS = `query Callers($search: String!) {
    callers(search: $search, first: 8) {
      by customerId customerName customerNumber tier contactId contactName contactPhone siteId siteName address assetId
      serial model openOrders
    }
  }`;
  const KINDS = "query Kinds { orderKinds { code labelEn labelZh body } }";
  const CHECK = `query Check($input: CreateWorkOrder!) {
    checkOrder(input: $input) {
      ok kind priority makes
      faults { path en zh }
      tags { tag }
      duplicates { orderId number state description score sure }
    }
  }`;
  const TAKE = "mutation Take($input: CreateWorkOrder!) { createWorkOrder(input: $input) { id number } }";

  const say = (name, values = {}) =>
    Object.entries(values).reduce((text, [one, value]) => text.replace(`{${one}}`, value), texts[name]?.[locale] ?? name);
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
  const later = (act) => {
    let timer = 0;
    return () => {
      clearTimeout(timer);
      timer = setTimeout(act, TYPING_MS);
    };
  };
  const fresh = () => {
    key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (one) => one.toString(16).padStart(2, "0")).join("");
  };

  // ---------------------------------------------------------------- who calls

  const showFound = () => {
    $("found").replaceChildren(
      ...found.map((one, n) => {
        const who = [one.contactName, one.contactPhone].filter(Boolean).join(" · ");
        const what = [one.address || one.siteName, one.serial, one.model].filter(Boolean).join(" · ");
        const row = make(
          "li",
          { id: `found-${n}`, onclick: () => choose(n) },
          make("strong", {}, one.customerName),
          ` ${one.customerNumber} `,
          who,
          make("small", {}, ` ${what} `),
          one.openOrders ? make("small", {}, say("open_orders", { count: one.openOrders })) : "",
        );
        row.setAttribute("role", "option");
        row.setAttribute("aria-selected", String(n === at));
        return row;
      }),
    );
    $("found-title").hidden = !found.length;
    $("search").setAttribute("aria-expanded", String(found.length > 0));
    if (at >= 0) $("search").setAttribute("aria-activedescendant", `found-${at}`);
    else $("search").removeAttribute("aria-activedescendant");
  };

  const lookUp = later(async () => {
    const words = $("search").value.trim();
    const mine = ++asked;
    if (words.length < 2) {
      found = [];
      at = -1;
      $("nobody").hidden = true;
      return showFound();
    }
    try {
      const { callers } = await staff.ask(CALLERS, { search: words });
      if (mine !== asked) return; // a later question was answered already
      found = callers;
      at = callers.length ? 0 : -1;
      $("nobody").hidden = callers.length > 0;
      tell($("problem"), "");
      showFound();
    } catch (fault) {
      tell($("problem"), wrong(fault));
    }
  });

  const choose = (n) => {
    chosen = found[n];
    if (!chosen) return;
    const fields = form.elements;
    fields.customerName.value = chosen.customerName;
    if (chosen.contactName) fields.contactName.value = chosen.contactName;
    if (chosen.contactPhone) fields.contactPhone.value = chosen.contactPhone;
    if (chosen.address) fields.address.value = chosen.address;
    if (chosen.serial) fields.serial.value = chosen.serial;
    $("who").textContent = `${chosen.customerName} ${chosen.contactName ?? ""}`;
    found = [];
    at = -1;
    showFound();
    fields.description.focus();
    check();
  };

  $("search").addEventListener("input", lookUp);
  $("search").addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      at = found.length ? (at + step + found.length) % found.length : -1;
      showFound();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (at >= 0) choose(at);
    }
  });

  // ---------------------------------------------------------------- what they want

  const inputOf = () => {
    const fields = form.elements;
    const text = (name) => fields[name].value.trim() || null;
    const own = {};
    for (const element of $("own").querySelectorAll("[data-code]")) {
      const value = element.value.trim();
      if (!value) continue;
      if (element.dataset.type === "boolean") own[element.dataset.code] = value === "true";
      else if (element.dataset.type === "choices") own[element.dataset.code] = [...element.selectedOptions].map((one) => one.value);
      else if (["integer", "number", "money"].includes(element.dataset.type)) own[element.dataset.code] = Number(value);
      else own[element.dataset.code] = value;
    }
    const input = {
      channel: "hotline",
      description: fields.description.value.trim(),
      kind: text("kind"),
      priority: text("priority"),
      contactName: text("contactName"),
      contactPhone: text("contactPhone"),
      address: text("address"),
      serial: text("serial"),
      errorCode: text("errorCode"),
      fields: own,
      references: [{ system: "hotline", reference: key }],
    };
    // A caller who was chosen is that customer, and not somebody of the same name.
    const same = chosen && fields.customerName.value.trim() === chosen.customerName;
    if (!same) return { ...input, customerName: text("customerName") };
    return {
      ...input,
      customerId: chosen.customerId,
      siteId: chosen.address === input.address ? chosen.siteId : null,
      contactId: chosen.contactPhone === input.contactPhone ? chosen.contactId : null,
    };
  };

  const showChecked = (checked) => {
    if ((checked.kind ?? "") !== guessed) {
      guessed = checked.kind ?? "";
      showOwn();
    }
    $("good").hidden = !checked.ok;
    $("faults").replaceChildren(...checked.faults.map((one) => make("li", {}, one[locale])));
    for (const place of form.querySelectorAll("[data-of]")) {
      const mine = checked.faults.filter((one) => one.path === place.dataset.of);
      tell(place, form.elements.description.value ? mine.map((one) => one[locale]).join("; ") : "");
      form.elements[place.dataset.of]?.setAttribute("aria-invalid", String(mine.length > 0));
    }
    const tags = checked.tags.map((one) => one.tag);
    tell($("tags"), tags.length ? `${say("tags")}: ${[...new Set(tags)].join(", ")}` : "");
    tell($("makes"), checked.makes.length ? `${say("makes")}: ${checked.makes.map((one) => say(one)).join(", ")}` : "");
    $("duplicates-title").hidden = !checked.duplicates.length;
    $("duplicates").replaceChildren(
      ...checked.duplicates.map((one) =>
        make("li", {}, make("strong", {}, one.number), ` ${Math.round(one.score * 100)} % `, one.description.slice(0, 100)),
      ),
    );
  };

  const check = later(async () => {
    const mine = ++checks;
    try {
      const { checkOrder } = await staff.ask(CHECK, { input: inputOf() });
      if (mine !== checks) return;
      tell($("problem"), "");
      showChecked(checkOrder);
    } catch (fault) {
      if (mine === checks) tell($("problem"), wrong(fault));
    }
  });

  // ---------------------------------------------------------------- the kind's own fields

  const inputs = {
    // Whether the hotline asks for a field: by itself, or by a check of its kind.
    needed: (kind, field) =>
      field.required ||
      kind.body.checks.some(
        (one) =>
          one.rule === "required" &&
          one.fields.includes(`fields.${field.code}`) &&
          (!one.channels.length || one.channels.includes("hotline")),
      ),
    // What a field is filled in with, in the agent's language.
    make: (field) => {
      const choices =
        field.type === "boolean"
          ? [["true", say("yes")], ["false", say("no")]]
          : field.options.map((one) => [one.code, one.label[locale]]);
      const many = field.type === "choices";
      const types = { integer: "number", number: "number", money: "number", date: "date" };
      const input = choices.length
        ? make("select", { multiple: many }, ...(many ? [] : [make("option", { value: "" })]),
            ...choices.map(([value, label]) => make("option", { value }, label)))
        : make("input", { type: types[field.type] ?? "text", autocomplete: "off" });
      if (input.type === "number") input.step = field.type === "integer" ? "1" : "any";
      if (field.help) input.title = field.help[locale];
      return input;
    },
  };

  const showOwn = () => {
    const kind = kinds.find((one) => one.code === (form.elements.kind.value || guessed));
    const before = new Map([...$("own").querySelectorAll("[data-code]")].map((one) => [one.dataset.code, one]));
    $("own").replaceChildren(
      ...(kind?.body.fields ?? [])
        .filter((field) => inputs.needed(kind, field))
        .map((field) => {
          const input = inputs.make(field);
          input.name = `fields.${field.code}`;
          input.dataset.code = field.code;
          input.dataset.type = field.type;
          const was = before.get(field.code);
          if (was?.multiple && input.multiple) {
            const chosenOnes = new Set([...was.selectedOptions].map((one) => one.value));
            for (const option of input.options) option.selected = chosenOnes.has(option.value);
          } else if (was) input.value = was.value;
          const complaint = make("p", { className: "complaint", hidden: true });
          complaint.dataset.of = input.name;
          return make("div", {}, make("label", {}, field.label[locale] + (field.unit ? ` (${field.unit})` : ""), input), complaint);
        }),
    );
  };

  form.addEventListener("input", () => {
    tell($("done"), "");
    check();
  });
  form.elements.kind.addEventListener("change", showOwn);

  const waiting = waitingList({ say, make, tell, wrong, inputs });

  const clear = () => {
    form.reset();
    chosen = null;
    found = [];
    at = -1;
    fresh();
    $("search").value = "";
    $("who").textContent = "";
    $("nobody").hidden = true;
    showFound();
    $("own").replaceChildren();
    showOwn();
    checks += 1;
    showChecked({ ok: false, kind: guessed, faults: [], tags: [], makes: [], duplicates: [] });
    // Nothing is said yet: this tells which kind it is taken for until the words suggest another.
    check();
    $("search").focus();
  };

  const take = async () => {
    if (taking) return;
    taking = true;
    $("take").disabled = true;
    try {
      const { createWorkOrder } = await staff.ask(TAKE, { input: inputOf() });
      clear();
      tell($("done"), say("taken", { number: createWorkOrder.number }));
      tell($("problem"), "");
    } catch (fault) {
      tell($("problem"), wrong(fault));
      check();
    } finally {
      taking = false;
      $("take").disabled = false;
    }
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    take();
  });
  $("clear").addEventListener("click", () => {
    tell($("done"), "");
    clear();
  });
  document.addEventListener("keydown", (event) => {
    if ($("hotline").hidden || waiting.busy()) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      take();
    } else if (event.key === "Escape") {
      tell($("done"), "");
      clear();
    } else if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) {
      event.preventDefault();
      $("search").focus();
    }
  });

  // ---------------------------------------------------------------- session and language

  const nameKinds = () => {
    const options = kinds.map((one) => make("option", { value: one.code }, locale === "zh" ? one.labelZh : one.labelEn));
    const select = form.elements.kind;
    const value = select.value;
    select.replaceChildren(select.options[0], ...options);
    select.value = value;
  };

  const begin = async () => {
    $("sign-in").hidden = true;
    $("hotline").hidden = false;
    $("sign-out").hidden = false;
    clear();
    try {
      kinds = (await staff.ask(KINDS)).orderKinds;
      nameKinds();
      showOwn();
    } catch (fault) {
      tell($("problem"), wrong(fault));
    }
    waiting.begin(kinds);
  };

  staff.onEnd(() => {
    waiting.end();
    $("hotline").hidden = true;
    $("sign-out").hidden = true;
    $("sign-in").hidden = false;
    $("sign-in").elements.password.value = "";
  });
  $("sign-in").addEventListener("submit", async (event) => {
    event.preventDefault();
    const { organisation, email, password } = $("sign-in").elements;
    try {
      await staff.signIn(organisation.value, email.value, password.value);
      tell($("problem"), "");
      await begin();
    } catch (fault) {
      tell($("problem"), wrong(fault));
    }
  });
  $("sign-out").addEventListener("click", () => staff.signOut());
  language.onChange((chosen) => {
    locale = chosen;
    nameKinds();
    showOwn();
    waiting.renamed();
    if (!$("hotline").hidden) check();
  });
  $("sign-in").elements.organisation.value = staff.remembered();
  $("sign-in").hidden = false;
})();
