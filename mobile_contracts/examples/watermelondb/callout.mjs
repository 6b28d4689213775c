// WatermelonDB against Callout: its own synchronize(), and what a server cannot do for it.
// What each part is for stands in ../../clients.md.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import watermelon from "@nozbe/watermelondb";
import sync from "@nozbe/watermelondb/sync/index.js";
import randomId from "@nozbe/watermelondb/utils/common/randomId/index.js";

const { appSchema, tableSchema, Model } = watermelon;
export const tables = JSON.parse(readFileSync(new URL("../../row_schemas/watermelondb.json", import.meta.url), "utf8"));

// Commands are known to the server by ids that are UUIDs.
randomId.setGenerator(() => randomUUID());

// The schema with these tables; version and migrations are the app's own.
export function schemaOf(version = 1, names = tables.map((table) => table.name)) {
  return appSchema({
    version,
    tables: tables.filter((table) => names.includes(table.name)).map((table) => tableSchema(table)),
  });
}

export function modelsOf(schema) {
  return Object.keys(schema.tables).map(
    (name) =>
      class extends Model {
        static table = name;
      },
  );
}

// Change columns of a record. What it was edited against is kept with it from its first edit on: when it is pushed, a
// pull has already brought newer values.
export async function edit(record, values) {
  await record.database.write(() =>
    record.update((row) => {
      if (row._raw._status === "synced" && "base_revision" in row._raw) row._setRaw("base_revision", row._raw.revision);
      if ("edited_at" in row._raw) row._setRaw("edited_at", Date.now());
      for (const [column, value] of Object.entries(values)) row._setRaw(column, value);
    }),
  );
}

// Append a command: what the engineer did, once and for all.
export async function append(database, { kind, visitId, sequence, payload = {}, location = null }) {
  return database.write(() =>
    database.get("command").create((row) => {
      const columns = { kind, visit_id: visitId, sequence, schema_version: 2, device_time: Date.now() };
      for (const [column, value] of Object.entries(columns)) row._setRaw(column, value);
      row._setRaw("payload", JSON.stringify(payload));
      if (location) row._setRaw("location", JSON.stringify(location));
    }),
  );
}

// The server reads at most 4 MiB at one go (unless its operator allows more), and a character is up to three bytes.
const PUSH_CHARS_MAX = 1_000_000;
const PUSH_ROWS_MAX = 2_000;

// synchronize() hands over all that is unsent. After weeks in a dead spot that may be more than one request can carry: it is
// sent in parts, documents before commands. A part that is sent again does no harm, so that all may fail together.
export function* partsOf(changes) {
  let part = {};
  let chars = 0;
  let rows = 0;
  for (const table of Object.keys(changes).sort((a, b) => (a === "command") - (b === "command"))) {
    for (const [list, given] of Object.entries(changes[table])) {
      for (const row of given) {
        const size = JSON.stringify(row).length;
        if (rows && (chars + size > PUSH_CHARS_MAX || rows === PUSH_ROWS_MAX)) {
          yield part;
          part = {};
          chars = rows = 0;
        }
        part[table] ??= { created: [], updated: [], deleted: [] };
        part[table][list].push(row);
        chars += size;
        rows += 1;
      }
    }
  }
  if (rows) yield part;
}

// Pull and push until there is nothing left to do. onAnswers(answers): what became of pushed rows.
export async function synchronizeAll(database, { url, token, onAnswers, limit, fetch: ownFetch = fetch, log }) {
  async function ask(what, body) {
    const answer = await ownFetch(`${url}/v1/watermelon/${what}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${token()}` },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${what}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }
  for (let again = true; again; ) {
    again = false;
    await sync.synchronize({
      database,
      log,
      sendCreatedAsUpdated: true,
      migrationsEnabledAtVersion: 1,
      pullChanges: async ({ lastPulledAt, schemaVersion, migration }) => {
        const dirty = await sync.hasUnsyncedChanges({ database });
        const names = Object.keys(database.schema.tables);
        const pulled = await ask("pull", { lastPulledAt, schemaVersion, migration, dirty, tables: names, limit });
        again = pulled.more;
        return pulled;
      },
      pushChanges: async ({ changes, lastPulledAt }) => {
        for (const part of partsOf(changes)) {
          const pushed = await ask("push", { changes: part, lastPulledAt, sentAt: new Date().toISOString() });
          onAnswers?.(pushed.answers);
        }
        // Once more: to see what became of them, and to be sent the deletes that were kept back until now.
        again = true;
      },
    });
  }
}
