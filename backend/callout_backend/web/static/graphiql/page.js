// GraphiQL over Callout's /graphql: queries and mutations by POST, subscriptions over graphql-transport-ws.
'use strict';
(() => {
  const chinese = (navigator.language || '').toLowerCase().startsWith('zh');
  const welcome = chinese
    ? '# 在下方“Headers”中填入登录后得到的访问令牌,然后运行。\n# 登录:POST /auth/login(organisation、email、password)。\n\n'
    : '# Put the access token of a sign-in into “Headers” below, then run.\n# Sign in: POST /auth/login (organisation, email, password).\n\n';
  const query = welcome + `query Board {
  viewer {
    name
    role
    organisation { name timeZone }
  }
  visits(first: 10) {
    nodes {
      number
      state
      scheduledStart
      engineer { name }
      order { number priority description site { name address } }
    }
    endCursor
    hasMore
  }
}

subscription News {
  changed { at kind }
}
`;
  const address = location.pathname;
  const isSubscription = (text, name, documentAST) => {
    const operations = (documentAST?.definitions ?? []).filter((d) => d.kind === 'OperationDefinition');
    const chosen = operations.find((d) => d.name?.value === name) ?? operations[0];
    return chosen?.operation === 'subscription';
  };

  const post = async (params, headers) => {
    const answer = await fetch(address, {
      method: 'POST',
      headers: {
        Accept: 'application/graphql-response+json, application/json;q=0.9',
        'Content-Type': 'application/json',
        ...headers,
      },
      body: JSON.stringify(params),
    });
    return answer.json();
  };

  const listen = (params, headers) => ({
    subscribe(observer) {
      const socket = new WebSocket(address.replace(/^/, location.origin.replace(/^http/, 'ws')), 'graphql-transport-ws');
      const say = (message) => socket.send(JSON.stringify(message));
      const authorization = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization')?.[1];
      let over = false;
      const end = () => { if (!over) { over = true; observer.complete(); } };
      socket.onopen = () => say({ type: 'connection_init', payload: authorization ? { Authorization: authorization } : {} });
      socket.onmessage = (event) => {
        const message = JSON.parse(event.data);
        if (message.type === 'connection_ack') say({ id: '1', type: 'subscribe', payload: params });
        else if (message.type === 'ping') say({ type: 'pong' });
        else if (message.type === 'next') observer.next(message.payload);
        else if (message.type === 'error') { over = true; observer.error({ errors: message.payload }); socket.close(); }
        else if (message.type === 'complete') end();
      };
      socket.onclose = (event) => {
        if (event.code !== 1000 && !over) { over = true; observer.error(new Error(`${event.code} ${event.reason}`)); } else end();
      };
      return { unsubscribe: () => { over = true; socket.close(1000); } };
    },
  });

  const fetcher = (params, options) => {
    const headers = Object.fromEntries(
      Object.entries(options?.headers ?? {}).filter(([, value]) => String(value).trim() !== 'Bearer'),
    );
    return isSubscription(params.query, params.operationName, options?.documentAST)
      ? listen(params, headers)
      : post(params, headers);
  };

  ReactDOM.createRoot(document.getElementById('graphiql')).render(
    React.createElement(GraphiQL, {
      fetcher,
      defaultQuery: query,
      defaultHeaders: '{\n  "Authorization": "Bearer "\n}',
      defaultEditorToolsVisibility: 'headers',
      isHeadersEditorEnabled: true,
      shouldPersistHeaders: false,
    }),
  );
})();
