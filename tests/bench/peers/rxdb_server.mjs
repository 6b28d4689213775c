// rxdb-server with its Express adapter and RxDB's memory storage; one process on HOST and PORT.
// `events` is one collection for all, `rows` shows each caller the rows of the scope its header names.
import { createRxDatabase } from "rxdb";
import { getRxStorageMemory } from "rxdb/plugins/storage-memory";
import { RxServerAdapterExpress } from "rxdb-server/plugins/adapter-express";
import { createRxServer } from "rxdb-server/plugins/server";

const text = { type: "string" };
const id = { type: "string", maxLength: 40 };
const schema = {
  version: 0,
  primaryKey: "id",
  type: "object",
  properties: {
    id, scope: id, visitId: text, orderId: text, kind: text, deviceTime: text, receivedAt: text,
    location: { type: "object" }, version: { type: "number" }, text,
  },
  required: ["id", "scope"],
  indexes: ["scope"],
};
const database = await createRxDatabase({
  name: "bench", storage: getRxStorageMemory(), multiInstance: false, eventReduce: true,
});
await database.addCollections({ events: { schema }, rows: { schema } });
const server = await createRxServer({
  database,
  adapter: RxServerAdapterExpress,
  hostname: process.env.HOST,
  port: Number(process.env.PORT),
  authHandler: (headers) => ({ validUntil: Date.now() + 3_600_000, data: { scope: headers.authorization } }),
});
server.addReplicationEndpoint({ name: "events", collection: database.events });
server.addReplicationEndpoint({
  name: "rows",
  collection: database.rows,
  queryModifier: (auth, query) => {
    query.selector.scope = { $eq: auth.data.scope };
    return query;
  },
});
await server.start();
