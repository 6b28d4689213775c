// The sign-in above GraphiQL. The tokens stay in this page's memory: closing or reloading the page forgets them.
'use strict';
const calloutSession = (() => {
  const chinese = (navigator.language || '').toLowerCase().startsWith('zh');
  const TEXTS = {
    organisation: ['Organisation', '组织'],
    email: ['E-mail', '邮箱'],
    password: ['Password', '密码'],
    signIn: ['Sign in', '登录'],
    signOut: ['Sign out', '退出登录'],
    signInFirst: [
      'Sign in above to see the schema and run operations, or give an Authorization header.',
      '请先在上方登录,或填写 Authorization 请求头,然后查看模式并运行操作。',
    ],
    ended: ['The session has ended. Please sign in again.', '会话已结束,请重新登录。'],
    noAnswer: ['The server does not answer.', '服务器无响应。'],
    loading: ['Loading…', '正在加载…'],
    example: ['as in golden-gate', '例如 golden-gate'],
  };
  const ROLES = {
    admin: '管理员',
    dispatcher: '调度员',
    engineer: '工程师',
    supervisor: '主管',
    customer_contact: '客户联系人',
  };
  const say = (key) => TEXTS[key][chinese ? 1 : 0];
  const REMEMBERED = 'callout:organisation';
  const EARLY_MS = 30_000; // a token is renewed this long before it runs out

  let tokens = null; // {access, refresh, endsAt}
  let renewing = null;
  let changed = () => {};

  const remembered = () => {
    try { return localStorage.getItem(REMEMBERED) ?? ''; } catch { return ''; }
  };
  const remember = (slug) => {
    try { localStorage.setItem(REMEMBERED, slug); } catch { /* a browser that keeps nothing */ }
  };

  const keep = (answer) => {
    tokens = {
      access: answer.accessToken,
      refresh: answer.refreshToken,
      endsAt: Date.now() + answer.expiresInS * 1000,
    };
  };

  // POST, answered with the body; throws an Error with the server's sentence.
  const call = async (address, body, headers = {}) => {
    let answer;
    try {
      answer = await fetch(address, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...headers },
        body: JSON.stringify(body),
      });
    } catch {
      throw new Error(say('noAnswer'));
    }
    const text = await answer.text();
    let given = {};
    try { given = text ? JSON.parse(text) : {}; } catch { /* something between us and Callout answered */ }
    if (!answer.ok) throw Object.assign(new Error(given.detail || `HTTP ${answer.status}`), { status: answer.status });
    return given;
  };

  // One renewal at a time: a refresh token that is used twice ends the session.
  const renew = () => {
    renewing ??= call('/auth/refresh', { refreshToken: tokens.refresh })
      .then(keep)
      .catch((fault) => {
        if (fault.status === 401) { tokens = null; showForm(say('ended')); }
        throw fault;
      })
      .finally(() => { renewing = null; });
    return renewing;
  };

  // The Authorization header's value, or null where nobody is signed in.
  const authorization = async () => {
    if (tokens && Date.now() > tokens.endsAt - EARLY_MS) await renew();
    return tokens ? `Bearer ${tokens.access}` : null;
  };

  const bar = document.getElementById('session');
  const element = (name, attributes = {}, ...children) => {
    const made = Object.assign(document.createElement(name), attributes);
    made.append(...children);
    return made;
  };

  const showForm = (problem = '') => {
    const field = (name, attributes) => {
      const input = element('input', { name, required: true, ...attributes });
      return [element('label', {}, element('span', { textContent: say(name) }), input), input];
    };
    const given = new URLSearchParams(location.search).get('org') || remembered();
    const [slugLabel, slug] = field('organisation', {
      value: given, placeholder: say('example'), maxLength: 63, autocomplete: 'organization', spellcheck: false,
    });
    const [emailLabel, email] = field('email', { type: 'email', maxLength: 254, autocomplete: 'username' });
    const [passwordLabel, password] = field('password', {
      type: 'password', maxLength: 200, autocomplete: 'current-password',
    });
    const button = element('button', { type: 'submit', textContent: say('signIn') });
    const told = element('p', { className: 'problem', textContent: problem });
    told.setAttribute('role', 'alert');
    const form = element('form', {}, slugLabel, emailLabel, passwordLabel, button, told);
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      button.disabled = true;
      told.textContent = '';
      const organisation = slug.value.trim().toLowerCase();
      try {
        const answer = await call('/auth/login', { organisation, email: email.value.trim(), password: password.value });
        keep(answer);
        remember(organisation);
        showPerson(answer);
        changed();
      } catch (fault) {
        told.textContent = fault.message;
        password.select();
      } finally {
        button.disabled = false;
      }
    });
    bar.replaceChildren(form);
    if (problem) changed();
  };

  const showPerson = ({ user, organisation }) => {
    const role = chinese ? (ROLES[user.role] ?? user.role) : user.role.replaceAll('_', ' ');
    const who = element('p', { className: 'who' },
      element('strong', { textContent: user.name }), ` · ${role} · ${organisation.name}`);
    const button = element('button', { type: 'button', textContent: say('signOut') });
    button.addEventListener('click', async () => {
      const { access, refresh } = tokens ?? {};
      tokens = null;
      showForm();
      changed();
      // The server's side ends too; where it cannot be reached, the tokens are forgotten here all the same.
      if (access) {
        await call('/auth/logout', { refreshToken: refresh }, { Authorization: `Bearer ${access}` }).catch(() => {});
      }
    });
    bar.replaceChildren(who, button);
  };

  document.documentElement.lang = chinese ? 'zh-CN' : 'en';
  document.getElementById('graphiql').textContent = say('loading');
  showForm();
  return { authorization, chinese, say, onChange: (listener) => { changed = listener; } };
})();
