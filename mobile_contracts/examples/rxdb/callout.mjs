// RxDB against Callout: its own GraphQL replication, with four things that a server cannot do for it.
// What each of them is for stands in ../../clients.md.
import { readFileSync } from "node:fs";
import {
  pullQueryBuilderFromRxSchema,
  pullStreamBuilderFromRxSchema,
  pushQueryBuilderFromRxSchema,
  replicateGraphQL,
} from "rxdb/plugins/replication-graphql";

export const schemas = JSON.parse(readFileSync(new URL("../../row_schemas/rxdb.json", import.meta.url), "utf8"));
export const PUSH_ONLY = "command";
const BATCH = 100;
const ANSWERS = "  pushAnswers { index id status code path message }\n}";
const upper = (name) => name[0].toUpperCase() + name.slice(1);

// A replication that was canceled is never in sync; whoever waits for it is told here.
const canceled = (state) =>
  new Promise((done) => state.canceled$.subscribe({ next: (is) => is && done(), complete: done }));

// A collection for each kind of document, and `command`, to which what the engineer does is appended.
export async function addCollections(db, names = Object.keys(schemas)) {
  await db.addCollections(Object.fromEntries(names.map((name) => [name, { schema: schemas[name] }])));
}

export class Replication {
  // token: () => string, asked anew for every connection. onAnswers(collection, answers): what became of pushed rows.
  // onBeginAnew(collection): its documents are about to be removed and pulled again. onError(collection, error).
  constructor(db, { url, token, stream = true, batch = BATCH, retryTime = 5000, fetch: ownFetch, ...on }) {
    Object.assign(this, { db, url, token, stream, batch, retryTime, ownFetch, on });
    this.states = new Map();
    this.restarts = new Map();
  }

  start(names = Object.keys(this.db.collections)) {
    for (const name of names) this.states.set(name, this.#replicate(name, true));
    return this;
  }

  // Push and pull until there is nothing left to do.
  async inSync() {
    for (;;) {
      const states = [...this.states];
      await Promise.all(states.map(([, state]) => Promise.race([state.awaitInSync(), canceled(state)])));
      await Promise.all(this.restarts.values());
      if (states.every(([name, state]) => this.states.get(name) === state)) return;
    }
  }

  async cancel() {
    await Promise.all([...this.states.values()].map((state) => state.cancel()));
  }

  // Pull now: for a button, for coming to the foreground, and now and then beside the stream.
  reSync() {
    for (const state of this.states.values()) state.reSync();
  }

  #replicate(name, pulls) {
    const input = { schema: schemas[name], checkpointFields: ["cursor"] };
    const state = replicateGraphQL({
      collection: this.db[name],
      replicationIdentifier: `callout-${name}`,
      url: { http: `${this.url}/graphql`, ws: `${this.url.replace(/^http/, "ws")}/graphql` },
      headers: { Authorization: `Bearer ${this.token()}` },
      live: true,
      retryTime: this.retryTime,
      waitForLeadership: false,
      fetch: this.#fetch,
      push: this.#push(name, input),
      pull: pulls && name !== PUSH_ONLY ? this.#pull(name, input) : undefined,
    });
    state.error$.subscribe((error) => {
      this.on.onError?.(name, error);
      const codes = (error.parameters?.errors ?? []).map((one) => one?.extensions?.code);
      if (codes.includes("RESYNC_REQUIRED") && !this.restarts.has(name)) {
        this.restarts.set(name, this.#beginAnew(name).finally(() => this.restarts.delete(name)));
      }
    });
    return state;
  }

  // RxDB asks with the headers it was started with; a token lives for minutes.
  #fetch = (request) => {
    request.headers.set("Authorization", `Bearer ${this.token()}`);
    return (this.ownFetch ?? fetch)(request);
  };

  #pull(name, input) {
    return {
      // Said here: RxDB would ask for 20 rows, expect 100, and take every page for the last one.
      batchSize: this.batch,
      queryBuilder: pullQueryBuilderFromRxSchema(name, input),
      // One stream is enough: an event only says that there is something to pull.
      streamQueryBuilder: this.stream && name === "visit" ? pullStreamBuilderFromRxSchema(name, input) : undefined,
      wsOptions: {
        connectionParams: () => ({ Authorization: `Bearer ${this.token()}` }),
        // graphql-ws would give up after five tries, and the replication with it.
        retryAttempts: Infinity,
        retryWait: (tries) => new Promise((go) => setTimeout(go, Math.min(2 ** tries, 30) * 1000 * Math.random())),
      },
      responseModifier: (data, origin) => {
        if (origin !== "stream") return data;
        for (const [other, state] of this.states) if (other !== name && other !== PUSH_ONLY) state.reSync();
        return "RESYNC";
      },
    };
  }

  #push(name, input) {
    const build = pushQueryBuilderFromRxSchema(name, input);
    return {
      batchSize: BATCH,
      // The builder's mutation, and beside it what became of each row; `sentAt` lets the server measure this clock.
      queryBuilder: async (rows) => {
        const built = await build(rows);
        const [sent] = Object.values(built.variables);
        for (const row of sent) row.newDocumentState.sentAt = new Date().toISOString();
        return { ...built, query: built.query.replace(/\}\s*$/, ANSWERS) };
      },
      dataPath: ["data"],
      responseModifier: (data) => {
        this.on.onAnswers?.(name, data.pushAnswers);
        return data[`push${upper(name)}`];
      },
    };
  }

  // The server cannot say what left meanwhile (it was restored, or this phone was away for months). What has not been
  // sent is sent first, then the collection is pulled again from its beginning.
  async #beginAnew(name) {
    await this.states.get(name).cancel();
    const rest = this.#replicate(name, false);
    await rest.awaitInSync();
    await rest.remove();
    await this.on.onBeginAnew?.(name);
    await this.db[name].remove();
    await addCollections(this.db, [name]);
    this.states.set(name, this.#replicate(name, true));
  }
}
