// The session of a page for the house's people. The tokens stay in this page's memory: closing or reloading forgets them.
"use strict";

const staff = (() => {
  const EARLY_MS = 30000; // a token is renewed this long before it runs out
  const TIMEOUT_MS = 15000;
  const REMEMBERED = "callout:organisation";
  let tokens = null; // {access, refresh, endsAt}
  let renewing = null;
  let ended = () => {};

  const keep = (answer) => {
    tokens = {
      access: answer.accessToken,
      refresh: answer.refreshToken,
      endsAt: Date.now() + answer.expiresInS * 1000,
    };
  };

  // A fault with the server's own sentence, and what else it said.
  const fault = (message, more) => Object.assign(new Error(message), more);

  const call = async (address, body, headers = {}) => {
    let answer;
    try {
      answer = await fetch(address, {
        method: "POST",
        headers: { "Content-Type": "application/json", "Accept-Language": document.documentElement.lang, ...headers },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch {
      throw fault("", { offline: true });
    }
    const text = await answer.text();
    let given = {};
    try { given = text ? JSON.parse(text) : {}; } catch { /* something between us and the server answered */ }
    if (!answer.ok && !given.errors) throw fault(given.detail || `HTTP ${answer.status}`, { status: answer.status });
    return given;
  };

  const forget = () => {
    tokens = null;
    ended();
  };

  // One renewal at a time: a refresh token that is used twice ends the session.
  const renew = () => {
    renewing ??= call("/auth/refresh", { refreshToken: tokens.refresh })
      .then(keep)
      .catch((problem) => {
        if (problem.status === 401) forget();
        throw problem;
      })
      .finally(() => { renewing = null; });
    return renewing;
  };

  // The Authorization header; throws where nobody is signed in.
  const authorization = async () => {
    if (tokens && Date.now() > tokens.endsAt - EARLY_MS) await renew();
    if (!tokens) throw fault("", { status: 401 });
    return { Authorization: `Bearer ${tokens.access}` };
  };

  const signIn = async (organisation, email, password) => {
    const slug = organisation.trim().toLowerCase();
    const answer = await call("/auth/login", { organisation: slug, email: email.trim(), password });
    keep(answer);
    try { localStorage.setItem(REMEMBERED, slug); } catch { /* a browser that keeps nothing */ }
    return answer;
  };

  const signOut = async () => {
    const { access, refresh } = tokens ?? {};
    forget();
    // The server's side ends too; where it cannot be reached, the tokens are forgotten here all the same.
    if (access) await call("/auth/logout", { refreshToken: refresh }, { Authorization: `Bearer ${access}` }).catch(() => {});
  };

  // The data of a GraphQL operation; throws its first refusal.
  const ask = async (query, variables = {}) => {
    const answer = await call("/graphql", { query, variables }, await authorization());
    if (answer.errors) {
      const { message, extensions } = answer.errors[0];
      if (["NOT_AUTHENTICATED", "SESSION_OVER"].includes(extensions?.code)) forget();
      throw fault(message, { code: extensions?.code, extensions });
    }
    return answer.data;
  };

  // Calls `heard` at each piece of news until the returned function is called. The stream is taken up again after a loss.
  const listen = (heard, { silentMs = 60000, againMs = 3000 } = {}) => {
    let stopped = false;
    let control = null;
    const once = async () => {
      control = new AbortController();
      const answer = await fetch("/v1/changes", { headers: await authorization(), signal: control.signal });
      if (!answer.ok) throw new Error(String(answer.status));
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        // A line that was cut off says nothing for ever; beats come more often than this.
        const silence = setTimeout(() => control.abort(), silentMs);
        const { done, value } = await reader.read().finally(() => clearTimeout(silence));
        if (done) return;
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        if (events.some((event) => /^event: (board|pull)$/m.test(event))) heard();
      }
    };
    const run = async () => {
      while (!stopped && tokens) {
        try { await once(); } catch { /* lost: taken up again below */ }
        if (!stopped) await new Promise((resume) => { setTimeout(resume, againMs); });
      }
    };
    run();
    return () => { stopped = true; control?.abort(); };
  };

  return {
    signIn,
    signOut,
    ask,
    listen,
    // The organisation that the address names, else the one of the last time.
    remembered: () => {
      const named = new URLSearchParams(location.search).get("org");
      try { return named || (localStorage.getItem(REMEMBERED) ?? ""); } catch { return named ?? ""; }
    },
    onEnd: (act) => { ended = act; },
  };
})();
