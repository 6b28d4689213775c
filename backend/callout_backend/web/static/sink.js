// Draws the messages of the sink. What they say is never taken as HTML, except by a mail's frame, which may run nothing.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const texts = JSON.parse($("page").dataset.texts);
  let token = null;
  let after = null;

  const make = (name, className, ...inner) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    element.append(...inner);
    return element;
  };
  const say = (key, className) => {
    const element = make("span", className, texts[key][language.now()]);
    Object.assign(element.dataset, texts[key]);
    return element;
  };
  const nameOf = (medium) => (["email", "voice"].includes(medium) ? `${medium}_medium` : medium);

  const safe = (address) => /^https?:\/\//.test(address);
  // Bold, links and quotes: what chat robots' Markdown knows of.
  const inline = (line) => {
    const out = [];
    const found = /\*\*(.+?)\*\*|\[([^\]]*)\]\(([^)\s]*)\)|(https?:\/\/\S+)|(<@[^>]+>|@[+\w.-]{3,})/g;
    let last = 0;
    for (const hit of line.matchAll(found)) {
      out.push(line.slice(last, hit.index));
      if (hit[1] !== undefined) out.push(make("b", "", hit[1]));
      else if (hit[5] !== undefined) out.push(make("b", "mention", hit[5].replace(/[<>]/g, "")));
      else {
        const address = hit[3] ?? hit[4];
        const link = make("a", "", hit[2] ?? address);
        if (safe(address)) Object.assign(link, { href: address, rel: "noreferrer", target: "_blank" });
        out.push(link);
      }
      last = hit.index + hit[0].length;
    }
    out.push(line.slice(last));
    return out;
  };
  const markdown = (body) =>
    body
      .split("\n")
      .filter((line) => line.trim())
      .map((line) => {
        if (line.startsWith(">")) return make("blockquote", "", ...inline(line.slice(1).trim()));
        if (line.startsWith("- ")) return make("p", "", "• ", ...inline(line.slice(2)));
        return make("p", "", ...inline(line));
      });

  const looks = {
    email: (one) => {
      const frame = make("iframe");
      frame.setAttribute("sandbox", "allow-popups allow-popups-to-escape-sandbox");
      frame.title = one.subject;
      frame.srcdoc = `<base target="_blank"><style>body{font:15px/1.5 system-ui,sans-serif}</style>${one.body}`;
      return make("div", "look mail", make("h3", "", one.subject), frame);
    },
    wecom: (one) => {
      const card = make("div", "bubble", make("b", "", one.subject), ...markdown(one.body));
      if (one.wants_ack) {
        const button = say("acknowledge", "card-button");
        card.append(button);
      }
      return make("div", "look card", card);
    },
    sms: (one) => make("div", "look sms", make("div", "bubble", ...inline(one.body))),
    voice: (one) =>
      make("div", "look voice", say("voice", "hint"), make("div", "bubble", `“${one.body.replace(/https?:\/\/\S+/g, "")}”`)),
    push: (one) => make("div", "look push", make("div", "bubble", make("b", "", one.subject), make("p", "", ...inline(one.body)))),
  };
  looks.web_push = looks.push;
  const chat = (one) => {
    const mentions = one.mentions.length ? [make("p", "", ...one.mentions.flatMap((name) => [make("b", "", `@${name}`), " "]))] : [];
    return make("div", "look chat", make("div", "bubble", ...markdown(one.body), ...mentions));
  };

  // What somebody who wrote to the desk is answered: a text, as chat programs show it.
  const answer = (one) => make("div", "look chat", make("div", "bubble", ...one.body.split("\n").map((line) => make("p", "", ...inline(line)))));
  for (const name of ["wecom_chat", "wechat_chat", "dingtalk_chat"]) looks[name] = answer;

  const draw = (one) => {
    const head = make("header", "", say(nameOf(one.medium)), make("b", "", one.names.join(", ")));
    for (const told of [one.address, one.numbers.slice(0, 5).join(" ")]) if (told) head.append(make("span", "", told));
    if (one.urgent) head.append(say("urgent", "mark urgent"));
    if (one.digest) head.append(say("digest", "mark"));
    head.append(make("time", "", new Date(one.created_at).toLocaleString(document.documentElement.lang)));
    const item = make("li", "message", head, (looks[one.medium] ?? chat)(one));
    item.dataset.medium = one.medium;
    return item;
  };

  const fail = async (answer) => {
    let why = texts.failed[language.now()];
    try {
      why = `${why}: ${(await answer.json()).detail}`;
    } catch {
      why = `${why}.`;
    }
    $("fault").textContent = why;
    $("fault").hidden = false;
  };

  const load = async (afresh) => {
    $("fault").hidden = true;
    const asked = new URLSearchParams();
    for (const name of ["number", "person", "medium"]) if ($(name).value) asked.set(name, $(name).value);
    if (!afresh && after) asked.set("after", after);
    const answer = await fetch(`/sink/messages?${asked}`, {
      headers: { Authorization: `Bearer ${token}`, "Accept-Language": language.now() },
      cache: "no-store",
    });
    if (!answer.ok) {
      if (answer.status === 401) {
        $("sign-in").hidden = false;
        $("filter").hidden = true;
      }
      await fail(answer);
      return;
    }
    const found = await answer.json();
    $("sign-in").hidden = true;
    $("filter").hidden = false;
    if (afresh) $("messages").replaceChildren();
    $("messages").append(...found.items.map(draw));
    after = found.after;
    $("more").hidden = !after;
    $("nothing").hidden = $("messages").childElementCount > 0;
  };

  $("organisation").value = new URLSearchParams(location.search).get("org") ?? "";
  $("sign-in").addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await fetch("/auth/login", {
      method: "POST",
      headers: { "Content-Type": "application/json", "Accept-Language": language.now() },
      body: JSON.stringify({ organisation: $("organisation").value, email: $("email").value, password: $("password").value }),
    });
    if (!answer.ok) {
      await fail(answer);
      return;
    }
    token = (await answer.json()).accessToken;
    $("password").value = "";
    await load(true);
  });
  $("filter").addEventListener("submit", (event) => {
    event.preventDefault();
    load(true);
  });
  $("more").addEventListener("click", () => load(false));
})();
