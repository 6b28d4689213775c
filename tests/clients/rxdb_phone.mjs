// A phone with RxDB, driven by the test over stdin: one JSON command a line, one JSON answer a line on stdout.
import { createInterface } from "node:readline";
import { addRxPlugin, createRxDatabase } from "rxdb/plugins/core";
import { RxDBDevModePlugin, disableWarnings } from "rxdb/plugins/dev-mode";
import { getRxStorageMemory } from "rxdb/plugins/storage-memory";
import { wrappedValidateAjvStorage } from "rxdb/plugins/validate-ajv";
import { addCollections, Replication } from "../../mobile_contracts/examples/rxdb/callout.mjs";

disableWarnings();
addRxPlugin(RxDBDevModePlugin);
// Every document is held to its schema, the server's tombstones too.
const storage = wrappedValidateAjvStorage({ storage: getRxStorageMemory() });
const db = await createRxDatabase({ name: "phone", storage, multiInstance: false });
const heard = { answers: [], errors: [], anew: [], requests: [] };
let cutAfter = 0;
let offline = false;
// Once an answer was lost, pushes wait at the gate until the test opens it.
let gate = null;
let openGate = () => {};
let gated = false;
let sync = null;
let token = process.env.TOKEN;

async function network(request) {
  const sent = await request.clone().json();
  const rows = Object.values(sent.variables).find(Array.isArray);
  heard.requests.push({ operation: sent.operationName, limit: sent.variables.limit, rows: rows?.length, documents: null });
  const seen = heard.requests.at(-1);
  if (offline) throw new Error("offline");
  if (sent.operationName.startsWith("Push")) await gate;
  const answer = await fetch(request);
  if (cutAfter > 0 && sent.operationName.startsWith("Push")) {
    cutAfter -= 1;
    if (gated) gate = new Promise((open) => (openGate = open));
    await answer.text();
    throw new Error("the answer was lost");
  }
  const body = await answer.clone().json();
  seen.documents = Object.values(body.data ?? {})[0]?.documents?.length ?? null;
  return answer;
}

const doc = (found) => (found ? found.toJSON() : null);
const acts = {
  async start({ names, batch, stream = false, collections }) {
    if (Object.keys(db.collections).length === 0) await addCollections(db, collections ?? undefined);
    sync = new Replication(db, {
      url: process.env.URL,
      token: () => token,
      stream,
      batch,
      retryTime: 50,
      fetch: network,
      onAnswers: (name, answers) => heard.answers.push(...answers.map((a) => ({ collection: name, ...a }))),
      onError: (name, error) => heard.errors.push({ collection: name, error: JSON.parse(JSON.stringify(error.parameters ?? {})) }),
      onBeginAnew: (name) => heard.anew.push(name),
    }).start(names);
  },
  async sync() {
    sync.reSync();
    await sync.inSync();
  },
  async cancel() {
    await sync.cancel();
  },
  all: async ({ name }) => (await db[name].find().exec()).map(doc),
  one: async ({ name, id }) => doc(await db[name].findOne(id).exec()),
  patch: async ({ name, id, values }) => doc(await (await db[name].findOne(id).exec()).incrementalPatch(values)),
  insert: async ({ name, values }) => doc(await db[name].insert(values)),
  remove: async ({ name, id }) => doc(await (await db[name].findOne(id).exec()).remove()),
  async until({ name, id, values }) {
    for (;;) {
      const found = doc(await db[name].findOne(id).exec());
      const there = values === null ? found === null : found !== null && Object.entries(values).every(([k, v]) => found[k] === v);
      if (there) return found;
      await new Promise((next) => db[name].$.subscribe(next));
    }
  },
  token: async () => token,
  async set(given) {
    if (given.cutAfter !== undefined) cutAfter = given.cutAfter;
    if (given.gated !== undefined) gated = given.gated;
    if (given.gated === false) openGate();
    if (given.offline !== undefined) offline = given.offline;
    if (given.token !== undefined) token = given.token;
  },
  async heard() {
    const found = structuredClone(heard);
    for (const list of Object.values(heard)) list.length = 0;
    return found;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { act, ...given } = JSON.parse(line);
  try {
    process.stdout.write(`${JSON.stringify({ ok: (await acts[act](given)) ?? null })}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: String(error.stack ?? error) })}\n`);
  }
}
process.exit(0);
