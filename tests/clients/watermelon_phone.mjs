// A phone with WatermelonDB, driven by the test over stdin: one JSON command a line, one JSON answer a line on stdout.
import { createInterface } from "node:readline";
import watermelon from "@nozbe/watermelondb";
import loki from "@nozbe/watermelondb/adapters/lokijs/index.js";
import migrating from "@nozbe/watermelondb/Schema/migrations/index.js";
import lokijs from "lokijs";
import { append, edit, modelsOf, schemaOf, synchronizeAll, tables } from "../../mobile_contracts/examples/watermelondb/callout.mjs";

console.log = console.info = (...said) => console.error(...said);
const disk = new lokijs.LokiMemoryAdapter();
const heard = { answers: [], pulls: [], pushes: [], logs: [] };
let database = null;
let token = process.env.TOKEN;
let cutPushes = 0;
let failPushes = 0;
let beforePush = null;

async function network(url, init) {
  const what = url.endsWith("/push") ? "push" : "pull";
  if (what === "push") {
    if (failPushes > 0) {
      failPushes -= 1;
      throw new Error("offline");
    }
    heard.pushes.push(JSON.parse(init.body));
  }
  const answer = await fetch(url, init);
  if (what === "push" && cutPushes > 0) {
    cutPushes -= 1;
    await answer.text();
    throw new Error("the answer was lost");
  }
  if (what === "pull") {
    const body = await answer.clone().json();
    heard.pulls.push({ asked: JSON.parse(init.body), status: answer.status, ...body });
  }
  return answer;
}

const set = (row, values) => Object.entries(values).forEach(([column, value]) => row._setRaw(column, value));

const acts = {
  async open({ version = 1, names, added = [] }) {
    if (database) await database.adapter.underlyingAdapter._driver.loki.saveDatabase?.(() => {});
    const schema = schemaOf(version, names);
    const steps = added.map((one) =>
      one.columns
        ? migrating.addColumns({ table: one.table, columns: one.columns })
        : migrating.createTable(tables.find((table) => table.name === one.table)),
    );
    const migrations = migrating.schemaMigrations({
      migrations: version > 1 ? [{ toVersion: version, steps }] : [],
    });
    const adapter = new loki.default({
      schema,
      migrations,
      dbName: "phone",
      useWebWorker: false,
      useIncrementalIndexedDB: false,
      _testLokiAdapter: disk,
      extraLokiOptions: { autosave: false },
    });
    database = new watermelon.Database({ adapter, modelClasses: modelsOf(schema) });
    await adapter.initializingPromise;
  },
  async save() {
    await new Promise((done, failed) =>
      database.adapter.underlyingAdapter._driver.loki.saveDatabase((fault) => (fault ? failed(fault) : done())),
    );
  },
  async sync({ limit } = {}) {
    const log = {};
    try {
      await synchronizeAll(database, {
        url: process.env.URL,
        token: () => token,
        limit,
        fetch: network,
        log,
        onAnswers: (answers) => heard.answers.push(...answers),
      });
      return { done: true };
    } catch (error) {
      return { done: false, error: String(error) };
    } finally {
      heard.logs.push({ phase: log.phase, resolvedConflicts: log.resolvedConflicts });
    }
  },
  all: async ({ name }) => (await database.get(name).query().fetch()).map((found) => found._raw),
  edit: async ({ name, id, values, plainly }) => {
    const record = await database.get(name).find(id);
    if (plainly) await database.write(() => record.update((row) => set(row, values)));
    else await edit(record, values);
  },
  append: async (given) => (await append(database, given)).id,
  create: async ({ name, values }) =>
    (await database.write(() => database.get(name).create((row) => set(row, values)))).id,
  remove: async ({ name, id }) => {
    const record = await database.get(name).find(id);
    await database.write(() => record.markAsDeleted());
  },
  async set(given) {
    if (given.cutPushes !== undefined) cutPushes = given.cutPushes;
    if (given.failPushes !== undefined) failPushes = given.failPushes;
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
