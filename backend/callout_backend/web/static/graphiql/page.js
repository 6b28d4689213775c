// GraphiQL over Callout's /graphql: queries and mutations by POST, subscriptions over graphql-transport-ws.
'use strict';
(() => {
  const { authorization, chinese, say, onChange } = calloutSession;
  const welcome = chinese
    ? '# 在上方登录,然后运行。\n# 手机与系统以 POST /auth/login 登录,见 docs/api.md。\n\n'
    : '# Sign in above, then run.\n# Phones and systems sign in by POST /auth/login, see docs/api.md.\n\n';
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
      const socket = new WebSocket(location.origin.replace(/^http/, 'ws') + address, 'graphql-transport-ws');
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

  const isSchemaQuery = (params) => params.operationName === 'IntrospectionQuery';

  // The headers to send: those of the editor, and the signed-in person's token where the editor names none.
  const headersFor = async (options) => {
    const headers = Object.fromEntries(
      Object.entries(options?.headers ?? {}).filter(([, value]) => String(value).trim() !== 'Bearer'),
    );
    if (!Object.keys(headers).some((name) => name.toLowerCase() === 'authorization')) {
      const token = await authorization();
      if (token) headers.Authorization = token;
    }
    return headers;
  };

  // A new function each time: GraphiQL asks for the schema again when its fetcher is another one.
  const makeFetcher = () => async (params, options) => {
    const headers = await headersFor(options);
    if (isSchemaQuery(params) && !Object.keys(headers).some((name) => name.toLowerCase() === 'authorization')) {
      return { errors: [{ message: say('signInFirst') }] };
    }
    return isSubscription(params.query, params.operationName, options?.documentAST)
      ? listen(params, headers)
      : post(params, headers);
  };

  const root = ReactDOM.createRoot(document.getElementById('graphiql'));
  const draw = () => root.render(
    React.createElement(GraphiQL, {
      fetcher: makeFetcher(),
      defaultQuery: query,
      defaultEditorToolsVisibility: 'variables',
      isHeadersEditorEnabled: true,
      shouldPersistHeaders: false,
    }),
  );
  onChange(draw);
  draw();
})();
