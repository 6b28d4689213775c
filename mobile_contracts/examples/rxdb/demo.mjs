// node demo.mjs http://127.0.0.1:8000 TOKEN [once]: pulls this phone's work, notes something on its first visit, and
// listens for more, unless once is enough.
import { randomUUID } from "node:crypto";
import { createRxDatabase } from "rxdb/plugins/core";
import { getRxStorageMemory } from "rxdb/plugins/storage-memory";
import { addCollections, Replication } from "./callout.mjs";

const [url, token, once] = process.argv.slice(2);
if (!token) throw new Error("usage: node demo.mjs URL TOKEN [once]");
const db = await createRxDatabase({ name: "callout", storage: getRxStorageMemory(), multiInstance: false });
await addCollections(db);
const sync = new Replication(db, {
  url,
  token: () => token,
  onAnswers: (name, answers) => answers.forEach((a) => console.log(`${name}: ${a.status} ${a.code ?? ""}`)),
  onError: (name, error) => {
    const code = error.parameters?.errors?.[0]?.extensions?.code;
    console.error(`${name}: ${code ?? error.message}`);
    // An app gets a fresh token and goes on by itself; this one has no other.
    if (code === "NOT_AUTHENTICATED") process.exit(1);
  },
}).start();
await sync.inSync();

const visits = await db.visit.find().exec();
for (const visit of visits) console.log(`visit ${visit.number} of order ${visit.orderId}: ${visit.state}`);
if (visits.length > 0) {
  await visits[0].incrementalPatch({ engineerNote: "Ladder needed", editedAt: new Date().toISOString() });
  await db.command.insert({
    id: randomUUID(),
    sequence: 1,
    schemaVersion: 2,
    kind: "visit.note",
    visitId: visits[0].id,
    deviceTime: new Date().toISOString(),
    payload: { text: "The cellar door sticks" },
  });
  await sync.inSync();
}
if (once) {
  await sync.cancel();
  process.exit(0);
}
console.log("listening; end with Ctrl-C");
db.visit.$.subscribe((change) => console.log(`${change.operation} ${change.documentId}`));
